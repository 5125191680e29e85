"""What is secret does not get into a recording, and what is not stays as it was: for every cut."""

from __future__ import annotations

import itertools
import json
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cve.kit import holding_at_most
from wsloop.protocol.frames import FIN, RSV1, encode_header
from wsloop.protocol.redaction import NAMES, Redactor, redacted_head, redacted_message
from wsloop.protocol.walk import frame_at
from wsloop.testing.client import masked_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "s3cr3t-pa.ssw0rd"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"
HEAD = (
    f"GET /connection/websocket?cf_protocol=json&access={SECRET} HTTP/1.1\r\n"
    "Host: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Authorization: Bearer {SECRET}\r\ncookie: sid={SECRET}\r\nX-Anything: {SECRET}\r\n"
    f"Sec-WebSocket-Protocol: centrifuge-json, {SECRET}\r\nUser-Agent: a browser\r\n\r\n"
).encode()
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
MASK = b"\x01\x80\x33\xff"

names = st.sampled_from(
    ["token", "Token", "auth_token", "password", "x-api-key", "authorization", "client_secret"]
)
harmless = st.dictionaries(
    st.sampled_from(["channel", "id", "text", "n"]), st.integers() | st.text(max_size=20)
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    body: dict[str, object] = dict(draw(harmless))
    body[draw(names)] = SECRET + draw(st.text(max_size=5)) + SECRET
    body["data"] = f"see {JWT}!"
    return json.dumps(
        {"id": 1, "connect": body}, separators=draw(st.sampled_from([(",", ":"), (", ", " : ")]))
    ).encode()


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@st.composite
def framed(draw: st.DrawFn, payload: bytes) -> bytes:
    """Return a message in one or more frames, perhaps with a ping between them, perhaps compressed."""
    first = 0x01
    if draw(st.booleans()):
        payload, first = deflated(payload), 0x01 | RSV1
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=2)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    out = b""
    for index, part in enumerate(parts):
        frame = masked_frame(0, part, MASK, fin=index == len(parts) - 1)
        out += bytes([frame[0] | (first if index == 0 else 0)]) + frame[1:]
        if draw(st.booleans()):
            out += masked_frame(0x9, b"beat", MASK)
    return out


def packed_frame(payload: bytes) -> bytes:
    return bytes([FIN | RSV1 | 1]) + masked_frame(1, payload, MASK)[1:]


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in itertools.pairwise(places)]


