"""RFC 9112 and RFC 6455 section 4.2 as seen by the server: what is answered, and how."""

from __future__ import annotations

import h11
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto import events as w
from wsproto.extensions import PerMessageDeflate

from tests.protocol.kit import client_frame, get, request_bytes, run_handshake, state_of
from wsloop.errors import HandshakeError, StateError
from wsloop.protocol.events import Request, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.handshake import (
    HANDSHAKE_TRANSITIONS,
    Handshake,
    HandshakeState,
    HandshakeStep,
    _translate,
)
from wsloop.protocol.limits import Limits
from wsloop.protocol.upgrade import examine, split_target, upgrade_required
from wsloop.testing.wire import TEXT

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def receive(data: bytes, limits: Limits | None = None) -> tuple[Handshake, Request]:
    handshake = Handshake(limits or Limits())
    request = handshake.receive(data)
    assert request is not None
    return handshake, request


def refusal(data: bytes, limits: Limits | None = None) -> tuple[int, str, bytes]:
    """The status, the reason and the answer to bytes that must be refused."""
    handshake = Handshake(limits or Limits())
    with pytest.raises(HandshakeError) as caught:
        handshake.receive(data)
    assert state_of(handshake) is HandshakeState.FAILED
    assert handshake.receive(b"more") is None
    answer = handshake.refuse(caught.value)
    assert answer.startswith(b"HTTP/1.1 %d " % caught.value.status)
    assert b"Connection: close" in answer
    assert state_of(handshake) is HandshakeState.CLOSED
    assert handshake.receive(b"even more") is None
    return caught.value.status, caught.value.reason, answer


# The upgrade: RFC 6455 section 4.2


def test_an_upgrade_is_accepted_with_the_rfcs_own_example() -> None:
    handshake, request = receive(request_bytes(target="/chat?room=1"))
    assert request.is_upgrade
    assert (request.method, request.target) == ("GET", "/chat?room=1")
    assert (request.path, request.query, request.http_version) == ("/chat", "room=1", "1.1")
    assert handshake.accept() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )
    assert state_of(handshake) is HandshakeState.UPGRADED


def test_a_wsproto_client_is_content_with_the_answer() -> None:
    client = WSConnection(ConnectionType.CLIENT)
    handshake, _ = receive(client.send(w.Request(host="h", target="/x", subprotocols=["a", "b"])))
    client.receive_data(handshake.accept("b", [(b"X-Node", b"1")]))
    (event,) = client.events()
    assert isinstance(event, w.AcceptConnection)
    assert event.subprotocol == "b"
    assert (b"x-node", b"1") in event.extra_headers


def test_nothing_of_h11_or_the_buffer_is_kept_after_the_upgrade() -> None:
    """Fact: wsproto keeps h11 alive after the upgrade, 4.9 KB a connection."""
    handshake, _ = receive(request_bytes(body=b"tail"))
    handshake.accept()
    assert handshake._http is None
    assert handshake._scanner is None
    assert handshake._buffer == b""
    assert handshake.trailing == b"tail"


def test_bytes_right_behind_the_handshake_are_used_not_lost() -> None:
    handshake, _ = receive(request_bytes(body=client_frame(TEXT, b"early")))
    assert handshake.receive(client_frame(TEXT, b"bird")[:3]) is None
    handshake.accept()
    session = FastSession(Limits())
    tail = handshake.trailing + client_frame(TEXT, b"bird")[3:]
    assert session.receive(tail) == len(tail)
    assert session.take_events() == [TextMessage("early"), TextMessage("bird")]


def test_bytes_after_the_upgrade_belong_to_the_session() -> None:
    handshake, _ = receive(request_bytes())
    handshake.accept()
    with pytest.raises(StateError, match="belong to the session"):
        handshake.receive(b"x")


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, upgrade"},
        {"Connection": "UPGRADE"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:8765"},
        {"Host": "[v1.x]"},
        {"Host": "caf%C3%A9.example:"},
        {"Content-Length": "0"},
        {"Expect": "100-continue"},
        {"X-Opaque": "\xff\x01"},
    ],
)
def test_other_spellings_of_a_valid_upgrade(headers: dict[str, str | None]) -> None:
    _, request = receive(request_bytes(headers=headers))
    assert request.is_upgrade


