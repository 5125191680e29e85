"""Settings in the server's own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import compose
from wsloop.daemon.config import load
from wsloop.daemon.settings import HistorySettings, ServerSettings, Settings
from wsloop.hub.rate_limits import Meter, Operation, Rate
from wsloop.protocol.deflate import DeflateOptions
from wsloop.server.refusing import LINGERING_MAX

if TYPE_CHECKING:
    from wsloop.daemon.kinds import Backend


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


@pytest.mark.parametrize(
    ("dev", "given", "expected"), [(False, None, 200), (True, None, 0), (False, 0, 0), (True, 7, 7)]
)
def test_new_connections_per_second_are_limited_except_in_development(
    dev: bool, given: int | None, expected: int
) -> None:
    settings = Settings(dev=dev, server=ServerSettings(limit_accept_rate=given))
    assert compose.options(settings).max_accepts_per_s == expected


def test_an_address_may_hold_100_connections_unless_told_otherwise() -> None:
    assert compose.options(Settings()).max_per_host == 100
    assert compose.options(Settings(server=ServerSettings(limit_per_ip=0))).max_per_host == 0


def test_connections_are_what_the_descriptors_allow_less_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "descriptor_limit", lambda: 1000)
    assert compose.options(Settings()).max_connections == 1000 - compose.RESERVED_DESCRIPTORS
    assert compose.options(Settings(server=ServerSettings(limit_concurrency=5))).max_connections == 5


@pytest.mark.parametrize(("poller", "most"), [("auto", 4744), ("select", 768)])
def test_a_limit_beyond_the_descriptors_is_lowered_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, poller: Backend, most: int
) -> None:
    monkeypatch.setattr(compose, "descriptor_limit", lambda: 5000)
    for asked in (most, None):
        server = ServerSettings(limit_concurrency=asked, poller=poller)
        assert compose.options(Settings(server=server)).max_connections == most
    assert not caplog.records
    server = ServerSettings(limit_concurrency=most + 1, poller=poller)
    assert compose.options(Settings(server=server)).max_connections == most
    assert f"limit_concurrency is {most + 1}, but" in caplog.text
    assert f"enough for {most} connections" in caplog.text


def test_the_reserve_holds_all_who_linger_while_they_are_refused() -> None:
    assert compose.RESERVED_DESCRIPTORS >= 2 * LINGERING_MAX


def test_the_ceiling_of_all_history_is_the_brokers() -> None:
    settings = Settings(history=HistorySettings(memory_limit=5_000_000))
    assert compose.options(settings).broker.memory_bytes == 5_000_000


def test_a_rate_is_read_in_its_unit() -> None:
    assert compose.rate("60/1s") == Rate(60, 1.0)
    assert compose.rate("5/m") == Rate(5, 60.0)
    assert compose.rate("7/2h") == Rate(7, 7200.0)
    assert compose.rate("") is None


def test_without_rates_nothing_is_counted() -> None:
    assert compose.options(load(None, {})).rate_limits is None
    limits = compose.options(load(None, {"rate_limits": {"ip_publish": "1/h"}})).rate_limits
    assert limits is not None
    meter = Meter()
    passed = [limits.admit(Operation.PUBLISH, 1.0, meter, "u", "h") for _ in range(2)]
    assert passed == [True, False]
    assert limits.admit(Operation.RPC, 1.0, meter, "u", "h")


@pytest.mark.parametrize(
    ("overrides", "is_listed"),
    [
        ({}, False),
        ({"forwarded_allow_ips": ["10.0.0.1"]}, True),
        ({"forwarded_allow_ips": ["10.0.0.1"], "proxy_headers": True}, True),
        ({"forwarded_allow_ips": ["10.0.0.1"], "proxy_headers": False}, False),
    ],
)
def test_listed_proxies_are_believed_unless_that_is_switched_off(
    overrides: dict[str, object], is_listed: bool
) -> None:
    settings = load(None, {"server": overrides})
    assert compose.options(settings).proxies.lists("10.0.0.1") is is_listed
