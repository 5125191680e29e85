from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.testing.simulator.people.frames import CLOSE, FIN, PING, RSV1, TEXT, masked, unmasked
from wsloop.testing.simulator.words import line

HELLO = b'{"id":1}'


def said(data: bytes) -> str:
    """The line of a piece, without what stands before it."""
    words = line((12.5, "send", 3, "p4 > server", data))
    head = "     12.500000  send      3  p4 > server  "
    assert words.startswith(head)
    return words[len(head) :]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (unmasked(TEXT, HELLO), 'text {"id":1}'),
        (masked(TEXT, HELLO, b"abcd"), 'text {"id":1}'),
        (masked(TEXT, b"two\nlines"), r"text two\nlines"),
        (unmasked(TEXT, b"\xff"), r"text \\xff"),
        (unmasked(PING, b"") + unmasked(TEXT, HELLO), "ping b'', text {\"id\":1}"),
        (masked(CLOSE, b"\x03\xe8", b"abcd"), r"close b'\x03\xe8'"),
        (unmasked(TEXT, b"x", flags=FIN | RSV1), "deflated text b'x'"),
        (unmasked(TEXT, bytes(300)), "text " + r"\x00" * 40 + "... 300 bytes"),
        (unmasked(TEXT, b"x" * 70_000), "text " + "x" * 160 + "... 70000 bytes"),
        (unmasked(PING, b"") * 6, "ping b'', ping b'', ping b'', ping b'', ... 6 frames"),
    ],
)
def test_frames_are_told_by_name(data: bytes, words: str) -> None:
    assert said(data) == words


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"",
        unmasked(TEXT, HELLO)[:-1],
        unmasked(TEXT, HELLO) + b"\x81",
        unmasked(TEXT, HELLO, flags=0),
        unmasked(0, HELLO),
    ],
)
def test_what_is_no_whole_frame_is_shown_as_bytes(data: bytes) -> None:
    assert said(data) == repr(data)


def test_long_bytes_are_cut() -> None:
    assert said(bytes(1000)).endswith("... 1000 bytes")


@given(st.binary(max_size=300))
def test_any_bytes_have_a_line(data: bytes) -> None:
    assert "\n" not in line((0.0, "send", data))
