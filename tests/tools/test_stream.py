"""The pure part of the generator in Python: what it sends, and how it judges what returns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from tests.tools.faults import FAULTS
from tests.tools.scripted import frame
from tools.bench.model import Latency
from tools.bench.python_generator import latency_of
from tools.bench.stream import EchoError, Stream, masked_frame, payload

sizes = st.integers(0, 300) | st.sampled_from([65535, 65536, 70000])


@given(data=st.binary(max_size=300), key=st.binary(min_size=4, max_size=4))
def test_wsproto_reads_what_is_sent(data: bytes, key: bytes) -> None:
    peer = Connection(ConnectionType.SERVER)
    peer.receive_data(masked_frame(2, data, key))
    assert b"".join(bytes(event.data) for event in peer.events()) == data  # type: ignore[attr-defined]


@given(size=sizes)
def test_frames_are_whole_text_messages_that_all_differ(size: int) -> None:
    stream = Stream(3, size, binary=False, raw=False)
    peer = Connection(ConnectionType.SERVER)
    texts = []
    for _ in range(3):
        peer.receive_data(stream.next_frame())
        events = list(peer.events())
        assert all(isinstance(event, TextMessage) for event in events)
        texts.append("".join(event.data for event in events if isinstance(event, TextMessage)))
    assert [len(text) for text in texts] == [size] * 3
    assert size == 0 or len(set(texts)) == 3


@given(size=st.integers(0, 300), count=st.integers(1, 5), cuts=st.lists(st.integers(1, 50)))
def test_any_cut_of_right_echoes_is_accepted(size: int, count: int, cuts: list[int]) -> None:
    stream = Stream(1, size, binary=False, raw=False)
    for _ in range(count):
        stream.next_frame()
    data = b"".join(frame(0x81, payload(size, 1, number)) for number in range(count))
    done = 0
    for cut in [*cuts, len(data)]:
        done += stream.receive(data[:cut])
        data = data[cut:]
    assert done == stream.received == count


@given(size=st.integers(1, 300), at=st.integers(0, 299), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed_raw(size: int, at: int, flip: int) -> None:
    stream = Stream(1, size, binary=True, raw=True)
    data = bytearray(stream.next_frame())
    data[at % len(data)] ^= flip
    with pytest.raises(EchoError) as caught:
        stream.receive(bytes(data))
    assert caught.value.kind == "wrong"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_echo_is_an_error(fault: str) -> None:
    kind, make = FAULTS[fault]
    stream = Stream(0, 100, binary=False, raw=False)
    stream.next_frame()
    with pytest.raises(EchoError) as caught:
        stream.receive(make(payload(100, 0, 0)))
    assert caught.value.kind == kind


def test_latency_of_nothing_is_zero() -> None:
    assert latency_of([]) == Latency(0, 0, 0, 0, 0)


def test_latencies_are_percentiles_in_microseconds() -> None:
    latency = latency_of([number / 1e6 for number in range(1000, 0, -1)])
    assert (latency.p50, latency.p90, latency.p99, latency.max) == (501, 901, 991, 1000)
