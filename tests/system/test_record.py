"""The flight recorder with a real daemon: a conversation is recorded, and shown again."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.test_ctl import command, wsloop

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="wl") as directory:
        yield Path(directory)


def await_ready(control: str) -> None:
    """Wait until all processes are there."""
    deadline_s = time.monotonic() + 2 * PATIENCE_S
    while wsloop("health", "--control", control)[0]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_conversation_is_recorded_until_an_interrupt_and_shown(place: Path) -> None:
    control, tape = str(place / "c"), place / "tape"
    options = ("ctl", "record", "--control", control, "--ip", "127.0.0.1", "--out", str(tape))
    with Daemon("--control", control, "--workers", "2") as daemon:
        await_ready(control)
        with command(*options) as recording:
            recording.until(lambda: recording.said)
            assert recording.said == ["recording; Ctrl+C ends it"]
            url = f"ws://127.0.0.1:{daemon.port}"
            code, _, err = wsloop("pub", url, "chat:lobby", '{"token":"open sesame","text":"hi"}')
            assert code == 0, err
            assert recording.end(signal.SIGINT) == 0
            assert recording.lines[0].endswith("stopped")
    lines = [json.loads(line) for line in tape.read_bytes().splitlines()]
    assert lines[0]["redacted"] is True
    code, shown, err = wsloop("replay", str(tape))
    assert (code, err) == (0, "")
    assert "> GET /connection/websocket HTTP/1.1" in shown
    assert "sesame" not in shown
    assert '"token": "***********"' in shown
    assert "close (2 B): 1000 (normal)" in shown
    assert "! " not in shown
