"""Little on the wire that becomes much, or takes long: memory bounded, work linear, by counting."""

from __future__ import annotations

import tracemalloc
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.protocol.deflate_kit import drive, frames_of
from wsloop.errors import ProtocolError
from wsloop.protocol import inflate
from wsloop.protocol.deflate import EMPTY_BLOCK
from wsloop.protocol.inflate import (
    INPUT_STEP_BYTES,
    MAX_FINAL_BLOCKS,
    OUTPUT_STEP_BYTES,
    Inflater,
    max_wire_bytes,
)
from wsloop.protocol.limits import Limits
from wsloop.testing.deflating import Deflater, deflated, final_block
from wsloop.testing.wire import BINARY, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MIB = 1 << 20
BOMB_BYTES = 64 * MIB


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """64 MiB of zeros in 65 KB."""
    payload = deflated(bytes(BOMB_BYTES))
    assert len(payload) < BOMB_BYTES // 1000
    return payload


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(inflater: Inflater, pieces: Iterable[bytes]) -> int:
    with pytest.raises(ProtocolError) as caught:
        for piece in pieces:
            inflater.feed(piece)
        inflater.take(final=True)
    return caught.value.close_code


@pytest.mark.parametrize("piece_bytes", [1, 100, 16_384, BOMB_BYTES])
@pytest.mark.parametrize("limit", [64 * 1024, MIB])
def test_a_bomb_is_refused_and_never_held(bomb: bytes, limit: int, piece_bytes: int) -> None:
    pieces = [bomb[at : at + piece_bytes] for at in range(0, len(bomb), piece_bytes)]
    inflater = Inflater(limit)
    codes: list[int] = []
    peak = peak_bytes(lambda: codes.append(refused(inflater, pieces)))
    assert codes == [1009]
    # A bytearray that grows takes an eighth more; beside it lies a step, which zlib joins from two.
    assert peak < 1.2 * limit + 3 * OUTPUT_STEP_BYTES


