"""Frames and sequences of frames, as a client sends them: valid, broken by one rule, and hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from wsloop.testing.strategies.texts import LARGE_RUNS, binary_payloads, invalid_utf8, large, text_payloads
from wsloop.testing.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PLAIN_MASK,
    PONG,
    TEXT,
    Frame,
    binary,
    close,
    cut_at,
    encode_frames,
    frame,
    more,
    ping,
    pong,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED_OPCODES = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
"""Codes that must not be sent (RFC 6455 section 7.4). 1014 is in neither list: it was registered later."""

GROWN = (*(None,) * 240, ("a", 2), *LARGE_RUNS)
"""One message in forty is large: it costs as much as a hundred others.

What fails for another reason shrinks to None, or, where there must be something to cut, to two characters.
"""

NEAR, LONG_BYTES = 200, 10_000
"""Messages are cut near their beginnings, but for long ones."""

BETWEEN = (0, 0, 1, 2)
"""Control frames between two fragments: four messages stay below the fifty that wsloop takes at once."""


def masks() -> st.SearchStrategy[bytes]:
    """Draw masks of clients: any four bytes, shrinking to the one that changes nothing."""
    return st.just(PLAIN_MASK) | st.binary(min_size=4, max_size=4)


@st.composite
def control_frames(draw: st.DrawFn, mask: st.SearchStrategy[bytes] | None = None) -> Frame:
    """Draw pings and pongs of 0 to 125 bytes."""
    opcode = draw(st.sampled_from((PING, PONG)))
    data = draw(st.binary(max_size=12) | st.sampled_from((124, 125)).map(lambda n: b"p" * n))
    return Frame(opcode, data, mask=draw(masks() if mask is None else mask))


@st.composite
def close_frames(draw: st.DrawFn) -> Frame:
    """Draw close frames that may be sent: empty, with a code, with a code and a reason."""
    code = draw(st.none() | st.sampled_from(CODES))
    reason = "" if code is None else draw(st.text(max_size=30))
    return close(code, reason, mask=draw(masks()))


@st.composite
def messages(
    draw: st.DrawFn,
    payloads: st.SearchStrategy[tuple[int, bytes]] | None = None,
    *,
    interleaved: bool = True,
    max_fragments: int = 6,
) -> tuple[Frame, ...]:
    """Draw a message in 1 to `max_fragments` frames, cut within characters too, some of them empty.

    With `interleaved`, control frames stand between the fragments. `payloads` draws (opcode, payload); if it
    is None, text and binary messages are drawn, a few of them `large_payloads`.
    """
    if payloads is None:
        # Drawn behind the payload that it replaces, so that what fails for another reason shrinks.
        opcode, payload = draw(_payloads())
        grown = draw(st.sampled_from(GROWN))
        payload = payload if grown is None else large(grown)
    else:
        opcode, payload = draw(payloads)
    cuts = draw(
        st.lists(
            st.integers(0, NEAR if len(payload) < LONG_BYTES else len(payload)), max_size=max_fragments - 1
        )
    )
    parts = cut_at(*cuts).pieces(payload) or [b""]
    if len(parts) < max_fragments and draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), b"")
    frames = []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        frames.append(Frame(CONTINUATION if index else opcode, part, fin=is_last, mask=draw(masks())))
        if interleaved and not is_last:
            frames += [draw(control_frames()) for _ in range(draw(st.sampled_from(BETWEEN)))]
    return tuple(frames)


def _payloads() -> st.SearchStrategy[tuple[int, bytes]]:
    return st.one_of(
        st.tuples(st.just(TEXT), text_payloads()),
        st.tuples(st.just(BINARY), binary_payloads()),
    )


@st.composite
def valid_sequences(
    draw: st.DrawFn, *, max_messages: int = 6, may_close: bool = True, garbage: bool = False
) -> tuple[Frame, ...]:
    """Draw frames that break no rule: messages, control frames, and (`may_close`) a close frame at the end.

    With `garbage`, anything may follow the close frame, which nobody is to read.
    """
    units = draw(st.lists(messages() | st.tuples(control_frames()), max_size=max_messages))
    frames = tuple(each for unit in units for each in unit)
    if may_close and draw(st.booleans()):
        frames += (draw(close_frames()),)
        if garbage:
            frames += tuple(draw(st.lists(hostile_frames(), max_size=2)))
    return frames


@st.composite
def hostile_frames(draw: st.DrawFn, *, honest: bool = False) -> Frame:
    """Draw single frames of any opcode, bits, mask and length; their header may lie unless `honest`."""
    lengths = st.none() if honest else st.none() | st.integers(0, 300) | st.just(65535)
    return frame(
        draw(st.integers(0, 15)),
        draw(st.binary(max_size=140)),
        fin=draw(st.booleans()),
        rsv=draw(st.sampled_from((0, 0, 0, 1, 2, 4, 7))),
        mask=draw(st.one_of(masks(), masks(), masks(), st.none())),
        width=draw(st.sampled_from((None, None, 16, 64))),
        length=draw(lengths),
    )


@st.composite
def huge_frames(draw: st.DrawFn) -> Frame:
    """Draw headers that announce from 1 MiB up to 2**64 - 1 bytes, and no payload."""
    opcode = draw(st.sampled_from((TEXT, BINARY, CONTINUATION, PING)))
    return Frame(
        opcode, length=draw(st.sampled_from((1 << 20, 2**62, 2**63 - 1, 2**63, 2**64 - 1))), width=64
    )


@st.composite
def broken_sequences(draw: st.DrawFn, *, max_messages: int = 3) -> tuple[Frame, ...]:
    """Draw a valid sequence that ends in a breach of exactly one rule; every frame is whole.

    Each rule of RFC 6455 sections 5 and 8.1 that a client can break is among them.
    """
    units = draw(st.lists(messages() | st.tuples(control_frames()), max_size=max_messages))
    before = tuple(each for unit in units for each in unit)
    return before + draw(st.one_of([make() for make in _BREACHES]))


@st.composite
def _header_breach(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Draw a reserved opcode, a reserved bit, or no mask."""
    make = draw(st.sampled_from((text, binary, ping, pong)))
    kind = draw(st.sampled_from(("opcode", "bit", "mask")))
    if kind == "opcode":
        return (frame(draw(st.sampled_from(RESERVED_OPCODES)), draw(st.binary(max_size=3))),)
    return (make(rsv=draw(st.sampled_from((4, 1, 2, 6)))) if kind == "bit" else make(mask=None),)


