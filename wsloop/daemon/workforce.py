"""The number of workers, and which of them listens on which socket, while the daemon runs.

`deal.py` decides, `crew.py` starts and tells; here the two are brought together.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.daemon.bounds import MAX_WORKERS
from wsloop.daemon.channel import Leave, Listen, Resized
from wsloop.daemon.deal import Deal
from wsloop.daemon.roles import Kind
from wsloop.daemon.slots import Slot
from wsloop.daemon.sockets import Purpose
from wsloop.errors import StartupError
from wsloop.transport.bind import FdBind

if TYPE_CHECKING:
    from wsloop.daemon.crew import Crew
    from wsloop.daemon.slots import Child
    from wsloop.daemon.sockets import Place, Sockets
    from wsloop.daemon.steward import Done

log = logging.getLogger("wsloop.daemon")


class Workforce:
    """The workers of a crew, `count` of them, on the `sockets` of the daemon."""

    def __init__(self, sockets: Sockets, count: int) -> None:
        self.count = count
        self._sockets = sockets
        self._crew: Crew
        self._deals = [
            (place, Deal(place.descriptors, count, is_shared=len(place.descriptors) < count))
            for place in sockets.of(Purpose.CLIENTS)
        ]

    def begin(self, crew: Crew) -> None:
        """Start them."""
        self._crew = crew
        for number in range(self.count):
            crew.fill(Slot(Kind.WORKER, number))

    def binds_of(self, slot: Slot) -> tuple[FdBind, ...]:
        """Return where the worker of a slot listens."""
        return tuple(FdBind(key) for _, deal in self._deals for key in deal.held_by(slot.number))

    def add(self) -> str:
        """Start one worker more; return one line about it, as it is logged."""
        number = self._crew.free_number()
        try:
            for place, deal in self._deals:
                self._deal_in(number, place, deal)
        except StartupError as error:
            for _, deal in self._deals:
                self._deal_out(number, deal)
            return _told(logging.ERROR, f"no worker was added: {error.message}")
        self._resize(self.count + 1)
        self._crew.fill(Slot(Kind.WORKER, number))
        return _told(logging.INFO, f"worker-{number} was added: there are {self.count} workers")

    def remove(self) -> str:
        """Let the last worker drain, and others take its sockets over; return one line about it."""
        if self.count == 1:
            return _told(logging.WARNING, "no worker was removed: it is the last one")
        slot = self._crew.workers()[-1]
        for _, deal in self._deals:
            self._deal_out(slot.number, deal)
        self._resize(self.count - 1)
        self._crew.vacate(slot)
        return _told(logging.INFO, f"{slot.name} drains for good: {self.count} left")

    def resize(self, by: int, done: Done) -> None:
        """Add so many workers, or remove them if it is negative; `done` as with `Steward.add_workers`."""
        before, line = self.count, "nothing was changed"
        for _ in range(min(abs(by), MAX_WORKERS)):
            line = self.add() if by > 0 else self.remove()
        done(self.count - before == by, line)

    def replace(self, child: Child) -> None:
        """Let another worker take the place of one that drains because somebody told it to."""
        number = self._crew.free_number()
        log.info("%s drains; worker-%d takes its place", child, number)
        for _, deal in self._deals:
            deal.rename(child.slot.number, number)
        self._crew.renumber(child.slot, number)

    def _resize(self, count: int) -> None:
        """Note how many there are, and tell those there are: one that comes later knows."""
        self.count = count
        self._crew.tell_all(Resized(count))

    def _deal_in(self, number: int, place: Place, deal: Deal) -> None:
        """Give a new slot a socket: one that another has to spare, or a new one."""
        move = deal.add(number)
        if move is not None:
            self._crew.say(move.giver, Leave((move.key,)))
        elif not deal.is_shared:
            for key in self._sockets.grow(place, 1):
                deal.give(number, key)

    def _deal_out(self, number: int, deal: Deal) -> None:
        """Let other slots listen on the sockets of one that goes: what waits in them is accepted."""
        for move in deal.remove(number):
            self._crew.say(move.taker, Listen((move.key,)), (move.key,))


def _told(level: int, line: str) -> str:
    log.log(level, "%s", line)
    return line