def test_repeated_list_headers_count_as_one() -> None:
    extra = [
        ("Connection", "keep-alive"),
        ("Sec-WebSocket-Protocol", "a,"),
        ("Sec-WebSocket-Protocol", ", b ,c"),
    ]
    _, request = receive(request_bytes(extra=extra))
    assert request.subprotocols == ("a", "b", "c")
    assert request.header(b"connection") == b"Upgrade, keep-alive"
    assert request.header(b"origin") is None


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (request_bytes(method="POST"), 405, "opened with GET"),
        (request_bytes(method="HEAD"), 405, "opened with GET"),
        (request_bytes(headers={"Connection": None}), 400, "lacks Upgrade"),
        (request_bytes(headers={"Connection": "keep-alive"}), 400, "lacks Upgrade"),
        (request_bytes(headers={"Sec-WebSocket-Version": None}), 426, "version 13"),
        (request_bytes(headers={"Sec-WebSocket-Version": "8"}), 426, "version 13"),
        (request_bytes(headers={"Sec-WebSocket-Version": "13, 8"}), 426, "version 13"),
        (request_bytes(extra=[("Sec-WebSocket-Version", "13")]), 426, "version 13"),
        (request_bytes(headers={"Sec-WebSocket-Key": None}), 400, "exactly one"),
        (request_bytes(extra=[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]), 400, "exactly one"),
        (request_bytes(headers={"Sec-WebSocket-Key": ""}), 400, "16 bytes"),
        (request_bytes(headers={"Sec-WebSocket-Key": "not base64"}), 400, "16 bytes"),
        (request_bytes(headers={"Sec-WebSocket-Key": "c2hvcnQ="}), 400, "16 bytes"),
        (request_bytes(headers={"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZTE="}), 400, "16 bytes"),
        (request_bytes(headers={"Content-Length": "3"}, body=b"abc"), 400, "no body"),
        (request_bytes(headers={"Transfer-Encoding": "chunked"}, body=b"0\r\n\r\n"), 400, "no body"),
        (request_bytes(headers={"Sec-WebSocket-Protocol": "\xff"}), 400, "Protocol"),
        (request_bytes(headers={"Sec-WebSocket-Protocol": "a b"}), 400, "Protocol"),
        (request_bytes(headers={"Sec-WebSocket-Protocol": "a, a"}), 400, "Protocol"),
        (request_bytes(headers={"Sec-WebSocket-Protocol": ""}), 400, "empty"),
        (request_bytes(headers={"Sec-WebSocket-Extensions": "\xff"}), 400, "Extensions"),
        (request_bytes(headers={"Sec-WebSocket-Extensions": "x; =1"}), 400, "Extensions"),
        (request_bytes(headers={"Sec-WebSocket-Extensions": 'x; y="a b"'}), 400, "Extensions"),
        (request_bytes(headers={"Sec-WebSocket-Extensions": ", ,"}), 400, "empty"),
        (request_bytes(headers={"Host": None}), 400, "Host header is missing"),
        (request_bytes(extra=[("Host", "other")]), 400, "more than one Host"),
        (request_bytes(headers={"Host": ""}), 400, "not a host"),
        (request_bytes(headers={"Host": "a b"}), 400, "not a host"),
        (request_bytes(headers={"Host": "\xff"}), 400, "not a host"),
        (request_bytes(headers={"Host": "a/b"}), 400, "not a host"),
        (request_bytes(headers={"Host": "user@a"}), 400, "not a host"),
        (request_bytes(headers={"Host": "[::1"}), 400, "not a host"),
        (request_bytes(headers={"Host": "a:123456"}), 400, "not a host"),
        (request_bytes(headers={"Host": "xn--" + "a" * 80 + ".\xe9"}), 400, "not a host"),
    ],
)
def test_an_upgrade_that_breaks_a_rule_is_refused(data: bytes, status: int, reason: str) -> None:
    """Facts: wsproto accepts bodies and malformed keys, and trips over bytes that are not ASCII."""
    got_status, got_reason, answer = refusal(data)
    assert got_status == status
    assert reason in got_reason
    if data[:4] != b"HEAD":
        assert answer.endswith(b"\r\n\r\n" + got_reason.encode() + b"\n")


def test_a_405_names_the_method_that_works() -> None:
    assert b"\r\nAllow: GET\r\n" in refusal(request_bytes(method="PUT"))[2]


