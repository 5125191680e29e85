"""P6 at the servers: under faults too, wherever nothing was in the way of finding a loss for long enough.

A client cannot tell a quiet channel from a lost publication; so what is looked at is where the server itself
has its subscriptions. What was in the way is told by the weather and by the process's own link. An unruly
broker has more time, since what it says is late by 2 s at most, and a channel begins anew with each question
about it that had no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.cluster.domain import WorkerDomain
from wsloop.hub.audiences import NOT_POSITIONED
from wsloop.hub.channels import LOST
from wsloop.testing.simulator.broker import LATE_S, UnrulyDomain
from wsloop.testing.simulator.checkers.p6_detection import UNDER_WAY_S, WITHIN_S, check_place
from wsloop.testing.simulator.model.ledger import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.server.assembly import House
    from wsloop.testing.simulator.model.ledger import Book, Ledger
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.world import World

SPIKE_S = 9.0
"""More for what is found to get through where bytes may be 3 s late: the event, the question, the answer."""

UNRULY_S = 3 * LATE_S
"""The same behind an unruly broker: the event, the answer by which somebody came in, that to the question."""


class Health:
    """Since when nothing has been in the way of one life of a process; `look` at it between two turns."""

    __slots__ = ("_house", "_links", "_process", "_since_s", "_world")

    def __init__(self, world: World, process: Process, house: House) -> None:
        self._world = world
        self._process = process
        self._house = house
        self._links = -1
        self._since_s = world.clock.now()

    def since_s(self) -> float:
        """Return since when nothing is in the way, as far as is known; now, if something is."""
        world = self._world
        now_s = world.clock.now()
        if self._is_in_trouble(now_s):
            self._since_s = now_s
        stopped_s = max(each.stopped_until_s for each in world.processes)
        return max(self._since_s, world.weather.troubled_s, stopped_s)

    def _is_in_trouble(self, now_s: float) -> bool:
        if not all(each.is_running(now_s) for each in self._world.processes):
            return True
        domain = self._house.domain
        if isinstance(domain, UnrulyDomain):
            domain = domain.inner
        if not isinstance(domain, WorkerDomain):
            return False
        ends = self._process.links()
        usual_s = self._world.cable.link_delay_s
        is_slow = any(end.delay_s > usual_s or end.jitter_s or end.bytes_per_s for end in ends)
        links, self._links = self._links, domain.link.links
        return (
            is_slow or not domain.link_up or links != self._links or self._process.network.parted is not None
        )


def check_house(
    scene: Scene, ledger: Ledger, where: str, house: House, since_s: float, late_s: float = 0.0
) -> None:
    """Judge each subscription of a process that counts.

    Nothing has been in its way since `since_s`, but that bytes may be late: by `late_s` in all.
    """
    hub = house.hub
    unanswered_s: Mapping[str, float] = {}
    if isinstance(house.domain, UnrulyDomain):
        late_s += UNRULY_S
        unanswered_s = house.domain.broker.unanswered_s
    if scene.now_s < since_s + WITHIN_S + UNDER_WAY_S + late_s:
        return
    for name in hub.channel_names():
        channel = hub.channel(name)
        book = ledger.books.get(name)
        if channel is None or book is None or book.current is None:
            continue
        asked_s = max(since_s, unanswered_s.get(name, since_s))
        for each in channel.subscriptions():
            if each.offset not in (NOT_POSITIONED, LOST) and each.client.is_open:
                who = f"{each.client.user or 'somebody'} of {where}"
                check_position(scene, who, book, Place(channel.epoch, each.offset), asked_s, late_s)


def check_position(scene: Scene, who: str, book: Book, place: Place, since_s: float, late_s: float) -> None:
    """Judge where the server has a subscription: at the top, and in the stream's present life."""
    check_place(scene, who, book, place, since_s, late_s)
    life = book.current
    if life is None or place.epoch == life.epoch or place.epoch not in book.lives or not life.times_s:
        return
    quiet_s = scene.now_s - max(since_s, life.times_s[0])
    if quiet_s > WITHIN_S + UNDER_WAY_S + late_s:
        scene.broken(
            "P6", f"{who} is at {place} of {book.name}, which began another epoch {quiet_s:.1f} s ago"
        )
