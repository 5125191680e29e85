"""Every back end against the one contract, and the traps of each kernel interface by name."""

from __future__ import annotations

import errno
import importlib.util
import os
import select
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest

from wsloop.errors import StartupError
from wsloop.loop.poller import BACKENDS, READ, WRITE, EpollPoller, Poller, SelectorPoller, make_poller
from wsloop.testing.contracts.poller import PollerContract

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is Linux's")


@needs_epoll
class TestEpoll(PollerContract):
    def make_poller(self, max_events: int) -> Poller:
        return make_poller("epoll", max_events)


class TestPoll(PollerContract):
    def make_poller(self, max_events: int) -> Poller:
        return make_poller("poll", max_events)


class TestSelect(PollerContract):
    def make_poller(self, max_events: int) -> Poller:
        return make_poller("select", max_events)


# A kqueue in Python: what KqueueSelector uses of select.kqueue, answered with poll(2). Like the
# kernel's, it reports the two sides of a descriptor as two events.

KQ_FILTER_READ, KQ_FILTER_WRITE = -1, -2
KQ_EV_ADD, KQ_EV_DELETE = 1, 2


@dataclass
class FakeKevent:
    ident: int
    filter: int
    flags: int = 0


class FakeKqueue:
    def __init__(self) -> None:
        self._filters: set[tuple[int, int]] = set()
        self._fd = os.open(os.devnull, os.O_RDONLY)
        self._polls = 0

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def control(
        self, changes: list[FakeKevent] | None, max_events: int, timeout_s: float | None = None
    ) -> list[FakeKevent]:
        for change in changes or []:
            key = (change.ident, change.filter)
            if change.flags == KQ_EV_ADD:
                self._filters.add(key)
            elif key in self._filters:
                self._filters.remove(key)
            else:
                raise FileNotFoundError
        if not max_events:
            return []
        return self._wait(max_events, timeout_s)

    def _wait(self, max_events: int, timeout_s: float | None) -> list[FakeKevent]:
        kernel = select.poll()
        sides = {KQ_FILTER_READ: select.POLLIN, KQ_FILTER_WRITE: select.POLLOUT}
        masks: dict[int, int] = {}
        for fd, side in self._filters:
            masks[fd] = masks.get(fd, 0) | sides[side]
        for fd, mask in masks.items():
            kernel.register(fd, mask)
        found = []
        for fd, events in kernel.poll(None if timeout_s is None else timeout_s * 1000):
            for side, mask in sides.items():
                if (fd, side) in self._filters and events & (mask | select.POLLHUP | select.POLLERR):
                    found.append(FakeKevent(fd, side))
        # What was reported goes to the end of the kernel's queue: nobody waits for ever.
        self._polls += 1
        first = self._polls * max_events % len(found) if found else 0
        return (found[first:] + found[:first])[:max_events]


def fake_kqueue_machine(patch: pytest.MonkeyPatch) -> None:
    """Make this machine look like one with kqueue; the selector on it is the stdlib's own.

    The stdlib defines `KqueueSelector` only where `select` has a kqueue, so its source is run a
    second time, with the faked kernel object in place.
    """
    if hasattr(select, "kqueue"):
        return
    names: dict[str, Any] = {
        "kqueue": FakeKqueue,
        "kevent": FakeKevent,
        "KQ_FILTER_READ": KQ_FILTER_READ,
        "KQ_FILTER_WRITE": KQ_FILTER_WRITE,
        "KQ_EV_ADD": KQ_EV_ADD,
        "KQ_EV_DELETE": KQ_EV_DELETE,
    }
    for name, value in names.items():
        patch.setattr(select, name, value, raising=False)
    spec = importlib.util.find_spec("selectors")
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    patch.setattr(selectors, "KqueueSelector", again.KqueueSelector, raising=False)


class TestKqueue(PollerContract):
    def make_poller(self, max_events: int) -> Poller:
        return make_poller("kqueue", max_events)

    def setup_method(self) -> None:
        self.patch = pytest.MonkeyPatch()
        fake_kqueue_machine(self.patch)
        super().setup_method()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.patch.undo()


def test_fact_kqueue_returns_one_descriptor_twice_and_it_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kqueue_machine(monkeypatch)
    left, right = socket.socketpair()
    with left, right:
        kernel = select.kqueue()  # type: ignore[attr-defined]
        for side in (select.KQ_FILTER_READ, select.KQ_FILTER_WRITE):  # type: ignore[attr-defined]
            kernel.control([select.kevent(left.fileno(), side, select.KQ_EV_ADD)], 0, 0)  # type: ignore[attr-defined]
        right.send(b"x")
        assert [event.ident for event in kernel.control(None, 10, 1.0)] == [left.fileno()] * 2
        kernel.close()

        class Twice(selectors.SelectSelector):
            """What a batch from such a kernel looks like, if it is handed on as it comes."""

            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                return [(key, bit) for key, _ in super().select(timeout) for bit in (READ, WRITE)]

        poller = SelectorPoller(Twice())
        poller.register(left.fileno(), READ | WRITE)
        assert poller.poll(1.0) == [(left.fileno(), READ | WRITE)]
        poller.close()


