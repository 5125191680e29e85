"""Which worker slot listens on which socket of a port: pure.

The kernel deals a port's connections out to its sockets (`transport/port_group.py`), evenly, so each
slot should have as many sockets as the others. A socket is never given up while the port is served, since
what waits in its queue would be reset: when a slot goes, another takes its sockets over, and when one
comes, it is given a socket that somebody has to spare, before a new one is opened.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """The socket `key` goes from one slot to another."""

    key: int
    giver: int
    taker: int


class Deal:
    """The sockets `keys` of one port among `slots` slots, at least 1; the last slot is never removed.

    Every key is held by one slot. A single key is shared by all, and stays so.
    """

    __slots__ = ("_held", "_shared")

    def __init__(self, keys: list[int], slots: int, *, is_shared: bool = False) -> None:
        self._shared = list(keys) if is_shared else []
        self._held: dict[int, list[int]] = {slot: [] for slot in range(slots)}
        for index, key in enumerate([] if is_shared else keys):
            self._held[index % slots].append(key)

    def held_by(self, slot: int) -> tuple[int, ...]:
        """Return the keys that `slot` listens on."""
        return (*self._shared, *self._held.get(slot, ()))

    def remove(self, slot: int) -> list[Move]:
        """Take `slot` out, if it is in, and return who takes over what it held: those with least, first."""
        moves = []
        for key in self._held.pop(slot, ()):
            taker = min(self._held, key=lambda each: (len(self._held[each]), each))
            self._held[taker].append(key)
            moves.append(Move(key, slot, taker))
        return moves

    def rename(self, slot: int, number: int) -> None:
        """Let the slot `number` have what `slot` had."""
        self._held[number] = self._held.pop(slot)

    def add(self, slot: int) -> Move | None:
        """Put `slot` in; return what another gives it, None if nobody has a socket to spare.

        Then it is either shared, or the caller opens another and says so with `give`.
        """
        giver = max(self._held, key=lambda each: (len(self._held[each]), each))
        self._held[slot] = []
        if len(self._held[giver]) < 2:
            return None
        key = self._held[giver].pop()
        self._held[slot].append(key)
        return Move(key, giver, slot)

    def give(self, slot: int, key: int) -> None:
        """Let `slot` hold a new socket."""
        self._held[slot].append(key)

    @property
    def is_shared(self) -> bool:
        """Whether one socket serves all slots."""
        return bool(self._shared)
