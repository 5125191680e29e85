"""The JSON of the backend's questions and answers: Centrifugo's proxy protocol.

Requests are those of a client of the JSON protocol over WebSocket. Payloads are `msgspec.Raw`: checked
by the decoder, never parsed. Unknown fields are ignored, as backends written for other versions
send them. `send` has no model in Centrifugo; it has the shape of an rpc without a method.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw

NO_JSON = Raw()
"""Stands for a payload that is not there."""

UnixTime = Annotated[int, Meta(ge=0, le=2**53)]
ErrorCode = Annotated[int, Meta(ge=100, le=1999)]
"""Below 100 are the SDKs' own; 400 to 1999 are the application's."""
CloseCode = Annotated[int, Meta(ge=3000, le=4999)]

Result = TypeVar("Result")


class _Question(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What every question says: which client it is about. The defaults of the first are never left out."""

    client: str
    transport: str
    protocol: str
    encoding: str


class ConnectBody(_Question, frozen=True, kw_only=True):
    """The question whether it may connect, and as whom."""

    name: str = ""
    version: str = ""
    token: str = ""
    data: Raw | msgspec.UnsetType = msgspec.UNSET
    channels: tuple[str, ...] = ()


class UserBody(_Question, frozen=True, kw_only=True):
    """The question whether its connection may go on, and the base of all that a user asks for."""

    user: str
    meta: Raw | msgspec.UnsetType = msgspec.UNSET


class ChannelBody(UserBody, frozen=True, kw_only=True):
    """The question whether it may subscribe, publish `data`, or keep its subscription."""

    channel: str
    token: str = ""
    data: Raw | msgspec.UnsetType = msgspec.UNSET


class RpcBody(UserBody, frozen=True, kw_only=True):
    """It calls a method, or sends a message."""

    method: str = ""
    data: Raw | msgspec.UnsetType = msgspec.UNSET


class Switch(msgspec.Struct, frozen=True):
    """A boolean, in an object of its own so that it can be left out."""

    value: bool = False


class OverrideAnswer(msgspec.Struct, frozen=True):
    """Options of the namespace that a subscription has differently."""

    presence: Switch | None = None
    join_leave: Switch | None = None
    force_push_join_leave: Switch | None = None
    force_positioning: Switch | None = None
    force_recovery: Switch | None = None


class SubscribeAnswer(msgspec.Struct, frozen=True):
    """A right to one channel."""

    info: Raw = NO_JSON
    b64info: str = ""
    data: Raw = NO_JSON
    b64data: str = ""
    expire_at: UnixTime = 0
    override: OverrideAnswer | None = None


class ConnectAnswer(msgspec.Struct, frozen=True):
    """Who the client is."""

    user: str = ""
    info: Raw = NO_JSON
    b64info: str = ""
    data: Raw = NO_JSON
    b64data: str = ""
    meta: Raw = NO_JSON
    expire_at: UnixTime = 0
    channels: tuple[str, ...] = ()
    subs: dict[str, SubscribeAnswer] = {}


class RefreshAnswer(msgspec.Struct, frozen=True):
    """How long a connection or a subscription may go on."""

    expired: bool = False
    expire_at: UnixTime = 0
    info: Raw = NO_JSON
    b64info: str = ""


class PublishAnswer(msgspec.Struct, frozen=True):
    """It may be published: `data` instead, if given."""

    data: Raw = NO_JSON
    b64data: str = ""
    skip_history: bool = False


class RpcAnswer(msgspec.Struct, frozen=True):
    """What the method returns."""

    data: Raw = NO_JSON
    b64data: str = ""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The command gets this error."""

    code: ErrorCode
    message: str = ""
    temporary: bool = False


class DisconnectAnswer(msgspec.Struct, frozen=True):
    """The client is to be disconnected."""

    code: CloseCode
    reason: str = ""


class Reply(msgspec.Struct, Generic[Result], frozen=True):
    """One of the three; if there are several, the sternest counts."""

    result: Result | None = None
    error: ErrorAnswer | None = None
    disconnect: DisconnectAnswer | None = None
