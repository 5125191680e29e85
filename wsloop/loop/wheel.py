"""A hierarchical timer wheel: deadlines for every connection, at a few list operations each.

The workload decides the structure. 100,000 connections have one timer each, for a ping or a
limit some seconds ahead. Nearly all are moved before they fire, many are cancelled, hardly one
needs to be exact. A heap pays log n comparisons for each push and pop, and again for whatever
is cancelled. Here scheduling is one append, cancelling is one flag, and moving a timer to a
later time is one stored number: its entry is found when its old time comes, and put on.

Time is counted in ticks. Level 0 has a slot for each of the next 64 ticks, level 1 for each 64
of those, and so on:

    level   a slot holds      the level reaches
      0     7.8 ms (a tick)   0.5 s
      1     0.5 s             32 s
      2     32 s              34 min
      3     34 min            36 h
      4     36 h              97 days
      5     97 days           17 years
      6, 7  ...               70,000 years

A timer lies on the lowest level on which its slot is not the present one: the level of the
highest bit in which its tick differs from the present tick. When time reaches a slot of a
higher level, its entries are spread over the levels below, so each timer is touched at most
once a level. One integer per level says which slots hold something: the next deadline is found
by its lowest bit, and empty stretches of any length are crossed in one step.

A tick is a power of two of a second, and ticks are counted from a whole second, so no rounding
ever puts a deadline and the time that reaches it into different ticks.

Pure: takes `now`, never reads a clock. Next: `reactor.py`, phases 2 and 6.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_S = 1 / 128
"""How late a timer may be, at most: nobody notices 8 ms on a deadline of seconds."""

BITS = 6
SLOTS = 1 << BITS
LEVELS = 8
LAST_TICK = (1 << BITS * LEVELS) - 1
"""Where deadlines beyond the last level wait, infinity included; they are put on from there."""

STALE_MIN = 1024
"""Dead entries are swept out once there are more of them than living ones, but not before this
many: so the sweep costs each cancelled timer a constant share."""


class Timer:
    """A deadline and what to call then; made by `TimerWheel.schedule`.

    For reading only: `deadline_s`; `callback`; `active`, true until it fires or is cancelled.
    """

    __slots__ = ("_entry_tick", "_sequence", "_slot", "active", "callback", "deadline_s")

    def __init__(self, deadline_s: float, callback: Callable[[], object], sequence: int = 0) -> None:
        self.deadline_s = deadline_s
        self.callback = callback
        self.active = True
        # Where the one valid entry of this timer lies; every other one is stale.
        self._slot: list[Timer] | deque[Timer] | None = None
        self._entry_tick = 0
        self._sequence = sequence

    def __lt__(self, other: Timer) -> bool:
        """Order by deadline, then by when it was scheduled."""
        if self.deadline_s != other.deadline_s:
            return self.deadline_s < other.deadline_s
        return self._sequence < other._sequence


class TimerWheel:
    """All timers of one loop. Arguments: `now_s`, any monotonic time; `tick_s`, a power of two.

    `advance` to the present, then `pop` what is due, one by one, so that a callback may cancel
    or move a timer that is due in the same instant. Nothing fires before its deadline.
    """

    __slots__ = (
        "_active",
        "_due",
        "_levels",
        "_now_s",
        "_occupied",
        "_origin_s",
        "_sequence",
        "_stale",
        "_tick",
        "_tick_s",
    )

    def __init__(self, now_s: float, tick_s: float = TICK_S) -> None:
        if math.frexp(tick_s)[0] != 0.5:
            raise ValueError(f"a tick of {tick_s} s is not a power of two")
        self._tick_s = tick_s
        self._origin_s = float(math.floor(now_s))
        self._now_s = now_s
        self._tick = self._tick_at(now_s)
        self._levels: list[list[list[Timer]]] = [[[] for _ in range(SLOTS)] for _ in range(LEVELS)]
        self._occupied = [0] * LEVELS
        self._due: deque[Timer] = deque()
        self._active = self._stale = self._sequence = 0

    def __len__(self) -> int:
        """Return how many timers are active."""
        return self._active

    @property
    def entries(self) -> int:
        """Return how many entries are stored, stale ones included; for tests and statistics."""
        return self._active + self._stale

    def schedule(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Return a new active timer; a deadline that has passed is due at the next `advance`."""
        self._sequence += 1
        self._active += 1
        timer = Timer(deadline_s, callback, self._sequence)
        self._place(timer)
        return timer

    def rearm(self, timer: Timer, deadline_s: float) -> None:
        """Give a timer, active or fired, a new deadline; its callback stays.

        Raises StateError for one that was cancelled. To a later time this only stores numbers.
        """
        self._sequence += 1
        timer._sequence = self._sequence
        before_s, timer.deadline_s = timer.deadline_s, deadline_s
        if timer.active and deadline_s >= before_s:
            return
        if not timer.active:
            if timer.callback is _nothing:
                raise StateError("a cancelled timer cannot be rearmed")
            timer.active = True
            self._active += 1
            self._place(timer)
        elif self._due_tick(deadline_s) < timer._entry_tick:
            self._stale += 1
            self._place(timer)
            self._sweep_if_worth()

    def cancel(self, timer: Timer) -> None:
        """See to it that `timer` never fires, and let go of its callback. Idempotent."""
        if timer.active:
            timer.active = False
            self._active -= 1
            self._stale += 1
            self._sweep_if_worth()
        timer.callback = _nothing

    def next_deadline(self) -> float | None:
        """Return when to advance next, in seconds; None if there is nothing to wait for.

        Never later than the tick of the earliest deadline; earlier where entries must be
        spread, or were cancelled or moved.
        """
        if self._due:
            return self._now_s
        tick = self._next_tick()
        return None if tick is None else self._origin_s + tick * self._tick_s

    def advance(self, now_s: float) -> None:
        """Move everything whose deadline is at or before `now_s` to where `pop` finds it.

        A time before the last one is taken for the last one.
        """
        if now_s < self._now_s:
            return
        self._now_s = now_s
        target = self._tick_at(now_s)
        found: list[Timer] = []
        while (tick := self._next_tick()) is not None and tick <= target:
            self._tick = tick
            self._spread(tick)
            self._collect(tick & SLOTS - 1, found)
        self._tick = target
        if found:
            # Usually sorted already, or nearly; what is left from before stands in line, too.
            merged = sorted([*self._due, *found])
            self._due.clear()
            self._due.extend(merged)

    def pop(self) -> Timer | None:
        """Return the next timer that is due, no longer active; None if there is no more.

        In the order of deadlines, then of scheduling.
        """
        due = self._due
        while due:
            timer = due.popleft()
            if not timer.active or timer._slot is not due:
                self._stale -= 1
            elif timer.deadline_s > self._now_s:
                self._place(timer)
            else:
                timer.active = False
                timer._slot = None
                self._active -= 1
                return timer
        return None

    # -- ticks -------------------------------------------------------------------------------

    def _tick_at(self, time_s: float) -> int:
        """Return the tick that `time_s` has reached."""
        return math.floor((time_s - self._origin_s) / self._tick_s)

    def _due_tick(self, deadline_s: float) -> int:
        """Return the first tick at which `deadline_s` has passed."""
        ticks = (deadline_s - self._origin_s) / self._tick_s
        return math.ceil(ticks) if ticks < LAST_TICK else LAST_TICK

    def _next_tick(self) -> int | None:
        """Return the first tick after the present one at which a slot begins that holds something."""
        for level, occupied in enumerate(self._occupied):
            shift = level * BITS
            index = self._tick >> shift & SLOTS - 1
            later = occupied >> index + 1
            if later:
                # Slots on a level lie within one slot of the level above: the lowest level wins.
                slot = index + (later & -later).bit_length()
                return (self._tick >> shift + BITS << BITS | slot) << shift
        return None

    # -- entries -----------------------------------------------------------------------------

    def _place(self, timer: Timer) -> None:
        """Store an entry for `timer` where its deadline belongs; it replaces any other."""
        tick = self._due_tick(timer.deadline_s)
        timer._entry_tick = tick
        if tick <= self._tick:
            if timer.deadline_s <= self._now_s:
                timer._slot = self._due
                self._due.append(timer)
                return
            # Within the present tick, but not yet passed.
            timer._entry_tick = tick = self._tick + 1
        level = ((self._tick ^ tick).bit_length() - 1) // BITS
        index = tick >> level * BITS & SLOTS - 1
        slot = self._levels[level][index]
        slot.append(timer)
        timer._slot = slot
        self._occupied[level] |= 1 << index

    def _take(self, level: int, index: int) -> list[Timer]:
        """Empty a slot, and return its valid entries."""
        slot = self._levels[level][index]
        self._levels[level][index] = []
        self._occupied[level] &= ~(1 << index)
        valid = []
        for timer in slot:
            if timer.active and timer._slot is slot:
                timer._slot = None
                valid.append(timer)
            else:
                self._stale -= 1
        # A stale timer still refers to this list: emptied, the two are no reference cycle.
        slot.clear()
        return valid

    def _spread(self, tick: int) -> None:
        """Spread the slots of higher levels that begin at `tick` over the levels below."""
        for level in range(LEVELS - 1, 0, -1):
            index = tick >> level * BITS & SLOTS - 1
            if self._occupied[level] >> index & 1:
                for timer in self._take(level, index):
                    if self._due_tick(timer.deadline_s) <= tick:
                        self._put_into_present(timer, tick)
                    else:
                        self._place(timer)

    def _put_into_present(self, timer: Timer, tick: int) -> None:
        """Store an entry in the slot that is about to be collected."""
        index = tick & SLOTS - 1
        slot = self._levels[0][index]
        slot.append(timer)
        timer._slot = slot
        timer._entry_tick = tick
        self._occupied[0] |= 1 << index

    def _collect(self, index: int, found: list[Timer]) -> None:
        """Move the timers of a level 0 slot into `found`, or on, where their deadline was moved."""
        if not self._occupied[0] >> index & 1:
            return
        for timer in self._take(0, index):
            if timer.deadline_s <= self._now_s:
                timer._slot = self._due
                found.append(timer)
            else:
                self._place(timer)

    def _sweep_if_worth(self) -> None:
        """Remove stale entries once they are many and outnumber the valid ones."""
        if self._stale < STALE_MIN or self._stale <= self._active:
            return
        for level, slots in enumerate(self._levels):
            for index in range(SLOTS):
                if self._occupied[level] >> index & 1:
                    for timer in self._take(level, index):
                        slot = slots[index]
                        slot.append(timer)
                        timer._slot = slot
                        self._occupied[level] |= 1 << index
        kept = [timer for timer in self._due if timer.active and timer._slot is self._due]
        self._stale -= len(self._due) - len(kept)
        self._due.clear()
        self._due.extend(kept)


def _nothing() -> None:
    """Stand in for the callback of a cancelled timer."""