def test_a_bomb_in_one_call_is_refused_and_never_held(bomb: bytes) -> None:
    def burst() -> None:
        with pytest.raises(ProtocolError, match="larger than 1048576 bytes"):
            Inflater(MIB).message(bomb)

    assert peak_bytes(burst) < 3 * MIB


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fragments", [1, 2, 1000])
def test_a_bomb_through_wsproto_is_refused_and_never_held(bomb: bytes, opcode: int, fragments: int) -> None:
    frames = frames_of(opcode, bomb, [len(bomb) * n // fragments for n in range(1, fragments)])
    outcomes: list[object] = []
    peak = peak_bytes(lambda: outcomes.append(drive(frames, Inflater(MIB))))
    assert outcomes == [([], 1009)]
    # Besides the message: text of ASCII once more, and what wsproto copies of a frame.
    assert peak < 5 * MIB


def test_a_bomb_of_fragments_that_each_refer_to_the_last_is_refused(bomb: bytes) -> None:
    client = Deflater(12, takeover=True)
    inflater = Inflater(100_000, 4096)
    assert len(inflater.message(client.message(bytes(99_000)))) == 99_000
    second = client.message(bytes(100_001))
    assert len(second) < 200
    assert drive(frames_of(BINARY, second, range(0, len(second), 9)), inflater) == ([], 1009)


def test_every_message_has_its_own_limit_with_and_without_takeover() -> None:
    for kept_bytes in (0, 4096):
        client = Deflater(12, takeover=bool(kept_bytes))
        inflater = Inflater(10_000, kept_bytes)
        for _ in range(20):
            assert len(inflater.message(client.message(bytes(10_000)))) == 10_000


class CountingStream:
    """A stream of zlib's that adds up its calls and the bytes they copy."""

    def __init__(self, work: Work, stream: zlib._Decompress) -> None:
        self._work = work
        self._stream = stream

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._work.calls += 1
        made = self._stream.decompress(data, max_length)
        self._work.copied += len(data) + len(self.unconsumed_tail) + len(self.unused_data)
        return made

    def copy(self) -> CountingStream:
        self._work.calls += 1
        return CountingStream(self._work, self._stream.copy())

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    @property
    def unconsumed_tail(self) -> bytes:
        return self._stream.unconsumed_tail


class Work:
    def __init__(self) -> None:
        self.calls = self.copied = 0

    def decompressobj(self, bits: int) -> CountingStream:
        return CountingStream(self, zlib.decompressobj(bits))


def measured(
    monkeypatch: pytest.MonkeyPatch, limit: int, payload: bytes, piece_bytes: int, code: int | None
) -> Work:
    work = Work()
    counting = SimpleNamespace(decompressobj=work.decompressobj, error=zlib.error)
    monkeypatch.setattr(inflate, "zlib", counting)
    inflater = Inflater(limit)
    pieces = [payload[at : at + piece_bytes] for at in range(0, len(payload), piece_bytes)]
    if code is None:
        for piece in pieces:
            inflater.feed(piece)
        inflater.take(final=True)
    else:
        assert refused(inflater, pieces) == code
    return work


FULL = b"\x00\x05\x00\xfa\xffHello"
EMPTY = b"\x00" + EMPTY_BLOCK


@pytest.mark.parametrize("piece_bytes", [1, 1000, 1 << 30])
@pytest.mark.parametrize(
    ("make", "limit", "code"),
    [
        pytest.param(lambda n: deflated(bytes(range(256)) * n), 8 * MIB, None, id="an honest message"),
        pytest.param(lambda n: deflated(bytes(1000 * n)), 8 * MIB, None, id="much from little"),
        pytest.param(lambda n: EMPTY * n * 50 + b"\x00", 8 * MIB, None, id="empty blocks"),
        pytest.param(
            lambda n: FULL + EMPTY * n * 50 + b"\x00", 5, None, id="empty blocks behind a full message"
        ),
        pytest.param(
            lambda n: FULL + EMPTY * n * 50 + b"\x07", 5, 1007, id="a fault far behind a full message"
        ),
        pytest.param(lambda n: final_block(b"") * n * 50, 8 * MIB, 1008, id="final blocks"),
        pytest.param(
            lambda n: FULL + final_block(b"") * n * 50, 5, 1008, id="final blocks behind a full message"
        ),
    ],
)
def test_work_grows_no_faster_than_the_bytes(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[int], bytes],
    limit: int,
    code: int | None,
    piece_bytes: int,
) -> None:
    for n in (100, 200, 400):
        payload = make(n)
        work = measured(monkeypatch, limit, payload, piece_bytes, code)
        made = min(limit, len(payload) if code else 1000 * n)
        pieces = len(payload) // min(piece_bytes, INPUT_STEP_BYTES) + 1
        steps = pieces + made // OUTPUT_STEP_BYTES + 3 * MAX_FINAL_BLOCKS
        fault = 2 * INPUT_STEP_BYTES
        assert work.calls <= 2 * steps + (fault if code == 1007 else 0) + 8
        assert work.copied <= 2 * len(payload) + 2 * INPUT_STEP_BYTES * steps


@pytest.mark.parametrize("message_bytes", [1, 1000, 64 * 1024, MIB])
@pytest.mark.parametrize("mem_level", [1, 5, 9])
def test_what_does_not_compress_fits_on_the_wire_in_any_number_of_fragments(
    message_bytes: int, mem_level: int
) -> None:
    limits = Limits(message_bytes=message_bytes)
    chance = b"".join(
        zlib.crc32(n.to_bytes(4, "big")).to_bytes(4, "big") for n in range(message_bytes // 4 + 1)
    )
    data = chance[:message_bytes]
    for level in (0, 1, 9):
        for parts in (1, 7, limits.fragments):
            compressor = zlib.compressobj(level, zlib.DEFLATED, -9, mem_level)
            size = -(-message_bytes // parts)
            wire = 0
            for at in range(0, message_bytes, size):
                wire += len(compressor.compress(data[at : at + size]) + compressor.flush(zlib.Z_SYNC_FLUSH))
            assert wire <= max_wire_bytes(limits)
