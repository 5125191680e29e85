"""What is said on a link between a worker and the hub process, and how it is written.

Each message is a MessagePack array that begins with its kind, behind its length: 4 bytes,
big-endian. There are two directions with their own kinds; what both sides say (`Ping`, `Ask`,
`Answer`) has one meaning in both. Questions carry a number, unique on the link, which the answer repeats.

The conversation: a worker says `Hello`, is told `Welcome` (or `Refused`), says again what it had said on
an earlier link (`Interests`, `Members`), ends that with `Restored`, and from then on says what its hub
wants. Everything is carried out in the order in which it was said.

Pure: bytes in, messages out. Read `link.py` next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from types import UnionType

VERSION = 1
"""Of this protocol. Both ends are of one installation; another version is refused, not understood."""

LENGTH_BYTES = 4
"""Before each message: its length, big-endian."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of one message. The largest answer that is asked for is 4 MiB of history (`HubOptions`); a list of 100,000
clients of a channel with 150 bytes for each fits."""

MAX_GREETING_BYTES = 1024
"""Of the first message on a link, whose sender is not known yet."""

MAX_INTEGER = 2**63 - 1
"""MessagePack's integers end at 64 bits, Python's do not: offsets and versions above are brought here."""


class LinkError(WsloopError):
    """The other end of a link broke the protocol, or a message cannot be written. `reason` is for the log."""

    peer_fault = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Anything said on a link."""


class Numbered(Message, frozen=True):
    """A question, or the answer that repeats its number."""

    number: int


class Ping(Message, frozen=True, tag=0):
    """Are you there? From the worker, once a second."""

    number: int


class Ask(Numbered, frozen=True, tag=1):
    """A question of the operations: `name` with `body`, which the link does not look into."""

    name: str
    body: bytes


class Answer(Numbered, frozen=True, tag=2):
    """The answer to an `Ask`; None if there is none."""

    body: bytes | None


class Cast(Message, frozen=True, tag=3):
    """Like `Ask`, but nobody waits for an answer."""

    name: str
    body: bytes


class Hello(Message, frozen=True, tag=10):
    """A worker's first word.

    `uid` is of this life of the worker's process, the same on all its links. `service` is the `uid` of
    the service it was linked to last, "" if to none.
    """

    version: int
    slot: int
    uid: str
    service: str


class Interests(Message, frozen=True, tag=11):
    """Channels and patterns to begin to hear of."""

    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class Disinterest(Message, frozen=True, tag=12):
    """A channel, or a pattern, to hear of no more."""

    channel: str
    is_pattern: bool = False


class Member(Message, frozen=True):
    """A client's presence in a channel: its info as JSON. Part of `Members`."""

    channel: str
    client: str
    user: str
    info: bytes


class Members(Message, frozen=True, tag=13):
    """Clients that are present."""

    members: tuple[Member, ...]


class Absence(Message, frozen=True, tag=14):
    """A client that is present in a channel no longer."""

    channel: str
    client: str


class Announcement(Message, frozen=True):
    """A join that was handed out and whose leave was not: part of `Announced`."""

    channel: str
    info: bytes
    count: int


class Announced(Message, frozen=True, tag=15):
    """Joins that were said on an earlier link and hold, with how often each does by now."""

    joins: tuple[Announcement, ...]


class Restored(Message, frozen=True, tag=16):
    """What was said on earlier links has been said again."""


class JoinSaid(Message, frozen=True, tag=17):
    """A join to hand out."""

    channel: str
    info: bytes


class LeaveSaid(Message, frozen=True, tag=18):
    """A leave to hand out."""

    channel: str
    info: bytes


class Publish(Numbered, frozen=True, tag=20):
    """A draft to append, with the `Retention` of its channel; answered by `Placed`."""

    channel: str
    data: bytes
    size: int
    ttl_s: float
    meta_ttl_s: float
    info: bytes = b""
    tags: bytes = b""
    key: str = ""
    version: int = 0
    version_epoch: str = ""
    delta: bool = False


class ReadHistory(Numbered, frozen=True, tag=21):
    """A stream to read, with the `Retention` of its channel; answered by `View`."""

    channel: str
    limit: int
    since: int | None
    reverse: bool
    max_bytes: int | None
    size: int
    ttl_s: float
    meta_ttl_s: float


class RemoveHistory(Numbered, frozen=True, tag=22):
    """A stream to begin anew; answered by `View` without publications."""

    channel: str


class ListMembers(Numbered, frozen=True, tag=23):
    """Who is in a channel? Answered by `MemberList`."""

    channel: str


class CountMembers(Numbered, frozen=True, tag=24):
    """How many are in a channel? Answered by `MemberCount`."""

    channel: str


