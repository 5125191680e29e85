"""A worker's end: a link to the hub process that is made anew whenever it breaks.

    WAITING -> CONNECTING -> RESTORING -> READY -> WAITING ...        any -> CLOSED

While it is not READY every question is answered at once: `Unavailable`. So is a question under way when
the link breaks, one that is not answered in time, and any while the link is stalled; what comes later
for it is ignored. A new link first says again what holds (`standing.py`), one batch for each time that
the kernel has taken the one before; then it is READY, and the hub is told that events may have been lost.
Interests precede, in one sequence, all that is asked afterwards: so the broker's order holds.

Read `remote.py` for the ports that stand on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from wsloop.cluster import asking, messages
from wsloop.cluster.codec import LinkError, MessageReader, encode
from wsloop.cluster.link import Link
from wsloop.cluster.link_states import LinkLimits, LinkState, Traffic
from wsloop.cluster.messages import FromService
from wsloop.cluster.questions import Questions
from wsloop.cluster.standing import Standing
from wsloop.cluster.uplink_states import (
    UPLINK_TRANSITIONS,
    UplinkRules,
    UplinkState,
    UplinkStatistics,
    UplinkStep,
)
from wsloop.errors import StateError, TransportError
from wsloop.hub.broker import BrokerStatistics, Unavailable
from wsloop.hub.history import Publication
from wsloop.transport.connecting import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.cluster.asking import Asked, Handler
    from wsloop.hub.broker import BrokerEvents, Done
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer
    from wsloop.transport.bind import Network, TcpBind, UnixBind

log = logging.getLogger("wsloop.cluster")

UID_BYTES = 8
"""Of what names a process's life: two are the same once in 10^19."""

NO_LINK = Unavailable("no link to the broker")
LOST = Unavailable("the link to the broker was lost")

Result = TypeVar("Result")


