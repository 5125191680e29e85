"""What is printed when the daemon serves, and streams that take nothing."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from wsloop.daemon import banner
from wsloop.daemon.settings import ClientSettings, Settings, TlsSettings
from wsloop.transport.bind import TcpBind, UnixBind

TCP = TcpBind("127.0.0.1", 8765)


def test_in_development_every_way_in_has_its_address() -> None:
    said = banner.lines(Settings(dev=True), [TCP])
    assert [line.split()[0] for line in said[2:]] == ["chat", "echo", "clients"]
    assert all("127.0.0.1:8765" in line for line in said[2:])


@pytest.mark.parametrize(("certificate", "scheme"), [(None, "ws"), ("cert.pem", "wss")])
def test_else_clients_are_told_their_address_and_unix_paths_are_named(
    certificate: str | None, scheme: str
) -> None:
    settings = Settings(tls=TlsSettings(certfile=certificate), client=ClientSettings(allow_anonymous=True))
    said = banner.lines(settings, [TCP, UnixBind("/run/w")])
    assert said[2:] == [
        f"  clients  {scheme}://127.0.0.1:8765/connection/websocket",
        f"  listening on {UnixBind('/run/w')}",
    ]


def test_that_nobody_can_connect_is_said() -> None:
    assert "nobody" in banner.lines(Settings(), [TCP])[-1]


def test_nothing_to_say_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    banner.show([])
    assert capsys.readouterr() == ("", "")
    banner.show(["one", "two"])
    assert capsys.readouterr() == ("one\ntwo\n\nCtrl+C to stop\n", "")


def test_a_reader_that_is_gone_is_no_reason_to_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = socket.socketpair()
    reader.close()
    with os.fdopen(writer.detach(), "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        banner.show(["one"])
        assert caplog.messages == ["cannot print the addresses: Broken pipe"]
        banner.show(["two"])  # into the void from here on
    assert len(caplog.messages) == 1