class Welcome(Message, frozen=True, tag=40):
    """The answer to `Hello`: `uid` is of this life of the service."""

    uid: str


class Refused(Message, frozen=True, tag=41):
    """The other answer to `Hello`; the link ends."""

    reason: str


class Pong(Message, frozen=True, tag=42):
    """The answer to a `Ping`, with the numbers of `BrokerStatistics` that are of all workers."""

    number: int
    streams: int
    publications: int
    held_bytes: int
    keys: int
    evicted: int


class Published(Message, frozen=True, tag=43):
    """A publication of a channel that the worker has an interest in."""

    channel: str
    epoch: str
    offset: int
    data: bytes
    info: bytes = b""
    tags: bytes = b""
    delta: bool = False


class Joined(Message, frozen=True, tag=44):
    """A join in such a channel."""

    channel: str
    info: bytes


class Left(Message, frozen=True, tag=45):
    """A leave in such a channel."""

    channel: str
    info: bytes


class Placed(Numbered, frozen=True, tag=46):
    """Where a publication stands: `Appended`."""

    offset: int
    epoch: str
    duplicate: bool


class Line(Message, frozen=True):
    """One publication of a `View`."""

    offset: int
    data: bytes
    info: bytes = b""
    tags: bytes = b""
    delta: bool = False


class View(Numbered, frozen=True, tag=47):
    """What a read found: `StreamView`."""

    offset: int
    epoch: str
    publications: tuple[Line, ...] = ()


class MemberList(Numbered, frozen=True, tag=48):
    """A channel's clients: id -> info."""

    members: dict[str, bytes]


class MemberCount(Numbered, frozen=True, tag=49):
    """A channel's numbers: `PresenceStats`."""

    clients: int
    users: int


class Failed(Numbered, frozen=True, tag=50):
    """A question that could not be answered: `Unavailable`."""

    reason: str


Both = Ping | Ask | Answer | Cast

FromWorker = (
    Both
    | Hello
    | Interests
    | Disinterest
    | Members
    | Absence
    | Announced
    | Restored
    | JoinSaid
    | LeaveSaid
    | Publish
    | ReadHistory
    | RemoveHistory
    | ListMembers
    | CountMembers
)
"""What a worker says."""

FromService = (
    Both
    | Welcome
    | Refused
    | Pong
    | Published
    | Joined
    | Left
    | Placed
    | View
    | MemberList
    | MemberCount
    | Failed
)
"""What the hub process says."""

_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return a message as it goes on the wire.

    Raises LinkError for what cannot be written: more than MAX_MESSAGE_BYTES, a lone surrogate in a
    string, an integer beyond 64 bits.
    """
    try:
        body = _encoder.encode(message)
    except (UnicodeEncodeError, OverflowError) as error:
        raise LinkError(f"a message cannot be written: {error}") from error
    if len(body) > MAX_MESSAGE_BYTES:
        raise LinkError(f"a message of {len(body)} bytes is too long for the link")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def bounded(integer: int) -> int:
    """Return the integer, or the nearest one that can be written."""
    return max(-MAX_INTEGER, min(integer, MAX_INTEGER))


class MessageReader:
    """Messages of one direction from bytes, however they were cut.

    `kinds` is `FromWorker` or `FromService`. `feed` what has arrived, then call `next` until it returns None.
    `max_bytes` of one message may be changed between messages. After a LinkError there is no next.

    An unfinished message is kept as the pieces in which it came, and joined once.
    """

    __slots__ = ("_at", "_data", "_decoder", "_missing_bytes", "_parts", "max_bytes")

    def __init__(self, kinds: UnionType, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(kinds)
        self.max_bytes = max_bytes
        self._data = b""
        self._at = 0
        self._parts: list[bytes] = []
        self._missing_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes; call it only when `next` has returned None, or was not called yet."""
        self._parts.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes <= 0:
            rest = self._data[self._at :]
            self._data = b"".join((rest, *self._parts)) if rest or len(self._parts) > 1 else data
            self._at = 0
            self._parts.clear()
            self._missing_bytes = 0

    def next(self) -> Message | None:
        """Return the next message, None if it has not arrived whole. Raises LinkError for what is none."""
        if self._missing_bytes:
            return None
        start = self._at + LENGTH_BYTES
        missing_bytes = start - len(self._data)
        if missing_bytes <= 0:
            length = int.from_bytes(self._data[self._at : start], "big")
            if length > self.max_bytes:
                raise LinkError(f"a message of {length} bytes was announced, {self.max_bytes} are allowed")
            missing_bytes = start + length - len(self._data)
        if missing_bytes > 0:
            self._missing_bytes = missing_bytes
            return None
        self._at = start + length
        try:
            return self._decoder.decode(memoryview(self._data)[start : self._at])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LinkError(f"a message makes no sense: {error}") from error
