"""What a client may say: the commands, decoded by msgspec straight into Structs.

A payload is a `msgspec.Raw`: its JSON is checked by the decoder, kept as the bytes it came in,
and never parsed. Unknown fields are ignored, as SDKs newer than this server send them. What
the commands do is `dispatcher.py`.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

NO_DATA = Raw()
"""Stands for a payload that was not sent; JSON null is a payload."""

CommandId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Offset = Annotated[int, Meta(ge=0)]

FLAG_CHANNEL_COMPACTION = 1
"""Bit 0 of `subscribe.flag`: short ids instead of names in pushes."""
FLAG_REJECT_UNRECOVERED = 2
"""Bit 1 of `subscribe.flag`: answer error 112 instead of `recovered: false`."""


FLAG_PUBLISH_ONCE = 1 << 20
"""Bit 20 of `connect.flag`: the client may send `publish.idem` and `publish.seq`."""
FLAG_ACKS = 1 << 21
"""Bit 21 of `connect.flag`: the client may send `ack`."""
EXTENSIONS = FLAG_PUBLISH_ONCE | FLAG_ACKS
"""What is echoed in the reply's `flag`, where it was asked for."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """Base of the requests: immutable, and without a cycle for the garbage collector to find."""


class Remembered(Request, frozen=True):
    """A server-side subscription that the client remembers from its last connection."""

    recover: bool = False
    epoch: str = ""
    offset: Offset = 0


class ConnectRequest(Request, frozen=True):
    """`connect`: who the client is; `subs`, the server-side subscriptions it wants to recover."""

    token: str = ""
    data: Raw = NO_DATA
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}
    subs: dict[str, Remembered] = {}
    flag: int = 0


class SubscribeRequest(Request, frozen=True):
    """`subscribe`: with `recover`, from the position (`epoch`, `offset`) the client last saw."""

    channel: str = ""
    token: str = ""
    data: Raw = NO_DATA
    type: int = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    delta: str = ""
    flag: int = 0
    tf: Raw = NO_DATA


class ChannelRequest(Request, frozen=True):
    """`unsubscribe`, `presence` and `presence_stats`: a channel is all they need."""

    channel: str = ""


class Numbered(Request, frozen=True):
    """The `n`-th publication of `sender`, a name that the client chose for itself at random."""

    sender: str = ""
    n: int = 0


class PublishRequest(Request, frozen=True):
    """`publish`: any JSON as `data`; once only under the same `idem` or `seq` (extensions)."""

    channel: str = ""
    data: Raw = NO_DATA
    idem: str = ""
    seq: Numbered | None = None


class AckRequest(Request, frozen=True):
    """`ack` (extension): the client has dealt with the channel up to `offset`."""

    channel: str = ""
    offset: Offset = 0
    epoch: str = ""


class Since(Request, frozen=True):
    """A position in a stream; an empty epoch means the present one."""

    offset: Offset = 0
    epoch: str = ""


class HistoryRequest(Request, frozen=True):
    """`history`: `limit` 0 asks for the position, a negative one for all that may be had."""

    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class RpcRequest(Request, frozen=True):
    """`rpc`: any JSON as `data`, for a method of the operator's own application."""

    method: str = ""
    data: Raw = NO_DATA


class SendRequest(Request, frozen=True):
    """`send`: any JSON as `data`; there is no reply."""

    data: Raw = NO_DATA


class RefreshRequest(Request, frozen=True):
    """`refresh`: another token for the same user."""

    token: str = ""


class SubRefreshRequest(Request, frozen=True):
    """`sub_refresh`: another token for the same channel."""

    channel: str = ""
    token: str = ""


class EmptyRequest(Request, frozen=True):
    """`ping`: nothing in it is used."""


class Command(Request, frozen=True):
    """One line of a client's frame: an id and, in practice, one of the methods.

    Id 0 stands for none. Methods that are not listed leave all fields None.
    """

    id: CommandId = 0
    publish: PublishRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: ChannelRequest | None = None
    history: HistoryRequest | None = None
    presence: ChannelRequest | None = None
    presence_stats: ChannelRequest | None = None
    connect: ConnectRequest | None = None
    ack: AckRequest | None = None
    rpc: RpcRequest | None = None
    send: SendRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None
    ping: EmptyRequest | None = None


_decode = msgspec.json.Decoder(Command).decode

_SURROGATE = re.compile(
    r"\\\\"  # an escaped backslash: what follows it is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
)


def decode_command(line: str) -> Command:
    """Turn one line into a `Command`.

    Half a surrogate pair, written as an escape, becomes U+FFFD: it is grammatical JSON (RFC 8259
    section 8.2), and what JavaScript makes of a cut emoji, but no subscriber could decode it.

    Raises msgspec.DecodeError on what is not JSON or not of the listed types, RecursionError on a
    payload nested about a thousand levels deep, which no subscriber could read either.
    """
    try:
        return _decode(line)
    except msgspec.DecodeError:
        repaired = _SURROGATE.sub(lambda match: "\\ufffd" if match[1] else match[0], line)
        if repaired == line:
            raise
        return _decode(repaired)


def is_empty_object(line: str) -> bool:
    """Return whether a line that decoded as a command without id and method is `{}`, a pong."""
    try:
        return line == "{}" or not msgspec.json.decode(line, type=dict[str, Raw])
    except RecursionError:
        # Decoded once already, but a few frames higher up the stack.
        return False
