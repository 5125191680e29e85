"""Whoever runs the server: calls its API, kicks, takes rights, drains it and starts another."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - of a table
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub.operations import table
from wsloop.testing.simulator.model.ledger import Text
from wsloop.testing.simulator.people.channels import CHANNELS, EVERYBODY, NAMESPACES
from wsloop.testing.simulator.people.member import IN

if TYPE_CHECKING:
    from random import Random

    from wsloop.hub import codes
    from wsloop.hub.operations.results import Result
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.world import World

PAUSE_S = 0.15
"""Between two doings, on average."""

DRAIN_SPREADS_S = (0.0, 0.5, 2.0)
DRAINED_FOR_S = 3.0
"""A drain that has not ended by then is ended."""

LIMITS = ((10_000, 0, 0.0), (12, 0, 0.0), (10_000, 3, 0.0), (10_000, 0, 8.0))
"""Connections in all, per address, and new ones per second: what a reload may set."""


COUNTED = tuple(each for each in (*CHANNELS, EVERYBODY) if NAMESPACES[each[0]].history_size)
"""Channels whose publications have offsets."""


class Operator:
    """The one of `town`."""

    name = "operator"

    def __init__(self, town: Town) -> None:
        self.town = town
        self.chance: Random = town.world.choices.stream("operator")
        self._said = 0
        self._draining: tuple[Process, int, float] | None = None
        self._limits: dict[str, tuple[int, int, float]] = {}

    def break_the_silence(self) -> None:
        """Say one thing in each channel that counts: whoever misses it hears nothing else there."""
        for channel in COUNTED:
            door = self.chance.choice(self.town.world.doors)
            self.call(door, "publish", channel=channel, data=self.text())

    def act(self, world: World) -> None:
        """See `Actor.act`."""
        town = self.town
        if town.is_over:
            return
        town.moment()
        world.wake(self, town.pause_s(self.chance, PAUSE_S))
        if self._draining is not None:
            self._look_after_the_drain(*self._draining)
        elif not town.is_quiet:
            process = self.chance.choice(world.doors)
            if process.house is not None:
                self._drawn()(self, process)
        else:
            for each in world.doors:
                self._limit(each, LIMITS[0])

    def _drawn(self) -> Callable[[Operator, Process], None]:
        left = self.chance.random() * _TOTAL
        for weight, doing in DOINGS:
            left -= weight
            if left < 0:
                return doing
        return publish

    # -- how -----------------------------------------------------------------------------------

    def call(self, process: Process, method: str, **request: object) -> None:
        """Have a method of the API carried out in a process's next turn; errors are violations."""
        house = process.house
        assert house is not None
        body = msgspec.json.encode(request)
        self._note("call", process, method, body)

        def finished(outcome: Result | codes.Code) -> None:
            self._judge(method, outcome)

        process.reactor.call_soon(lambda: table.call(house.operations, method, body, finished))

    def _judge(self, method: str, outcome: Result | codes.Code) -> None:
        """Say that an operation failed that nothing is wrong with; in a cluster the link may be down."""
        code = getattr(outcome, "code", 0)
        if code and (code != 100 or self.town.scene.is_lossless):
            self.town.scene.broken("speech", f"the operator's {method} was answered {outcome}")

    def text(self) -> msgspec.Raw:
        """Return another payload of the operator's own."""
        self._said += 1
        return msgspec.Raw(Text("api", self._said, self._said).encode())

    def _note(self, what: str, process: Process, *values: str | float | bytes) -> None:
        self.town.world.trace.note(what, f"{self.name} > {process.name}", *values)

    def _limit(self, process: Process, limits: tuple[int, int, float]) -> None:
        house = process.house
        if house is not None and limits != self._limits.get(process.name, LIMITS[0]):
            self._limits[process.name] = limits
            self._note("limit", process, *limits)
            house.server.limit_admission(*limits)

    def limit(self, process: Process) -> None:
        """Let fewer in, or more: as a reload does."""
        self._limit(process, self.chance.choice(LIMITS))

    def drain(self, process: Process) -> None:
        """Stop a server as one should; another is started when it has ended."""
        house = process.house
        assert house is not None
        spread_s = self.chance.choice(DRAIN_SPREADS_S)
        self._note("drain", process, spread_s)
        process.reactor.call_soon(lambda: house.server.drain(lambda: None, spread_s))
        self._draining = process, process.life, self.town.scene.now_s

    def _look_after_the_drain(self, process: Process, life: int, since_s: float) -> None:
        house = process.house
        if house is None or process.life != life:  # it crashed meanwhile
            self._draining = None
        elif self.town.scene.now_s > since_s + DRAINED_FOR_S or (
            house.server.draining and not len(house.server.registry)
        ):
            self._draining = None
            self.town.world.weather.between_turns(_restart, process)


def _restart(process: Process) -> None:
    process.close()
    process.start()


# -- doings ----------------------------------------------------------------------------------------


def publish(operator: Operator, process: Process) -> None:
    """Publish to a channel."""
    channel = operator.town.elsewhere((*CHANNELS, EVERYBODY), operator.chance)
    operator.call(process, "publish", channel=channel, data=operator.text())


def broadcast(operator: Operator, process: Process) -> None:
    """Publish the same to many channels."""
    channels = operator.chance.sample(CHANNELS, operator.chance.randrange(1, len(CHANNELS)))
    if operator.town.is_focused:
        channels = [operator.town.topic]
    operator.call(process, "broadcast", channels=channels, data=operator.text())


def remove_history(operator: Operator, process: Process) -> None:
    """Begin a channel anew."""
    numbered = [each for each in CHANNELS if NAMESPACES[each[0]].history_size]
    operator.call(process, "history_remove", channel=operator.chance.choice(numbered))


def disconnect(operator: Operator, process: Process) -> None:
    """End a user's connections."""
    user = operator.chance.choice(operator.town.people).user
    if user:
        operator.call(process, "disconnect", user=user)


def unsubscribe(operator: Operator, process: Process) -> None:
    """Take somebody out of a channel."""
    person = operator.chance.choice(operator.town.people)
    own = [each for each in person.memberships.values() if not each.is_server_side and each.state == IN]
    if person.user and own:
        operator.call(process, "unsubscribe", user=person.user, channel=operator.chance.choice(own).channel)


def kick(operator: Operator, process: Process) -> None:
    """Close one connection, whoever it is."""
    person = operator.chance.choice(operator.town.people)
    if person.client:
        operator.call(process, "kick", client=person.client, code=3503, reason="kicked")


def look(operator: Operator, process: Process) -> None:
    """List what there is."""
    operator.call(process, operator.chance.choice(("channels", "info", "peers", "slowest", "connections")))


def read(operator: Operator, process: Process) -> None:
    """Read a channel's past, and who is in it."""
    operator.call(process, "presence", channel="s:a")
    operator.call(process, "history", channel="s:a", limit=-1)


def limit(operator: Operator, process: Process) -> None:
    """Let fewer in, or more."""
    operator.limit(process)


def drain(operator: Operator, process: Process) -> None:
    """Stop a server as one should."""
    operator.drain(process)


DOINGS: tuple[tuple[int, Callable[[Operator, Process], None]], ...] = (
    (60, publish),
    (15, broadcast),
    (4, remove_history),
    (4, disconnect),
    (8, unsubscribe),
    (3, kick),
    (5, look),
    (5, read),
    (2, limit),
    (1, drain),
)
"""How often each of them is done, and what it is."""

_TOTAL = sum(weight for weight, _ in DOINGS)
