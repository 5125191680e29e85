"""The outgoing half: what any client makes of our compressed frames, and when they are not made."""

from __future__ import annotations

import dataclasses
import random
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate as WebsocketsDeflate
from websockets.frames import Frame, Opcode
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol

from tests.protocol.deflate_kit import JSON, isal, payloads
from wsloop.protocol.deflate import (
    EMPTY_BLOCK,
    SHARED_BROADCASTS,
    ZLIB,
    Backend,
    Compressor,
    DeflateOptions,
    choose_backend,
    compressor_for,
)
from wsloop.protocol.frames import encode_frame, encode_header
from wsloop.testing.wire import BINARY, PING, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

window_bits = st.integers(9, 15)
EAGER = DeflateOptions(min_bytes=0)


@pytest.fixture(params=[lambda: ZLIB, isal], ids=["zlib", "isal"], scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Callable[[], Backend] = request.param
    return chosen()


def wsproto_client(bits: int) -> FrameProtocol:
    extension = WsprotoDeflate(server_no_context_takeover=True, server_max_window_bits=bits)
    extension._enabled = True
    return FrameProtocol(client=True, extensions=[extension])


def read_by_wsproto(protocol: FrameProtocol, frame: bytes) -> bytes:
    protocol.receive_bytes(frame)
    payloads = [frame.payload for frame in protocol.received_frames()]
    return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in payloads)  # type: ignore[arg-type]


def inflated_in_a_window(payload: bytes, bits: int) -> bytes:
    """Inflate in steps so small that zlib must take earlier output from its window, not its buffer."""
    inflater = zlib.decompressobj(-bits)
    return b"".join(inflater.decompress(payload[at : at + 32]) for at in range(0, len(payload), 32))


@given(payloads, window_bits, st.integers(1, 9), st.integers(1, 9))
@example(b"", 12, 3, 5)
def test_zlib_reads_back_what_was_compressed(
    backend: Backend, payload: bytes, bits: int, level: int, mem_level: int
) -> None:
    options = DeflateOptions(level=level, mem_level=mem_level, backend=backend)
    compressed = Compressor(options, bits).compress(payload)
    assert zlib.decompressobj(-15).decompress(compressed + EMPTY_BLOCK) == payload


@given(st.lists(payloads, max_size=4), window_bits)
def test_wsprotos_client_reads_our_frames_one_after_the_other(
    backend: Backend, messages: list[bytes], bits: int
) -> None:
    compressor = Compressor(dataclasses.replace(EAGER, backend=backend), bits)
    protocol = wsproto_client(bits)
    for message in messages:
        assert read_by_wsproto(protocol, compressor.encode_frame(BINARY, message)) == message


@given(st.lists(payloads, max_size=4), window_bits)
def test_websockets_client_reads_our_payloads_one_after_the_other(
    backend: Backend, messages: list[bytes], bits: int
) -> None:
    compressor = Compressor(dataclasses.replace(EAGER, backend=backend), bits)
    client = WebsocketsDeflate(True, True, bits, 15)
    for message in messages:
        frame = Frame(Opcode.BINARY, compressor.compress(message), rsv1=True)
        assert bytes(client.decode(frame).data) == message


def test_the_empty_message_is_one_zero_byte() -> None:
    # RFC 7692 section 7.2.3.6
    assert Compressor(dataclasses.replace(EAGER, backend=ZLIB), 12).compress(b"") == b"\x00"


def repeating(gap: int) -> bytes:
    chance = random.Random(gap)
    block = chance.randbytes(100)
    return b"".join(block + chance.randbytes(gap) for _ in range(4))


@pytest.mark.parametrize("bits", range(9, 16))
def test_no_reference_reaches_further_back_than_the_agreed_window(backend: Backend, bits: int) -> None:
    for gap in ((1 << bits) - 150, (1 << bits) + 40):
        data = repeating(gap)
        for level in (1, 4, 9):
            compressed = Compressor(DeflateOptions(level=level, backend=backend), bits).compress(data)
            assert inflated_in_a_window(compressed + EMPTY_BLOCK, bits) == data


def test_a_reference_that_reaches_too_far_would_be_seen() -> None:
    compressed = Compressor(DeflateOptions(backend=ZLIB), 13).compress(repeating(4200))
    with pytest.raises(zlib.error, match="too far back"):
        inflated_in_a_window(compressed, 12)


def test_zlib_has_no_raw_deflate_with_a_window_of_256_bytes() -> None:
    # Older zlibs take 8 and make it 9: what they make cannot be inflated by a client that asked for 8.
    with pytest.raises(ValueError, match="Invalid initialization option"):
        zlib.compressobj(wbits=-8)


@given(payloads, window_bits, st.sampled_from((TEXT, BINARY)))
def test_a_frame_is_compressed_exactly_if_that_makes_it_smaller(
    payload: bytes, bits: int, opcode: int
) -> None:
    compressor = Compressor(dataclasses.replace(EAGER, backend=ZLIB), bits)
    compressed = compressor.compress(payload)
    frame = compressor.encode_frame(opcode, payload)
    if len(compressed) < len(payload):
        assert frame == encode_header(opcode, len(compressed), rsv1=True) + compressed
        assert frame[0] == 0xC0 | opcode
    else:
        assert frame == encode_frame(opcode, payload)


