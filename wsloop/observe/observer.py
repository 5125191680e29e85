"""The numbers of one process: who contributes them, and their snapshot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wsloop import __version__
from wsloop.loop.lag import TurnWatch
from wsloop.observe import sources
from wsloop.observe.loop_watch import LoopWatch
from wsloop.observe.snapshot import Snapshot, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.clock import Clock
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.assembly import House

    Contributor = Callable[[], Numbers]


class Observer:
    """Collects the numbers of one process; watches its loop from the next turn on.

    `process` is its name, `life` what tells it from others that had the name before it.
    `house` is what runs in it, `clock` the one of its reactor, which is looked at if
    nobody watches the turns yet. `has_broker` tells that the house's broker
    lives in this process, so that its numbers are told by nobody else.
    """

    def __init__(
        self, house: House, clock: Clock, process: str, life: str, *, has_broker: bool = True
    ) -> None:
        self._process = process
        self._life = life
        turns = house.lag or TurnWatch(house.reactor, clock, math.inf)
        watch = LoopWatch(house.reactor, turns, house.server.fan_out)
        self._contributors: list[Contributor] = [
            lambda: {"wsloop_build_info": {__version__: 1}},
            lambda: sources.server_numbers(house.server),
            lambda: sources.hub_numbers(house.hub),
            lambda: sources.loop_numbers(house.reactor, watch, process),
        ]
        if has_broker:
            self.add(lambda: sources.broker_numbers(house.domain.broker.statistics()))

    def add(self, contributor: Contributor) -> None:
        """Ask `contributor` too whenever the numbers are wanted.

        It returns them by the names of the table (`metrics.py`), and neither blocks nor raises. Where two
        tell the same metric, their numbers are merged as those of two processes are.
        """
        self._contributors.append(contributor)

    def snapshot(self) -> Snapshot:
        """Return all numbers as they are now."""
        told = (contributor() for contributor in self._contributors)
        return snapshot_of(told, self._process, self._life)