def run(redactor: Redactor, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    out = []
    for number, piece in enumerate(pieces):
        out += redactor.feed(number, piece)
    return out + redactor.finish()


def payloads(stream: bytes) -> bytes:
    """Return what is readable in a stream of frames: payloads of one after the other, inflated."""
    out, offset, message, packed = b"", 0, b"", False
    end = b"\x00\x00\xff\xff"
    while (frame := frame_at(stream, offset)) is not None:
        offset = frame.end
        if not frame.is_control:
            packed = packed or frame.is_compressed
            message += frame.payload(stream)
            if frame.is_final:
                out += zlib.decompressobj(-15).decompress(message + end) if packed else message
                message, packed = b"", False
    return out


@given(st.data())
def test_no_secret_is_left_and_pieces_keep_their_order_and_lengths(data: st.DataObject) -> None:
    texts = data.draw(st.lists(messages(), min_size=1, max_size=3))
    stream = HEAD + b"".join(data.draw(framed(text)) for text in texts)
    pieces = pieces_of(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    inbound = Redactor(answers=False, is_open=False, subprotocols=frozenset({b"centrifuge-json"}))
    out = []
    for number, piece in enumerate(pieces):
        out += inbound.feed(number, piece)
    assert all(SECRET.encode() not in piece for _, piece in out)
    out += inbound.open(0) + inbound.finish()
    assert [(number, len(piece)) for number, piece in out] == [(n, len(p)) for n, p in enumerate(pieces)]
    redacted = b"".join(piece for _, piece in out)
    assert redacted[: len(HEAD)] == redacted_head(HEAD, frozenset({b"centrifuge-json"}))
    readable = redacted[: len(HEAD)] + payloads(redacted[len(HEAD) :])
    assert SECRET.encode() not in readable
    assert JWT.encode() not in readable


@given(st.lists(harmless, min_size=1, max_size=4), st.data())
def test_what_is_not_secret_stays_as_it_was(texts: list[dict[str, object]], data: st.DataObject) -> None:
    stream = b"".join(data.draw(framed(json.dumps(text).encode())) for text in texts)
    pieces = pieces_of(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    out = run(Redactor(answers=False, is_open=True), pieces)
    assert out == list(enumerate(pieces))


@pytest.mark.parametrize(
    ("text", "is_blotted"),
    [
        (r'{"\u0074oken": "a"}', True),
        (r'{"api\u005fkey": "a"}', True),
        (r'{"api\u002Dkey": "a"}', True),
        (r'{"channel": "\u007f"}', False),
        (r'{"channel": "\u0040\u005b\u0060\u007b"}', False),
    ],
)
def test_only_letters_in_disguise_can_hide_a_name(text: str, is_blotted: bool) -> None:
    assert (b"*" in redacted_message(text.encode(), is_text=True)) is is_blotted


@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.lists(st.integers(0, 200), max_size=5))
def test_whatever_comes_nothing_is_raised_and_nothing_gets_lost(
    stream: bytes, is_open: bool, answers: bool, cuts: list[int]
) -> None:
    pieces = pieces_of(stream, cuts)
    out = run(Redactor(answers=answers, is_open=is_open), pieces)
    assert [len(piece) for _, piece in out] == [len(piece) for piece in pieces]


def test_a_head_keeps_what_is_harmless() -> None:
    head = redacted_head(HEAD, frozenset({b"centrifuge-json"}))
    assert len(head) == len(HEAD)
    assert SECRET.encode() not in head
    assert head.startswith(b"GET /connection/websocket?cf_protocol=****&access=****************")
    assert b"Host: example.org\r\n" in head
    assert b"Sec-WebSocket-Protocol: centrifuge-json,*" in head
    assert redacted_head(b"GET /?eyJhbG HTTP/1.1") == b"GET /?****** HTTP/1.1"
    assert redacted_head(b"GET / HTTP/1.1\r\n folded") == b"GET / HTTP/1.1\r\n*******"


@pytest.mark.parametrize(
    ("message", "redacted"),
    [
        (rb'{"token":"abc"}', rb'{"token":"***"}'),
        (rb'{"Token" : "a\"b","n":"\u00e9"}', rb'{"Token" : "****","n":"\u00e9"}'),
        (rb'{"\u0074oken":"a"}', b"*" * 18),
        (b'{"tokens of all":"a","b":"secret","c":"d"}', b'{"tokens of all":"*","b":"secret","c":"d"}'),
        (rb'{"token":"cut off', rb'{"token":"*******'),
        (rb'{"tokens":7,"n":"token"}', rb'{"tokens":7,"n":"token"}'),
        (b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIifQ.", b"*" * 35),
    ],
)
def test_of_a_message_only_secrets_are_blotted_out(message: bytes, redacted: bytes) -> None:
    assert redacted_message(message, is_text=True) == redacted


@pytest.mark.parametrize("part", [rb"\n", rb"\u00e9", b"a", rb"a\n", b"\xc3\xa9"])
def test_a_long_secret_is_blotted_out_whole_in_little_memory(part: bytes) -> None:
    """A group that repeats costs `re` memory for each repetition: 70 bytes for each of two in a message."""
    secret = part * (200_000 // len(part))
    message = b'{"token":"' + secret + b'","n":1}'
    with holding_at_most(5 * len(message)):
        redacted = redacted_message(message, is_text=True)
    assert redacted == b'{"token":"' + b"*" * len(secret) + b'","n":1}'


def test_behind_a_name_in_another_encoding_nothing_is_left() -> None:
    packed = b"\x81\xa5token\xa6abcdef\xa1z\x01"
    assert redacted_message(packed, is_text=False) == b"\x81\xa5token" + b"*" * 10
    assert redacted_message(b"\x00\x01 picture", is_text=False) == b"\x00\x01 picture"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_known_in_another_encoding(name: bytes) -> None:
    packed = b"\x81\xa8" + name + b"\xb0" + SECRET.encode()
    assert redacted_message(packed, is_text=False) == b"\x81\xa8" + name + b"*" * 17


def test_the_answer_opens_the_other_direction() -> None:
    outbound = Redactor(answers=True, is_open=False)
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    pushed = encode_header(1, 13) + b'{"token":"a"}'
    out = run(outbound, [page, ANSWER + pushed])
    assert outbound.is_open
    assert (
        out[1][1]
        == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x0d" + b'{"token":"*"}'
    )


def test_a_request_that_is_refused_is_followed_by_another() -> None:
    inbound = Redactor(answers=False, is_open=False)
    assert inbound.feed(0, HEAD) == [(0, redacted_head(HEAD))]
    assert inbound.feed(1, HEAD) == []
    assert inbound.refuse() == [(1, redacted_head(HEAD))]


def test_a_message_that_cannot_be_read_is_blotted_out() -> None:
    ((_, piece),) = run(Redactor(answers=False, is_open=True), [packed_frame(b"not deflate")])
    assert piece == masked_frame(1, b"*" * 11, MASK)


def test_what_inflates_to_more_than_the_connection_takes_is_not_looked_into() -> None:
    frames = {size: packed_frame(deflated(b"{}".ljust(size))) for size in (1000, 1001)}
    opened = Redactor(answers=False, is_open=False)
    opened.open(kept_bytes=0, message_bytes=1000)
    for redactor in (Redactor(answers=False, is_open=True, message_bytes=1000), opened):
        ((_, kept), (_, blotted)) = run(redactor, list(frames.values()))
        assert kept == frames[1000]
        assert blotted == masked_frame(1, b"*" * (len(frames[1001]) - 6), MASK)


def test_with_a_context_nothing_behind_a_secret_can_be_read() -> None:
    compressor = zlib.compressobj(wbits=-15)
    texts = [b'{"n":1}', b'{"token":"abcdef"}', b'{"n":2}']
    packed = [(compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for text in texts]
    frames = [packed_frame(each) for each in packed]
    out = [piece for _, piece in run(Redactor(answers=False, is_open=True, kept_bytes=32768), frames)]
    assert out[0] == frames[0]
    assert out[1:] == [masked_frame(1, b"*" * len(each), MASK) for each in packed[1:]]
    first = [packed_frame(b"damaged"), *frames[:1]]
    out = [piece for _, piece in run(Redactor(answers=False, is_open=True, kept_bytes=32768), first)]
    assert out == [masked_frame(1, b"*" * 7, MASK), masked_frame(1, b"*" * len(packed[0]), MASK)]


def test_of_an_unfinished_message_the_header_is_left_and_of_a_fault_its_first_bytes() -> None:
    whole = masked_frame(1, b"0123456789", MASK)
    begun = masked_frame(1, b"first", MASK, fin=False)
    (_, a), (_, b) = run(Redactor(answers=False, is_open=True), [begun, whole[:10]])
    assert a + b == masked_frame(1, b"*****", MASK, fin=False) + masked_frame(1, b"*" * 10, MASK)[:10]
    ((_, short),) = run(Redactor(answers=False, is_open=True), [whole[:4]])
    assert short == b"****"
    ((_, lost),) = run(Redactor(answers=False, is_open=True), [begun + b"\x83\x05secret"])
    assert lost == masked_frame(1, b"*****", MASK, fin=False) + b"\x83\x05******"
    redactor = Redactor(answers=False, is_open=True)
    assert redactor.feed(0, b"\x83\x00") + redactor.feed(1, b"more") == [(0, b"\x83\x00"), (1, b"****")]
    assert redactor.finish() == []
    ping = masked_frame(9, b"abc", MASK)
    assert run(Redactor(answers=False, is_open=True), [ping[:7]]) == [(0, ping[:7])]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("blank_line", [b"\n", b"\r\n"])
@pytest.mark.parametrize("cut", [10, 200, len(HEAD) - 12, 10_000])
def test_lines_may_end_without_a_carriage_return(line_end: bytes, blank_line: bytes, cut: int) -> None:
    head = HEAD.removesuffix(b"\r\n").replace(b"\r\n", line_end) + blank_line
    redactor = Redactor(answers=False, is_open=False)
    out = redactor.feed(0, head[:cut]) + redactor.feed(1, head[cut:])
    assert redactor.awaits_answer
    out += redactor.open(0) + redactor.feed(2, masked_frame(1, f'{{"token":"{SECRET}"}}'.encode(), MASK))
    got = b"".join(piece for _, piece in out)
    without = redacted_head(HEAD).removesuffix(b"\r\n")
    assert got[: len(head)] == without.replace(b"\r\n", line_end) + blank_line
    assert payloads(got[len(head) :]) == b'{"token":"' + b"*" * len(SECRET) + b'"}'


def test_a_login_in_the_request_line_is_a_secret() -> None:
    head = f"GET http://anna:{SECRET}@example.org/?q=a@b HTTP/1.1\r\n\r\n".encode()
    assert redacted_head(head) == head.replace(f"anna:{SECRET}".encode(), b"*" * 21).replace(b"a@b", b"***")
