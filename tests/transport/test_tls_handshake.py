"""Handshakes that succeed, fail, stop half-way, or are none: what the peer gets, and the log."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.tls_kit import HOST, client_context, shake, tls_pair, write_pair
from tests.transport.told import V12, V13, Told
from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.transport.certificates import Certificates
from wsloop.transport.client_hello import HELLO_BYTES, HTTP_REFUSAL
from wsloop.transport.tls_engine import TlsEngine
from wsloop.transport.tls_side import ClientSide
from wsloop.transport.tls_state import TlsState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = b"never in a log \r\n\x1b[2J"
ALERT = 21


@pytest.fixture
def side(tmp_path: Path) -> Certificates:
    return Certificates(*write_pair(tmp_path))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def old_context() -> ssl.SSLContext:
    """Return a client that knows nothing newer than TLS 1.1."""
    context = client_context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def hello_of(context: ssl.SSLContext) -> bytes:
    engine = TlsEngine(ClientSide(context, HOST).engine)
    assert not engine.shake()
    return engine.take_output()


def connected(
    side: Certificates, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLObject:
    """Return a client of Python's own that has shaken hands with an engine of `side`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=HOST, session=session)
    server = TlsEngine(side.engine)
    for _ in range(10):
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            server.feed(outgoing.read(), 100)
            server.shake()
            incoming.write(server.take_output())
    return client


def shaken(told: Told) -> TlsEngine:
    """Take both sides as far as they get; return the peer's engine."""
    for _ in range(5):
        told.peer.shake()
        told.carry()
    return told.peer


# -- success ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13])
def test_a_handshake_is_counted_and_data_right_behind_it_is_read_by_the_same_call(
    side: Certificates, version: ssl.TLSVersion
) -> None:
    told = Told(version, side=side, is_open=False)
    told.peer.shake()
    told.carry()
    assert told.peer.shake() is (version is V13)
    last_flight = told.peer.take_output()
    if version is V13:
        told.arrive(last_flight + told.sealed(b"at once"))
        assert told.transport.read(100) == b"at once"
    else:
        told.arrive(last_flight)
        assert told.transport.read(100) is None
    assert told.transport.state is TlsState.OPEN
    assert side.statistics().handshakes == 1
    assert side.statistics().failures == {}


def test_until_a_whole_hello_is_here_there_is_no_engine_and_nothing_is_said(side: Certificates) -> None:
    told = Told(side=side, is_open=False)
    assert not told.peer.shake()
    hello = told.peer.take_output()
    for byte in hello[:-1]:
        told.arrive(bytes([byte]))
        assert told.transport.read(100) is None
        assert told.transport.state is TlsState.AWAITING_HELLO
    assert not told.sock.sent
    told.arrive(hello[-1:])
    assert told.transport.read(100) is None
    assert told.transport.state is TlsState.HANDSHAKING
    assert told.sock.sent


def test_before_the_handshake_is_done_nothing_is_taken_for_writing(side: Certificates) -> None:
    told, outbox = Told(side=side, is_open=False), Outbox()
    outbox.append(b"later")
    for _ in range(2):
        assert told.transport.write(b"x") == told.transport.write_many([b"x"]) == 0
        assert not told.transport.flush(outbox)
        told.peer.shake()
        told.carry()
    shaken(told)
    assert told.transport.flush(outbox)
    assert told.heard() == b"later"


def test_a_flight_that_the_kernel_does_not_take_waits(side: Certificates) -> None:
    told = Told(side=side, is_open=False)
    told.sock.room = 10
    told.peer.shake()
    told.arrive(told.peer.take_output())
    assert told.transport.read(1) is None
    assert told.transport.has_output
    told.sock.room = None
    assert told.transport.flush(Outbox())
    told.carry()
    shaken(told)
    assert told.transport.state is TlsState.OPEN


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2", "http/1.1")])
def test_http_1_1_is_agreed_on_where_it_is_offered(side: Certificates, protocols: tuple[str, ...]) -> None:
    client = connected(side, client_context(*protocols))
    assert client.selected_alpn_protocol() == ("http/1.1" if protocols else None)


# -- failure ---------------------------------------------------------------------------------------

BAD = [
    pytest.param(lambda: hello_of(client_context("h2")), "NO_APPLICATION_PROTOCOL", 120, id="h2 only"),
    pytest.param(lambda: hello_of(old_context()), "UNSUPPORTED_PROTOCOL", 70, id="TLS 1.1"),
    pytest.param(lambda: b"\x16\x03\x01\x00\x05\x01\0\0\x01\0", "LENGTH_TOO_SHORT", 50, id="damaged hello"),
    pytest.param(lambda: b"\x16\x03\x01\xff\xff" + SECRET, "EXCESSIVE_MESSAGE_SIZE", 50, id="too long"),
    pytest.param(lambda: b"\x16\x03\x01\x00\x04\x02\0\0\0", "UNEXPECTED_MESSAGE", 10, id="not a hello"),
]


@pytest.mark.parametrize(("make", "reason", "alert"), BAD)
def test_a_bad_hello_gets_its_alert_and_one_line(
    side: Certificates, log: pytest.LogCaptureFixture, make: Callable[[], bytes], reason: str, alert: int
) -> None:
    told = Told(side=side, is_open=False)
    told.arrive(make())
    assert told.transport.read(100) is None
    assert told.sock.sent[0] == ALERT
    assert told.sock.sent[5:] == bytes([2, alert])
    assert_refused(told, side, log, reason)


