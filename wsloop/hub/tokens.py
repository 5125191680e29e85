"""Tokens that are JWTs (RFC 7519): the Verifier for what the operator's own application signs.

The order is everything. First the form: three parts of base64url, of bounded length. Then, from
the header, only which key and which of its algorithms. Then the signature. Only when it holds are
claims read at all; and a token that is wrong in any other way is invalid, never just expired, since
an expired one makes the client ask for another.

Time is an argument. The keys are `token_keys.py`'s, the claims `token_claims.py`'s.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from wsloop.hub.grants import Identity, SubscriptionToken
from wsloop.hub.token_claims import ConnectionClaims, RegisteredClaims, SubscriptionClaims, payload
from wsloop.hub.token_keys import KIND_OF
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, NotReadyError, Verifier

if TYPE_CHECKING:
    from wsloop.hub.token_keys import Keys

MAX_TOKEN_BYTES = 32 * 1024
"""A token that names 128 channels of 100 bytes has 20 kB; a message of commands holds 64 KiB."""

_form = re.compile(r"([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)", re.ASCII)

Claims = TypeVar("Claims", bound=RegisteredClaims)


class TokenRules(msgspec.Struct, frozen=True):
    """What a token has to be signed with, and what has to stand in it.

    `audience` must be in its `aud`, `issuer` be its `iss`; "" lets any pass, or none.
    """

    keys: Keys
    audience: str = ""
    issuer: str = ""


class _Header(msgspec.Struct, frozen=True):
    """RFC 7515 section 4.1; a header with `crit` asks for what is not known here, so any is refused."""

    alg: str
    kid: str = ""
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_header = msgspec.json.Decoder(_Header).decode


class JwtVerifier(Verifier):
    """Judges JWTs. Argument `subscription`: other rules for subscription tokens, None: the same."""

    __slots__ = ("_connection", "_subscription")

    def __init__(self, connection: TokenRules, subscription: TokenRules | None = None) -> None:
        self._connection = connection
        self._subscription = subscription or connection

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """See `Verifier.verify_connection`. A token with a `channel` is a subscription's: invalid."""
        claims = _read(token, self._connection, ConnectionClaims)
        if claims.channel:
            raise InvalidTokenError("a subscription token is given to connect")
        try:
            identity = Identity(
                claims.sub,
                info=payload(claims.info, claims.b64info),
                meta=payload(claims.meta),
                expire_at=claims.ends_at(unix_s),
                subscriptions=claims.subscriptions(),
                issued_at=int(claims.iat or 0),
                token_id=claims.jti,
            )
        except ValueError as fault:
            raise InvalidTokenError(f"a payload is {fault}") from None
        _check_times(claims, unix_s)
        return identity

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        """See `Verifier.verify_subscription`. A token without `channel` is a connection's: invalid."""
        claims = _read(token, self._subscription, SubscriptionClaims)
        if not claims.channel:
            raise InvalidTokenError("a token without channel is given to subscribe")
        try:
            grant = claims.options().grant(claims.ends_at(unix_s))
        except ValueError as fault:
            raise InvalidTokenError(f"a payload is {fault}") from None
        _check_times(claims, unix_s)
        return SubscriptionToken(
            claims.sub,
            claims.channel,
            claims.client,
            grant,
            issued_at=int(claims.iat or 0),
            token_id=claims.jti,
        )


def _read(token: str, rules: TokenRules, kind: type[Claims]) -> Claims:
    """Return the claims of a token that is signed as `rules` say; times are not looked at."""
    body = _verified(token, rules.keys)
    try:
        claims = msgspec.json.decode(body.decode(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidTokenError("the claims are not what they have to be") from None
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud or ()
    if rules.audience and rules.audience not in audiences:
        raise InvalidTokenError("it is for another audience")
    if rules.issuer and claims.iss != rules.issuer:
        raise InvalidTokenError("it is from another issuer")
    return claims


def _verified(token: str, keys: Keys) -> bytes:
    """Return the payload of a token whose signature holds; raises InvalidTokenError."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("it is too long")
    parts = _form.fullmatch(token)
    if parts is None:
        raise InvalidTokenError("it does not have three parts in base64url")
    try:
        # As text: msgspec does not look at the UTF-8 of what it leaves out.
        header = _decode_header(_unpacked(parts[1]).decode())
        signature = _unpacked(parts[3])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidTokenError("its header or signature is not readable") from None
    if header.crit is not msgspec.UNSET:
        raise InvalidTokenError("its header asks for what is not known here")
    key = keys.find(header.alg, header.kid)
    if key is None and keys.is_awaited and header.alg in KIND_OF:
        raise NotReadyError
    if key is None:
        raise InvalidTokenError("no key is configured for its algorithm and key id")
    if not key.verify(header.alg, token[: parts.end(2)].encode(), signature):
        raise InvalidTokenError("its signature does not hold")
    try:
        return _unpacked(parts[2])
    except binascii.Error:
        raise InvalidTokenError("its payload is not readable") from None


def _unpacked(part: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2); raises binascii.Error."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _check_times(claims: RegisteredClaims, unix_s: float) -> None:
    """RFC 7519 sections 4.1.4 and 4.1.5: from `nbf` on, until before `exp`."""
    if claims.nbf is not None and unix_s < claims.nbf:
        raise InvalidTokenError("it is not valid yet")
    if claims.exp is not None and unix_s >= claims.exp:
        raise ExpiredTokenError("it has expired")
