"""The sum over processes that come and go, in which no counter ever falls.

A counter that falls means to Prometheus that it has begun again at 0, and what is left of it to have been
counted since: when one worker of four died, the other three would seem to have done all their work again
within seconds. So the counters of a life that has ended stay in the sum as they were last seen, and
those of a process that did not answer this time as well. Gauges count only while they are told.

What a process has counted between its last scrape and its death is lost, as it is with any scrape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.observe.metrics import METRICS, Kind
from wsloop.observe.snapshot import Snapshot, total

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ledger:
    """Remembers the last numbers of each process, by its name, and the counters of the lives before."""

    __slots__ = ("_ended", "_last")

    def __init__(self) -> None:
        self._ended = Snapshot()
        self._last: dict[str, Snapshot] = {}

    def total(self, snapshots: Iterable[Snapshot]) -> Snapshot:
        """Return the sum of `snapshots`, one of each process that answered, and of what is remembered."""
        told = {snapshot.process: snapshot for snapshot in snapshots}
        silent = [last for process, last in self._last.items() if process not in told]
        for process, snapshot in told.items():
            before = self._last.get(process)
            if before is not None and before.life != snapshot.life:
                self._ended = total((self._ended, counted(before)))
            self._last[process] = snapshot
        return total((*told.values(), self._ended, *map(counted, silent)))


def counted(snapshot: Snapshot) -> Snapshot:
    """Return what of a snapshot is counted: all but its gauges, and but what belongs to one process only."""
    return Snapshot(
        {
            name: values
            for name, values in snapshot.values.items()
            if name in METRICS and METRICS[name].kind is not Kind.GAUGE and METRICS[name].label != "process"
        }
    )
