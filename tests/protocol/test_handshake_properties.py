"""Properties first: nothing but HandshakeError comes out, whatever comes in and however it is cut."""

from __future__ import annotations

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.protocol.kit import Outcome, cut_positions, cuts, get, request_bytes, run_handshake
from wsloop.errors import HandshakeError
from wsloop.protocol.events import Request
from wsloop.protocol.handshake import Handshake, HandshakeState
from wsloop.protocol.http_head import HeadScanner, skip_empty_lines
from wsloop.protocol.limits import Limits

SMALL = Limits(head_bytes=300, line_bytes=120, headers=8, body_bytes=40)

pieces_of_http = st.sampled_from(
    [
        b"GET ",
        b"POST / HTTP/1.1\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"Host: h\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\x00",
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"hello",
        b"Expect: 100-continue\r\n",
        b"\xff",
        b"Host: \xe9\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n",
        b"Sec-WebSocket-Protocol: a, \xff\r\n",
        b"x" * 130 + b"\r\n",
        b"X: " + b"y" * 100 + b"\r\n",
    ]
)

valid_requests = st.one_of(
    st.just(request_bytes()),
    st.just(request_bytes(headers={"Sec-WebSocket-Protocol": "a, b", "Sec-WebSocket-Extensions": "x; y=1"})),
    st.just(get()),
    st.just(b"\r\n\r\n" + get("/a?b")),
    st.just(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
    st.just(
        b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n0\r\nT: x\r\n\r\n"
    ),
    st.just(b"PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"),
    st.just(b"HEAD / HTTP/1.1\nHost: h\n\n"),
    st.just(b"GET / HTTP/1.0\r\n\r\n"),
    st.just(get(Connection="close")),
)


@st.composite
def damaged_requests(draw: st.DrawFn) -> bytes:
    stream = bytearray(b"".join(draw(st.lists(valid_requests, min_size=1, max_size=2))))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(stream)))
        stream[position : position + draw(st.integers(0, 3))] = draw(
            st.one_of(st.binary(max_size=3), pieces_of_http)
        )
    return bytes(stream)


streams = st.one_of(
    st.lists(valid_requests, max_size=4).map(b"".join),
    damaged_requests(),
    st.lists(pieces_of_http, max_size=14).map(b"".join),
    st.binary(max_size=100),
)


def assert_well_formed(outcome: Outcome) -> None:
    """Every answer parses, and there is one per request or refusal."""
    seen, output, state, _ = outcome
    client = h11.Connection(h11.CLIENT)
    for item in seen:
        method = item.method if isinstance(item, Request) else "GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "h"), ("Upgrade", "websocket")]))
        client.send(h11.EndOfMessage())
        client.receive_data(output)
        answer = client.next_event()
        assert isinstance(answer, h11.Response | h11.InformationalResponse)
        if isinstance(answer, h11.InformationalResponse):
            output = client.trailing_data[0]
            assert state is HandshakeState.UPGRADED
            break
        if not isinstance(item, Request):
            assert answer.status_code == item[0]
            assert (b"content-type", b"text/plain; charset=utf-8") in list(answer.headers)
            break
        while not isinstance(client.next_event(), h11.EndOfMessage):
            pass
        output = client.trailing_data[0]
    else:
        assert output == b""


@settings(max_examples=500)
@given(streams, cut_positions, st.sampled_from((Limits(), SMALL)), st.booleans())
@example(b"\r\n\r" + get(), [1, 2, 3], Limits(), True)
@example(b"\rx", [1], Limits(), False)
@example(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n\x00", [], Limits(), False)
@example(
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 7,
    [70, 95],
    SMALL,
    True,
)
def test_any_bytes_in_any_cut_give_the_same_requests_answers_and_refusals(
    stream: bytes, positions: list[int], limits: Limits, eof: bool
) -> None:
    whole = run_handshake([stream], limits, eof=eof)
    assert_well_formed(whole)
    assert run_handshake(cuts(stream, positions), limits, eof=eof) == whole
    assert run_handshake([stream[i : i + 1] for i in range(len(stream))], limits, eof=eof) == whole


@given(st.lists(pieces_of_http, max_size=14).map(b"".join), cut_positions)
def test_the_scanner_finds_the_same_end_in_every_cut(stream: bytes, positions: list[int]) -> None:
    def scan(pieces: list[bytes]) -> int | tuple[int, str]:
        scanner = HeadScanner(SMALL)
        buffer = bytearray()
        try:
            for piece in pieces:
                buffer += piece
                if end := scanner.find_end(buffer):
                    assert end <= SMALL.head_bytes
                    return end
        except HandshakeError as error:
            return error.status, error.reason
        return 0

    stream = stream.lstrip(b"\r\n")
    assert scan(list(cuts(stream, positions))) == scan([stream])


@given(st.binary(max_size=20))
def test_empty_lines_in_front_are_dropped_and_nothing_else(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        begun = skip_empty_lines(buffer)
    except HandshakeError as error:
        assert error.status == 400
        begun = True
    dropped = len(data) - len(buffer)
    assert data[:dropped] == b"\r\n" * (dropped // 2)
    assert begun or bytes(buffer) in (b"", b"\r")


@given(st.text(max_size=60), st.sampled_from((400, 404, 426, 431, 503)))
def test_a_refusal_holds_only_printable_ascii_and_its_lines(reason: str, status: int) -> None:
    output = Handshake(Limits()).refuse(HandshakeError(status, reason))
    head, _, body = output.partition(b"\r\n\r\n")
    assert body.endswith(b"\n")
    assert all(32 <= byte < 127 for byte in body[:-1])
    assert b"Content-Length: %d" % len(body) in head.split(b"\r\n")
    assert b"Connection: close" in head.split(b"\r\n")
