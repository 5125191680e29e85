"""What a recording's file may be, and what it may not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.operations.results import RecordedLine
from wsloop.observe.tape import FORMAT, Head, TapeError, read

HEAD = msgspec.json.encode(Head(FORMAT, "1", 0.0, redacted=True)) + b"\n"
LINE = b'{"n":1,"t":0,"c":"a/1","kind":"begin","about":{"message_bytes":%b}}\n'

recorded = st.builds(
    RecordedLine,
    n=st.integers(0, 50),
    t=st.floats(0, 1e9),
    c=st.sampled_from(["a/1", "a/2", "b/1"]),
    kind=st.sampled_from(["in", "out"]),
    data=st.binary(max_size=20),
)


@given(st.lists(recorded, max_size=10))
def test_lines_are_read_as_they_were_written_each_connections_in_order(lines: list[RecordedLine]) -> None:
    tape = read([HEAD, *(msgspec.json.encode(line) + b"\n" for line in lines)])
    assert tape.head.redacted
    assert sum(map(len, tape.connections.values())) == len(lines)
    for name, each in tape.connections.items():
        assert each == sorted((line for line in lines if line.c == name), key=lambda line: line.n)


def test_a_last_line_that_was_cut_off_is_left_out() -> None:
    assert read([HEAD, b'{"n":1,"t":0,"c":"a/']).connections == {}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "not a recording"),
        ([b"{}\n"], "line 1"),
        ([b"GIF89a\n"], "line 1"),
        ([b"[" * 100_000], "line 1"),
        ([HEAD.replace(b"1", b"2", 1)], "later version"),
        ([HEAD, b"what?\n", b"\n"], "line 2"),
        ([HEAD, b'{"n":1,"t":0,"c":"a/1","kind":"in","data":"%"}\n', b"\n"], "line 2"),
        ([HEAD, b'{"n":1,"t":0,"c":"a/1","kind":"\xff"}\n', b"\n"], "line 2"),
        ([HEAD, LINE % b"-1", b"\n"], "line 2: message_bytes"),
        ([HEAD, LINE % b'"much"', b"\n"], "line 2: message_bytes"),
        ([HEAD, LINE % b"true", b"\n"], "line 2: message_bytes"),
        ([HEAD, LINE % b"9223372036854775808", b"\n"], "line 2: message_bytes"),
    ],
)
def test_what_is_no_recording_is_told(lines: list[bytes], said: str) -> None:
    with pytest.raises(TapeError, match=said):
        read(lines)
