"""The hub process's end: the broker and the presence of all workers, and the links on which they are asked.

Each worker has a slot and one link; a newer link of a slot ends the older one. A worker that does not
read is cut off when its queue is full: it links again, and its hub compares positions. What is asked of
all workers at once (`call_all`, `cast_all`) is the operations', and not looked into here.

Read `session.py` for one link, `shared.py` for the broker, `departures.py` for what becomes of a link
that ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from wsloop.cluster import messages
from wsloop.cluster.calls import Calls
from wsloop.cluster.codec import MAX_GREETING_BYTES, LinkError, MessageReader, encode
from wsloop.cluster.departures import Departures
from wsloop.cluster.link import Link
from wsloop.cluster.link_states import LinkLimits, LinkStatistics, Traffic
from wsloop.cluster.messages import FromWorker
from wsloop.cluster.session import Session, SessionState
from wsloop.cluster.shared import SharedBroker
from wsloop.cluster.standing import Joins
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.presence import MemoryPresence
from wsloop.transport.listener import Listener

if TYPE_CHECKING:
    from wsloop.cluster.asking import Handler
    from wsloop.cluster.calls import Answered
    from wsloop.hub.memory_broker import BrokerLimits
    from wsloop.loop.reactor import Reactor
    from wsloop.transport.base import SocketLike, Transport
    from wsloop.transport.listener import Spare

log = logging.getLogger("wsloop.cluster")

UID_BYTES = 8
"""Of what names a service's life."""

MAX_LINKS = 1024
"""At a time, greeted or not; a machine has fewer workers by far."""

MAX_SLOT = 65_535
"""A worker's number; a greeting with a larger one is damaged."""

FirstWords = Callable[[int], Iterable[tuple[str, bytes]]]
"""What the worker in a slot is to be told before anything else: names and bodies of casts."""


class ServiceStatistics(msgspec.Struct, frozen=True):
    """A snapshot; totals only grow.

    `links` by slot. `accepted` links in all, `ended` not by ourselves, `overflows` of these since a worker
    did not read, `refused` at the greeting. `calls`: questions to all workers under way.
    """

    links: dict[int, LinkStatistics]
    accepted: int
    ended: int
    overflows: int
    refused: int
    calls: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


