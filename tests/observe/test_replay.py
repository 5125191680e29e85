"""A recording is played again frame by frame, and the core says what it said then."""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.operations.results import RecordedLine
from wsloop.observe.replay import agreement_of, replayed
from wsloop.protocol.frames import FIN, RSV1, encode_frame
from wsloop.testing.client import masked_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

MASK = b"\x01\x02\x03\x04"
HELLO = masked_frame(1, b"hello", MASK)
ABOUT: dict[str, str | int | bool] = {"is_whole": False, "address": "[::1]:7", "message_bytes": 100}


def line(number: int, kind: str, data: bytes = b"", **about: str | int | bool) -> RecordedLine:
    return RecordedLine(number, float(number), "n/1", kind, data, about)


def play(*pieces: tuple[str, bytes], shown_chars: int = 200, **about: str | int | bool) -> list[str]:
    """Return what is told of the pieces, without title, times and the last line."""
    lines = [RecordedLine(0, 0.0, "n/1", "begin", about=ABOUT | about)]
    lines += [line(number, kind, data) for number, (kind, data) in enumerate(pieces, 1)]
    return [text[11:] for text in list(replayed(lines, 0.0, shown_chars))[1:-1]]


def compressed(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def packed(frame: bytes) -> bytes:
    return bytes([frame[0] | RSV1]) + frame[1:]


def test_a_conversation_from_its_first_byte_to_its_end() -> None:
    request = b"GET /echo HTTP/1.1\r\nHost: here\r\n\r\n"
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    lines = [
        line(1, "begin", is_whole=True, user="anna", client="c1", address="1.2.3.4:5"),
        line(2, "in", request + HELLO),
        line(3, "out", answer),
        line(4, "out", encode_frame(1, b"hello")),
        line(5, "in", masked_frame(8, b"\x03\xe8bye", MASK)),
        line(6, "end", state="closed"),
    ]
    assert list(replayed(lines, 1.0)) == [
        "connection n/1, user anna, client c1, from 1.2.3.4:5, from its first byte",
        "     1.000 > GET /echo HTTP/1.1",
        "     1.000 >     Host: here",
        "     2.000 < HTTP/1.1 101 Switching Protocols",
        "     2.000 <     Upgrade: websocket",
        "     2.000 > text (5 B): hello",
        "     3.000 < text (5 B): hello",
        "     4.000 > close (5 B): 1000 (normal) bye",
        "     5.000 - closed",
    ]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_however_it_is_cut_the_frames_are_told_alike(cuts: list[int]) -> None:
    stream = HELLO + masked_frame(1, b"in ", MASK, fin=False) + masked_frame(9, b"?", MASK)
    stream += masked_frame(0, b"two", MASK) + masked_frame(2, b"\x00\xff", MASK) + HELLO[:4]
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    pieces = [("in", stream[a:b]) for a, b in itertools.pairwise(places)]
    assert play(*pieces) == [
        "> text (5 B): hello",
        "> text (3 B, more follows): in ",
        "> ping (1 B): 3f",
        "> continuation (3 B): two",
        "= whole text (6 B): in two",
        "> binary (2 B): 00 ff",
        "> 4 bytes of what is not whole",
    ]


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.binary(max_size=60)), max_size=6), st.booleans())
def test_whatever_was_recorded_can_be_shown(pieces: list[tuple[str, bytes]], is_whole: bool) -> None:
    play(*pieces, is_whole=is_whole, extensions="permessage-deflate")


def test_compressed_messages_are_read_in_both_directions() -> None:
    text = b"to be or not to be"
    agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    small = compressed(text)
    told = play(
        ("in", packed(masked_frame(1, small, MASK))),
        ("out", packed(encode_frame(1, small))),
        ("out", packed(encode_frame(2, b"damaged"))),
        extensions=agreed,
    )
    assert told == [
        f"> text ({len(small)} B, compressed)",
        "= whole text (18 B): to be or not to be",
        f"< text ({len(small)} B, compressed)",
        "= whole text (18 B): to be or not to be",
        "< binary (7 B, compressed)",
        "! compressed data is damaged",
    ]
    agreement = agreement_of("permessage-deflate; client_max_window_bits=12")
    assert agreement is not None and agreement.kept_bytes > 0
    assert agreement_of("") is None


def fails(*frames: bytes) -> Sequence[str]:
    return play(("in", b"".join(frames)))


def test_what_the_core_objects_to_is_told_where_it_happened() -> None:
    unmasked = fails(b"\x81\x05hello")
    assert unmasked[0] == "> text (5 B, not masked): hello"
    assert unmasked[1].startswith("! the server fails the connection: 1002")
    assert fails(masked_frame(1, b"\xff", MASK))[1].startswith("! the server fails the connection: 1007")
    assert fails(masked_frame(1, b"x" * 101, MASK))[-1].startswith("! the server fails the connection: 1009")
    reserved = fails(HELLO, b"\x83\x80\x01\x02\x03\x04", HELLO)
    assert reserved[0] == "> text (5 B): hello"
    assert reserved[1].startswith("> what no frame begins with: 83 80")
    assert reserved[2].startswith("! the server fails the connection: 1002")


def test_long_payloads_are_cut_unless_all_is_asked_for() -> None:
    frame = masked_frame(1, b"x" * 90, MASK)
    assert play(("in", frame), shown_chars=10) == ["> text (90 B): xxxxxxxxxx ..."]
    assert play(("in", frame), shown_chars=0) == [f"> text (90 B): {'x' * 90}"]


def test_pages_and_refusals_are_told() -> None:
    lines = [
        line(1, "begin", is_whole=True),
        line(2, "in", b"GET / HTTP/1.1\r\n\r\nGET /no HTTP/1.1\r\n\r\n"),
        line(3, "out", b"HTTP/1.1 200 OK\r\n\r\nbody"),
        line(5, "out", b"HTTP/1.1 404 Not Found\r\n\r\nno"),
    ]
    assert [text[11:] for text in replayed(lines, 0.0)][1:] == [
        "> GET / HTTP/1.1",
        "< HTTP/1.1 200 OK",
        "> GET /no HTTP/1.1",
        "< 4 bytes of a body",
        "< HTTP/1.1 404 Not Found",
        "< 2 bytes of what is not whole",
        "- the recording ends here",
    ]


def test_a_close_without_a_code_and_a_masked_answer_are_told() -> None:
    told = play(("in", masked_frame(8, b"", MASK)), ("out", masked_frame(1, b"odd", MASK)))
    assert told == ["> close (0 B): no code", "< text (3 B, masked): odd"]
    assert play(("out", bytes([FIN | 8, 2]) + b"\x0b\xb8")) == ["< close (2 B): 3000"]


def test_a_client_may_end_its_lines_without_a_carriage_return() -> None:
    request, answer = b"GET / HTTP/1.1\nHost: here\n\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    assert play(("in", request), ("out", answer), ("in", HELLO), is_whole=True) == [
        "> GET / HTTP/1.1",
        ">     Host: here",
        "< HTTP/1.1 101 Switching Protocols",
        "> text (5 B): hello",
    ]
