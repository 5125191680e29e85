"""The generator of idle connections: a server's memory is told, every connection echoes once."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tools.bench import process

if TYPE_CHECKING:
    from tests.tools.conftest import RunProgram
    from tools.bench.model import GeneratorResult

SMALL = ("--connections=60", "--size=100", "--settle=0.01", "--drain=10")
SERVER = """
import selectors, socket, sys
from tests.tools.scripted import frame, upgraded
held = []
def serve(grow, reply):
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1000)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
            elif data := key.fileobj.recv(65536):
                key.fileobj.sendall(answer(data, grow, reply))
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()
def answer(data, grow, reply):
    if data.startswith(b"GET "):
        held.append(bytes(b"x" * grow))  # before the answer, so that who has it finds the memory taken
        return upgraded(data)
    payload = bytes(byte ^ data[2 + at % 4] for at, byte in enumerate(data[6:]))
    return frame(data[0], payload if data[0] == 0x88 else reply(payload))
"""
"""Echoes small frames that come whole, as they do on a loopback where one is sent at a time."""


def measure(run_program: RunProgram, serve: str) -> tuple[int, GeneratorResult]:
    """Run the generator against the server, which `serve` calls."""
    port = process.free_port()
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", f"{SERVER}\n{serve}", str(port)]
    with process.running(command, port, core, {}) as server:
        return run_program("idle", port, *SMALL, *(f"--pid={pid}" for pid in server.pids))


def test_what_a_server_keeps_for_each_connection_is_found(run_program: RunProgram) -> None:
    code, result = measure(run_program, f"serve({64 * 1024}, lambda data: data)")
    assert (code, result.first_error, result.operations) == (0, "", 60)
    # Pages that the allocator had over are taken first: a little less than 64 is seen.
    assert 60 <= result.figures["idle_kb"] < 72
    assert 60 <= result.figures["echoed_kb"] < 72


def test_what_a_server_takes_with_the_first_message_is_found(run_program: RunProgram) -> None:
    code, result = measure(run_program, "serve(0, lambda data: (held.append(bytes(b'x' * 102400)), data)[1])")
    assert (code, result.first_error) == (0, "")
    assert result.figures["idle_kb"] < 8
    assert 94 <= result.figures["echoed_kb"] < 120


def test_a_wrong_echo_is_an_error(run_program: RunProgram) -> None:
    code, result = measure(run_program, "serve(0, lambda data: data[:-1] + bytes([data[-1] ^ 1]))")
    assert (code, result.operations) == (1, 0)
    assert result.errors.wrong == result.errors.total > 0
    assert "not what was sent" in result.first_error


def test_nobody_listens(run_program: RunProgram) -> None:
    code, result = run_program("idle", process.free_port(), *SMALL)
    assert (code, result.errors.lost, result.operations) == (1, 1, 0)
