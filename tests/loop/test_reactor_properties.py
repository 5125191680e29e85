"""Turns in which anything may happen: who is called, and when, is what a model says."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tests.loop.test_reactor import ScriptedPoller
from wsloop.loop.poller import READ
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock

NUMBERS = st.integers(3, 7)
"""Descriptors. So few that numbers are used again all the time, as a kernel does."""


@dataclass(frozen=True)
class Act:
    """What a callback does: `verb` to the descriptor `number`, or with so many seconds."""

    verb: str
    number: int
    delay_s: float


ACTS = st.builds(
    Act,
    st.sampled_from(["close", "replace", "soon", "later", "reap", "flush", "rearm", "cancel", "fail"]),
    NUMBERS,
    st.sampled_from([0.0, 0.001, 0.01, 1.0]),
)


@dataclass(eq=False)
class Owner:
    """Who has registered a number; `open` until it is closed."""

    number: int
    is_open: bool = True


class Stage(ScriptedPoller):
    """A reactor on this poller, and what should be: each callback does the next acts of the script."""

    def __init__(self, script: list[list[Act]]) -> None:
        super().__init__(FakeClock(100.0))
        self.errors: list[str] = []
        self.reactor = Reactor(self.clock, self, on_error=lambda error, _: self.errors.append(repr(error)))
        self.script = script
        self.owners: dict[int, Owner] = {}
        self.ready: list[int] = []
        self.polled: dict[int, Owner] = {}
        self.called: list[Owner] = []
        self.faults = 0
        self.waiting = {"soon": 0, "reap": 0, "flush": 0}

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        self.polled = {number: self.owners[number] for number in self.ready if number in self.owners}
        return [(number, READ) for number in self.polled]

    def open(self, number: int) -> None:
        owner = self.owners[number] = Owner(number)
        self.reactor.register(number, READ, lambda _events: self.on_ready(owner))

    def on_ready(self, owner: Owner) -> None:
        assert owner.is_open, "called after its descriptor was closed"
        assert self.polled.get(owner.number) is owner, "called for an event of the number's former owner"
        assert owner not in self.called, "called twice"
        self.called.append(owner)
        try:
            self.act()
        except RuntimeError:  # the reactor forgets who raises, unless somebody has closed it already
            if self.owners.get(owner.number) is owner:
                del self.owners[owner.number]
                owner.is_open = False
            raise

    def act(self) -> None:
        """Do what the script says next."""
        for act in self.script.pop() if self.script else ():
            if act.verb == "close":
                self.shut(act.number)
            elif act.verb == "replace":
                self.shut(act.number)
                self.open(act.number)
            elif act.verb in self.waiting:
                self.queue(act.verb)
            elif act.verb in ("later", "rearm", "cancel"):
                self.begin_timer(act)
            else:
                self.faults += 1
                raise RuntimeError("broken")

    def shut(self, number: int) -> None:
        owner = self.owners.pop(number, None)
        if owner is not None:
            owner.is_open = False
            self.reactor.unregister(number)

    def queue(self, verb: str) -> None:
        """Have something called in a later phase, of this turn or the next."""
        reactor = self.reactor
        self.waiting[verb] += 1

        def run() -> None:
            self.waiting[verb] -= 1
            self.act()

        {"soon": reactor.call_soon, "reap": reactor.reap, "flush": reactor.request_flush}[verb](run)

    def begin_timer(self, act: Act) -> None:
        """Have something called at a time; moved to twice the delay, or taken back."""
        reactor = self.reactor
        due_s = reactor.now + act.delay_s * (2 if act.verb == "rearm" else 1)

        def fire() -> None:
            assert act.verb != "cancel", "fired, though it was cancelled"
            assert reactor.now >= due_s, "fired early"
            self.act()

        timer = reactor.call_later(act.delay_s, fire)
        if act.verb == "rearm":
            reactor.rearm(timer, due_s)
        elif act.verb == "cancel":
            reactor.cancel(timer)

    def turn(self, ready: list[int]) -> None:
        """Make one turn, in which these numbers are ready, if somebody has them."""
        for number in ready:
            if number not in self.owners:
                self.open(number)
        self.ready, self.called = ready, []
        self.reactor.run_once()
        overlooked = [each for each in self.polled.values() if each.is_open and each not in self.called]
        assert not overlooked, "an event was not handed out"


@given(
    st.lists(st.lists(NUMBERS, unique=True), min_size=1, max_size=6),
    st.lists(st.lists(ACTS, max_size=4), max_size=25),
)
def test_every_event_reaches_its_owner_and_nobody_else(
    batches: list[list[int]], script: list[list[Act]]
) -> None:
    stage = Stage(script)
    for ready in batches:
        stage.turn(ready)
    # Nothing new happens: what waits is done.
    stage.script.clear()
    for _ in range(3):
        stage.turn([])
        stage.clock.advance(2.0)
    assert stage.waiting == {"soon": 0, "reap": 0, "flush": 0}
    assert stage.errors == ["RuntimeError('broken')"] * stage.faults
    assert stage.reactor.statistics().timers == 0
    assert stage.reactor.statistics().descriptors == len(stage.owners)