def test_a_426_names_protocol_and_version() -> None:
    for answer in (
        refusal(request_bytes(headers={"Sec-WebSocket-Version": "7"}))[2],
        receive(get())[0].refuse(upgrade_required()),
    ):
        head = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert head[0] == b"HTTP/1.1 426 Upgrade Required"
        assert b"Upgrade: websocket" in head
        assert b"Sec-WebSocket-Version: 13" in head
        assert b"Connection: close, Upgrade" in head
        assert b"Content-Type: text/plain; charset=utf-8" in head
        assert b"X-Content-Type-Options: nosniff" in head


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.0", {}),
        ("1.1", {"Upgrade": "h2c"}),
        ("1.1", {"Upgrade": None}),
        ("1.1", {"Upgrade": None, "Connection": None}),
    ],
)
def test_what_does_not_ask_for_a_websocket_is_a_plain_request(
    version: str, headers: dict[str, str | None]
) -> None:
    """RFC 9110 section 7.8: Upgrade is ignored in HTTP/1.0."""
    handshake, request = receive(request_bytes(version=version, headers=headers))
    assert not request.is_upgrade
    assert request.subprotocols == ()
    with pytest.raises(StateError, match="no upgrade"):
        handshake.accept()
    assert handshake.refuse(upgrade_required()).startswith(b"HTTP/1.1 426 ")


def test_extensions_are_declined_unless_the_caller_brings_them() -> None:
    offer = {"Sec-WebSocket-Extensions": 'permessage-deflate; client_max_window_bits="12", x-other; a=b; c'}
    handshake, request = receive(request_bytes(headers=offer))
    assert request.extensions == ('permessage-deflate; client_max_window_bits="12"', "x-other; a=b; c")
    assert b"Extensions" not in handshake.accept()
    handshake, _ = receive(request_bytes(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in handshake.accept(
        extensions=[PerMessageDeflate()]
    )


def test_window_bits_that_make_wsproto_raise_valueerror_are_a_400() -> None:
    """Fact: wsproto lets ValueError out for bad window bits."""
    offer = "permessage-deflate; server_max_window_bits=x"
    handshake, _ = receive(request_bytes(headers={"Sec-WebSocket-Extensions": offer}))
    with pytest.raises(HandshakeError, match="400") as caught:
        handshake.accept(extensions=[PerMessageDeflate()])
    assert handshake.refuse(caught.value).startswith(b"HTTP/1.1 400 ")


def test_only_an_offered_subprotocol_can_be_chosen() -> None:
    handshake, _ = receive(request_bytes(headers={"Sec-WebSocket-Protocol": "a"}))
    with pytest.raises(ValueError, match="not offered"):
        handshake.accept("b")
    assert b"Sec-WebSocket-Protocol: a\r\n" in handshake.accept("a")


# Limits


def test_a_head_of_the_limit_passes_and_one_byte_more_is_431() -> None:
    limits = Limits(head_bytes=400, line_bytes=400)
    room = 400 - len(get(X=""))
    receive(get(X="y" * room), limits)
    assert refusal(get(X="y" * (room + 1)), limits)[:2] == (431, "the request head is larger than 400 bytes")


def test_a_head_over_the_limit_is_refused_before_it_ends() -> None:
    endless = get().removesuffix(b"\r\n") + b"X: y\r\n" * 5000
    assert refusal(endless)[0] == 431
    assert refusal(get(**{f"X{i}": "y" * 1000 for i in range(20)}))[:2] == (
        431, "the request head is larger than 16384 bytes"
    )  # fmt: skip


def test_128_headers_pass_and_129_are_431() -> None:
    receive(get(**{f"X{i}": "y" for i in range(127)}))
    assert refusal(get(**{f"X{i}": "y" for i in range(128)}))[:2] == (431, "more than 128 header lines")


def test_a_header_line_of_8_kib_passes_and_one_byte_more_is_431() -> None:
    receive(get(X="y" * (8192 - len("X: \r"))))
    status, reason, _ = refusal(get(X="y" * (8193 - len("X: \r"))))
    assert (status, reason) == (431, "a header line is longer than 8192 bytes")


def test_a_target_too_long_is_414() -> None:
    receive(get("/" + "x" * (8192 - len("GET / HTTP/1.1\r"))))
    assert refusal(get("/" + "x" * (8193 - len("GET / HTTP/1.1\r"))))[0] == 414
    assert refusal(b"GET /" + b"x" * 8200)[0] == 414


def test_a_body_of_the_limit_is_discarded_and_one_byte_more_is_413() -> None:
    handshake, _ = receive(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536 + get("/next")
    )
    handshake.respond(200)
    request = handshake.next_request()
    assert request is not None
    assert request.path == "/next"
    assert refusal(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n")[0] == 413


def test_a_chunked_body_is_counted_as_sent() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"1\r\nx\r\n" * 10 + b"0\r\n\r\n"
    receive(head + body, Limits(body_bytes=len(body)))
    assert refusal(head + body, Limits(body_bytes=len(body) - 1))[0] == 413


# Bad requests


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b" GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400),
        (b"GET /\x80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            501,
        ),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: a-pony\r\n\r\n", 417),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\nExpect: a-pony\r\n\r\n", 417),
        (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http://a@b/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ],
)
def test_bad_requests(data: bytes, status: int) -> None:
    got_status, reason, answer = refusal(data)
    assert got_status == status
    assert reason
    body = answer.partition(b"\r\n\r\n")[2]
    assert body == (b"" if data.startswith(b"HEAD") else reason.encode() + b"\n")


def test_no_byte_of_the_request_is_repeated_in_a_refusal() -> None:
    for data in (
        b"\x1b[31mGET\r\n\r\n",
        get(X="\x00\x1b]0;title\x07"),
        request_bytes(headers={"Host": "<script>"}),
    ):
        answer = refusal(data)[2]
        assert b"\x1b" not in answer
        assert b"script" not in answer
        assert b"title" not in answer


def test_a_reason_with_control_characters_is_escaped() -> None:
    answer = Handshake(Limits()).refuse(HandshakeError(404, "no \x1b[31m\r\npath é"))
    assert answer.endswith(b"no \\x1b[31m\\r\\npath \\xe9\n")


def test_a_message_of_h11_that_is_not_known_is_not_repeated() -> None:
    error = _translate(h11.RemoteProtocolError("new text about \x1b", error_status_hint=431))
    assert (error.status, error.reason) == (431, "this is not valid HTTP/1.1")


def test_rules_that_h11_checks_first_hold_without_it() -> None:
    for headers in ((), ((b"host", b"a"), (b"host", b"a"))):
        with pytest.raises(HandshakeError, match="Host"):
            examine("GET", "/", "1.2", headers)


# Plain requests: RFC 9112


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", ("/", "", None)),
        ("GET", "/a/%20?b=c?d", ("/a/%20", "b=c?d", None)),
        ("GET", "//double", ("//double", "", None)),
        ("OPTIONS", "*", ("*", "", None)),
        ("GET", "http://h:1/a?b", ("/a", "b", "h:1")),
        ("GET", "ws://h", ("/", "", "h")),
        ("GET", "http://h?q", ("/", "q", "h")),
    ],
)
def test_the_forms_of_a_target(method: str, target: str, expected: tuple[str, str, str | None]) -> None:
    assert split_target(method, target) == expected


