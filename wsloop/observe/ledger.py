"""The sum over processes that come and go, in which no counter ever falls.

A counter that falls means to Prometheus that it has begun again at 0, and what is left of it to have been
counted since: when one worker of four died, the other three would seem to have done all their work again
within seconds. So the counters of a life that has ended stay in the sum as they were last seen, and
those of a process that did not answer this time as well. Gauges count only while they are told.

What a process has counted between its last scrape and its death is lost, as it is with any scrape.

The process that keeps the ledger may die as well. What another one needs to go on is `kept`, which is put
into the hands of somebody who survives, each time before a sum is told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from wsloop.observe.metrics import METRICS, Kind
from wsloop.observe.snapshot import Snapshot, total

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("wsloop.observe")


class Ledger:
    """Remembers the last numbers of each process, by its name, and the counters of the lives before.

    `kept` is what an earlier one left, b"" if there was none.
    """

    __slots__ = ("_ended", "_last")

    def __init__(self, kept: bytes = b"") -> None:
        self._ended, *last = _left(kept)
        self._last = {snapshot.process: snapshot for snapshot in last}

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

    def kept(self) -> bytes:
        """Return what another ledger needs to go on: some 0.5 to 2 KB for each process, as JSON."""
        return msgspec.json.encode([_without_zeros(self._ended), *map(_without_zeros, self._last.values())])


def _left(kept: bytes) -> list[Snapshot]:
    """Return what was kept; nothing, and a line in the log, for what cannot be read."""
    if kept:
        try:
            return msgspec.json.decode(kept, type=list[Snapshot])
        except msgspec.MsgspecError as error:
            log.error("the counters of the process before cannot be read: %s", error)
    return [Snapshot()]


def _without_zeros(snapshot: Snapshot) -> Snapshot:
    """Return what is counted and is not 0."""
    values = {
        name: {label: numbers for label, numbers in labelled.items() if any(numbers)}
        for name, labelled in counted(snapshot).values.items()
    }
    return Snapshot(
        {name: labelled for name, labelled in values.items() if labelled}, snapshot.process, snapshot.life
    )


def counted(snapshot: Snapshot) -> Snapshot:
    """Return what of a snapshot is counted: all but its gauges, and but what belongs to one process only."""
    return Snapshot(
        {
            name: values
            for name, values in snapshot.values.items()
            if name in METRICS and METRICS[name].kind is not Kind.GAUGE and METRICS[name].label != "process"
        }
    )
