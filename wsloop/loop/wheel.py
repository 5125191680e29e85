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
once a level. One integer per level says which slots hold something: the next slot is found by
its lowest bit, and empty stretches of any length are crossed in one step.

A tick is a power of two of a second, and ticks are counted from a whole second, so no rounding
ever puts a deadline and the time that reaches it into different ticks.

Pure: takes `now`, never reads a clock. tools/bench/wheel.py compares it with a heap. Next:
`reactor.py`, phases 2 and 6.
"""

from __future__ import annotations

from collections import deque
from math import ceil, floor, frexp, inf
from operator import attrgetter
from typing import TYPE_CHECKING

from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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

_LEVEL_OF_BIT = tuple(max(0, bit - 1) // BITS for bit in range(BITS * LEVELS + 1))
"""The level for each `bit_length` of the difference between two ticks."""

_LATE = -1
_DUE = -2
"""In place of an entry's tick: it lies in one of the two queues, not in a slot."""

_by_deadline = attrgetter("deadline_s", "_sequence")


class Timer:
    """A deadline and what to call then; made by `TimerWheel.schedule`.

    For reading only: `deadline_s`; `callback`; `active`, true until it fires or is cancelled.
    """

    __slots__ = ("_entry_s", "_entry_tick", "_sequence", "active", "callback", "deadline_s")

    def __init__(self, deadline_s: float, callback: Callable[[], object], sequence: int) -> None:
        self.deadline_s = deadline_s
        self.callback = callback
        self.active = True
        self._sequence = sequence
        # What its one valid entry was made for; every other entry of it is stale. A deadline
        # before `_entry_s` needs another entry, a later one does not.
        self._entry_s = deadline_s
        self._entry_tick = _LATE