@pytest.mark.parametrize("min_bytes", [1, 90, 512])
def test_a_short_payload_stays_as_it_is(min_bytes: int) -> None:
    compressor = Compressor(DeflateOptions(min_bytes=min_bytes), 12)
    short, long = b"a" * (min_bytes - 1), b"a" * max(min_bytes, 20)
    assert compressor.encode_frame(TEXT, short) == encode_frame(TEXT, short)
    assert compressor.compressed_frame(TEXT, short) is None
    assert compressor.compressed_frame(TEXT, bytearray(long)) == compressor.encode_frame(TEXT, long)
    assert compressor.encode_frame(TEXT, long)[0] == 0xC1


@given(payloads, st.sampled_from((TEXT, BINARY)), st.integers(0, 1500))
@example(b"a" * 125, TEXT, 0)
@example(b"a" * 126, TEXT, 0)
@example(b"a" * 70_000, BINARY, 512)
def test_a_shared_frame_is_what_would_have_been_encoded(payload: bytes, opcode: int, min_bytes: int) -> None:
    compressor = Compressor(DeflateOptions(min_bytes=min_bytes), 12)
    expected = compressor.encode_frame(opcode, payload)
    assert compressor.recode(encode_frame(opcode, payload)) == expected
    assert compressor.shared_frames(encode_frame(opcode, payload)) == expected


@given(st.lists(st.tuples(st.sampled_from((TEXT, BINARY, PING)), payloads), max_size=6), st.integers(0, 600))
def test_joined_frames_are_compressed_one_by_one(messages: list[tuple[int, bytes]], min_bytes: int) -> None:
    compressor = Compressor(DeflateOptions(min_bytes=min_bytes), 12)
    plain = [(opcode, payload[:125] if opcode == PING else payload) for opcode, payload in messages]
    joined = b"".join(encode_frame(*message) for message in plain)
    expected = b"".join(
        encode_frame(*message) if message[0] == PING else compressor.encode_frame(*message)
        for message in plain
    )
    assert compressor.recode(joined) == expected
    assert compressor.shared_frames(joined) == expected


def test_a_broadcast_is_compressed_once_and_shared_by_all() -> None:
    calls = 0

    def compressobj(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return zlib.compressobj(*arguments)

    compressor = Compressor(DeflateOptions(backend=Backend("counting", compressobj, 1)), 12)
    frames = [encode_frame(TEXT, JSON * n) for n in range(10, 10 + SHARED_BROADCASTS)]
    shared = [compressor.shared_frames(frame) for frame in frames]
    for _ in range(100):
        for frame, expected in zip(frames, shared, strict=True):
            assert compressor.shared_frames(frame) is expected
    assert calls == SHARED_BROADCASTS
    compressor.shared_frames(encode_frame(TEXT, JSON * 9))
    assert compressor.shared_frames(frames[-1]) is shared[-1]
    assert calls == SHARED_BROADCASTS + 1
    compressor.shared_frames(frames[0])
    assert calls == SHARED_BROADCASTS + 2, "the oldest was forgotten"


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame(PING, b"p" * 125),
        encode_header(TEXT, 200, fin=False) + b"x" * 200,
        encode_header(TEXT, 200, rsv1=True) + b"x" * 200,
        encode_header(BINARY, 0),
    ],
    ids=["ping", "fragment", "compressed already", "empty"],
)
def test_what_is_no_plain_message_is_shared_as_it_is(frame: bytes) -> None:
    assert Compressor(EAGER, 12).recode(frame) == frame
    assert Compressor(EAGER, 12).shared_frames(frame) == frame


def test_connections_with_the_same_window_have_the_same_compressor() -> None:
    assert compressor_for(DeflateOptions(), 12) is compressor_for(DeflateOptions(), 12)
    assert compressor_for(DeflateOptions(), 12) is not compressor_for(DeflateOptions(), 11)
    assert compressor_for(DeflateOptions(), 12) is not compressor_for(DeflateOptions(level=1), 12)


def test_zlib_is_used_where_isal_is_absent() -> None:
    def import_(name: str) -> object:
        assert name == "isal.isal_zlib"
        raise ModuleNotFoundError(name)

    assert choose_backend(import_) is ZLIB


@pytest.mark.parametrize(("level", "expected"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (9, 3)])
def test_isal_is_used_where_it_is_found_with_its_own_three_levels(level: int, expected: int) -> None:
    seen: list[tuple[Any, ...]] = []

    class Isal:
        @staticmethod
        def compressobj(*arguments: Any) -> Any:
            seen.append(arguments)
            return zlib.compressobj(*arguments)

    backend = choose_backend(lambda _name: Isal)
    Compressor(DeflateOptions(level=level, backend=backend), 10).compress(b"")
    assert backend.name == "isal"
    assert seen == [(expected, zlib.DEFLATED, -10, 5)]


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [("window_bits", 9, 15), ("mem_level", 1, 9), ("level", 1, 9), ("min_bytes", 0, 2**31 - 1)],
)
def test_an_option_out_of_range_is_named(field: str, least: int, most: int) -> None:
    for good in (least, most):
        assert getattr(DeflateOptions(**{field: good}), field) == good  # type: ignore[arg-type]
    for bad in (least - 1, most + 1, float(least), str(least), True, None):
        with pytest.raises(ValueError, match=f"{field} must be a whole number from {least} to {most}, not"):
            DeflateOptions(**{field: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [0, None, "no"])
def test_takeover_is_yes_or_no(bad: object) -> None:
    with pytest.raises(ValueError, match="client_context_takeover must be True or False"):
        DeflateOptions(client_context_takeover=bad)  # type: ignore[arg-type]


def test_options_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DeflateOptions().level = 9  # type: ignore[misc]
