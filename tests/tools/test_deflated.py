from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.deflated import first_fault, frames
from tools.bench.stream import stamp

DOCUMENTS = [b'{"id":"0000000000000000","x":1}', b'{"id":"0000000000000000","y":[]}']
STAMP_AT = 7
PLAIN, COMPRESSED = 0x81, 0xC1


def published(number: int) -> bytes:
    document = DOCUMENTS[number % len(DOCUMENTS)]
    return document[:STAMP_AT] + stamp(0, number) + document[STAMP_AT + 16 :]


def dumped(first: int, payload: bytes) -> bytes:
    return struct.pack("=II", first, len(payload)) + payload


def compressed(numbers: list[int], *, fresh: bool) -> list[bytes]:
    compressor = zlib.compressobj(wbits=-12)
    payloads = []
    for number in numbers:
        if fresh:
            compressor = zlib.compressobj(wbits=-12)
        data = compressor.compress(published(number)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        payloads.append(data.removesuffix(b"\x00\x00\xff\xff"))
    return payloads


@given(count=st.integers(0, 20), fresh=st.booleans())
def test_what_was_published_passes_with_and_without_context(count: int, fresh: bool) -> None:
    dump = b"".join(dumped(COMPRESSED, payload) for payload in compressed([*range(count)], fresh=fresh))
    assert first_fault(dump, DOCUMENTS, STAMP_AT, fresh_context=fresh) == ""


def test_uncompressed_messages_may_be_among_them() -> None:
    dump = dumped(PLAIN, published(0)) + dumped(COMPRESSED, compressed([1], fresh=True)[0])
    assert first_fault(dump, DOCUMENTS, STAMP_AT, fresh_context=True) == ""


@given(
    numbers=st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(
        lambda order: order != [*range(len(order))]
    )
)
def test_another_order_is_a_fault(numbers: list[int]) -> None:
    dump = b"".join(dumped(COMPRESSED, payload) for payload in compressed(numbers, fresh=True))
    assert "something else" in first_fault(dump, DOCUMENTS, STAMP_AT, fresh_context=True)


def test_bytes_that_do_not_inflate_are_a_fault() -> None:
    assert "does not inflate" in first_fault(
        dumped(COMPRESSED, b"\xff\xff\xff"), DOCUMENTS, STAMP_AT, fresh_context=True
    )


def test_a_server_that_keeps_its_context_though_it_agreed_not_to_is_told() -> None:
    dump = b"".join(dumped(COMPRESSED, payload) for payload in compressed([0, 1, 2], fresh=False))
    assert first_fault(dump, DOCUMENTS, STAMP_AT, fresh_context=True)


@given(st.integers(1, 12))
def test_a_cut_dump_is_not_read(cut: int) -> None:
    with pytest.raises(ValueError, match="the dump ends within"):
        list(frames(dumped(PLAIN, b"12345")[:-cut]))
