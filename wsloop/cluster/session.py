"""The hub process's end of one worker's link: what the worker says is done, in the order in which it is said.

    GREETING -> RESTORING -> LINKED -> GONE

A session is a consumer of the shared broker and asks it on the worker's behalf. What it holds for the
worker ends with the link: presence at once; interests and joins when the worker has taken leave, or is known
to be dead (`service.py` decides): a link that breaks and comes back is no leave and join of everybody.

Joins are counted twice while a worker restores: `said` is what it holds now, `told` what others have heard,
perhaps on an earlier link. Once it is `Restored` the difference is told.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

from wsloop.cluster import asking, messages
from wsloop.cluster.answering import QUESTIONS, answer
from wsloop.cluster.codec import MAX_MESSAGE_BYTES, LinkError
from wsloop.cluster.standing import Joins
from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.cluster.asking import Handler
    from wsloop.cluster.calls import Calls
    from wsloop.cluster.link import Link
    from wsloop.cluster.shared import SharedBroker
    from wsloop.hub.presence import Presence


class SessionState(enum.Enum):
    """Where a session stands."""

    GREETING = "greeting"
    RESTORING = "restoring"
    LINKED = "linked"
    GONE = "gone"


class SessionStep(enum.Enum):
    """What moves it on."""

    GREETED = "greeted"
    RESTORED = "restored"
    END = "end"


SESSION_TRANSITIONS: dict[SessionState, dict[SessionStep, SessionState]] = {
    SessionState.GREETING: {
        SessionStep.GREETED: SessionState.RESTORING,
        SessionStep.END: SessionState.GONE,
    },
    SessionState.RESTORING: {
        SessionStep.RESTORED: SessionState.LINKED,
        SessionStep.END: SessionState.GONE,
    },
    SessionState.LINKED: {
        SessionStep.END: SessionState.GONE,
    },
    SessionState.GONE: {},
}
"""Which step is possible where."""


class Greeter(Protocol):
    """The service, as a session sees it."""

    shared: SharedBroker

    @property
    def presence(self) -> Presence:
        """Who is in each channel, on all workers."""
        ...

    calls: Calls
    handler: Handler | None

    def greet(self, session: Session, hello: messages.Hello, /) -> None:
        """Let a worker in, or refuse it."""
        ...

    def restored(self, session: Session, /) -> None:
        """Hear that a worker has said again what holds."""
        ...

    def hand_out(self, channel: str, info: bytes, /, *, is_leave: bool) -> None:
        """Tell others of a join or a leave, behind those that are still to be told."""
        ...

    def dismiss(self, session: Session, /) -> None:
        """Hear that a worker takes leave."""
        ...

    def ended(self, session: Session, reason: str, /) -> None:
        """Hear that its link has ended."""
        ...


class Session:
    """One worker's link; `link` is given right after. `slot` is -1 until the worker has greeted."""

    __slots__ = (
        "_service",
        "channels",
        "link",
        "members",
        "patterns",
        "said",
        "slot",
        "state",
        "told",
        "uid",
    )

    link: Link

    def __init__(self, service: Greeter) -> None:
        self.slot = -1
        self.uid = ""
        self.state = SessionState.GREETING
        self.channels: dict[str, None] = {}
        self.patterns: dict[str, None] = {}
        self.members: dict[str, set[str]] = {}
        self.said = Joins()
        self.told: Joins | None = None
        self._service = service

    @property
    def heard(self) -> Joins:
        """The joins that others have heard of and whose leaves they have not."""
        return self.said if self.told is None else self.told

    def deliver(self, data: bytes, /) -> None:
        """See `Consumer.deliver`."""
        self.link.send_encoded(data)

    def begin(self, slot: int, uid: str, told: Joins | None) -> None:
        """Take what the worker says from now on.

        `told`: the joins that others have heard of it, to be compared; None if those it says again hold.
        """
        self._step(SessionStep.GREETED)
        self.slot, self.uid, self.told = slot, uid, told
        self.link.allow(MAX_MESSAGE_BYTES)
        self.link.ready()

    def leave(self) -> None:
        """Note that the link has ended: the worker's clients are present no longer."""
        self._step(SessionStep.END)
        for channel, clients in self.members.items():
            for client in clients:
                self._service.presence.remove(channel, client)
        self.members.clear()

    def lose_interest(self) -> None:
        """Hear of nothing any more."""
        for channel in self.channels:
            self._service.shared.unsubscribe(channel, self)
        for pattern in self.patterns:
            self._service.shared.unsubscribe_pattern(pattern, self)
        self.channels.clear()
        self.patterns.clear()

    # -- the link calls ----------------------------------------------------------------------

    def on_message(self, link: Link, message: messages.Message) -> None:
        """See `LinkOwner.on_message`."""
        if isinstance(message, messages.Hello):
            if self.state is not SessionState.GREETING:
                raise LinkError("a second Hello")
            self._service.greet(self, message)
        elif self.state is SessionState.GREETING:
            raise LinkError(f"{type(message).__name__} before Hello")
        elif type(message) in QUESTIONS:
            service = self._service
            answer(message, service.shared.broker, service.presence, self._reply)
        else:
            _RECEIVERS[type(message)](self, message)

    def on_drained(self, link: Link) -> None:
        """See `LinkOwner.on_drained`."""

    def on_tick(self, link: Link) -> None:
        """See `LinkOwner.on_tick`."""

    def on_ended(self, link: Link, reason: str) -> None:
        """See `LinkOwner.on_ended`."""
        self._service.ended(self, reason)

    # -- what a worker holds -----------------------------------------------------------------

    def _on_interests(self, message: messages.Interests) -> None:
        for channel in message.channels:
            self.channels[channel] = None
            self._service.shared.subscribe(channel, self)
        for pattern in message.patterns:
            self.patterns[pattern] = None
            self._service.shared.subscribe_pattern(pattern, self)

    def _on_disinterest(self, message: messages.Disinterest) -> None:
        if message.is_pattern:
            self.patterns.pop(message.channel, None)
            self._service.shared.unsubscribe_pattern(message.channel, self)
        else:
            self.channels.pop(message.channel, None)
            self._service.shared.unsubscribe(message.channel, self)

    def _on_members(self, message: messages.Members) -> None:
        for member in message.members:
            self.members.setdefault(member.channel, set()).add(member.client)
            self._service.presence.add(member.channel, member.client, member.user, member.info)

    def _on_absence(self, message: messages.Absence) -> None:
        clients = self.members.get(message.channel)
        if clients is None or message.client not in clients:
            return
        clients.discard(message.client)
        if not clients:
            del self.members[message.channel]
        self._service.presence.remove(message.channel, message.client)

    def _on_announced(self, message: messages.Announced) -> None:
        for join in message.joins:
            self.said.set(join.channel, join.info, join.count)

    def _on_join(self, message: messages.JoinSaid) -> None:
        self.said.add(message.channel, message.info)
        if self.told is not None:
            self.told.add(message.channel, message.info)
        self._service.hand_out(message.channel, message.info, is_leave=False)

    def _on_leave(self, message: messages.LeaveSaid) -> None:
        self.said.remove(message.channel, message.info)
        if self.told is not None:
            self.told.remove(message.channel, message.info)
        self._service.hand_out(message.channel, message.info, is_leave=True)

    def _on_restored(self, _message: messages.Restored) -> None:
        if self.state is not SessionState.RESTORING:
            raise LinkError("Restored twice")
        self._step(SessionStep.RESTORED)
        self._service.restored(self)

    def _on_farewell(self, _message: messages.Farewell) -> None:
        self._service.dismiss(self)

    # -- questions ---------------------------------------------------------------------------

    def _reply(self, answer: messages.Numbered) -> None:
        """Say an answer; one that cannot be written fails."""
        try:
            self.link.send(answer)
        except LinkError as error:
            self.link.send(messages.Failed(answer.number, error.reason))

    def _on_ping(self, ping: messages.Ping) -> None:
        told = self._service.shared.broker.statistics()
        self.link.send(
            messages.Pong(ping.number, told.streams, told.publications, told.bytes, told.keys, told.evicted)
        )

    def _on_ask(self, question: messages.Ask) -> None:
        asking.answer(self.link, question, self._service.handler)

    def _on_cast(self, cast: messages.Cast) -> None:
        asking.hear(cast, self._service.handler)

    def _on_answer(self, answer: messages.Answer) -> None:
        self._service.calls.receive(self, answer)

    def _step(self, taken: SessionStep) -> None:
        try:
            self.state = SESSION_TRANSITIONS[self.state][taken]
        except KeyError:
            raise StateError(f"{taken.value} is illegal while a session is {self.state.value}") from None


_RECEIVERS: dict[type, Callable[[Session, Any], None]] = {
    messages.Interests: Session._on_interests,
    messages.Disinterest: Session._on_disinterest,
    messages.Members: Session._on_members,
    messages.Absence: Session._on_absence,
    messages.Announced: Session._on_announced,
    messages.Restored: Session._on_restored,
    messages.JoinSaid: Session._on_join,
    messages.LeaveSaid: Session._on_leave,
    messages.Farewell: Session._on_farewell,
    messages.Ping: Session._on_ping,
    messages.Ask: Session._on_ask,
    messages.Cast: Session._on_cast,
    messages.Answer: Session._on_answer,
}
"""What is no question to a port, and who receives it."""
