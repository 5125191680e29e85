"""What is said on a link between a worker and the hub process: the vocabulary.

There are two directions with their own kinds of messages; what both sides say (`Ask`, `Answer`) has one
meaning in both. Questions carry a number, unique on the link, which the answer repeats.

The conversation: a worker says `Hello`, is told `Welcome` (or `Refused`), says again what it had said on
an earlier link (`Interests`, `Members`), ends that with `Restored`, and from then on says what its hub
wants. Everything is carried out in the order in which it was said.

Read `codec.py` for how it is written, `link.py` for what carries it.
"""

from __future__ import annotations

import msgspec

VERSION = 1
"""Of this protocol. Both ends are of one installation; another version is refused, not understood."""


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


class Farewell(Message, frozen=True, tag=19):
    """A worker's last word: it ends in good order, and will not link again."""


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


class Confirm(Numbered, frozen=True, tag=25):
    """Is the interest in a channel, or a pattern, known? Answered by `Confirmed` as soon as it is."""

    name: str


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


class Confirmed(Numbered, frozen=True, tag=51):
    """The interest is known: whatever is published from here on is told."""


FromWorker = (
    Ping
    | Ask
    | Answer
    | Cast
    | Hello
    | Interests
    | Disinterest
    | Members
    | Absence
    | Announced
    | Restored
    | JoinSaid
    | LeaveSaid
    | Farewell
    | Publish
    | ReadHistory
    | RemoveHistory
    | ListMembers
    | CountMembers
    | Confirm
)
"""What a worker says."""

FromService = (
    Ask
    | Answer
    | Cast
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
    | Confirmed
)
"""What the hub process says."""
