"""What a worker and the hub process say to each other: messages or a LinkError, and both live on.

The first byte: bits 0 to 2 how the rest is cut, bit 3 whether the hub process says it, bit 4 that what
follows is JSON, one message a line, [kind, field, ...], bit 5 that a real service, which has another worker,
is to hear what a worker says. What was read and is written again is read as the same.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from tests.cluster.kit import LINK, VirtualRig
from tools.fuzz.shaping import DisagreementError, agree, cutting, promise
from wsloop.cluster import messages
from wsloop.cluster.codec import LENGTH_BYTES, LinkError, MessageReader, encode
from wsloop.cluster.messages import FromService, FromWorker

if TYPE_CHECKING:
    from types import UnionType

HELLO = encode(messages.Hello(messages.VERSION, 7, "fuzz", ""))
BY_SERVICE, JSON, TO_SERVICE = 8, 16, 32
MOST_BYTES = 4096
"""Of a message here: no input is longer."""


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    how, stream = data[0], data[1:]
    if how & JSON:
        stream = b"".join(_written(line) for line in stream.split(b"\n"))
    kinds = FromService if how & BY_SERVICE else FromWorker
    pieces = cutting(how, stream).pieces(stream)
    found = _read(pieces, kinds)
    agree(_read([stream], kinds), found, "cuts change what is read")
    for each in found[0]:
        again = _read([_encoded(each)], kinds)[0]
        agree([_encoded(one) for one in again], [_encoded(each)], "written again, and not the same")
    if how & TO_SERVICE and not how & BY_SERVICE:
        _say(pieces)


def _encoded(message: Any) -> bytes:  # noqa: ANN401 - one of the kinds
    return encode(message)


def _read(pieces: list[bytes], kinds: UnionType) -> tuple[list[Any], bool]:
    """Return the messages, and whether something that was none came behind them."""
    reader = MessageReader(kinds, MOST_BYTES)
    found: list[Any] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (message := reader.next()) is not None:
                found.append(message)
    except LinkError as error:
        promise(bool(error.reason), "an error without a reason")
        return found, True
    return found, False


def _say(pieces: list[bytes]) -> None:
    """Say it to a service, behind a greeting, and see that it goes on to serve another worker."""
    faults: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: faults.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("wsloop")
    logger.addHandler(handler)
    rig = VirtualRig()
    try:
        rig.link()
        sock = rig.machine.network.connect(LINK)
        for piece in (HELLO, *pieces):
            try:
                sock.send(piece)
            except OSError:
                break
            rig.run_for(0.001)
        rig.settle()
        sock.close()
        rig.run_for(0.1)
        rig.settle()
    finally:
        rig.close()
        logger.removeHandler(handler)
    if faults:
        raise DisagreementError(f"the service logs {faults}")


def _written(line: bytes) -> bytes:
    """Return a line of JSON as a message; one that is none stays as it is, behind its length."""
    try:
        body = msgspec.msgpack.encode(_with_bytes(msgspec.json.decode(line)))
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError):
        body = line
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _with_bytes(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with texts that begin with `b:` as bytes."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    return value[2:].encode() if isinstance(value, str) and value.startswith("b:") else value


def _as_json(message: messages.Message) -> bytes:
    """Return a message as such a line."""

    def plain(value: Any) -> Any:  # noqa: ANN401 - any field
        if isinstance(value, bytes):
            return "b:" + value.decode("utf-8", "replace")
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value

    try:
        return msgspec.json.encode(plain(msgspec.msgpack.decode(msgspec.msgpack.encode(message))))
    except (OverflowError, UnicodeEncodeError):
        return b"beyond what can be written"


def inputs() -> st.SearchStrategy[bytes]:
    """Draw messages of both sides, in any order, in both forms, some damaged."""
    said = st.one_of([st.from_type(kind) for kind in (*FromWorker.__args__, *FromService.__args__)])
    few = st.lists(said, max_size=4)
    as_json = few.map(lambda each: b"\n".join(map(_as_json, each)))
    packed = few.map(lambda each: b"".join(map(_try_encoded, each)))
    damaged = st.builds(
        lambda whole, at, noise: whole[:at] + noise + whole[at + 1 :],
        packed,
        st.integers(0, 60),
        st.binary(max_size=2),
    )
    choice = st.integers(0, 15) | st.sampled_from((TO_SERVICE, TO_SERVICE + 3))
    return st.one_of(
        st.builds(lambda how, text: bytes([64 + JSON + how]) + text, choice, as_json),
        st.builds(lambda how, stream: bytes([64 + how]) + stream, choice, packed | damaged),
    )


def _try_encoded(message: messages.Message) -> bytes:
    try:
        return encode(message)
    except LinkError:
        return b"beyond what can be written"
