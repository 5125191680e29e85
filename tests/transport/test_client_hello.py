from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.tls_kit import HOST, client_context
from wsloop.transport.client_hello import HELLO_BYTES, HelloScanner, Verdict, offered_protocols

NAMES = st.text("abcdefgh/12.", min_size=1, max_size=20)
RECORD_HEAD_BYTES = 5
V = Verdict


def hello_of(*protocols: str) -> bytes:
    """Return what Python's own client says first."""
    outgoing = ssl.MemoryBIO()
    engine = client_context(*protocols).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        engine.do_handshake()
    return outgoing.read()


HELLO = hello_of("http/1.1")
H2_HELLO = hello_of("h2")


def in_records(hello: bytes, sizes: list[int]) -> bytes:
    """Return a hello of one record cut into several, of `sizes` bytes each and one of the rest."""
    head, message = hello[:3], hello[RECORD_HEAD_BYTES:]
    records = b""
    for size in [*sizes, len(message)]:
        part, message = message[:size], message[size:]
        if part:
            records += head + len(part).to_bytes(2, "big") + part
    return records


def scan(pieces: list[bytes]) -> tuple[Verdict, int]:
    """Return the verdict, and how many bytes had been taken by then."""
    scanner = HelloScanner()
    for piece in pieces:
        verdict = scanner.receive(piece)
        if verdict is not V.UNFINISHED:
            return verdict, len(scanner.received)
    return V.UNFINISHED, len(scanner.received)


@given(st.lists(NAMES, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_protocols_are_those_that_the_client_was_told_to_offer(names: list[str]) -> None:
    message = hello_of(*names)[RECORD_HEAD_BYTES:]
    assert offered_protocols(message) == [name.encode() for name in names]


@pytest.mark.parametrize(
    ("protocols", "verdict"),
    [
        ((), V.READY),
        (("http/1.1",), V.READY),
        (("h2", "http/1.1"), V.READY),
        (("h2",), V.NO_COMMON_PROTOCOL),
        (("http/1.0", "spdy/3", "acme-tls/1"), V.NO_COMMON_PROTOCOL),
    ],
)
def test_only_who_offers_protocols_and_not_ours_is_refused(
    protocols: tuple[str, ...], verdict: Verdict
) -> None:
    assert scan([hello_of(*protocols)])[0] is verdict


@given(
    hello=st.sampled_from([HELLO, H2_HELLO]),
    sizes=st.lists(st.integers(1, 200), max_size=8),
    cuts=st.lists(st.integers(0, 600), max_size=12),
    trailing=st.binary(max_size=40),
)
@settings(max_examples=200)
def test_any_cut_of_the_bytes_and_of_the_records_gives_the_same_verdict(
    hello: bytes, sizes: list[int], cuts: list[int], trailing: bytes
) -> None:
    data = in_records(hello, sizes)
    marks = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    pieces = [data[begin:end] for begin, end in pairwise(marks)]
    pieces[-1] += trailing
    expected = V.READY if hello is HELLO else V.NO_COMMON_PROTOCOL
    assert scan(pieces) == (expected, len(data) + len(trailing))
    assert scan([bytes([byte]) for byte in data]) == (expected, len(data))


@given(st.integers(0, len(HELLO) - 1))
def test_a_hello_that_is_not_whole_is_waited_for(count: int) -> None:
    assert scan([HELLO[:count]])[0] is V.UNFINISHED


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_bytes_of_any_kind_get_a_verdict_and_no_exception(data: bytes) -> None:
    assert scan([data])[0] in V
    offered_protocols(data)


@given(position=st.integers(0, len(H2_HELLO) - 1), byte=st.integers(0, 255))
@settings(max_examples=500)
def test_a_damaged_hello_gets_a_verdict_and_no_exception(position: int, byte: int) -> None:
    damaged = H2_HELLO[:position] + bytes([byte]) + H2_HELLO[position + 1 :]
    assert scan([damaged])[0] in V
    offered_protocols(damaged[RECORD_HEAD_BYTES:])


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "PRI"]
)
def test_every_method_of_http_is_known_by_its_first_letter(method: str) -> None:
    assert scan([method[:1].encode()]) == (V.PLAIN_HTTP, 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x2e\x01\x03\x01", id="SSLv2"),
        pytest.param(b"\r\n", id="empty line"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="alert"),
        pytest.param(b"\x16\x03\x01\x00\x00", id="empty record"),
        pytest.param(b"\x16\x03\x01\x00\x04\x02\0\0\0", id="server hello"),
    ],
)
def test_what_is_no_hello_is_for_the_engine_to_judge(data: bytes) -> None:
    assert scan([data])[0] is V.READY


def test_a_hello_over_the_limit_is_refused_by_its_length_before_it_is_here() -> None:
    assert scan([b"\x16\x03\x01" + HELLO_BYTES.to_bytes(2, "big")])[0] is V.TOO_LARGE
    fits = HELLO_BYTES - RECORD_HEAD_BYTES
    assert scan([b"\x16\x03\x01" + fits.to_bytes(2, "big") + b"\x01"])[0] is V.UNFINISHED


def test_a_hello_that_dribbles_in_records_of_one_byte_is_refused_at_the_limit() -> None:
    scanner = HelloScanner()
    message = b"\x01\x00\xff\xff" + bytes(HELLO_BYTES)
    taken = 0
    while (verdict := scanner.receive(b"\x16\x03\x01\x00\x01" + message[taken : taken + 1])) is V.UNFINISHED:
        taken += 1
    assert verdict is V.TOO_LARGE
    assert HELLO_BYTES - 12 <= 6 * taken <= HELLO_BYTES
