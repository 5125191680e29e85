"""The hostile generator: what it sends is legal and bounded, what it measures is the polite peer's."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import Ping, TextMessage

from tests.tools.scripted import LIMIT_S, frame, scripted_server, upgraded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.conftest import RunProgram

POLITE = ("--operations=10", "--pace=500", "--drain=10")
ENOUGH_BYTES = 32 * 1024


@contextmanager
def server_of_many(polite_answers: bool = True, flooders: int = 0) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Serve connections in threads: the first is the polite one; yield the port and what the others sent.

    The polite one, whose answers end the run, gets none before each of `flooders` others sent ENOUGH_BYTES.
    """
    heard: dict[int, bytes] = {}
    threads = []
    is_flooded = threading.Event()
    if not flooders:
        is_flooded.set()

    def serve(sock: socket.socket, number: int) -> None:
        with sock:
            sock.settimeout(LIMIT_S)
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            sock.sendall(upgraded(head))
            heard[number] = b""
            parser, text = Connection(ConnectionType.SERVER), ""
            try:
                while data := sock.recv(65536):
                    if len(heard[number]) < ENOUGH_BYTES:
                        heard[number] += data
                        enough = [len(each) >= ENOUGH_BYTES for other, each in heard.copy().items() if other]
                        if sum(enough) >= flooders:
                            is_flooded.set()
                    if number == 0 and polite_answers:
                        assert is_flooded.wait(LIMIT_S)
                        parser.receive_data(data)
                        for event in parser.events():
                            if isinstance(event, TextMessage):
                                text += event.data  # a piece, where the read ended inside a message
                                if event.message_finished:
                                    sock.sendall(frame(0x81, text.encode()))
                                    text = ""
            except (ConnectionResetError, BrokenPipeError):
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            for number in range(1000):
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(sock, number)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield int(listener.getsockname()[1]), heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(LIMIT_S)
            for thread in threads:
                thread.join(LIMIT_S)
    assert not any(thread.is_alive() for thread in threads)


def test_the_polite_peer_is_measured_beside_the_flood(run_program: RunProgram) -> None:
    with server_of_many() as (port, heard):
        code, result = run_program("flood", port, "--connections=2", *POLITE)
    assert (code, result.first_error) == (0, "")
    assert result.operations >= 10
    assert result.figures["polite_unanswered"] == 0
    assert result.figures["flood_frames_per_s"] >= 0
    assert 0 < result.latency_us.p50 <= result.latency_us.max
    assert set(heard) == {0, 1, 2}


def test_the_flood_breaks_no_rule(run_program: RunProgram) -> None:
    with server_of_many(flooders=2) as (port, heard):
        run_program("flood", port, "--connections=2", "--seconds=20", *POLITE)
    events = []
    for number in (1, 2):
        judge = Connection(ConnectionType.SERVER)
        judge.receive_data(heard[number])
        events += list(judge.events())  # raises nothing, and holds no close: every frame is legal
    assert {type(event) for event in events} == {Ping, TextMessage}
    assert {event.data for event in events if isinstance(event, TextMessage)} == {"x", ""}


def test_a_polite_peer_without_answers_is_a_result_not_a_fault(run_program: RunProgram) -> None:
    with server_of_many(polite_answers=False) as (port, _):
        code, result = run_program(
            "flood", port, "--connections=2", "--seconds=0.1", "--pace=100", "--drain=0.1"
        )
    assert (code, result.operations) == (0, 0)
    assert result.figures["polite_unanswered"] >= 9
    assert result.latency_us.p50 >= 100_000  # at least the drain


def test_a_wrong_echo_is_a_fault(run_program: RunProgram) -> None:
    with scripted_server(lambda _, data: frame(0x81, data[::-1])) as port:
        code, result = run_program("flood", port, "--connections=1", *POLITE)
    assert (code, result.errors.wrong) == (1, 1)


@pytest.mark.parametrize("option", ["--raw", "--size=70000", "--pace=0"])
def test_bad_usage(run_program: RunProgram, option: str) -> None:
    with pytest.raises(AssertionError, match=r"usage|speaks"):
        run_program("flood", 1, option)
