"""Whole conversations with an echo server, in groups: what the judge (`wsloop.testing.judge`) draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from wsloop.testing.judge.conversation import Conversation
from wsloop.testing.requests import usual_request
from wsloop.testing.strategies.compression import (
    broken_offers,
    compressed_messages,
    damaged_deflate,
    deflate_offers,
)
from wsloop.testing.strategies.cutting import cuttings
from wsloop.testing.strategies.frames import broken_sequences, control_frames, messages, valid_sequences
from wsloop.testing.strategies.handshakes import broken_handshakes, handshakes
from wsloop.testing.strategies.texts import large_payloads
from wsloop.testing.wire import BINARY, TEXT, Frame, cut_at, cut_every

if TYPE_CHECKING:
    from wsloop.testing.deflating import Deflated

    Conversations = st.SearchStrategy[Conversation]

MAX_MESSAGES = 4
"""In one conversation, so that no limit on fragments or control frames is met."""

SEGMENTS = (1448, 4096, 16384)
"""Bytes that large messages arrive in: a segment of Ethernet's, usual buffers."""


def groups(host: str, target: str) -> dict[str, Conversations]:
    """Return {name: strategy} of all groups, for the server at `host`, asked for `target`."""
    return {
        "handshakes": _handshakes(host, target),
        "broken handshakes": _broken_handshakes(host, target),
        "messages": _messages(host, target),
        "large messages": _large(host, target),
        "broken frames": _broken(host, target),
        "compression": _compression(host, target),
        "broken compression": _broken_compression(host, target),
    }


@st.composite
def _handshakes(draw: st.DrawFn, host: str, target: str) -> Conversation:
    offer = draw(st.none() | deflate_offers())
    return Conversation(offer=offer, cutting=draw(cuttings(4)), request=draw(handshakes(host, target)))


@st.composite
def _broken_handshakes(draw: st.DrawFn, host: str, target: str) -> Conversation:
    cutting = draw(cuttings(4))
    if draw(st.sampled_from((False, False, False, True))):
        return Conversation(cutting=cutting, offer=draw(broken_offers()), request=usual_request(host, target))
    return Conversation(cutting=cutting, request=draw(broken_handshakes(host, target)))


@st.composite
def _messages(draw: st.DrawFn, host: str, target: str) -> Conversation:
    frames = draw(valid_sequences(max_messages=MAX_MESSAGES))
    at_once = draw(st.booleans())
    return Conversation(frames, draw(cuttings()), at_once, request=usual_request(host, target))


@st.composite
def _large(draw: st.DrawFn, host: str, target: str) -> Conversation:
    """Draw one message about which a header must say 64 bits, or could; no cut leaves thousands of pieces."""
    frames = draw(messages(large_payloads(), max_fragments=3))
    places = st.lists(st.integers(0, 30) | st.integers(0, 1 << 16), max_size=4, unique=True)
    cutting = draw(
        places.map(lambda found: cut_at(*sorted(found))) | st.sampled_from(SEGMENTS).map(cut_every)
    )
    return Conversation(frames, cutting, draw(st.booleans()), request=usual_request(host, target))


@st.composite
def _broken(draw: st.DrawFn, host: str, target: str) -> Conversation:
    frames = draw(broken_sequences(max_messages=2))
    at_once = draw(st.booleans())
    return Conversation(frames, draw(cuttings()), at_once, request=usual_request(host, target))


@st.composite
def _compression(draw: st.DrawFn, host: str, target: str) -> Conversation:
    unit = compressed_messages().map(lambda each: (each,)) | messages() | st.tuples(control_frames())
    units = draw(st.lists(unit, min_size=1, max_size=MAX_MESSAGES))
    frames: tuple[Frame | Deflated, ...] = tuple(each for unit in units for each in unit)
    usual = usual_request(host, target)
    return Conversation(frames, draw(cuttings()), draw(st.booleans()), draw(deflate_offers()), usual)


@st.composite
def _broken_compression(draw: st.DrawFn, host: str, target: str) -> Conversation:
    before = draw(st.lists(compressed_messages(2000), max_size=2))
    damaged = Frame(draw(st.sampled_from((TEXT, BINARY))), draw(damaged_deflate()), rsv=4)
    usual = usual_request(host, target)
    return Conversation(
        (*before, damaged), draw(cuttings()), draw(st.booleans()), draw(deflate_offers()), usual
    )
