"""What the tests of permessage-deflate share: clients' deflaters, and a driver through wsproto."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from tests.protocol.kit import BINARY, CONTINUATION, PING, PONG, TEXT, client_frame
from wsloop.protocol.deflate import EMPTY_BLOCK, ZLIB, Backend, choose_backend
from wsloop.protocol.inflate import Inflater, PerMessageDeflate

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = b'{"push":{"channel":"chat:index","pub":{"data":{"text":"hello, hello, world"},"offset":17}}}'

payloads = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(str.encode),
    st.integers(0, 3000).map(lambda n: (JSON * (n // len(JSON) + 1))[:n]),
    st.tuples(st.binary(min_size=1, max_size=50), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1]),
)


def isal() -> Backend:
    """The other backend; without it the test is skipped, but fails in CI."""
    backend = choose_backend()
    if backend is ZLIB:
        if os.environ.get("CI"):
            pytest.fail("isal is missing: pip install isal")
        pytest.skip("isal is not installed: pip install isal")
    return backend


class Deflater:
    """A client's sender, on plain zlib."""

    def __init__(self, bits: int = 15, *, level: int = 6, mem_level: int = 8, takeover: bool = False) -> None:
        self._arguments = (level, zlib.DEFLATED, -bits, mem_level)
        self._takeover = takeover
        self._compressor = zlib.compressobj(*self._arguments)

    def message(self, data: bytes) -> bytes:
        if not self._takeover:
            self._compressor = zlib.compressobj(*self._arguments)
        flushed = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert flushed.endswith(EMPTY_BLOCK)
        return flushed[:-4]


def deflated(data: bytes, bits: int = 15) -> bytes:
    """The payload of a compressed message that says `data`."""
    return Deflater(bits).message(data)


def final_block(data: bytes) -> bytes:
    """`data` in deflate blocks of which the last has BFINAL set."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def frames_of(opcode: int, payload: bytes, cuts: Iterable[int] = (), *, rsv: int = 4) -> list[bytes]:
    """A message's frames, its payload cut into fragments; RSV1 on the first unless `rsv` is 0."""
    points = sorted({cut % (len(payload) + 1) for cut in cuts})
    parts = [payload[a:b] for a, b in zip([0, *points], [*points, len(payload)], strict=True)]
    last = len(parts) - 1
    return [
        client_frame(CONTINUATION if i else opcode, part, fin=i == last, rsv=0 if i else rsv)
        for i, part in enumerate(parts)
    ]


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


# Fixed Huffman codes behind the first byte: random symbols, of which many are faults.
garbage = st.binary(min_size=1, max_size=30).map(lambda data: bytes([data[0] & 0xF8 | 2]) + data[1:])
streams_of_blocks = st.lists(
    st.one_of(
        st.binary(max_size=20),
        garbage,
        st.binary(max_size=12).map(final_block),
        st.binary(max_size=12).map(lambda data: deflated(data) + EMPTY_BLOCK),
        st.just(b"\x00" + EMPTY_BLOCK),
    ),
    max_size=4,
).map(b"".join)


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