@st.composite
def _length_breach(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Draw a length in a longer form than needed, or with its highest bit set."""
    make = draw(st.sampled_from((text, binary, ping)))
    kind = draw(st.sampled_from(("short", "medium", "highest bit")))
    if kind == "short":
        return (make(b"abc", width=draw(st.sampled_from((16, 64)))),)
    return (binary(b"a" * 126, width=64) if kind == "medium" else binary(length=2**63, width=64),)


@st.composite
def _control_breach(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Draw a control frame that is a fragment, or too long."""
    make = draw(st.sampled_from((ping, pong)))
    breaches = (make(fin=False), make(b"c" * 126), close(1000, fin=False), close(1000, "c" * 124))
    return (breaches[draw(st.integers(0, 3))],)


@st.composite
def _order_breach(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Draw a continuation of nothing, or a message inside of another."""
    fin, kinds = draw(st.booleans()), st.sampled_from((text, binary))
    if draw(st.booleans()):
        return (draw(kinds)(b"a", fin=False), draw(kinds)(b"b", fin=fin))
    return (more(fin=fin),)


def _text_breach() -> st.SearchStrategy[tuple[Frame, ...]]:
    """Draw text that is not UTF-8, whole or in fragments; the last of them is final."""
    return messages(st.tuples(st.just(TEXT), invalid_utf8()), interleaved=False)


@st.composite
def _close_breach(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Draw a close frame with half a code, a code nobody may send, or a reason that is not UTF-8."""
    kind = draw(st.sampled_from(("half", "code", "reason")))
    if kind == "half":
        return (close(payload=draw(st.binary(min_size=1, max_size=1))),)
    return (close(draw(st.sampled_from(BAD_CODES))) if kind == "code" else close(1000, draw(invalid_utf8())),)


_BREACHES: tuple[Callable[[], st.SearchStrategy[tuple[Frame, ...]]], ...] = (
    _header_breach, _length_breach, _control_breach, _order_breach, _text_breach, _close_breach,
)  # fmt: skip


def encoded(frames: st.SearchStrategy[tuple[Frame, ...]]) -> st.SearchStrategy[bytes]:
    """Draw the bytes of what `frames` draws."""
    return frames.map(encode_frames)


@st.composite
def damaged_streams(draw: st.DrawFn, frames: st.SearchStrategy[tuple[Frame, ...]] | None = None) -> bytes:
    """Draw the bytes of a valid sequence (or of `frames`) with 1 to 3 places changed, dropped or put in."""
    stream = bytearray(encode_frames(draw(valid_sequences() if frames is None else frames)))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(stream)))
        stream[position : position + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(stream)
