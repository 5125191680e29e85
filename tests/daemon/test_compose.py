"""Settings in the server's own terms."""

from __future__ import annotations

import pytest

from wsloop.daemon import compose
from wsloop.daemon.config import load
from wsloop.protocol.deflate import DeflateOptions


@pytest.mark.parametrize(
    ("setting", "messaging", "echo"),
    [
        ("off", None, None),
        ("auto", DeflateOptions(), None),
        ("on", DeflateOptions(), DeflateOptions()),
    ],
)
def test_compression_is_for_no_route_for_messaging_or_for_all(
    setting: str, messaging: DeflateOptions | None, echo: DeflateOptions | None
) -> None:
    options = compose.options(load(None, {"ws": {"per_message_deflate": setting}}))
    assert options.messaging_deflate == messaging
    assert options.echo_deflate == echo


def test_compression_is_for_messaging_unless_told_otherwise() -> None:
    assert load(None, {}).ws.per_message_deflate == "auto"
