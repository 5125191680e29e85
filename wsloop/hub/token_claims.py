"""What may stand in a token: its claims, with their types and limits.

Names and meanings are Centrifugo's (client protocol, "connect" and "subscribe"), those of RFC 7519
section 4.1 included. Unknown claims are ignored; of a claim that stands there twice the last counts
(RFC 7519 section 4). The types are strict: a number in quotes is no number.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import Meta

from wsloop.hub.grants import Override, SubscriptionGrant
from wsloop.hub.replies import PayloadError, one_line

LAST_UNIX_S = 2**53
"""The last whole number that every reader of JSON has exactly; what is later is a mistake."""

MAX_TTL_S = 365 * 86_400
"""No right lasts longer without being renewed, whatever its token says."""

NumericDate = Annotated[float, Meta(ge=0, le=LAST_UNIX_S)]
"""Unix seconds, perhaps with a fraction (RFC 7519 section 2)."""
UnixSeconds = Annotated[int, Meta(ge=0, le=LAST_UNIX_S)]

NOTHING = msgspec.Raw()


class Flag(msgspec.Struct, frozen=True, gc=False):
    """An option that the token sets, either way."""

    value: bool


class OverrideClaim(msgspec.Struct, frozen=True, gc=False):
    """Options of the namespace that are different for one subscription."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_push_join_leave: Flag | None = None
    force_positioning: Flag | None = None
    force_recovery: Flag | None = None

    def read(self) -> Override:
        """Return it in the hub's own terms."""
        names = self.__struct_fields__
        return Override(**{name: flag.value for name in names if (flag := getattr(self, name)) is not None})


class SubscriptionOptions(msgspec.Struct, frozen=True):
    """What a token says of one subscription; an entry of `subs`."""

    info: msgspec.Raw = NOTHING
    b64info: str = ""
    data: msgspec.Raw = NOTHING
    b64data: str = ""
    override: OverrideClaim | None = None

    def grant(self, expire_at: int = 0) -> SubscriptionGrant:
        """Return the right it is; raises ValueError for what is no JSON."""
        return SubscriptionGrant(
            info=payload(self.info, self.b64info),
            data=payload(self.data, self.b64data),
            expire_at=expire_at,
            override=self.override.read() if self.override is not None else None,
        )


class RegisteredClaims(msgspec.Struct, frozen=True):
    """The claims of both kinds of tokens: whose, from whom, for whom, when."""

    sub: str = ""
    exp: NumericDate | None = None
    nbf: NumericDate | None = None
    iat: NumericDate | None = None
    expire_at: UnixSeconds | None = None
    aud: str | tuple[str, ...] | None = None
    iss: str | None = None
    jti: str = ""
    channel: str = ""
    client: str = ""

    def ends_at(self, unix_s: float) -> int:
        """Return when the right ends, Unix seconds, at most MAX_TTL_S from now; 0 for never.

        `expire_at` goes before `exp`: with 0 the right does not end with the token.
        """
        end_s = int(self.exp or 0) if self.expire_at is None else self.expire_at
        return min(end_s, int(unix_s) + MAX_TTL_S)


class ConnectionClaims(RegisteredClaims, frozen=True):
    """A connection token."""

    info: msgspec.Raw = NOTHING
    b64info: str = ""
    meta: msgspec.Raw = NOTHING
    channels: tuple[str, ...] = ()
    subs: dict[str, SubscriptionOptions] = {}

    def subscriptions(self) -> dict[str, SubscriptionGrant]:
        """Return the channels the server subscribes the client to; raises ValueError for what is no JSON."""
        named = {channel: SubscriptionGrant() for channel in self.channels}
        return named | {channel: options.grant() for channel, options in self.subs.items()}


class SubscriptionClaims(RegisteredClaims, frozen=True):
    """A subscription token."""

    info: msgspec.Raw = NOTHING
    b64info: str = ""
    data: msgspec.Raw = NOTHING
    b64data: str = ""
    override: OverrideClaim | None = None

    def options(self) -> SubscriptionOptions:
        """Return what it says of the subscription."""
        return SubscriptionOptions(self.info, self.b64info, self.data, self.b64data, self.override)


def payload(plain: msgspec.Raw, in_base64: str = "") -> bytes:
    """Return a payload as JSON on one line, b"" for none; what is in base64 goes first.

    Raises ValueError if it is not base64 of JSON. JSON null is none.
    """
    data = bytes(plain)
    if in_base64:
        try:
            data = base64.b64decode(in_base64, validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
    if data in (b"", b"null"):
        return b""
    try:
        return one_line(data)
    except PayloadError:
        raise ValueError("not JSON") from None
