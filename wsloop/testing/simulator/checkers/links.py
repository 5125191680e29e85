"""What is said on a link between two processes arrives: byte for byte, and message for message.

A `LinkTap` stands at one end of a link, at three places: where messages are said, in the socket's `send` and
`recv`, and before the owner who deals with what has come. What goes on the wire is the head of what was said
here; what is dealt with here is what was said at the other end, all of it and in its order, for as long as
the link lasts. Nothing is sent on a link that has ended, and a turn's work for it is within its budget.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsloop.cluster.codec import encode
from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.cluster.link_states import LinkState
from wsloop.cluster.messages import Hello, Message
from wsloop.testing.simulator.checkers.wire import head_of, take_off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.buffers.outbox import Piece
    from wsloop.cluster.link import Link, LinkOwner
    from wsloop.server.assembly import House
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.sockets import SimulatedSocket


class Said(list[bytes]):
    """What a link was given to say since its last flush; `tap` remembers all of it."""

    __slots__ = ("tap",)

    def __init__(self, said: list[bytes], tap: LinkTap) -> None:
        super().__init__(said)
        self.tap = tap
        tap.owed.extend(said)
        tap.said.extend(said)

    def append(self, data: bytes, /) -> None:
        """See `list.append`."""
        self.tap.owed.append(data)
        self.tap.said.append(data)
        super().append(data)


class LinkTap:
    """At one end of `link`, which was made in this turn. Satisfies `LinkOwner`, before the real one.

    `owed`: what was said and is not on the wire; `said`: messages that the other end has not dealt with.
    `other` returns the tap there.
    """

    __slots__ = ("_messages", "_name", "_owner", "_read_step", "_recv", "_scene", "_send", "_sock", "_step",
        "_taps", "link", "owed", "said",
    )  # fmt: skip

    def __init__(
        self, scene: Scene, name: str, link: Link, sock: SimulatedSocket, taps: dict[SimulatedSocket, LinkTap]
    ) -> None:
        self.link = link
        self.owed: deque[Piece] = deque()
        self.said: deque[bytes] = deque()
        self._scene = scene
        self._name = name
        self._sock = sock
        self._taps = taps
        self._read_step = self._step = -1
        self._messages = 0
        self._owner: LinkOwner = link._owner
        link._owner = self
        link._said = Said(link._said, self)
        self._send, self._recv = sock.send, sock.recv
        sock.send = self.send  # type: ignore[method-assign]
        sock.recv = self.recv  # type: ignore[method-assign]
        taps[sock] = self

    def _broken(self, name: str, what: str) -> None:
        self._scene.broken(name, f"on link {self._sock.number} {self._name} {what}")

    # -- the wire ------------------------------------------------------------------------------

    def send(self, data: Piece, /) -> int:
        """See `SocketLike.send`."""
        if self.link.state is LinkState.CLOSED:
            self._broken("close", f"sent {len(data)} bytes when it was closed")
        owed = self.owed
        if not owed or (data is not owed[0] and head_of(owed, len(data)) != data):
            self._broken("wire", f"sent {bytes(data[:40])!r} where {head_of(owed, 40)!r} was said")
        count = self._send(data)
        take_off(owed, count)
        return count

    def recv(self, max_bytes: int, /) -> bytes:
        """See `SocketLike.recv`; a turn's budget is one read, of so many bytes."""
        data = self._recv(max_bytes)
        if self._read_step == self._scene.step:
            self._broken("budget", "was read from twice in one turn")
        self._read_step = self._scene.step
        if len(data) > self.link._limits.read_bytes:
            self._broken("budget", f"read {len(data)} bytes in one turn")
        return data

    # -- the owner -----------------------------------------------------------------------------

    def on_message(self, link: Link, message: Message, /) -> None:
        """See `LinkOwner.on_message`: it is the next that the other end has said."""
        other = self._taps.get(self._sock.peer)
        said = other.said.popleft() if other is not None and other.said else b""
        # A worker that is restarted may begin a link and end it in one go, with nothing but a greeting said.
        is_last_word = other is None and isinstance(message, Hello)
        if encode(message) != said and not is_last_word:
            self._broken("wire", f"dealt with {message} where {said[:60]!r} was said")
        if self._step != self._scene.step:
            self._step, self._messages = self._scene.step, 0
        self._messages += 1
        # What a read brings, and what an earlier one has left.
        if self._messages > 2 * link._limits.messages_per_turn:
            self._broken("budget", f"dealt with {self._messages} messages in one turn")
        self._owner.on_message(link, message)

    def on_drained(self, link: Link, /) -> None:
        """See `LinkOwner.on_drained`."""
        self._owner.on_drained(link)

    def on_tick(self, link: Link, /) -> None:
        """See `LinkOwner.on_tick`."""
        self._owner.on_tick(link)

    def on_ended(self, link: Link, reason: str, /) -> None:
        """See `LinkOwner.on_ended`."""
        self._owner.on_ended(link, reason)


class LinkWatch:
    """Finds the links of one life of a process as they are made: `look` after each turn."""

    __slots__ = ("_process", "_scene", "_service", "_taps", "_uplink")

    def __init__(
        self, scene: Scene, process: Process, house: House, taps: dict[SimulatedSocket, LinkTap]
    ) -> None:
        domain = getattr(house.domain, "inner", house.domain)
        self._scene = scene
        self._process = process
        self._taps = taps
        self._uplink = domain.link if isinstance(domain, WorkerDomain) else None
        self._service = domain.service if isinstance(domain, HubDomain) else None

    def look(self) -> None:
        """Stand at each link that is new: nothing was sent or read on it yet."""
        for link in self._links():
            if type(link._owner) is not LinkTap and link.state is not LinkState.CLOSED:
                owner = self._process.network.descriptors.owner(link._transport.fileno())
                LinkTap(self._scene, self._process.name, link, owner, self._taps)  # type: ignore[arg-type]

    def _links(self) -> Iterator[Link]:
        if self._uplink is not None and self._uplink._link is not None:
            yield self._uplink._link
        if self._service is not None:
            for session in self._service._open:
                yield session.link