class TimerWheel:
    """All timers of one loop. Arguments: `now_s`, any monotonic time; `tick_s`, a power of two.

    `advance` to the present, then `pop` what is due, one by one, so that a callback may cancel
    or move a timer that is due in the same instant. Nothing fires before its deadline, and
    nothing later than the end of its tick. Raises ValueError for another `tick_s`.
    """

    __slots__ = (
        "_active",
        "_due",
        "_late",
        "_levels",
        "_now_s",
        "_occupied",
        "_origin_s",
        "_sequence",
        "_stale",
        "_tick",
        "_tick_s",
        "_ticks_per_s",
        "_wake_tick",
    )

    def __init__(self, now_s: float, tick_s: float = TICK_S) -> None:
        if frexp(tick_s)[0] != 0.5:
            raise ValueError(f"a tick of {tick_s} s is not a power of two")
        self._tick_s = tick_s
        self._ticks_per_s = 1 / tick_s
        self._origin_s = float(floor(now_s))
        self._now_s = now_s
        self._tick = floor((now_s - self._origin_s) * self._ticks_per_s)
        self._levels: list[list[list[Timer]]] = [[[] for _ in range(SLOTS)] for _ in range(LEVELS)]
        self._occupied = [0] * LEVELS
        # What had passed already when it was placed. It waits for the next `advance`, so that a
        # callback that schedules for now does not keep `pop` going for ever.
        self._late: list[Timer] = []
        self._due: deque[Timer] = deque()
        self._wake_tick = LAST_TICK + 1
        self._active = self._stale = self._sequence = 0

    def __len__(self) -> int:
        """Return how many timers are active."""
        return self._active

    @property
    def entries(self) -> int:
        """Return how many entries are stored, stale ones included; for tests and statistics."""
        return self._active + self._stale

    def schedule(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Return a new active timer; a deadline that has passed is due at the next `advance`.

        `inf` never comes.
        """
        self._sequence += 1
        timer = Timer(deadline_s, callback, self._sequence)
        self._place(timer)
        self._active += 1
        return timer

    def rearm(self, timer: Timer, deadline_s: float) -> None:
        """Give a timer, active or fired, a new deadline; its callback stays.

        Raises StateError for one that was cancelled. To a later time this only stores numbers.
        """
        if timer.callback is _nothing:
            raise StateError("a cancelled timer cannot be rearmed")
        self._sequence += 1
        timer._sequence = self._sequence
        timer.deadline_s = deadline_s
        if timer.active:
            if deadline_s < timer._entry_s:
                self._place(timer)
                self._stale += 1
                self._sweep_if_worth()
            return
        self._place(timer)
        timer.active = True
        self._active += 1

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

        Never later than the end of the tick of the earliest deadline; earlier where entries
        must be spread, or were cancelled or moved.
        """
        if self._due or self._late:
            return self._now_s
        if self._wake_tick > LAST_TICK:
            return None
        return self._origin_s + self._wake_tick * self._tick_s

    def advance(self, now_s: float) -> None:
        """Hand everything whose tick has ended by `now_s` to `pop`, behind what was due before.

        A time before the last one is taken for the last one.
        """
        # Not max(): the call would add a third to the cost of an idle turn's advance.
        if now_s > self._now_s:  # noqa: PLR1730
            self._now_s = now_s
        target = floor((self._now_s - self._origin_s) * self._ticks_per_s)
        if target < self._wake_tick and not self._late:
            # Most turns end here: nothing is due.
            self._tick = target
            return
        found: list[Timer] = []
        while (tick := self._wake_tick) <= target and tick <= LAST_TICK:
            self._tick = tick
            self._spread(tick)
            self._collect(self._take(0, tick & SLOTS - 1), tick, found)
            self._wake_tick = self._next_tick()
        self._tick = target
        late, self._late = self._late, []
        self._collect(late, _LATE, found)
        found.sort(key=_by_deadline)
        self._due.extend(found)

    def pop(self) -> Timer | None:
        """Return the next timer that is due, no longer active; None if there is no more.

        What one `advance` found comes in the order of deadlines, then of scheduling.
        """
        due = self._due
        while due:
            timer = due.popleft()
            if not timer.active:
                self._stale -= 1
            elif timer.deadline_s > self._now_s:
                self._place(timer)
            else:
                timer.active = False
                self._active -= 1
                return timer
        return None

    def _place(self, timer: Timer) -> None:
        """Store an entry for `timer` where its deadline belongs; it replaces any other."""
        deadline_s = timer.deadline_s
        present = self._tick
        tick = present
        if not deadline_s <= self._now_s:
            ticks = (deadline_s - self._origin_s) * self._ticks_per_s
            tick = ceil(ticks) if ticks < LAST_TICK else LAST_TICK
        if tick <= present:
            timer._entry_s = -inf
            timer._entry_tick = _LATE
            self._late.append(timer)
            return
        timer._entry_s = deadline_s
        timer._entry_tick = tick
        level = _LEVEL_OF_BIT[(tick ^ present).bit_length()]
        shift = level * BITS
        index = tick >> shift & SLOTS - 1
        self._levels[level][index].append(timer)
        self._occupied[level] |= 1 << index
        begin = tick >> shift << shift
        self._wake_tick = min(self._wake_tick, begin)

    def _next_tick(self) -> int:
        """Return the tick at which the next slot begins that holds something, or LAST_TICK + 1."""
        for level, occupied in enumerate(self._occupied):
            shift = level * BITS
            index = self._tick >> shift & SLOTS - 1
            later = occupied >> index + 1
            if later:
                # Slots on a level lie within one slot of the level above: the lowest level wins.
                slot = index + (later & -later).bit_length()
                return (self._tick >> shift + BITS << BITS | slot) << shift
        return LAST_TICK + 1

    def _take(self, level: int, index: int) -> list[Timer]:
        """Empty a slot; return what it held."""
        slots = self._levels[level]
        slot = slots[index]
        if slot:
            slots[index] = []
            self._occupied[level] &= ~(1 << index)
        return slot

    def _spread(self, tick: int) -> None:
        """Spread the slots of higher levels that begin at `tick` over the levels below.

        What is due by now becomes late at once: the end of `advance` collects it.
        """
        level = 1
        shift = BITS
        while level < LEVELS and not tick & (1 << shift) - 1:
            number = tick >> shift
            for timer in self._take(level, number & SLOTS - 1):
                if timer.active and timer._entry_tick >> shift == number:
                    self._place(timer)
                else:
                    self._stale -= 1
            level += 1
            shift += BITS

    def _collect(self, entries: Iterable[Timer], tick: int, found: list[Timer]) -> None:
        """Move the due timers of `entries` into `found`; place those anew that were moved to later."""
        now_s = self._now_s
        for timer in entries:
            if not timer.active or timer._entry_tick != tick:
                self._stale -= 1
            elif timer.deadline_s <= now_s:
                timer._entry_s = -inf
                timer._entry_tick = _DUE
                found.append(timer)
            else:
                self._place(timer)

    def _sweep_if_worth(self) -> None:
        """Remove stale entries once they are many and outnumber the valid ones."""
        if self._stale < STALE_MIN or self._stale <= self._active:
            return
        for level, slots in enumerate(self._levels):
            shift = level * BITS
            for index, slot in enumerate(slots):
                if slot:
                    # Moved within its slot a timer has two entries there: the dict keeps one.
                    slot[:] = dict.fromkeys(
                        t for t in slot if t.active and t._entry_tick >> shift & SLOTS - 1 == index
                    )
                    if not slot:
                        self._occupied[level] &= ~(1 << index)
        self._late[:] = [t for t in self._late if t.active and t._entry_tick == _LATE]
        self._due = deque(t for t in self._due if t.active)
        self._stale = 0
        self._wake_tick = self._next_tick()


def _nothing() -> None:
    """Stand in for the callback of a cancelled timer."""
