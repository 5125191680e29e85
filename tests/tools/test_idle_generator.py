"""The generator of idle connections: a server's memory is told, every connection echoes once."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tools.bench import process

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tools.conftest import RunProgram

SMALL = ("--connections=60", "--settle=0.5", "--drain=2", "--raw")
SERVER = """
import selectors, socket, sys
held = []
def serve(grow, reply):
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1000)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                held.append(bytes(b"x" * grow))
            elif data := key.fileobj.recv(65536):
                key.fileobj.sendall(reply(data))
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()
"""


def serve(run_program: RunProgram, code: str, check: Callable[[int, float, float, str], None]) -> None:
    """Run the generator against a server in Python; check (exit code, idle kB, echoed kB, first error)."""
    port = process.free_port()
    core = min(os.sched_getaffinity(0))
    with process.running([sys.executable, "-c", f"{SERVER}\n{code}", str(port)], port, core, {}) as server:
        code_, result = run_program("idle", port, *SMALL, *(f"--pid={pid}" for pid in server.pids))
    figures = result.figures
    check(code_, figures["idle_kb"], figures["echoed_kb"], result.first_error)


def test_what_a_server_keeps_for_each_connection_is_found(run_program: RunProgram) -> None:
    kb = 64

    def check(code: int, idle_kb: float, echoed_kb: float, error: str) -> None:
        assert (code, error) == (0, "")
        assert kb <= idle_kb <= kb * 1.1
        assert idle_kb * 0.99 <= echoed_kb <= kb * 1.1

    serve(run_program, f"serve({kb * 1024}, lambda data: data)", check)


def test_what_a_server_takes_with_the_first_message_is_found(run_program: RunProgram) -> None:
    def check(code: int, idle_kb: float, echoed_kb: float, error: str) -> None:
        assert (code, error) == (0, "")
        assert idle_kb < 8
        assert 100 <= echoed_kb < 120

    keep = "serve(0, lambda data: (held.append(bytes(b'x' * 102400)), data)[1])"
    serve(run_program, keep, check)


def test_a_wrong_echo_is_an_error(run_program: RunProgram) -> None:
    def check(code: int, _idle: float, _echoed: float, error: str) -> None:
        assert code == 1
        assert "not what was sent" in error

    serve(run_program, "serve(0, lambda data: data[:-1] + bytes([data[-1] ^ 1]))", check)


def test_nobody_listens(run_program: RunProgram) -> None:
    code, result = run_program("idle", process.free_port(), *SMALL)
    assert (code, result.errors.lost, result.operations) == (1, 1, 0)
