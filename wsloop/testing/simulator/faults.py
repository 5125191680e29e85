"""Every kind of fault there is, in one table; how each is drawn, counted, and left away.

A kind is drawn from a stream of its own, by calls or by virtual time. In each history a part of the kinds
is on (`Swarm`), some of them far more often than others: what no history full of everything would reach is
reached so. `FaultPlan` says which kinds may be on at all, and which single faults are left away: the means of
shrinking. `Marks` counts what fired.
"""

from __future__ import annotations

import enum
import math
import random
from typing import TYPE_CHECKING

import msgspec

from wsloop.testing.simulator.choices import Choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wsloop.testing.simulator.trace import Trace


class Per(enum.Enum):
    """What the time to the next fault is counted in."""

    CALLS = "calls"
    SECONDS = "s"


class Kind(msgspec.Struct, frozen=True):
    """A kind of fault: what it does, and `every` how many calls, or seconds of virtual time, on average.

    `shapes`: the worlds that it can happen in. `is_felt`: it fires when somebody meets it, not as it begins.
    """

    name: str
    does: str
    every: float
    per: Per
    shapes: tuple[str, ...] = ("one", "cluster")
    is_felt: bool = False


_CLUSTER = ("cluster",)

KINDS = (
    Kind("short-write", "a write takes a part of what it was given", 12, Per.CALLS),
    Kind("short-read", "a read gives a part of what has arrived", 12, Per.CALLS),
    Kind("write-eagain", "a write says EAGAIN though there is room", 40, Per.CALLS),
    Kind("read-eagain", "a read says EAGAIN though bytes have arrived", 40, Per.CALLS),
    Kind("write-reset", "a write finds the connection reset", 400, Per.CALLS),
    Kind("spike", "bytes take up to 3 s longer than others", 100, Per.CALLS),
    Kind("spurious", "a descriptor is reported that is not ready", 30, Per.CALLS),
    Kind("shuffle", "ready descriptors are reported in any order", 3, Per.CALLS),
    Kind("cut-list", "a part of the ready descriptors is reported, the rest later", 10, Per.CALLS),
    Kind("early", "a poll that has nothing returns before its time", 4, Per.CALLS),
    Kind("hang-up", "bytes arrive, and behind them a reset, before anybody looks", 1000, Per.CALLS),
    Kind("reuse", "a descriptor gets the number that was freed last", 2, Per.CALLS),
    Kind("accept-aborted", "accept finds that the client has gone (ECONNABORTED)", 12, Per.CALLS),
    Kind("accept-nobufs", "accept finds no memory (ENOBUFS)", 20, Per.CALLS),
    Kind("emfile", "a process has no descriptor left for some time", 10, Per.SECONDS, is_felt=True),
    Kind("reset", "a client's connection is reset", 3, Per.SECONDS),
    Kind("fin", "a client ends its direction, and still reads", 6, Per.SECONDS),
    Kind("vanish", "a client loses its power: nothing more comes, nothing is answered", 5, Per.SECONDS),
    Kind("stall", "a client reads nothing for some time", 3, Per.SECONDS),
    Kind("slow-line", "a client's line gets slow, narrow and uneven", 4, Per.SECONDS),
    Kind("wall-forward", "the wall clock is set forwards", 8, Per.SECONDS),
    Kind("wall-backward", "the wall clock is set backwards", 8, Per.SECONDS),
    Kind("suspend", "the machine sleeps: monotonic time has jumped when it wakes", 15, Per.SECONDS),
    Kind("slow-turn", "a turn takes far longer than others", 200, Per.CALLS),
    Kind("stop", "a process is stopped for some time (SIGSTOP, SIGCONT)", 8, Per.SECONDS),
    Kind("crash", "the server, or a worker, dies without a word and is started again", 15, Per.SECONDS),
    Kind("hub-crash", "the hub process dies without a word and is started again", 10, Per.SECONDS, _CLUSTER),
    Kind("link-down", "the link between a worker and the hub process is reset", 4, Per.SECONDS, _CLUSTER),
    Kind("link-slow", "a link gets slow and narrow for some time", 5, Per.SECONDS, _CLUSTER),
    Kind("link-partition", "what is said on a link goes nowhere for a time", 6, Per.SECONDS, _CLUSTER, True),
    Kind("broker-down", "a question is refused, or not answered in time, carried out or not", 60, Per.CALLS),
    Kind("broker-late", "what a broker says waits up to 2 s, and all behind it", 60, Per.CALLS),
    Kind("broker-duplicate", "an event comes again up to 2 s later", 25, Per.CALLS),
    Kind("broker-reorder", "an event or an answer is overtaken by what comes in up to 2 s", 60, Per.CALLS),
    Kind("broker-lost", "an event does not come", 20, Per.CALLS),
)

KIND = {kind.name: kind for kind in KINDS}

BLOCK = 8
"""Histories, one after the other, in which each kind is on in one half, and the broker is unruly in one."""

