from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.transport.tls_records import RecordCounter


def record(size: int) -> bytes:
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes([size % 251]) * size


@given(
    sizes=st.lists(st.one_of(st.integers(0, 8), st.integers(0, 70_000 - 4_465)), max_size=12),
    cuts=st.lists(st.integers(1, 20_000), max_size=40),
    max_bytes=st.integers(1, 20_000),
    max_records=st.integers(1, 5),
)
@settings(max_examples=200, deadline=None)
def test_however_it_is_cut_every_byte_is_passed_once_and_every_record_counted(
    sizes: list[int], cuts: list[int], max_bytes: int, max_records: int
) -> None:
    data = b"".join(map(record, sizes))
    counter, position, total = RecordCounter(), 0, 0
    ends = {0}
    for size in sizes:
        ends.add(max(ends) + 5 + size)
    while position < len(data):
        arrived = data[position : position + (cuts.pop() if cuts else len(data))]
        while arrived:
            count, records = counter.walk(arrived, max_bytes, max_records)
            assert 1 <= count <= max_bytes
            assert records <= max_records
            position += count
            total += records
            if records == max_records:
                assert position in ends
            arrived = arrived[count:]
    assert total == len(sizes)


@pytest.mark.parametrize(("data", "result"), [(b"", (0, 0)), (b"\x17", (1, 0)), (b"\x17\3\3\0\0", (5, 1))])
def test_the_least_inputs(data: bytes, result: tuple[int, int]) -> None:
    assert RecordCounter().walk(data, 100, 100) == result


def test_no_record_may_be_taken_when_none_is_left_of_the_budget() -> None:
    assert RecordCounter().walk(record(3), 100, 0) == (0, 0)
