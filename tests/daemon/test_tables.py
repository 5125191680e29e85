"""What commands print, and what people type."""

from __future__ import annotations

import json
import socket
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import process
from wsloop.daemon.cli import cli
from wsloop.daemon.payloads import as_json_payload, as_text_payload
from wsloop.daemon.tables import safe, show, spelled_bytes, spelled_seconds
from wsloop.errors import UsageError


@given(st.text())
def test_nothing_printed_can_steer_a_terminal(text: str) -> None:
    assert safe(text).isprintable()


def test_texts_stand_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    show(("name", "n"), [("a", 1), ("long name", 234)])
    assert capsys.readouterr().out.splitlines() == ["name         n", "a            1", "long name  234"]
    show(("name", "n"), [])
    assert capsys.readouterr().out == "name  n\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**30, "1.0 GiB")]
)
def test_bytes(count: int, text: str) -> None:
    assert spelled_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0s"), (59, "59.0s"), (125, "2m 5s"), (3700, "1h 1m"), (273_600, "3d 4h")]
)
def test_seconds(seconds: float, text: str) -> None:
    assert spelled_seconds(seconds) == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_is_taken_as_it_is_on_one_line(value: object) -> None:
    payload = bytes(as_json_payload(json.dumps(value, indent=1)))
    assert b"\n" not in payload
    assert json.loads(payload) == value


@given(st.text())
def test_any_text_is_a_payload(text: str) -> None:
    assert json.loads(bytes(as_text_payload(text))) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "text", ["", "hello", "{", "[" * 100_000, "NaN", "[-Infinity]", "1e999", "\udcff", '"\\ud800"']
)
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="not JSON"):
        as_json_payload(text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_click_s_own(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_WSLOOP_COMPLETE" in result.output


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")
def test_the_kernel_counts_a_connections_bytes() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
        listener.accept()[0] as far,
    ):
        near.sendall(b"x" * 1000)
        received = 0
        while received < 1000:
            received += len(far.recv(1000))
        assert process.traffic(far.fileno()) == (1000, 0)
        far.sendall(b"y" * 10)  # it is still open
        near.recv(10)
        assert process.traffic(near.fileno())[0] == 10
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert process.traffic(ours.fileno()) == (0, 0)
    assert process.traffic(-1) == (0, 0)