@needs_epoll
def test_fact_epoll_with_an_empty_interest_reports_hang_ups_for_ever_and_ours_does_not() -> None:
    left, right = socket.socketpair()
    with left, select.epoll() as bare:
        bare.register(left.fileno(), 0)
        poller = EpollPoller()
        poller.register(left.fileno(), READ)
        poller.modify(left.fileno(), 0)
        right.close()
        assert [len(bare.poll(0)) for _ in range(3)] == [1, 1, 1]
        assert [len(poller.poll(0)) for _ in range(3)] == [0, 0, 0]
        poller.close()


@needs_epoll
def test_fact_the_stdlib_asks_for_as_many_events_as_descriptors_and_ours_is_bounded() -> None:
    pairs = [socket.socketpair() for _ in range(20)]
    stdlib = selectors.EpollSelector()
    poller = EpollPoller(max_events=8)
    for left, right in pairs:
        stdlib.register(left, READ)
        poller.register(left.fileno(), READ)
        right.send(b"x")
    assert len(stdlib.select(0)) == 20
    assert len(poller.poll(0)) == 8
    stdlib.close()
    poller.close()
    for pair in pairs:
        for sock in pair:
            sock.close()


@needs_epoll
def test_a_wait_shorter_than_a_millisecond_is_not_a_busy_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class View:
        def poll(self, timeout_s: float, max_events: int) -> list[tuple[int, int]]:
            asked.append(timeout_s)
            return []

        def close(self) -> None:
            pass

    poller = EpollPoller()
    poller._epoll.close()
    poller._epoll = View()  # type: ignore[assignment]
    for timeout_s in (0.0001, 0.0011, 0, None):
        poller.poll(timeout_s)
    assert asked == [0.001, 0.002, 0, -1.0]
    poller.close()


def test_a_signal_does_not_end_a_wait_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    caught: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: caught.append(number))
    try:
        poller = make_poller("auto")
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        began = time.monotonic()
        while not caught and time.monotonic() - began < 10:
            assert poller.poll(0.05) == []
        poller.close()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught == [signal.SIGALRM]


@needs_epoll
def test_fact_epoll_reports_what_was_closed_too_early_while_another_process_holds_it() -> None:
    left, right = socket.socketpair()
    fd = left.fileno()
    with right, left.dup():  # as a forked process would hold it
        poller = EpollPoller()
        poller.register(fd, READ)
        right.send(b"x")
        left.close()
        poller.unregister(fd)
        assert len(poller._epoll.poll(0)) == 1
        assert poller.poll(0) == []
        poller.close()


@pytest.mark.skipif(sys.platform != "linux", reason="FD_SETSIZE differs")
def test_fact_select_refuses_high_numbers_for_ever_and_ours_refuses_the_one_that_has_it() -> None:
    poller = make_poller("select")
    left, right = socket.socketpair()
    with left, right:
        poller.register(left.fileno(), READ)
        with pytest.raises(ValueError, match="out of range"):
            poller.register(5000, READ)
        right.send(b"x")
        assert poller.poll(1.0) == [(left.fileno(), READ)]
        assert len(poller) == 1
    poller.close()


def test_auto_is_the_best_this_machine_has() -> None:
    poller = make_poller()
    assert isinstance(poller, EpollPoller) is hasattr(select, "epoll")
    poller.close()
    poller.close()


def test_a_back_end_that_is_not_here_is_a_startup_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    with pytest.raises(StartupError, match="this machine has no epoll"):
        make_poller("epoll")
    with pytest.raises(ValueError, match="none of auto, epoll"):
        make_poller("iocp")
    assert BACKENDS[0] == "auto"


@needs_epoll
def test_what_the_kernel_forgot_is_no_error_and_anything_else_is() -> None:
    class Forgetful:
        """An epoll whose next answer is `error`."""

        error = 0

        def register(self, fd: int, mask: int) -> None:
            pass

        def unregister(self, fd: int) -> None:
            raise OSError(self.error, "told by the kernel")

    poller, kernel = EpollPoller(), Forgetful()
    poller.close()
    poller._epoll = kernel  # type: ignore[assignment]
    for kernel.error in (errno.EBADF, errno.ENOENT, errno.EPERM):
        poller.register(3, READ)
        poller.unregister(3)
    poller.register(3, READ)
    kernel.error = errno.EFAULT
    with pytest.raises(OSError, match="told by the kernel"):
        poller.unregister(3)
    assert len(poller) == 0
