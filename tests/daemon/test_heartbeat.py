"""A worker's end of the line: what it says, what it does when it is told, and when nobody is there."""

from __future__ import annotations

import functools
import os
import socket
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon.channel import (
    MAX_MESSAGE_BYTES,
    Answer,
    Ask,
    Beat,
    Drain,
    Failed,
    HandOver,
    Keep,
    Leave,
    Listen,
    Message,
    Resized,
    Stopping,
    Unframer,
    encode,
)  # fmt: skip
from wsloop.daemon.heartbeat import MAX_KEPT_BYTES, MAX_REASON, Beats
from wsloop.daemon.steward import Steward
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.server.assembly import Options, Ports, assemble
from wsloop.transport.bind import SocketNetwork, TcpBind, local_bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.server.assembly import House


class Scene:
    """A house whose beats come out of `line`."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.line, theirs = socket.socketpair()
        self.line.setblocking(False)
        self.beats = Beats(theirs.detach())
        self.drains = 0
        self.sizes: list[int] = []
        self._unframer = Unframer()

    def attach(self) -> None:
        self.beats.attach(self.house, self._drain, self.sizes.append)

    def _drain(self) -> None:
        self.drains += 1

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.house.reactor.call_soon(lambda: None)
            self.house.reactor.run_once()

    def say(self, message: Message, *descriptors: int) -> None:
        socket.send_fds(self.line, [encode(message)], descriptors)
        self.turn()

    def heard(self) -> list[Message]:
        try:
            return self._unframer.feed(self.line.recv(1 << 16))
        except BlockingIOError:
            return []


@pytest.fixture
def scene() -> Iterator[Scene]:
    ports = Ports(MonotonicClock(), make_poller(), SocketNetwork(), os.urandom)
    house = assemble(ports, Options())
    made = Scene(house)
    yield made
    made.line.close()
    house.server.close()
    made.turn()
    house.reactor.close()


def test_the_first_beat_comes_at_once_and_says_how_the_house_is(scene: Scene) -> None:
    scene.attach()
    (beat,) = scene.heard()
    assert isinstance(beat, Beat)
    assert (beat.connections, beat.is_draining, beat.is_ready) == (0, False, True)
    assert beat.rss > 1024 * 1024


def test_what_is_wrong_with_who_serves_goes_along(scene: Scene) -> None:
    scene.house.health.add_warning(lambda: "log: lines lost: 2 (it is full)")
    scene.attach()
    (beat,) = scene.heard()
    assert isinstance(beat, Beat)
    assert (beat.is_ready, beat.warning) == (True, "log: lines lost: 2 (it is full)")


@pytest.mark.parametrize(
    ("reasons", "is_up"),
    [
        (["no link to the broker"], False),
        (["overloaded: memory at 99 % of 12 MiB"], True),
        (["overloaded: memory at 99 % of 12 MiB", "no link to the broker"], False),
    ],
)
def test_who_is_not_ready_says_so_and_has_started_if_it_is_only_load(
    scene: Scene, reasons: list[str], is_up: bool
) -> None:
    for reason in reasons:
        scene.house.health.add(functools.partial(str, reason))
    scene.attach()
    (beat,) = scene.heard()
    assert isinstance(beat, Beat)
    assert (beat.is_up, beat.is_ready, beat.reason) == (is_up, False, "; ".join(reasons))


def test_a_drain_is_told_at_once_so_that_the_slot_is_filled(scene: Scene) -> None:
    scene.attach()
    scene.heard()
    scene.beats.stopping()
    (beat,) = scene.heard()
    assert isinstance(beat, Beat)
    assert beat.is_draining


def test_it_drains_when_it_is_told_and_when_nobody_is_there_any_more(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.attach()
    scene.say(Drain())
    assert scene.drains == 1
    scene.line.close()
    scene.turn()
    assert scene.drains == 2
    assert "the supervisor is gone: ending" in caplog.text


def test_it_hears_how_many_workers_there_are(scene: Scene) -> None:
    scene.attach()
    scene.say(Resized(3))
    scene.say(Resized(2))
    assert scene.sizes == [3, 2]


def test_a_socket_that_another_has_left_is_listened_on_until_a_third_has_it(scene: Scene) -> None:
    scene.attach()
    sock = SocketNetwork().listen(TcpBind("127.0.0.1", 0))
    scene.say(Listen((77,)), sock.fileno())
    assert [listener.bind for listener in scene.house.server.listeners] == [local_bind(sock)]
    with socket.create_connection(sock.getsockname()):
        scene.turn()
        assert scene.house.server.clients == 1
    scene.say(Leave((77,)))
    with socket.create_connection(sock.getsockname()):
        scene.turn()
        assert scene.house.server.statistics().accepted_total == 1
        sock.accept()[0].close()  # it was left to wait for whoever comes next
    sock.close()


def test_one_that_drains_listens_on_nothing_more(scene: Scene) -> None:
    """It would refuse whoever comes, and another process is about to listen there."""
    scene.attach()
    scene.beats.stopping()
    sock = SocketNetwork().listen(TcpBind("127.0.0.1", 0))
    before = len(os.listdir("/proc/self/fd"))
    scene.say(Listen((77,)), sock.fileno())
    assert scene.house.server.listeners == ()
    assert len(os.listdir("/proc/self/fd")) == before
    scene.say(Leave((77,)))
    scene.say(Drain())
    assert scene.drains == 1  # so the line is whole
    sock.close()


def test_a_socket_that_was_there_at_the_start_can_be_left(scene: Scene) -> None:
    listener = scene.house.server.listen(TcpBind("127.0.0.1", 0))
    scene.attach()
    scene.say(Leave((listener.fileno(),)))
    assert listener.is_closed


def test_for_a_successor_it_accepts_no_more_and_a_worker_drains(scene: Scene) -> None:
    listener = scene.house.server.listen(TcpBind("127.0.0.1", 0))
    admin = scene.house.server.listen_admin(TcpBind("127.0.0.1", 0), scene.house.admin)
    scene.attach()
    scene.say(HandOver(drains=False))
    assert (listener.is_closed, admin.is_closed, scene.drains) == (True, True, 0)
    scene.say(HandOver(drains=True))
    assert scene.drains == 1


def test_who_has_come_is_let_in_before_a_drain_for_a_successor(scene: Scene) -> None:
    listener = scene.house.server.listen(TcpBind("127.0.0.1", 0))
    scene.attach()
    with socket.socket(fileno=os.dup(listener.fileno())) as copy:
        where = copy.getsockname()
    with socket.create_connection(where):
        scene.turn()
        scene.say(HandOver())
        assert scene.drains == 0
    while not scene.drains:  # it has gone, and so there is nobody to wait for
        scene.house.reactor.run_once()
    assert scene.drains == 1


def test_questions_go_up_and_each_answer_to_who_asked(scene: Scene) -> None:
    told: list[tuple[str, bool, str]] = []
    scene.attach()
    scene.heard()
    scene.beats.restart(lambda is_done, text: told.append(("restart", is_done, text)))
    scene.beats.add_workers(2, lambda is_done, text: told.append(("add", is_done, text)))
    first, second = scene.heard()
    assert (first, second) == (Ask(1, "restart"), Ask(2, "add_workers", "2"))
    scene.say(Answer(2, is_done=True, text="there are 4"))
    scene.say(Answer(1, is_done=False, text="it is stopping"))
    scene.say(Answer(1, is_done=True, text="nobody asked that"))
    assert told == [("add", True, "there are 4"), ("restart", False, "it is stopping")]


def test_nobodys_steward_can_do_nothing_and_says_so() -> None:
    told: list[tuple[bool, str]] = []
    steward = Steward()
    steward.reloading()
    steward.reloaded()
    steward.stopping()
    steward.restart(lambda *what: told.append(what))
    steward.add_workers(1, lambda *what: told.append(what))
    assert [is_done for is_done, _ in told] == [False, False]


def test_who_cannot_start_says_why_while_somebody_hears_it(scene: Scene) -> None:
    assert scene.beats.fail("a bug" + "!" * 10_000)
    assert scene.heard() == [Failed(("a bug" + "!" * 10_000)[:MAX_REASON])]
    scene.attach()
    scene.heard()
    assert not scene.beats.fail("a bug")
    assert scene.heard() == []


def test_a_supervisor_that_is_gone_hears_nothing() -> None:
    ours, theirs = socket.socketpair()
    beats = Beats(theirs.detach())
    ours.close()
    assert not beats.fail("a bug")
    os.close(beats._fd)


def test_what_the_next_process_needs_is_left_with_a_supervisor_that_reads(scene: Scene) -> None:
    scene.attach()
    scene.heard()
    scene.beats.keep(b"one")
    scene.beats.keep(b"x" * (MAX_KEPT_BYTES + 1))
    scene.beats.keep(b"two")
    assert scene.heard() == [Keep(b"one"), Keep(b"two")]
    assert len(encode(Keep(b"x" * MAX_KEPT_BYTES))) < MAX_MESSAGE_BYTES
    scene.beats.keep(b"x" * MAX_KEPT_BYTES)  # more than the line takes at once
    scene.beats.keep(b"three")
    heard: list[Message] = []
    for _ in range(200):
        heard += scene.heard()
        scene.turn()
    assert [message for message in heard if isinstance(message, Keep)] == [Keep(b"x" * MAX_KEPT_BYTES)]


def test_it_knows_when_all_of_them_drain_and_an_answer_to_nothing_is_nothing(scene: Scene) -> None:
    scene.attach()
    scene.turn()
    known = []
    for message in (Answer(99, True, "to nobody"), Stopping()):
        scene.say(message)
        known.append(scene.beats.is_daemon_stopping)
    assert known == [False, True]
    assert scene.drains == 0
