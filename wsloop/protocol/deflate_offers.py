"""permessage-deflate: which of a client's offers is agreed to, and what that means.

RFC 7692 section 5 (one offer after the other, in the client's order) and section 7.1 (the four
parameters). An offer with anything that is not defined there is declined; the next one may be
better; if none is left, the connection simply does without. Pure. Next: `inflate.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wsloop.protocol.deflate import Compressor, DeflateOptions, compressor_for

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "permessage-deflate"

_SERVER_NO_TAKEOVER = "server_no_context_takeover"
_CLIENT_NO_TAKEOVER = "client_no_context_takeover"
_SERVER_BITS = "server_max_window_bits"
_CLIENT_BITS = "client_max_window_bits"

_BITS = {str(bits): bits for bits in range(8, 16)}
# RFC 7692 sections 7.1.1 and 7.1.2; None stands for a parameter without a value. That the numbers
# are compared as text keeps leading zeros, signs and other alphabets' digits out.
_LEGAL: dict[str, frozenset[str | None]] = {
    _SERVER_NO_TAKEOVER: frozenset({None}),
    _CLIENT_NO_TAKEOVER: frozenset({None}),
    _SERVER_BITS: frozenset(_BITS),
    _CLIENT_BITS: frozenset({None, *_BITS}),
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one connection, or any number of them, has agreed to. Equal ones are one object."""

    header: bytes
    """The value of Sec-WebSocket-Extensions in the 101."""
    compressor: Compressor
    """Makes the frames to send; connections that share it can share its frames."""
    kept_bytes: int
    """How far the client may refer back into earlier messages; 0 without context takeover."""


def negotiate(offers: Iterable[str], options: DeflateOptions) -> Agreement | None:
    """Return the agreement to the first acceptable offer, or None; never raises.

    `offers` are the items of Sec-WebSocket-Extensions in the client's order (`Request.extensions`);
    other extensions among them are passed over.
    """
    for offer in offers:
        parameters = parse_offer(offer)
        if parameters is not None:
            agreement = _agree(parameters, options)
            if agreement is not None:
                return agreement
    return None


def parse_offer(offer: str) -> dict[str, str | None] | None:
    """Return the parameters of an offer of this extension; None if it is not one, or not legal."""
    name, *parameters = offer.split(";")
    if name.strip(" \t") != NAME:
        return None
    found: dict[str, str | None] = {}
    for parameter in parameters:
        key, equals, text = parameter.partition("=")
        key = key.strip(" \t")
        value = _unquote(text.strip(" \t")) if equals else None
        if key in found or value not in _LEGAL.get(key, ()):
            return None
        found[key] = value
    return found


def _unquote(value: str) -> str:
    """RFC 6455 section 9.1: a value may be a quoted string, if it would be a token without."""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def _agree(parameters: dict[str, str | None], options: DeflateOptions) -> Agreement | None:
    """Answer one legal offer by RFC 7692 sections 7.1.1 and 7.1.2."""
    server_bits = _BITS[parameters.get(_SERVER_BITS) or "15"]
    if server_bits == 8:
        # zlib cannot: older versions silently use 9, which this client could not inflate.
        return None
    client_bits: int | None = None
    # A client that cannot limit its window must begin each message anew: its window is not our choice.
    if (
        options.client_context_takeover
        and _CLIENT_BITS in parameters
        and _CLIENT_NO_TAKEOVER not in parameters
    ):
        client_bits = min(_BITS[parameters[_CLIENT_BITS] or "15"], options.window_bits)
    return _agreement(options, min(server_bits, options.window_bits), client_bits)


@cache
def _agreement(options: DeflateOptions, server_bits: int, client_bits: int | None) -> Agreement:
    """Make an agreement, once; `client_bits` is None without context takeover by the client."""
    parts = [NAME, _SERVER_NO_TAKEOVER, f"{_SERVER_BITS}={server_bits}"]
    if client_bits is None:
        parts.append(_CLIENT_NO_TAKEOVER)
        kept_bytes = 0
    else:
        parts.append(f"{_CLIENT_BITS}={client_bits}")
        # A client whose zlib turns 8 into 9 refers back that far.
        kept_bytes = 1 << max(client_bits, 9)
    return Agreement("; ".join(parts).encode("ascii"), compressor_for(options, server_bits), kept_bytes)
