"""What a server answered to an offer of permessage-deflate, and whether it may (RFC 7692 section 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.deflating import BrokenOffer, DeflateParameters

if TYPE_CHECKING:
    from wsloop.testing.judge.conversation import Answer

NAME = "permessage-deflate"
_BITS = {str(bits): bits for bits in range(8, 16)}


class IllegalAnswerError(ValueError):
    """An answer holds something that RFC 7692 does not define; its text says what."""


def agreement(answer: Answer) -> DeflateParameters | None:
    """Return what the server agreed to, None if to nothing; raises IllegalAnswerError."""
    items = [item for value in answer.values("sec-websocket-extensions") for item in value.split(",")]
    if not items:
        return None
    if len(items) > 1:
        raise IllegalAnswerError("more than one extension is agreed to")
    name, *parameters = (part.strip() for part in items[0].split(";"))
    if name != NAME:
        raise IllegalAnswerError("an extension is agreed to that was not offered")
    found: dict[str, str | None] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if key in found:
            raise IllegalAnswerError("a parameter is named twice")
        found[key] = value.strip('"') if equals else None
    return _parameters(found)


def _parameters(found: dict[str, str | None]) -> DeflateParameters:
    """Return the parameters of an answer; windows must have a value there, takeover must have none."""
    flags = {name: name in found for name in ("server_no_context_takeover", "client_no_context_takeover")}
    windows: dict[str, int | None] = {}
    for name in ("server_max_window_bits", "client_max_window_bits"):
        value = found.pop(name, "")
        windows[name] = _BITS.get(value or "")
        if value != "" and windows[name] is None:
            raise IllegalAnswerError("a window is not from 8 to 15")
    for name in flags:
        if found.pop(name, None) is not None:
            raise IllegalAnswerError("a parameter without a value has one")
    if found:
        raise IllegalAnswerError("a parameter is not known")
    return DeflateParameters(*flags.values(), *windows.values())


def objection(offer: DeflateParameters | BrokenOffer | None, agreed: DeflateParameters | None) -> str | None:
    """Return why an answer does not fit the offer, or None."""
    if agreed is None:
        return None
    if offer is None:
        return "an extension is agreed to that was not offered"
    if isinstance(offer, BrokenOffer):
        return f"an offer is agreed to though {offer.wrong}"
    if offer.server_no_takeover and not agreed.server_no_takeover:
        return "server_no_context_takeover was asked for and is not agreed to"
    if offer.server_bits and (agreed.server_bits or 15) > offer.server_bits:
        return "the server's window is larger than it was asked to be"
    if agreed.client_bits and not (offer.client_bits or offer.client_limits):
        return "the client's window is limited though it did not offer that"
    if agreed.client_bits and agreed.client_bits > (offer.client_bits or 15):
        return "the client's window is larger than it offered"
    return None
