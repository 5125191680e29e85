"""TLS over any stream: the contract of all transports, then what the wire can do to the records."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.transport.test_tcp import tcp_pair
from tests.transport.tls_kit import client_context, memory_tls_wire, real_tls_wire, tls_pair
from tests.transport.told import V12, V13, Told
from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.transport import TransportContract, Wire
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.transport import tls
from wsloop.transport.tls_engine import RECORD_BYTES
from wsloop.transport.tls_state import TlsState

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

VERSIONS = st.sampled_from([V12, V13])
PAYLOADS = st.lists(st.integers(1, 40_000).map(lambda size: bytes([size % 251]) * size), max_size=6)
CUTS = st.lists(st.integers(1, 30_000), max_size=30)


class TestTlsOverSocketpair(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_tls_wire(*socket.socketpair(), has_reset=False) as wire:
            yield wire


class TestTlsOverTcp(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_tls_wire(*tcp_pair(), has_reset=True) as wire:
            yield wire


class TestTlsInMemory(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire()


class TestTlsInMemoryTheServerOnTheLeft(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(2, swap=True)


class TestTls12InMemory(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(version=V12)


class TestTlsInMemoryWithFaults(TransportContract):
    def connected(self) -> Any:
        faults = NetworkFaults(max_read_bytes=5_000, max_write_bytes=9_000, eagain_chance=0.2)
        return memory_tls_wire(3, faults)


class TestTlsInMemoryWithDelays(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(4, NetworkFaults(min_delay_s=0.0, max_delay_s=0.2))


def state_of(told: Told) -> TlsState:
    """Return the state anew: a type checker believes that the last one seen still holds."""
    return told.transport.state


# -- bytes in: whatever the wire does to the records -----------------------------------------------


@given(version=VERSIONS, payloads=PAYLOADS, cuts=CUTS, reads=st.lists(st.integers(1, 70_000), max_size=10))
@settings(max_examples=80, deadline=None)
def test_any_cut_of_the_ciphertext_and_any_reads_give_the_same_plaintext(
    version: ssl.TLSVersion, payloads: list[bytes], cuts: list[int], reads: list[int]
) -> None:
    told = Told(version)
    told.arrive(told.sealed(*payloads), cuts)
    assert told.read_all(reads) == b"".join(payloads)
    assert told.transport.read(1) is None
    assert not told.transport.has_input


@pytest.mark.parametrize("version", [V12, V13])
def test_a_stream_that_arrives_byte_by_byte_is_the_same_stream(version: ssl.TLSVersion) -> None:
    told = Told(version)
    ciphertext = told.sealed(b"x" * 1_000, b"y", b"z" * 500)
    told.sock.arriving = [bytes([byte]) for byte in ciphertext]
    assert told.read_all() == b"x" * 1_000 + b"y" + b"z" * 500


@given(version=VERSIONS, payloads=PAYLOADS, share=st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_a_stream_that_is_cut_off_anywhere_ends_behind_its_last_whole_record(
    version: ssl.TLSVersion, payloads: list[bytes], share: float
) -> None:
    told = Told(version)
    records = [
        (told.sealed(payload[start : start + RECORD_BYTES]), payload[start : start + RECORD_BYTES])
        for payload in payloads
        for start in range(0, len(payload), RECORD_BYTES)
    ]
    ciphertext = b"".join(sealed for sealed, _ in records)
    kept = int(share * len(ciphertext))
    told.arrive(ciphertext[:kept])
    told.sock.end = b""
    whole, position = b"", 0
    for sealed, plain in records:
        position += len(sealed)
        whole += plain if position <= kept else b""
    assert told.read_all() == whole
    for _ in range(2):
        assert told.transport.read(10) == b""
        assert told.transport.read_into(memoryview(bytearray(4))) == 0
    assert told.transport.state is TlsState.PEER_ENDED
    assert told.transport.write(b"still heard") == 11
    assert told.heard() == b"still heard"


@given(version=VERSIONS, payloads=PAYLOADS, share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@example(version=V12, payloads=[], share=0.125, flip=8)  # too short for its tag: no reason is given
@settings(max_examples=80, deadline=None)
def test_a_damaged_byte_never_becomes_plaintext_and_what_came_before_is_read_first(
    version: ssl.TLSVersion, payloads: list[bytes], share: float, flip: int
) -> None:
    told = Told(version)
    ciphertext = bytearray(told.sealed(*payloads, b"last"))
    position = int(share * len(ciphertext))
    ciphertext[position] ^= flip
    told.arrive(bytes(ciphertext))
    told.sock.end = b""
    read = bytearray()
    try:
        while piece := told.transport.read(70_000):
            read += piece
    except TransportError as error:
        assert error.errno_name.replace("_", "").isupper()
        assert told.transport.state is TlsState.FAILED
        assert told.transport.read(10) == b""
        with pytest.raises(TransportError, match="EPIPE"):
            told.transport.write(b"x")
    assert b"".join([*payloads, b"last"]).startswith(read)
    assert len(read) <= position


@given(
    payloads=PAYLOADS, count=st.integers(0, 20), number=st.sampled_from([errno.ECONNRESET, errno.ETIMEDOUT])
)
@settings(max_examples=40, deadline=None)
def test_a_reset_anywhere_is_raised_behind_what_had_arrived(
    payloads: list[bytes], count: int, number: int
) -> None:
    told = Told()
    told.arrive(told.sealed(*payloads), [5_000] * 100)
    del told.sock.arriving[count:]
    told.sock.end = number
    read = bytearray()
    with pytest.raises(TransportError, match=errno.errorcode[number]):
        while True:
            read += told.transport.read(65_536) or b""
    assert b"".join(payloads).startswith(read)


def test_input_waits_inside_when_a_read_is_smaller_than_a_record() -> None:
    told = Told()
    told.arrive(told.sealed(b"0123456789"))
    waiting = []
    buffer = bytearray(4)
    assert told.transport.read(4) == b"0123"
    waiting.append(told.transport.has_input)
    calls = len(told.sock.calls)
    assert told.transport.read_into(memoryview(buffer)) == 4
    assert bytes(buffer) == b"4567"
    waiting.append(told.transport.has_input)
    assert told.transport.read(4) == b"89"
    waiting.append(told.transport.has_input)
    assert waiting == [True, True, False]
    assert len(told.sock.calls) == calls  # the socket was not asked while something waited


def test_a_lone_record_costs_one_recv_and_nothing_more() -> None:
    told = Told()
    told.sock.calls.clear()
    told.arrive(told.sealed(b"small"))
    assert told.transport.read(65_536) == b"small"
    assert told.sock.calls == ["recv"]


def test_a_flood_of_tiny_records_is_read_a_budget_at_a_time() -> None:
    told = Told()
    told.arrive(told.sealed(*[b"x"] * 1_000))
    turns = 0
    while told.sock.arriving or told.transport.has_input:
        data = told.transport.read(65_536)
        assert data
        assert len(data) <= tls.RECORDS_PER_READ
        turns += 1
    assert turns == -(-1_000 // tls.RECORDS_PER_READ)


# -- bytes out: whatever the kernel takes ----------------------------------------------------------


@given(
    version=VERSIONS,
    payloads=PAYLOADS,
    rooms=st.lists(st.integers(0, 60_000), max_size=30),
    budget=st.integers(1, 300_000),
)
@settings(max_examples=80, deadline=None)
def test_any_partial_sends_give_the_peer_exactly_the_bytes_in_order(
    version: ssl.TLSVersion, payloads: list[bytes], rooms: list[int], budget: int
) -> None:
    told, outbox = Told(version), Outbox()
    for payload in payloads:
        outbox.append(payload)
    for room in rooms:
        told.sock.room = room
        before_bytes = outbox.size
        is_empty = told.transport.flush(outbox, budget)
        assert before_bytes - outbox.size <= budget
        assert is_empty == (not outbox.size and not told.transport.has_output)
    told.sock.room = None
    while not told.transport.flush(outbox, budget):
        assert outbox.size
    assert told.heard() == b"".join(payloads)


def test_while_ciphertext_waits_no_more_is_taken_from_the_outbox() -> None:
    told, outbox = Told(), Outbox()
    outbox.append(bytes(1_000_000))
    told.sock.room = 10_000
    assert not told.transport.flush(outbox)
    assert outbox.size == 1_000_000 - tls.BATCH_BYTES
    assert told.transport.has_output
    for _ in range(5):
        told.sock.room = 100
        assert not told.transport.flush(outbox)
        assert told.transport.write(b"x") == 0
        assert told.transport.write_many([b"x", b"y"]) == 0
    assert outbox.size == 1_000_000 - tls.BATCH_BYTES


def test_small_pieces_share_records_and_a_batch_leaves_in_one_sendmsg() -> None:
    told, outbox = Told(), Outbox()
    told.sock.calls.clear()
    for _ in range(100):
        outbox.append(bytes(100))
    assert told.transport.flush(outbox)
    assert told.sock.calls == ["send"]
    assert len(told.sock.sent) < 10_000 + 50
    told.heard()
    told.sock.calls.clear()
    outbox.append(bytes(tls.BATCH_BYTES))
    assert told.transport.flush(outbox)
    assert told.sock.calls == ["sendmsg"]
    assert len(told.sock.sent) == tls.BATCH_BYTES + 4 * 22


def test_the_end_is_a_close_notify_then_fin_behind_all_that_waits() -> None:
    told, outbox = Told(), Outbox()
    outbox.append(b"last words")
    told.sock.room = 3
    told.transport.flush(outbox)
    told.transport.shutdown_write()
    assert "fin" not in told.sock.calls
    assert told.transport.has_output
    told.sock.room = None
    assert told.transport.flush(outbox)
    assert told.sock.calls[-1] == "fin"
    assert told.heard() == b"last words"
    assert told.peer.open_record() == b""
    with pytest.raises(TransportError, match="EPIPE"):
        told.transport.write(b"x")


@given(payloads=PAYLOADS, cuts=CUTS, reads=st.lists(st.integers(1, 20_000), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_close_notify_sent_in_the_middle_of_a_record_loses_nothing_that_comes(
    payloads: list[bytes], cuts: list[int], reads: list[int]
) -> None:
    told = Told()
    told.arrive(told.sealed(*payloads), cuts)
    read = b"".join(told.transport.read(size) or b"" for size in reads)
    told.transport.shutdown_write()
    assert state_of(told) is TlsState.WE_ENDED
    assert read + told.read_all() == b"".join(payloads)
    told.peer.end()
    told.arrive(told.peer.take_output())
    assert told.transport.read(10) == b""
    assert state_of(told) is TlsState.BOTH_ENDED


# -- both at once, handshake included, over any network ---------------------------------------------


@given(
    seed=st.integers(0, 1_000),
    most_read=st.one_of(st.none(), st.integers(1, 3_000)),
    most_written=st.one_of(st.none(), st.integers(1, 3_000)),
    eagain=st.sampled_from([0.0, 0.3]),
    version=VERSIONS,
    to_server=PAYLOADS,
    to_client=PAYLOADS,
)
@settings(max_examples=40, deadline=None)
def test_both_sides_get_what_the_other_sent_over_any_network(
    seed: int,
    most_read: int | None,
    most_written: int | None,
    eagain: float,
    version: ssl.TLSVersion,
    to_server: list[bytes],
    to_client: list[bytes],
) -> None:
    faults = NetworkFaults(max_read_bytes=most_read, max_write_bytes=most_written, eagain_chance=eagain)
    network = MemoryNetwork(FakeClock(), seed, faults=faults)
    ends = tls_pair(*network.pair(), context=client_context("http/1.1", highest=version))
    outboxes = Outbox(), Outbox()
    for outbox, payloads in zip(outboxes, (to_server, to_client), strict=True):
        for payload in payloads:
            outbox.append(payload)
    wanted = [b"".join(to_client), b"".join(to_server)]
    received = [b"", b""]
    for _ in range(400_000):
        for number, (end, outbox) in enumerate(zip(ends, outboxes, strict=True)):
            end.flush(outbox)
            received[number] += end.read(65_536) or b""
        if received == wanted and all(end.state is TlsState.OPEN for end in ends):
            break
    assert received == wanted
    for end in ends:
        end.close()
    assert network.open_descriptors() == {}
