"""The file of a flight recorder: read and replayed, or a TapeError; and its bytes redacted once more.

The first byte: `t` the lines of a file, as text; otherwise bytes that went over a connection, in which
`BETWEEN` divides the directions, and which are recorded here: bit 0 from the middle, bit 1 compressed, bits
2 to 4 how they are cut. What is redacted keeps its length and its cuts, and none of a secret's text.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.daemon.tables import safe
from wsloop.hub.operations.results import RecordedLine
from wsloop.observe import replay, tape
from wsloop.protocol.redaction import Redactor
from wsloop.protocol.walk import LINE_END, head_end
from wsloop.testing.deflating import Deflater
from wsloop.testing.requests import usual_request
from wsloop.testing.strategies import (
    compressed_messages,
    damaged_streams,
    encoded,
    handshakes,
    valid_sequences,
)
from wsloop.testing.wire import ping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTENSIONS = "permessage-deflate; server_no_context_takeover"
SECRET = b"hush-hush-hush"
BETWEEN = b"\xff\x00\xff"


def one_input(data: bytes) -> None:
    """See the module."""
    if data[:1] == b"t":
        _read_tape(data[1:])
    elif data:
        _record(data[0], data[1:])


def _read_tape(data: bytes) -> None:
    try:
        found = tape.read(data.splitlines(keepends=True))
    except tape.TapeError as error:
        safe(str(error)).encode()
        return
    for lines in found.connections.values():
        for shown_chars in (0, replay.SHOWN_CHARS):
            _replay(lines, found.head.began, shown_chars)


def _replay(lines: list[RecordedLine], began_s: float, shown_chars: int) -> None:
    for line in replay.replayed(lines, began_s, shown_chars):
        safe(line).encode()


def _record(how: int, stream: bytes) -> None:
    """Record the two directions in turns, redact them, and replay what comes out."""
    is_whole = not how & 1
    sides = [
        Redactor(answers=answers, is_open=not is_whole, kept_bytes=1 << 15 if how & 2 else 0)
        for answers in (False, True)
    ]
    about: dict[str, str | int | bool] = {
        "is_whole": is_whole,
        "address": "a",
        "extensions": EXTENSIONS if how & 2 else "",
    }
    lines = [RecordedLine(0, 0.0, "c", "begin", about=about)]
    sent: dict[int, bytes] = {}
    done: dict[int, bytes] = {}
    for turn, said in enumerate(stream.split(BETWEEN)):
        for piece in cutting(how >> 2, said).pieces(said):
            number = len(sent) + 1
            sent[number] = piece
            done.update(sides[turn % 2].feed(number, piece))
            if sides[0].awaits_answer and sides[1].is_open:
                done.update(sides[0].open(0))
            lines.append(RecordedLine(number, float(number), "c", ("in", "out")[turn % 2], piece))
    for side in sides:
        done.update(side.finish())
    agree(
        {number: len(piece) for number, piece in done.items()},
        {number: len(piece) for number, piece in sent.items()},
        "redaction changes lengths",
    )
    if is_whole and _is_cookie(stream):
        promise(SECRET not in b"".join(done.values()), "a secret is left")
    _replay(lines, 0.0, replay.SHOWN_CHARS)


def _is_cookie(stream: bytes) -> bool:
    """Tell whether the secret is said, and only as the value of that header of the first request."""
    head = stream[: head_end(stream, is_answer=False)]
    first, *others = LINE_END.split(head)
    return (
        first == b"GET / HTTP/1.1"
        and BETWEEN not in head
        and 0 < stream.count(SECRET) == others.count(b"Cookie: " + SECRET)
    )


SAYING = (
    '{"id":1,"connect":{"token":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln","data":{"\\u0074oken":"x"}}}'
)
NOTHING: Mapping[str, object] = {}
HEAD = {"wsloop_recording": 1, "version": "1", "began": 1.5, "redacted": True, "rule": {"user": "ann"}}


def _line(number: int, kind: str, data: bytes = b"", about: Mapping[str, object] = NOTHING) -> str:
    line = {
        "n": number,
        "t": number / 2,
        "c": "a/1",
        "kind": kind,
        "data": base64.b64encode(data).decode(),
        "about": {**about},
    }
    return json.dumps(line)


SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: " + EXTENSIONS.encode() + b"\r\n\r\n"
)


def inputs() -> st.SearchStrategy[bytes]:
    """Draw recordings of conversations, whole, from the middle, and not as they should be."""
    frames = (
        st.sampled_from((text(SAYING), ping(b"?"), text(SAYING[:20], fin=False))).map(
            lambda said: said.encode()
        )
        | encoded(valid_sequences())
        | damaged_streams()
        | st.lists(compressed_messages(300), max_size=3).map(
            lambda said: b"".join(frame.encode() for each in said for frame in each.frames(Deflater()))
        )
    )
    request = handshakes().map(lambda each: each.encode()) | st.just(
        usual_request()
        .offering("permessage-deflate")
        .encode()
        .replace(b"\r\n\r\n", b"\r\nCookie: " + SECRET + b"\r\n\r\n")
    )
    answer = st.just(SWITCHING) | st.just(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    whole = st.tuples(request, answer, frames, frames)
    about = st.fixed_dictionaries({}, optional={
        "is_whole": st.booleans(), "message_bytes": st.sampled_from((0, 100, -1, "x", 2**63, True)),
        "user": st.just("ann"),
        "extensions": st.sampled_from((EXTENSIONS, "x", "\u2603", 7)), "address": st.just("::1"),
    })  # fmt: skip
    middle = st.tuples(about, frames, frames).map(
        lambda said: [
            _line(1, "begin", about=said[0]),
            _line(3, "in", said[1]),
            _line(2, "out", said[2]),
            _line(4, "end"),
        ]
    )
    from_start = whole.map(
        lambda said: [
            _line(1, "begin", about={"is_whole": True}),
            *(_line(n, "out" if n % 2 else "in", each) for n, each in enumerate(said, 2)),
        ]
    )
    lines = middle | from_start
    tape_lines = lines.map(lambda said: b"t" + "\n".join([json.dumps(HEAD), *said, ""]).encode())
    bytes_said = st.builds(
        lambda how, said: bytes([how]) + BETWEEN.join(said),
        st.integers(0, 31),
        whole | st.tuples(frames, frames),
    )
    return tape_lines | bytes_said