RATES = (0.3, 1.0, 1.0, 3.0)
"""How much more often than in the table a kind that is on strikes: drawn for each history."""


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may go wrong. `kinds` None: all; `only`: single faults, (kind, number of that kind), None: all.

    A fault that is left away is drawn all the same, so the others stay what they were.
    """

    kinds: frozenset[str] | None = None
    only: frozenset[tuple[str, int]] | None = None

    def allows(self, name: str) -> bool:
        """Whether the kind may strike."""
        return self.kinds is None or name in self.kinds


NO_FAULTS = FaultPlan(kinds=frozenset())


class Swarm(msgspec.Struct, frozen=True):
    """The kinds that are on in a history; those of the broker if `has_unruly_broker` only."""

    kinds: frozenset[str]
    has_unruly_broker: bool


def swarm_of(seed: int | str, number: int) -> Swarm:
    """Return what is on in history `number` of a seed.

    Chance decides which kinds meet; that each has its turn in a block is certain, so a run of two blocks
    lacks none. The last bit of a history's number is its shape in a mixed run, the next says which half of
    the kinds is on, the third whether the broker is unruly. A block has two pairs of halves, drawn apart:
    what two kinds find only where one is on and one is off would else be out of reach for a whole block.
    """
    choices = Choices(seed)
    pair = choices.stream(f"kinds {number // 4} {number % 2}")
    half = frozenset(kind.name for kind in KINDS if pair.random() < 0.5)
    is_unruly_first = choices.stream(f"unruly {number // BLOCK} {number % 2}").random() < 0.5
    kinds = half if number & 2 else frozenset(KIND) - half
    return Swarm(kinds, is_unruly_first is not bool(number & 4))


class Marks:
    """How often each kind fired; `single` are the faults of this history one by one: (kind, number)."""

    def __init__(self) -> None:
        self.fired = {kind.name: 0 for kind in KINDS}
        self.single: list[tuple[str, int]] = []


def missing(fired: Mapping[str, int], shapes: Iterable[str], plan: FaultPlan) -> list[str]:
    """Return the kinds that never fired, of those that the plan allows and these shapes of worlds can have.

    A plan of single faults has none to miss.
    """
    if plan.only is not None:
        return []
    kinds = [kind for kind in KINDS if plan.allows(kind.name) and set(shapes) & set(kind.shapes)]
    return [kind.name for kind in kinds if not fired.get(kind.name)]


class Chance:
    """One kind in one history: `strikes` tells at each call whether it happens now, never unless `is_on`.

    `random` is for what a fault does. It begins anew with each, so that a fault that is left away changes
    neither when the others of its kind come nor what they do.
    """

    __slots__ = ("_left", "_mean", "_number", "_salt", "_storm", "_when", "is_on", "name", "random")

    def __init__(self, storm: Storm, name: str, mean: float, when: random.Random) -> None:
        self.name = name
        self._when = when
        self._salt = when.getrandbits(64)
        self.random = random.Random(self._salt)
        self._storm = storm
        self._mean = mean
        self.is_on = mean < math.inf
        self._number = 0
        self._left = self._draw()

    def strikes(self) -> bool:
        """Return whether this call is hit. Hot: nearly always one subtraction."""
        left = self._left = self._left - 1
        return left <= 0 and self._strike()

    def next_s(self, now_s: float) -> float:
        """Return when it is due next, infinity if it is off; for kinds by time."""
        return now_s + self._draw()

    def strike(self) -> bool:
        """Note that it is due now; return whether the plan lets it happen."""
        self._number += 1
        if not self._storm.lets(self.name, self._number):
            return False
        self.random.seed(self._salt + self._number)
        return True

    def hasten(self, mean: float) -> None:
        """Let it strike so often from now on, whether it was on or not."""
        self._mean = mean
        self._left = self._draw()

    def miss(self) -> None:
        """Take back the fault that was let happen last: there was nothing that it could strike."""
        self._storm.take_back(self.name)

    def _strike(self) -> bool:
        self._left = self._draw()
        return self.strike()

    def _draw(self) -> float:
        return self._when.expovariate(1) * self._mean if self._mean < math.inf else math.inf


class Storm:
    """All chances of one history; `swarm` None: that of a seed's first.

    `step` is kept by the world. `is_over` from the moment when faults must stop, but for those of kinds that
    are `late`. `has_unruly_broker`: whether `UnrulyBroker` stands before the brokers of this history.
    """

    def __init__(
        self,
        choices: Choices,
        plan: FaultPlan,
        shape: str,
        marks: Marks,
        trace: Trace,
        swarm: Swarm | None = None,
    ) -> None:
        self.step = 0
        self.is_over = False
        self.late: frozenset[str] = frozenset()
        self.plan = plan
        self._marks = marks
        self._trace = trace
        self.chances: dict[str, Chance] = {}
        swarm = swarm or swarm_of(choices.seed, 0)
        self.has_unruly_broker = swarm.has_unruly_broker
        rates = choices.stream("rates")
        for kind in KINDS:
            rate = rates.choice(RATES)
            is_on = kind.name in swarm.kinds and plan.allows(kind.name) and shape in kind.shapes
            if not is_on or (kind.name.startswith("broker") and not self.has_unruly_broker):
                rate = 0.0
            mean = kind.every / rate if rate else math.inf
            self.chances[kind.name] = Chance(self, kind.name, mean, choices.stream(f"fault {kind.name}"))

    def __getitem__(self, name: str) -> Chance:
        return self.chances[name]

    def by_call(self, name: str) -> Chance | None:
        """Return a kind that is drawn by calls, None if it is off: then not even that is asked."""
        chance = self.chances[name]
        return chance if chance.is_on else None

    def feel(self, name: str) -> None:
        """Count that a fault is met that lasts."""
        self._marks.fired[name] += 1

    def lets(self, name: str, number: int) -> bool:
        """Return whether the plan lets the fault happen."""
        only = self.plan.only
        if (self.is_over and name not in self.late) or (only is not None and (name, number) not in only):
            return False
        if not KIND[name].is_felt:
            self._marks.fired[name] += 1
        self._marks.single.append((name, number))
        self._trace.note("fault", name, number, self.step)
        return True

    def take_back(self, name: str) -> None:
        """Count the last fault as none: it has changed nothing."""
        if not KIND[name].is_felt:
            self._marks.fired[name] -= 1
        self._marks.single.pop()
        self._trace.note("nothing", name)
