"""Real forks, which end at once: what they end with, and what they say."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, cast

import pytest

from tests.pipes import full_pipe
from wsloop.daemon import children
from wsloop.daemon.forks import Forks
from wsloop.daemon.logs import STDERR
from wsloop.errors import StartupError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of whoever runs the tests hold no lock that a child here takes."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def code_of(serve: Callable[[socket.socket], int]) -> int:
    pid, line = children.fork(serve, "worker-7")
    with line:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_ends_with_what_it_returns_and_has_the_other_end_of_the_line() -> None:
    def serve(line: socket.socket) -> int:
        line.sendall(b"here")
        return 7

    pid, ours = children.fork(serve, "worker-7")
    with ours:
        assert ours.recv(100) == b"here"
        assert ours.recv(100) == b""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_child_ignores_notices_and_takes_orders_by_default() -> None:
    def serve(_line: socket.socket) -> int:
        orders = {signal.getsignal(number) for number in children.ORDERS if number != signal.SIGINT}
        notices = {signal.getsignal(number) for number in (*children.NOTICES, signal.SIGINT)}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return int(orders == {signal.SIG_DFL} and notices == {signal.SIG_IGN} and not blocked)

    assert code_of(serve) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StartupError("cannot listen\nat all"), 3, "error: worker-7: cannot listen at all\n"),
        (ValueError("a bug"), 1, "error: worker-7: ValueError: a bug (test_children.py:"),
        (KeyboardInterrupt(), 1, "error: worker-7: KeyboardInterrupt"),
    ],
)
def test_what_it_raises_is_one_line(
    error: BaseException, code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def serve(_line: socket.socket) -> int:
        raise error

    assert code_of(serve) == code
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(said)


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert children.reason_of(ValueError("a\nb")) == "ValueError: a b"


def test_a_stream_that_takes_nothing_does_not_keep_it() -> None:
    def serve(_line: socket.socket) -> int:
        reader, writer = os.pipe()
        os.close(reader)
        sys.stdout = os.fdopen(writer, "w", encoding="utf-8")
        sys.stdout.write("for nobody")
        return 5

    assert code_of(serve) == 5


def test_the_child_becomes_what_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child runs in the frames that it was forked in, no measurement sees: so here it is nobody's."""
    became: list[object] = []
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(children, "_become", lambda *given: became.append(given[1]))
    _, line = children.fork(lambda _: 0, "worker-7")
    line.close()
    assert became == ["worker-7"]


def test_who_was_reaped_by_somebody_else_has_ended_and_takes_no_signal() -> None:
    pid, line = children.fork(lambda _: 3, "worker-7")
    line.close()
    other, _ = os.waitpid(pid, 0)
    forks = Forks(cast("Reactor", None), lambda _slot, _line: 0)
    assert forks.reap([other]) == [(pid, 0)]
    forks.kill(pid, signal.SIGTERM)


def test_who_has_not_ended_is_not_reaped() -> None:
    def serve(line: socket.socket) -> int:
        line.recv(1)
        return 4

    pid, line = children.fork(serve, "worker-7")
    forks = Forks(cast("Reactor", None), lambda _slot, _line: 0)
    assert forks.reap([pid]) == []
    line.close()
    found: list[tuple[int, int]] = []
    while not found:
        found = forks.reap([pid])
    assert found == [(pid, 4)]


@pytest.mark.parametrize("is_read", [True, False])
def test_a_complaint_that_nobody_takes_is_lost_and_nothing_else(is_read: bool) -> None:
    """A reader that is there and reads no more: nobody waits for it. One that is gone: no error."""
    reader, writer = full_pipe()
    if not is_read:
        os.close(reader)
    before = os.dup(STDERR)
    try:
        os.dup2(writer, STDERR)
        children.complain("worker-7: a bug")
    finally:
        os.dup2(before, STDERR)
        for descriptor in (before, writer, *([reader] if is_read else [])):
            os.close(descriptor)
