"""One connection between a worker and the hub process: where messages, transport and reactor meet.

    CONNECTING --WELCOMED--> READY --END--> CLOSED

What is said within one turn leaves in one write, at the beginning of the next. What comes is decoded
in portions, so that a busy link does not hold up the turn; while some of it waits, nothing more is
read, and the kernel makes the other end wait. What the other end does not read is queued, up to a
limit: then the link ends, since whoever comes back compares positions and misses nothing.

A worker pings, the hub process answers. Silence makes a link stalled, which its owner tells and answers
questions accordingly, and after a longer time ends it. Whoever owns a link is told of its end, once, from
the loop: never from within `send`. Read `uplink.py` and `service.py` for the owners.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Protocol

from wsloop.buffers.outbox import Outbox
from wsloop.cluster.codec import LinkError, MessageReader, encode
from wsloop.cluster.link_states import (
    LINK_TRANSITIONS,
    LinkLimits,
    LinkState,
    LinkStatistics,
    LinkStep,
    Traffic,
)
from wsloop.cluster.messages import Message, Ping
from wsloop.errors import StateError, TransportError
from wsloop.loop.poller import READ, WRITE

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.cluster")


class LinkOwner(Protocol):
    """Who made a link. May call all its methods from here."""

    def on_message(self, link: Link, message: Message, /) -> None:
        """Take a message. LinkError ends the link: the other end must not have said this."""
        ...

    def on_drained(self, link: Link, /) -> None:
        """Hear that the kernel has taken all that was said."""
        ...

    def on_tick(self, link: Link, /) -> None:
        """Hear that `ping_s` have passed, once more."""
        ...

    def on_ended(self, link: Link, reason: str, /) -> None:
        """Hear that the link is CLOSED and why; not if the owner closed it."""
        ...


class Link:
    """A duplex connection of messages on `transport`, which it owns from here on.

    `reader` of what the other end says; `pings` whether this end does; `traffic` is where it counts.
    """

    __slots__ = (
        "_began_s", "_closing", "_heard_s", "_interest", "_is_flush_due", "_is_go_on_due", "_limits",
        "_outbox", "_owner", "_pinged", "_pings", "_reactor", "_reader", "_said", "_said_bytes", "_timer",
        "_traffic", "_transport", "round_trip_s", "state",
    )  # fmt: skip

    def __init__(
        self,
        reactor: Reactor,
        transport: Transport,
        owner: LinkOwner,
        reader: MessageReader,
        limits: LinkLimits,
        traffic: Traffic,
        *,
        pings: bool,
    ) -> None:
        self.state = LinkState.CONNECTING
        self.round_trip_s: float | None = None
        self._reactor = reactor
        self._transport = transport
        self._owner = owner
        self._reader = reader
        self._limits = limits
        self._traffic = traffic
        self._pings = pings
        self._pinged: tuple[int, float] = (0, 0.0)
        self._began_s = self._heard_s = reactor.now
        self._said: list[bytes] = []
        self._said_bytes = 0
        self._outbox = Outbox()
        self._is_flush_due = self._is_go_on_due = False
        self._closing = ""  # why it has ended, or is about to
        self._interest = READ
        reactor.register(transport.fileno(), READ, self._on_ready)
        self._timer = reactor.call_later(limits.ping_s, self._on_timer)

    # -- speaking ----------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Say something; no effect on a link that has ended. Raises LinkError if it cannot be written."""
        self.send_encoded(encode(message))

    def send_encoded(self, data: bytes) -> None:
        """Say something that was encoded already, and may be shared with other links."""
        if self._closing:
            return
        self._said.append(data)
        self._said_bytes += len(data)
        self._traffic.messages_out += 1
        if self._said_bytes + self._outbox.size > self._limits.queue_bytes:
            self._traffic.overflows += 1
            self.end_soon(f"{self.queue_bytes} bytes are queued for it")
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._reactor.request_flush(self._flush_said)

    def ready(self) -> None:
        """Note that the greetings were exchanged; raises StateError if they had been."""
        self._step(LinkStep.WELCOMED)

    def receive_pong(self, number: int) -> None:
        """Take note that a ping was answered."""
        if number == self._pinged[0]:
            self.round_trip_s = self._reactor.now - self._pinged[1]

    def ping(self) -> None:
        """Ask for an answer now; `round_trip_s` tells how long it took."""
        self._pinged = (self._pinged[0] + 1, self._reactor.now)
        self.send(Ping(self._pinged[0]))

    def allow(self, max_bytes: int) -> None:
        """Take messages of so many bytes from now on."""
        self._reader.max_bytes = max_bytes

    # -- how it is ---------------------------------------------------------------------------

    @property
    def queue_bytes(self) -> int:
        """What was said and the kernel has not taken."""
        return self._said_bytes + self._outbox.size

    @property
    def silence_s(self) -> float:
        """How long nothing has come from the other end."""
        return self._reactor.now - self._heard_s

    @property
    def is_stalled(self) -> bool:
        """Whether the other end has been silent for longer than is good."""
        return self.silence_s > self._limits.stalled_s

    def statistics(self) -> LinkStatistics:
        """Return a snapshot."""
        return LinkStatistics(self.state, self.queue_bytes, self.silence_s, self.round_trip_s)

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """End the link and tell nobody; what was said is offered to the kernel once more. Idempotent."""
        if self.state is LinkState.CLOSED:
            return
        if not self._closing:
            try:
                self._flush()
            except TransportError:  # the other end is gone: nobody to tell
                self._outbox.clear()
        self._drop()

    def end_soon(self, reason: str) -> None:
        """End the link in this turn or the next, from the loop. The first reason counts."""
        if self.state is not LinkState.CLOSED and not self._closing:
            self._closing = reason
            self._reactor.call_soon(functools.partial(self._end, reason))

    def _end(self, reason: str) -> None:
        if self.state is not LinkState.CLOSED:
            self._traffic.ended += 1
            self._drop()
            self._owner.on_ended(self, reason)

    def _drop(self) -> None:
        self._step(LinkStep.END)
        self._closing = self._closing or "closed"
        self._reactor.cancel(self._timer)
        self._reactor.unregister(self._transport.fileno())
        self._transport.close()
        self._said.clear()
        self._said_bytes = 0
        self._outbox.clear()

    # -- the loop calls ----------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        try:
            if events & WRITE and self._flush():
                self._owner.on_drained(self)
            if events & READ and self.state is not LinkState.CLOSED:
                self._read()
        except (TransportError, LinkError) as error:
            self._end(str(error))

    def _read(self) -> None:
        if self._is_go_on_due:  # what has come before is to be dealt with first
            return
        data = self._transport.read(self._limits.read_bytes)
        if data is None:
            return
        if not data:
            self._end("the other end has gone")
            return
        self._heard_s = self._reactor.now
        self._traffic.bytes_in += len(data)
        self._reader.feed(data)
        self._take_messages()

    def _take_messages(self) -> None:
        """Deal with what has arrived, within the budget of a turn."""
        reader, on_message = self._reader, self._owner.on_message
        for count in range(self._limits.messages_per_turn):
            message = reader.next()
            if message is None:
                self._traffic.messages_in += count
                return
            try:
                on_message(self, message)
            except LinkError:
                raise
            except Exception:  # a fault of the program, and of this message only
                log.exception("%s from the link raised", type(message).__name__)
            if self.state is LinkState.CLOSED:
                return
        self._traffic.messages_in += self._limits.messages_per_turn
        self._is_go_on_due = True
        self._reactor.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_go_on_due = False
        if self.state is LinkState.CLOSED:
            return
        self._heard_s = self._reactor.now
        try:
            self._take_messages()
        except LinkError as error:
            self._end(str(error))

    def _flush_said(self) -> None:
        """Phase 1 of the turn."""
        self._is_flush_due = False
        if self.state is LinkState.CLOSED:
            return
        try:
            if self._flush():
                self._owner.on_drained(self)
        except TransportError as error:
            self._end(str(error))

    def _flush(self) -> bool:
        """Offer what was said to the kernel; return whether it took all of it."""
        said = self._said
        if said:
            self._outbox.append(said[0] if len(said) == 1 else b"".join(said))
            said.clear()
            self._said_bytes = 0
        before = self._outbox.size
        is_empty = self._transport.flush(self._outbox)
        self._traffic.bytes_out += before - self._outbox.size
        self._watch(READ if is_empty else READ | WRITE)
        return is_empty

    def _on_timer(self) -> None:
        now_s, limits = self._reactor.now, self._limits
        self._timer = self._reactor.call_later(limits.ping_s, self._on_timer)
        if self.state is LinkState.CONNECTING and now_s - self._began_s >= limits.greet_s:
            self._end(f"no greeting within {limits.greet_s:g} s")
        elif self.silence_s >= limits.dead_s:
            self._end(f"silent for {limits.dead_s:g} s")
        else:
            if self._pings and self.state is LinkState.READY:
                self.ping()
            self._owner.on_tick(self)

    def _watch(self, interest: int) -> None:
        if interest != self._interest:
            self._interest = interest
            self._reactor.set_interest(self._transport.fileno(), interest)

    def _step(self, taken: LinkStep) -> None:
        try:
            self.state = LINK_TRANSITIONS[self.state][taken]
        except KeyError:
            raise StateError(f"{taken.value} is illegal while the link is {self.state.value}") from None