class Service:
    """The messaging domain of several workers.

    Arguments: `entropy(n)` returns n random bytes; `broker_limits` of what is kept; `limits` of each link.
    `listen` gives it a socket. `handler` answers what workers ask; `on_link` gives
    what a newly linked one must be told first. `broker` and `presence` are the ports for the hub of this
    process itself.
    """

    def __init__(
        self,
        reactor: Reactor,
        entropy: Callable[[int], bytes],
        *,
        broker_limits: BrokerLimits | None = None,
        limits: LinkLimits | None = None,
    ) -> None:
        self.uid = entropy(UID_BYTES).hex()
        self.handler: Handler | None = None
        self.on_link: FirstWords | None = None
        self.shared = SharedBroker(MemoryBroker(lambda: reactor.now, entropy, broker_limits))
        self.broker = self.shared.local
        self.presence = MemoryPresence()
        self.calls = Calls(reactor)
        self._reactor = reactor
        self._limits = limits or LinkLimits()
        self._departures = Departures(reactor, self.shared)
        self._listener: Listener | None = None
        self._traffic = Traffic()
        self._accepted = self._refused = 0
        self._open: dict[Session, None] = {}
        self._workers: dict[int, Session] = {}

    # -- its life ----------------------------------------------------------------------------

    def listen(self, sock: SocketLike, spare: Spare | None = None) -> None:
        """Take links on a listening socket, which the service owns from here on; called once."""
        self._listener = Listener(self._reactor, sock, self._on_accept, spare=spare)

    def close(self) -> None:
        """End all links; what was said is offered to the kernel once more. Idempotent."""
        if self._listener is not None:
            self._listener.close()
        for session in list(self._open):
            session.link.close()
        self._open.clear()
        self._workers.clear()
        self.calls.close()
        self._departures.close()

    # -- the operations ----------------------------------------------------------------------

    @property
    def slots(self) -> list[int]:
        """The slots of the workers that are linked, in their order."""
        return sorted(self._workers)

    def heard(self) -> list[int]:
        """Return the slots of the workers that are linked and not silent, in their order."""
        return [slot for slot, session in sorted(self._workers.items()) if not session.link.is_stalled]

    def call_all(self, name: str, body: bytes, timeout_s: float, done: Answered) -> None:
        """Ask all workers; `done` gets slot -> answer, None for no answer in time or a worker that was lost.

        A worker whose link has just ended, and that may come back, is among them. `done` is called at
        once if there are none. Raises LinkError for a question too long for a link.
        """
        workers = self._workers.values()
        absent = [slot for slot in self._departures.slots() if slot not in self._workers]
        self.calls.ask(name, body, timeout_s, done, workers=workers, absent=absent)

    def cast_all(self, name: str, body: bytes) -> None:
        """Tell all workers that are linked; one that links later is told by `on_link`. Raises LinkError."""
        data = encode(messages.Cast(name, body))
        for session in list(self._workers.values()):
            session.deliver(data)

    def reasons(self) -> list[str]:
        """Return what is wrong with the links, for people; the empty list if nothing is."""
        return [
            f"worker {slot} has not been heard for {session.link.silence_s:.0f} s"
            for slot, session in sorted(self._workers.items())
            if session.link.is_stalled
        ]

    def statistics(self) -> ServiceStatistics:
        """Return a snapshot."""
        traffic = self._traffic
        return ServiceStatistics(
            links={slot: session.link.statistics() for slot, session in sorted(self._workers.items())},
            accepted=self._accepted,
            ended=traffic.ended,
            overflows=traffic.overflows,
            refused=self._refused,
            calls=len(self.calls),
            messages_in=traffic.messages_in,
            messages_out=traffic.messages_out,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
        )

    # -- sessions call -----------------------------------------------------------------------

    def greet(self, session: Session, hello: messages.Hello) -> None:
        """See `Greeter.greet`."""
        if hello.version != messages.VERSION:
            self._refused += 1
            reason = f"this is version {messages.VERSION} of the link, not {hello.version}"
            session.link.send(messages.Refused(reason))
            session.link.close()
            self._open.pop(session, None)
            log.error("a worker was refused: it speaks version %d of the link", hello.version)
            return
        if not 0 <= hello.slot <= MAX_SLOT or not hello.uid:
            raise LinkError("a Hello of nobody")
        older = self._workers.get(hello.slot)
        if older is not None:
            older.link.close()
            self.ended(older, "it has a newer one")
        self._departures.bury_slot(hello.slot, hello.uid)
        told = self._departures.take(hello.uid)
        if told is None and hello.service == self.uid:
            told = Joins()  # that all its clients left has been told
        session.begin(hello.slot, hello.uid, told)
        self._workers[hello.slot] = session
        session.link.send(messages.Welcome(self.uid))
        for name, body in self.on_link(hello.slot) if self.on_link is not None else ():
            session.link.send(messages.Cast(name, body))

    def restored(self, session: Session) -> None:
        """See `Greeter.restored`."""
        self._departures.settle(session)
        log.info("worker %d is linked", session.slot)

    def hand_out(self, channel: str, info: bytes, *, is_leave: bool) -> None:
        """See `Greeter.hand_out`."""
        self._departures.hand_out(channel, info, is_leave=is_leave)

    def dismiss(self, session: Session) -> None:
        """See `Greeter.dismiss`: it will not come back, so nothing is kept for it."""
        session.link.close()
        self._forget(session)
        log.info("worker %d has left", session.slot)
        self.calls.excuse(session)
        self._departures.add(session)
        self._departures.bury(session.uid)

    def ended(self, session: Session, reason: str) -> None:
        """See `Greeter.ended`."""
        was_greeted = session.state is not SessionState.GREETING
        self._forget(session)
        if not was_greeted:
            log.warning("a link ended before its greeting: %s", reason)
            return
        log.warning("the link of worker %d has ended: %s", session.slot, reason)
        self.calls.lose(session)
        self._departures.add(session)

    def _forget(self, session: Session) -> None:
        self._open.pop(session, None)
        session.leave()
        if self._workers.get(session.slot) is session:
            del self._workers[session.slot]

    def _on_accept(self, transport: Transport) -> None:
        if len(self._open) >= MAX_LINKS:
            self._refused += 1
            transport.abort()
            return
        self._accepted += 1
        session = Session(self)
        reader = MessageReader(FromWorker, MAX_GREETING_BYTES)
        session.link = Link(
            self._reactor, transport, session, reader, self._limits, self._traffic, pings=False
        )
        self._open[session] = None