def assert_refused(told: Told, side: Certificates, log: pytest.LogCaptureFixture, reason: str) -> None:
    """The peer is read to its end and not answered; one line was logged, without a byte of its."""
    assert told.transport.state is TlsState.REFUSED
    assert told.sock.calls[-1] == "fin"
    said = bytes(told.sock.sent)
    for _ in range(3):
        told.arrive(SECRET * 100)
        assert told.transport.read(100) is None
        assert not told.transport.has_input
    told.sock.end = b""
    assert told.transport.read(100) == b""
    assert told.sock.sent == said
    told.transport.close()
    assert side.statistics().failures == {reason: 1}
    (record,) = log.records
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert record.getMessage() == f"TLS handshake with unix failed: {reason}"


def test_garbage_is_refused_with_the_engines_own_words(
    side: Certificates, log: pytest.LogCaptureFixture
) -> None:
    told = Told(side=side, is_open=False)
    told.arrive(bytes(range(256)))
    assert told.transport.read(100) is None
    (reason,) = side.statistics().failures
    assert_refused(told, side, log, reason)


@given(st.binary(min_size=1, max_size=400))
@settings(max_examples=100, deadline=None)
def test_bytes_of_any_kind_do_no_more_than_fail(data: bytes) -> None:
    told = Told(is_open=False)
    told.arrive(data)
    assert told.transport.read(100) is None
    assert told.transport.state in {TlsState.AWAITING_HELLO, TlsState.HANDSHAKING, TlsState.REFUSED}
    told.sock.end = b""
    assert told.transport.read(100) == b""


@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_damaged_hello_does_no_more_than_fail(share: float, flip: int) -> None:
    told = Told(is_open=False)
    assert not told.peer.shake()
    hello = bytearray(told.peer.take_output())
    hello[int(share * len(hello))] ^= flip
    told.arrive(bytes(hello))
    assert told.transport.read(100) is None
    assert told.transport.state in {TlsState.AWAITING_HELLO, TlsState.HANDSHAKING, TlsState.REFUSED}


def test_plain_http_is_answered_in_plain_http(side: Certificates, log: pytest.LogCaptureFixture) -> None:
    told = Told(side=side, is_open=False)
    told.arrive(b"GET /" + SECRET + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert told.transport.read(100) is None
    assert told.sock.sent == HTTP_REFUSAL
    head, _, body = HTTP_REFUSAL.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"TLS" in body
    assert_refused(told, side, log, "HTTP_REQUEST")


def test_a_client_that_does_not_trust_us_is_a_failure_by_its_alert(
    side: Certificates, log: pytest.LogCaptureFixture
) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    network = MemoryNetwork(FakeClock())
    client, server = tls_pair(*network.pair(), context=stranger, side=side)
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        shake(client, server)
    assert client.read(10) is None
    assert server.read(10) is None
    assert server.state is TlsState.REFUSED
    assert list(side.statistics().failures) == ["TLSV1_ALERT_UNKNOWN_CA"]
    assert len(log.records) == 1


def test_last_words_that_the_kernel_does_not_take_wait_and_the_fin_behind_them(side: Certificates) -> None:
    told = Told(side=side, is_open=False)
    told.sock.room = 20
    told.arrive(b"GET / HTTP/1.1\r\n\r\n")
    assert told.transport.read(100) is None
    assert told.transport.has_output
    assert "fin" not in told.sock.calls
    told.sock.room = None
    assert told.transport.flush(Outbox())
    assert told.sock.sent == HTTP_REFUSAL
    assert told.sock.calls[-1] == "fin"


# -- an end half-way -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100, 10_000])
@pytest.mark.parametrize("ends", ["by the peer", "by the deadline"])
def test_a_handshake_that_ends_half_way_is_a_failure(
    side: Certificates, log: pytest.LogCaptureFixture, count: int, ends: str
) -> None:
    told = Told(side=side, is_open=False)
    assert not told.peer.shake()
    told.arrive(told.peer.take_output()[:count])
    assert told.transport.read(1) is None
    if ends == "by the peer":
        told.sock.end = b""
        assert told.transport.read(1) == b""
    told.transport.close()
    assert side.statistics().failures == {"UNEXPECTED_EOF" if ends == "by the peer" else "UNFINISHED": 1}
    assert len(log.records) == 1
    assert told.sock.calls[-1] == "close"


@pytest.mark.parametrize("end", [b"", None])
def test_a_peer_that_never_said_a_word_is_no_failure(
    side: Certificates, log: pytest.LogCaptureFixture, end: bytes | None
) -> None:
    told = Told(side=side, is_open=False)
    told.sock.end = end
    assert told.transport.read(1) == end
    told.transport.close()
    assert side.statistics().failures == {}
    assert log.records == []
    assert not told.sock.sent


def test_a_hello_over_the_limit_that_arrives_at_once_is_refused(side: Certificates) -> None:
    told = Told(side=side, is_open=False)
    told.arrive(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(HELLO_BYTES - 4))
    assert told.transport.read(1) is None
    assert list(side.statistics().failures) == ["EXCESSIVE_MESSAGE_SIZE"]


# -- tickets ---------------------------------------------------------------------------------------


def test_a_session_is_resumed_by_its_ticket_but_not_after_a_reload(
    side: Certificates, tmp_path: Path
) -> None:
    context = client_context("http/1.1", highest=V12)
    first = connected(side, context)
    assert first.session_reused is False
    assert connected(side, context, first.session).session_reused is True
    side.adopt(Certificates(*write_pair(tmp_path)))
    assert connected(side, context, first.session).session_reused is False
