"""What the tests of permessage-deflate share: frames as bytes, and a driver through wsproto."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from tests.protocol.kit import client_frame
from wsloop.protocol.deflate import ZLIB, Backend, choose_backend
from wsloop.protocol.inflate import Inflater, PerMessageDeflate
from wsloop.testing.deflating import deflated, fragments
from wsloop.testing.strategies.compression import SENTENCE, damaged_deflate, repetitive_payloads
from wsloop.testing.wire import BINARY, CONTINUATION, PING, PONG, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = SENTENCE
payloads = repetitive_payloads()
streams_of_blocks = damaged_deflate()
KEY = b"\x01\x80\xfe\x3c"


def isal() -> Backend:
    """The other backend; without it the test is skipped, but fails in CI."""
    backend = choose_backend()
    if backend is ZLIB:
        if os.environ.get("CI"):
            pytest.fail("isal is missing: pip install isal")
        pytest.skip("isal is not installed: pip install isal")
    return backend


def frames_of(opcode: int, payload: bytes, cuts: Iterable[int] = (), *, rsv: int = 4) -> list[bytes]:
    """A message's frames, its payload cut into fragments; RSV1 on the first unless `rsv` is 0."""
    return [frame.encode() for frame in fragments(opcode, payload, cuts, rsv=rsv, mask=KEY)]


Outcome = tuple[list[bytes | str], int | None]


def drive(pieces: Iterable[bytes], inflater: Inflater) -> Outcome:
    """Feed wsproto with the pieces; return the whole messages, and the close code of a failure."""
    protocol = FrameProtocol(client=False, extensions=[PerMessageDeflate(inflater)])
    messages: list[bytes | str] = []
    parts: list[bytes | str] = []
    for piece in pieces:
        protocol.receive_bytes(piece)
        try:
            for frame in protocol.received_frames():
                payload = frame.payload
                if frame.opcode.iscontrol() or isinstance(payload, tuple):
                    continue
                parts.append(payload)
                if frame.message_finished:
                    empty = payload[:0]
                    messages.append(empty.join(parts))  # type: ignore[arg-type]
                    parts.clear()
        except ParseFailed as error:
            return messages, int(error.code)
    return messages, None


_frames = st.one_of(
    st.builds(
        frames_of,
        st.sampled_from((TEXT, BINARY)),
        st.one_of(payloads.map(deflated), payloads, streams_of_blocks),
        st.lists(st.integers(0, 500), max_size=3),
        rsv=st.sampled_from((4, 4, 4, 0)),
    ),
    st.builds(
        lambda *arguments: [client_frame(*arguments[:2], fin=arguments[2], rsv=arguments[3])],
        st.sampled_from((CONTINUATION, TEXT, BINARY, PING, PONG)),
        st.binary(max_size=20),
        st.booleans(),
        st.sampled_from((0, 0, 4, 4, 2)),
    ),
    st.just([client_frame(PING, b"beat")]),
)


@st.composite
def frame_streams(draw: st.DrawFn) -> bytes:
    groups = draw(st.lists(_frames, max_size=5))
    mixed = [frame for group in groups for frame in group]
    if draw(st.booleans()):
        mixed.insert(draw(st.integers(0, len(mixed))), client_frame(PING, b"between"))
    return b"".join(mixed)
