"""Over the limits, over real sockets: what refused clients see, and that the daemon lives on."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import open_echo, says, upgrade_request
from wsloop.server.admission import BURST_S, Refusal
from wsloop.server.refusing import ANSWERS, LINGERING_MAX

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system

BURST = int(BURST_S)
"""Let in at a rate of 1 a second before anybody is refused."""


def read_to_end(peer: socket.socket) -> bytes:
    """Everything up to FIN; a reset on the way raises ConnectionResetError."""
    data = b""
    while piece := peer.recv(65536):
        data += piece
    return data


@pytest.mark.parametrize("speaks_first", [True, False])
def test_every_refused_client_reads_the_whole_answer_and_a_clean_end(speaks_first: bool) -> None:
    with Daemon("--limit-accept-rate", "1") as daemon:
        inside = [daemon.connect() for _ in range(BURST)]
        refused = []
        for _ in range(LINGERING_MAX):
            peer = daemon.connect()
            if speaks_first:
                peer.sendall(upgrade_request("/echo"))
            refused.append(peer)
        answers = {read_to_end(peer) for peer in refused}
        # A second may have passed on a slow machine: who came then is an open WebSocket's reader.
        assert ANSWERS[Refusal.RATE] in answers
        for peer in [*inside, *refused]:
            peer.close()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0  # so the thread that writes the log is done
        assert "refused 1 (too many new connections: 1)" in daemon.stderr()


def test_the_rate_can_be_switched_off_and_is_off_in_development() -> None:
    for options in ((), ("--limit-accept-rate", "0")):
        with Daemon(*options) as daemon:
            peers = [daemon.connect() for _ in range(600)]
            with open_echo(daemon) as last:
                assert says(last, "hello") == "hello"
            for peer in peers:
                peer.close()
            assert "refused" not in daemon.stderr()


def test_over_a_unix_socket_addresses_are_not_counted(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with Daemon("--limit-per-ip", "1", uds=path) as daemon:
        peers = []
        for _ in range(5):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(PATIENCE_S)
            peer.connect(path)
            peer.sendall(upgrade_request("/echo"))
            peers.append(peer)
        for peer in peers:
            assert peer.recv(12) == b"HTTP/1.1 101"
            peer.close()
        assert not re.search("refused", daemon.stderr())
