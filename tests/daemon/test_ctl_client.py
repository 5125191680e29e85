"""What `wsloop ctl` and `wsloop health` make of those who answer, and of those who do not."""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import ctl_client, health_probe
from wsloop.daemon.ctl_client import ControlClient, GoneError, NotDoneError
from wsloop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


class Answering:
    """A listener that answers every request with the same bytes; None: with nothing."""

    def __init__(self, listener: socket.socket, said: bytes | None) -> None:
        self._listener = listener
        self._said = said
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            self._held.append(peer)
            request = b""
            while not request.endswith(b"{}" if request.startswith(b"POST") else b"\r\n\r\n"):
                piece = peer.recv(65536)
                if not piece:
                    return
                request += piece
            if self._said is not None:
                peer.sendall(self._said)
                peer.close()

    def close(self) -> None:
        with socket.socket(self._listener.family) as last:
            last.connect(self._listener.getsockname())
        self._thread.join()
        for peer in self._held:
            peer.close()
        self._listener.close()


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl") as directory:
        yield Path(directory, "c")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (answer("404 Not Found", b""), "does not know"),
        (answer("200 OK", b"[]"), "no wsloop daemon"),
        (answer("200 OK", b"{}"), "no wsloop daemon"),
        (answer("200 OK", b'{"a": "\xff"}'), "no wsloop daemon"),
        (answer("200 OK", b'{"error":{"message":"no","hint":""}}'), "^no$"),
        (b"SSH-2.0\r\n", "hung up"),
        (b"", "hung up"),
        (None, "does not answer"),
    ],
)
def test_who_answers_otherwise_is_told_in_one_line(
    place: Path, said: bytes | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctl_client, "TIMEOUT_S", 30.0 if said is not None else 0.05)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen()
    answering = Answering(listener, said)
    try:
        with pytest.raises(NotDoneError, match=told) as caught:
            ControlClient(place).ask("stats")
        assert caught.value.exit_code == 1
    finally:
        answering.close()


def test_who_is_not_there(place: Path) -> None:
    with pytest.raises(GoneError, match="no daemon is running at"):
        ControlClient(place).ask("stats")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))
        with pytest.raises(GoneError, match="no daemon"):
            ControlClient(place).ask("stats")


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        (answer("200 OK", b"ready"), []),
        (answer("503 No", b'{"reasons":["draining"]}'), ["draining"]),
        (answer("503 No", b"draining\noverloaded\n"), ["draining", "overloaded"]),
        (answer("503 No", b""), ["it does not say why"]),
        (answer("503 No", b"[]"), ["[]"]),
    ],
)
def test_health_tells_the_reasons(said: bytes, reasons: list[str]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    answering = Answering(listener, said)
    try:
        assert health_probe.reasons(f"http://127.0.0.1:{listener.getsockname()[1]}", None, None) == reasons
    finally:
        answering.close()


@pytest.mark.parametrize(("said", "told"), [(answer("404 No", b""), "answers 404"), (b"", "hung up")])
def test_what_is_no_health(said: bytes, told: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    answering = Answering(listener, said)
    try:
        with pytest.raises(NotDoneError, match=f"{told}"):
            health_probe.reasons(f"http://127.0.0.1:{listener.getsockname()[1]}/readyz", None, None)
    finally:
        answering.close()


@pytest.mark.parametrize("url", ["nonsense", "ftp://a", "http://unix:/a:/b"])
def test_what_is_no_address_of_health(url: str) -> None:
    with pytest.raises(UsageError):
        health_probe.reasons(url, None, None)


def test_without_an_address_the_settings_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    path = tmp_path / "wsloop.toml"
    path.write_text(f'[admin]\nhost = "0.0.0.0"\nport = {listener.getsockname()[1]}\n')
    answering = Answering(listener, answer("200 OK", b""))
    try:
        assert health_probe.reasons("", None, path) == []
    finally:
        answering.close()
    asked: list[Path | None] = []

    def of_control(control: Path | None) -> list[str]:
        asked.append(control)
        return ["draining"]

    monkeypatch.setattr(health_probe, "_of_control", of_control)
    assert health_probe.reasons("", None, path) == ["draining"]
    path.write_text("[admin]\nenabled = false\n")
    assert health_probe.reasons("", None, path) == ["draining"]
    assert asked == [None, None]