class Uplink:
    """The reconnecting link of the worker in `slot` to the hub process at `address`.

    `entropy(n)` returns n random bytes. `start` it once hub and handler are there. `handler` answers what the
    hub process asks, and hears what it casts; `events` is told of publications, joins, leaves, interruptions.
    """

    def __init__(
        self,
        reactor: Reactor,
        network: Network,
        address: UnixBind | TcpBind,
        *,
        slot: int,
        entropy: Callable[[int], bytes],
        limits: LinkLimits | None = None,
        rules: UplinkRules | None = None,
    ) -> None:
        self.handler: Handler | None = None
        self.events: BrokerEvents | None = None
        self.standing = Standing()
        self.state = UplinkState.WAITING
        self.broker_statistics = BrokerStatistics(0, 0, 0)
        self._reactor = reactor
        self._network = network
        self._address = address
        self._slot = slot
        self._entropy = entropy
        self._limits = limits or LinkLimits()
        self._rules = rules or UplinkRules()
        self._uid = entropy(UID_BYTES).hex()
        self._service = ""
        self._traffic = Traffic()
        self._link: Link | None = None
        self._timer: Timer | None = None
        self.links = 0  # how many there have been, with the present one
        self._attempts = self._lost = 0
        self._questions = Questions()
        self._is_stall_told = False
        self._again: Iterator[messages.Message] | None = None

    # -- its life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, from the next turn on, and stay connected."""
        self._timer = self._reactor.call_later(0.0, self._connect)

    def close(self) -> None:
        """Take leave and end the link; what was said is offered to the kernel once more. Idempotent."""
        if self.state is UplinkState.CLOSED:
            return
        self.say(messages.Farewell())
        self._step(UplinkStep.CLOSE)
        if self._timer is not None:
            self._reactor.cancel(self._timer)
        if self._link is not None:
            self._link.close()
            self._link = None
        self._again = None
        self._questions.give_up(LOST)

    @property
    def is_up(self) -> bool:
        """Whether questions are answered."""
        return not self.reason()

    def reason(self) -> str:
        """Return why questions are not answered, "" if they are."""
        link = self._link
        if self.state is not UplinkState.READY or link is None:
            return NO_LINK.reason
        return f"the broker has not answered for {link.silence_s:.0f} s" if link.is_stalled else ""

    def statistics(self) -> UplinkStatistics:
        """Return a snapshot."""
        traffic, link = self._traffic, self._link
        return UplinkStatistics(
            state=self.state,
            links=self.links,
            lost=self._lost,
            overflows=traffic.overflows,
            unanswered=self._questions.unanswered,
            questions=len(self._questions),
            messages_in=traffic.messages_in,
            messages_out=traffic.messages_out,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            link=link.statistics() if link is not None else None,
        )

    # -- speaking ----------------------------------------------------------------------------

    def say(self, message: messages.Message) -> bool:
        """Say something that has no answer; it is lost while there is no link.

        Returns False, and says nothing, if it cannot be written: then it must not be said again either.
        """
        try:
            data = encode(message)
        except LinkError as error:
            log.error("%s is not said: %s", type(message).__name__, error.reason)
            return False
        if self._link is not None and self._link.state is LinkState.READY:
            self._link.send_encoded(data)
        return True

    def ask_broker(
        self,
        message: Callable[[int], messages.Message],
        kind: type[messages.Numbered],
        result: Callable[[Any], Result],
        done: Done[Result],
    ) -> None:
        """Ask what `message` makes of a number; `done` gets the `result` of an answer, which is a `kind`."""
        reason = self.reason()
        if reason:
            done(Unavailable(reason))
            return
        assert self._link is not None
        number = self._questions.number()
        try:
            self._link.send(message(number))
        except LinkError as error:
            done(Unavailable(error.reason))
            return
        deadline_s = self._reactor.now + self._rules.answer_s
        self._questions.add(number, deadline_s, kind, result, done)

    def ask(self, name: str, body: bytes, done: Asked) -> None:
        """Ask the operations of the hub process; `done` gets the answer, or None if there is none."""
        self.ask_broker(
            lambda number: messages.Ask(number, name, body),
            messages.Answer,
            lambda answer: answer.body,
            lambda body: done(None if isinstance(body, Unavailable) else body),
        )

    def ping(self) -> None:
        """Ask for a sign of life now, not only when the next is due."""
        if self.state is UplinkState.READY and self._link is not None:
            self._link.ping()

    # -- the link calls ----------------------------------------------------------------------

    def on_message(self, link: Link, message: messages.Message) -> None:
        """See `LinkOwner.on_message`."""
        receive = _RECEIVERS.get(type(message))
        if receive is not None:
            if link.state is not LinkState.READY:
                raise LinkError(f"{type(message).__name__} before Welcome")
            receive(self, message)
        elif type(message) in (messages.Welcome, messages.Refused):
            self._on_greeting(link, message)
        else:
            assert isinstance(message, messages.Numbered)
            self._questions.receive(message)

    def on_drained(self, link: Link) -> None:
        """See `LinkOwner.on_drained`."""
        if self.state is UplinkState.RESTORING:
            self._restore(link)

    def on_tick(self, link: Link) -> None:
        """See `LinkOwner.on_tick`: tell once that the other end is silent, and once that it is not."""
        self._questions.expire(self._reactor.now)
        if link.is_stalled is not self._is_stall_told:
            self._is_stall_told = link.is_stalled
            if link.is_stalled:
                log.warning("%s", self.reason())
            else:
                log.info("the broker answers again")

    def on_ended(self, link: Link, reason: str) -> None:
        """See `LinkOwner.on_ended`."""
        self._fail(reason)

    # -- links come and go -------------------------------------------------------------------

    def _connect(self) -> None:
        self._timer = None
        self._step(UplinkStep.TRY)
        try:
            transport = open_transport(self._network, self._address)
        except TransportError as error:
            self._fail(error.errno_name)
            return
        reader = MessageReader(FromService)
        self._link = link = Link(
            self._reactor, transport, self, reader, self._limits, self._traffic, pings=True
        )
        link.send(messages.Hello(messages.VERSION, self._slot, self._uid, self._service))

    def _fail(self, reason: str) -> None:
        """Wait, and try again; whoever is asking something is told."""
        was_ready = self.state is UplinkState.READY
        self._link = self._again = None
        self._is_stall_told = False
        self._step(UplinkStep.LOST)
        self._lost += was_ready
        if was_ready or not self._attempts:
            log.warning("no link to the broker: %s", reason)
        delay_s = min(self._rules.first_delay_s * 2.0 ** min(self._attempts, 30), self._rules.last_delay_s)
        self._attempts += 1
        delay_s *= 1.0 + int.from_bytes(self._entropy(2), "big") / 131_072
        self._timer = self._reactor.call_later(delay_s, self._connect)
        self._questions.give_up(LOST)

    def _on_greeting(self, link: Link, greeting: messages.Message) -> None:
        if self.state is not UplinkState.CONNECTING:
            raise LinkError("a second greeting")
        if not isinstance(greeting, messages.Welcome):
            assert isinstance(greeting, messages.Refused)
            raise LinkError(f"refused: {greeting.reason}")
        self._service = greeting.uid
        link.ready()
        self._step(UplinkStep.WELCOMED)
        self._again = self.standing.again()
        self._restore(link)

    def _restore(self, link: Link) -> None:
        """Say one batch again; the next follows when the kernel has taken it."""
        assert self._again is not None
        message = next(self._again, None)
        if message is not None:
            link.send(message)
            return
        self._again = None
        link.send(messages.Restored())
        self._step(UplinkStep.RESTORED)
        self._attempts = 0
        self.links += 1
        log.info("linked to the broker")
        if self.links > 1 and self.events is not None:
            self.events.on_interrupted()

    def _step(self, taken: UplinkStep) -> None:
        try:
            self.state = UPLINK_TRANSITIONS[self.state][taken]
        except KeyError:
            raise StateError(f"{taken.value} is illegal while {self.state.value}") from None

    # -- what the hub process says -----------------------------------------------------------

    def _on_published(self, message: messages.Published) -> None:
        if self.events is not None:
            publication = Publication(message.offset, message.data, message.info, message.tags, message.delta)
            self.events.on_publication(message.channel, publication, message.epoch)

    def _on_joined(self, message: messages.Joined) -> None:
        if self.events is not None:
            self.events.on_join(message.channel, message.info)

    def _on_left(self, message: messages.Left) -> None:
        if self.events is not None:
            self.events.on_leave(message.channel, message.info)

    def _on_pong(self, pong: messages.Pong) -> None:
        assert self._link is not None
        self._link.receive_pong(pong.number)
        self.broker_statistics = BrokerStatistics(
            pong.streams,
            pong.publications,
            0,
            bytes=pong.held_bytes,
            keys=pong.keys,
            evicted=pong.evicted,
        )

    def _on_ask(self, question: messages.Ask) -> None:
        assert self._link is not None
        asking.answer(self._link, question, self.handler)

    def _on_cast(self, cast: messages.Cast) -> None:
        asking.hear(cast, self.handler)


_RECEIVERS: dict[type, Callable[[Uplink, Any], None]] = {
    messages.Published: Uplink._on_published,
    messages.Joined: Uplink._on_joined,
    messages.Left: Uplink._on_left,
    messages.Pong: Uplink._on_pong,
    messages.Ask: Uplink._on_ask,
    messages.Cast: Uplink._on_cast,
}
"""What is not an answer, and who receives it."""