def test_an_absolute_targets_host_replaces_the_header() -> None:
    _, request = receive(b"GET http://real:1/x HTTP/1.1\r\nHost: other\r\nA: b\r\n\r\n")
    assert request.headers == ((b"host", b"real:1"), (b"a", b"b"))


def test_a_plain_answer() -> None:
    handshake, request = receive(get("/x?y"))
    assert request.headers == ((b"host", b"h"),)
    answer = handshake.respond(200, [(b"Content-Type", b"text/plain")], b"hello")
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    assert handshake.keep_alive
    assert state_of(handshake) is HandshakeState.READING


def test_head_gets_the_headers_of_get_and_no_body() -> None:
    handshake, _ = receive(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert handshake.respond(200, (), b"hello") == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert handshake.keep_alive


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    handshake, _ = receive(get())
    answer = handshake.respond(status, (), b"ignored")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in answer
    assert handshake.keep_alive


def test_pipelined_requests_are_answered_in_order() -> None:
    seen, output, state, _ = run_handshake([get("/1") + get("/2") + b"\r\n" + get("/3")])
    assert [item.path for item in seen if isinstance(item, Request)] == ["/1", "/2", "/3"]
    assert output.count(b"HTTP/1.1 200 OK") == 3
    assert state is HandshakeState.READING


def test_an_upgrade_may_follow_a_plain_request() -> None:
    seen, _, state, behind = run_handshake([get() + request_bytes(body=b"tail")])
    assert [item.is_upgrade for item in seen if isinstance(item, Request)] == [False, True]
    assert state is HandshakeState.UPGRADED
    assert behind == b"tail"


@pytest.mark.parametrize("data", [get(Connection="close"), b"GET / HTTP/1.0\r\n\r\n"])
def test_a_client_that_wants_to_close_is_told_so(data: bytes) -> None:
    handshake, _ = receive(data + get("/never"))
    assert b"\r\nConnection: close\r\n" in handshake.respond(200)
    assert not handshake.keep_alive
    assert handshake.next_request() is None
    assert state_of(handshake) is HandshakeState.CLOSED


def test_a_server_that_wants_to_close_says_so() -> None:
    handshake, _ = receive(get())
    handshake.respond(503, [(b"Connection", b"close"), (b"Retry-After", b"1")], b"later")
    assert not handshake.keep_alive
    assert state_of(handshake) is HandshakeState.CLOSED


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_a_client_that_waits_for_100_gets_its_answer_and_a_close(body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
    handshake, request = receive(head + body)
    assert request.method == "POST"
    assert b"\r\nConnection: close\r\n" in handshake.respond(405)
    assert not handshake.keep_alive


def test_an_expectation_without_a_body_is_no_matter() -> None:
    handshake, _ = receive(get(Expect="100-continue"))
    handshake.respond(200)
    assert handshake.keep_alive


def test_a_request_that_dribbles_is_complete_with_its_last_byte() -> None:
    handshake = Handshake(Limits())
    data = request_bytes()
    for position in range(len(data) - 1):
        assert handshake.receive(data[position : position + 1]) is None
    assert handshake.receive(data[-1:]) is not None


def test_bytes_behind_a_request_wait_for_its_answer() -> None:
    handshake, _ = receive(get("/1"))
    assert handshake.receive(get("/2")) is None
    assert handshake.next_request() is None
    handshake.respond(200)
    request = handshake.next_request()
    assert request is not None
    assert request.path == "/2"


# The end of input


def test_the_end_between_requests_is_clean() -> None:
    for data in (b"", b"\r\n"):
        handshake = Handshake(Limits())
        handshake.receive(data)
        handshake.receive_eof()
        assert state_of(handshake) is HandshakeState.CLOSED
        handshake.receive_eof()


@pytest.mark.parametrize(
    "data", [b"G", get()[:-1], b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell"]
)
def test_the_end_within_a_request_is_a_400(data: bytes) -> None:
    handshake = Handshake(Limits())
    assert handshake.receive(data) is None
    with pytest.raises(HandshakeError, match="ended early") as caught:
        handshake.receive_eof()
    assert handshake.refuse(caught.value).startswith(b"HTTP/1.1 400 ")


def test_requests_before_the_end_are_all_answered() -> None:
    handshake, _ = receive(get("/1") + get("/2"))
    handshake.receive_eof()
    kept = []
    for _ in range(2):
        handshake.respond(200)
        kept.append(handshake.keep_alive)
        handshake.next_request()
    assert kept == [True, False]
    assert state_of(handshake) is HandshakeState.CLOSED


# The table, and the caller's own mistakes


def test_the_table_names_every_state_and_every_step() -> None:
    assert set(HANDSHAKE_TRANSITIONS) == set(HandshakeState)
    assert {step for row in HANDSHAKE_TRANSITIONS.values() for step in row} == set(HandshakeStep)
    for state in (HandshakeState.UPGRADED, HandshakeState.CLOSED):
        assert HANDSHAKE_TRANSITIONS[state] == {}


def test_answers_that_nobody_asked_for_are_refused() -> None:
    handshake = Handshake(Limits())
    with pytest.raises(StateError, match="no request"):
        handshake.respond(200)
    with pytest.raises(StateError, match="no upgrade"):
        handshake.accept()
    handshake.refuse(HandshakeError(408, "too slow"))
    with pytest.raises(StateError, match="refuse is illegal while closed"):
        handshake.refuse(HandshakeError(408, "too slow"))


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, [(b"X", b"a\r\nSet-Cookie: b")]), (200, [(b"X Y", b"a")]), (999, []), (100, []), (101, [])],
)
def test_an_illegal_answer_is_a_valueerror_and_the_request_can_still_be_answered(
    status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    handshake, _ = receive(get())
    with pytest.raises(ValueError):
        handshake.respond(status, headers)
    assert handshake.respond(500).startswith(b"HTTP/1.1 500 ")


def test_a_body_in_very_many_chunks_is_413_however_it_is_cut() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunks, expected in ((256, 200), (257, 413)):
        stream = head + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
        for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
            _, output, _, _ = run_handshake(pieces)
            assert output.startswith(b"HTTP/1.1 %d " % expected)


def test_a_body_of_a_declared_length_may_come_byte_by_byte() -> None:
    stream = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    _, output, _, _ = run_handshake([stream[i : i + 1] for i in range(len(stream))])
    assert output.startswith(b"HTTP/1.1 200 ")
