"""Links as a check: two ends made by hand, one of which says, sends or deals with what it should not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.cluster.codec import encode
from wsloop.cluster.link_states import LinkLimits, LinkState
from wsloop.cluster.messages import Hello, Ping
from wsloop.testing.simulator.checkers.links import LinkTap, LinkWatch
from wsloop.testing.simulator.faults import FaultPlan
from wsloop.testing.simulator.world import World

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.scene import Scene

ONE, TWO, THREE = (encode(Ping(number)) for number in (1, 2, 3))


class Sock:
    """Takes as many bytes as it was told to; gives as many."""

    def __init__(self, takes: list[int]) -> None:
        self.number = 5
        self.takes = takes
        self.gives = 10
        self.peer: Any = None

    def send(self, data: Any, /) -> int:
        return min(self.takes.pop(0), len(data)) if self.takes else len(data)

    def recv(self, _max_bytes: int, /) -> bytes:
        return b"x" * self.gives


class Ends:
    """A link's two ends, `near` and `far`, with a tap at each; what their owners were told."""

    def __init__(self, takes: list[int] | None = None, *, is_far_tapped: bool = True) -> None:
        self.scene: Scene = scene()
        self.told: list[Any] = []
        self.taps: dict[Any, LinkTap] = {}
        near, far = Sock(takes or []), Sock([])
        near.peer, far.peer = far, near
        self.near, self.near_tap, self.near_sock = self._end("worker 0", near)
        if is_far_tapped:
            self.far, self.far_tap, self.far_sock = self._end("hub", far)

    def _end(self, name: str, sock: Any) -> tuple[Any, LinkTap, Any]:
        owner = SimpleNamespace(
            on_message=lambda _, message: self.told.append(message),
            on_drained=lambda _: self.told.append("drained"),
            on_tick=lambda _: self.told.append("tick"),
            on_ended=lambda _, reason: self.told.append(reason),
        )
        limits = LinkLimits(read_bytes=20, messages_per_turn=1)
        link: Any = SimpleNamespace(_owner=owner, _said=[], _limits=limits, state=LinkState.READY)
        return link, LinkTap(self.scene, name, link, sock, self.taps), sock


def test_a_link_that_does_as_it_should_passes() -> None:
    ends = Ends([3, 1])
    ends.near._said.append(ONE)
    ends.near._said.append(TWO)
    wire = ONE + TWO
    assert ends.near_sock.send(wire) == 3
    assert ends.near_sock.send(wire[3:]) == 1
    assert ends.near_sock.send(wire[4:]) == len(wire) - 4
    assert not ends.near_tap.owed
    owner = ends.far._owner
    owner.on_message(ends.far, Ping(1))
    owner.on_message(ends.far, Ping(2))
    owner.on_drained(ends.far)
    owner.on_tick(ends.far)
    owner.on_ended(ends.far, "gone")
    assert ends.told == [Ping(1), Ping(2), "drained", "tick", "gone"]


def test_what_is_sent_twice_or_was_not_said_is_found() -> None:
    ends = Ends([3])
    ends.near._said.append(ONE)
    ends.near_sock.send(ONE)
    with broken("wire", "on link 5 worker 0 sent"):
        ends.near_sock.send(ONE)
    with broken("wire", "hub sent", "where b'' was said"):
        ends.far_sock.send(TWO)


def test_what_is_sent_on_a_link_that_has_ended_is_found() -> None:
    ends = Ends()
    ends.near._said.append(ONE)
    ends.near.state = LinkState.CLOSED
    with broken("close", "worker 0 sent", "when it was closed"):
        ends.near_sock.send(ONE)


def test_a_message_that_is_lost_comes_twice_or_was_never_said_is_found() -> None:
    for came in ((1, 3), (1, 1), (2,), (1, 2, 3, 4)):
        ends = Ends()
        for each in (ONE, TWO, THREE):
            ends.near._said.append(each)
        with broken("wire", "on link 5 hub dealt with Ping"):
            for number in came:
                ends.scene.step += 1
                if number == came[-1]:
                    ends.scene.step = 77
                ends.far._owner.on_message(ends.far, Ping(number))


def test_a_greeting_may_be_all_that_an_end_ever_said() -> None:
    ends = Ends(is_far_tapped=False)
    ends.near._owner.on_message(ends.near, Hello(1, 0, "a", ""))
    with broken("wire", "dealt with Ping"):
        ends.near._owner.on_message(ends.near, Ping(1))


def test_a_turn_s_work_for_a_link_has_a_budget() -> None:
    ends = Ends()
    for each in (ONE, TWO, THREE):
        ends.near._said.append(each)
    ends.far._owner.on_message(ends.far, Ping(1))
    ends.far._owner.on_message(ends.far, Ping(2))
    with broken("budget", "hub dealt with 3 messages in one turn"):
        ends.far._owner.on_message(ends.far, Ping(3))
    ends.far_sock.recv(20)
    with broken("budget", "hub was read from twice in one turn"):
        ends.far_sock.recv(20)
    ends.near_sock.gives = 21
    with broken("budget", "worker 0 read 21 bytes in one turn"):
        ends.near_sock.recv(99)


@pytest.mark.parametrize("is_unruly", [False, True])
def test_every_link_of_a_world_is_watched_at_both_ends(is_unruly: bool) -> None:
    worlds = (World(f"links {seed}", "cluster", FaultPlan(frozenset())) for seed in range(20))
    world = next(each for each in worlds if each.storm.has_unruly_broker is is_unruly)
    world.run_for(2.0)
    (watch,) = world.checkers
    lives = [life.links for life in watch._lives.values()]  # type: ignore[attr-defined]
    assert all(isinstance(each, LinkWatch) for each in lives)
    links = [link for each in lives for link in each._links()]
    assert len(links) == 4
    assert all(isinstance(link._owner, LinkTap) for link in links)
