"""Whatever is said is heard as it was said, however the bytes are cut; what is no message is one error."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.cluster import messages
from wsloop.cluster.codec import (
    LENGTH_BYTES,
    MAX_GREETING_BYTES,
    MAX_INTEGER,
    MAX_MESSAGE_BYTES,
    LinkError,
    MessageReader,
    bounded,
    encode,
)
from wsloop.cluster.messages import FromService, FromWorker, Hello, Message, Publish, Restored

STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**64 - 1),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=50),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field's type, or for a message."""
    if hint in STRATEGIES:
        return STRATEGIES[hint]
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*map(any_of, arguments))
    if get_origin(hint) is tuple:
        return st.lists(any_of(arguments[0]), max_size=4).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(any_of(arguments[0]), any_of(arguments[1]), max_size=4)
    return st.builds(hint, **{name: any_of(each) for name, each in get_type_hints(hint).items()})


FROM_WORKER, FROM_SERVICE = any_of(FromWorker), any_of(FromService)


def read_all(reader: MessageReader) -> list[Message]:
    found = []
    while (message := reader.next()) is not None:
        found.append(message)
    return found


def read_cut(kinds: types.UnionType, data: bytes, cuts: list[int]) -> list[Message]:
    reader, found, start = MessageReader(kinds), [], 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        reader.feed(data[start:end])
        found += read_all(reader)
        start = end
    return found


@given(st.lists(FROM_WORKER, max_size=6), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_way_of_cutting_the_bytes_gives_the_messages(said: list[Message], cuts: list[int]) -> None:
    assert read_cut(FromWorker, b"".join(map(encode, said)), cuts) == said


@given(st.lists(FROM_SERVICE, max_size=4))
def test_a_byte_at_a_time_gives_the_messages(said: list[Message]) -> None:
    data = b"".join(map(encode, said))
    assert read_cut(FromService, data, list(range(len(data)))) == said


@given(FROM_WORKER, st.data())
def test_damage_is_a_link_error_or_another_message(said: Message, data: st.DataObject) -> None:
    """Nothing but `LinkError`, wherever a byte has changed."""
    whole = bytearray(encode(said))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    reader = MessageReader(FromWorker)
    reader.feed(bytes(whole))
    try:
        read_all(reader)
    except LinkError as error:
        assert error.peer_fault


@given(st.binary(max_size=200))
def test_noise_is_a_link_error_or_waits_for_more(noise: bytes) -> None:
    reader = MessageReader(FromService)
    reader.feed(noise)
    try:
        read_all(reader)
    except LinkError as error:
        assert error.reason


@given(FROM_SERVICE)
def test_each_direction_has_its_own_kinds(said: Message) -> None:
    reader = MessageReader(FromWorker)
    reader.feed(encode(said))
    if isinstance(said, FromWorker):
        assert reader.next() == said
    else:
        with pytest.raises(LinkError, match="makes no sense"):
            reader.next()


def test_payloads_are_bytes_of_their_own() -> None:
    """They are kept for hours: no views into what was read."""
    reader = MessageReader(FromWorker)
    reader.feed(encode(Publish(1, "c", b"payload", 1, 1.0, 1.0)))
    message = reader.next()
    assert isinstance(message, Publish)
    assert type(message.data) is bytes
    assert message.data == b"payload"


def test_a_length_beyond_the_limit_is_refused_before_the_bytes_come() -> None:
    reader = MessageReader(FromWorker, MAX_GREETING_BYTES)
    reader.feed((MAX_GREETING_BYTES + 1).to_bytes(LENGTH_BYTES, "big"))
    with pytest.raises(LinkError, match="1025 bytes was announced, 1024 are allowed"):
        reader.next()
    allowed = MessageReader(FromWorker, MAX_GREETING_BYTES)
    allowed.max_bytes = MAX_MESSAGE_BYTES
    allowed.feed((MAX_GREETING_BYTES + 1).to_bytes(LENGTH_BYTES, "big"))
    assert allowed.next() is None


def test_a_long_message_in_many_pieces_is_joined_once() -> None:
    """And what follows it is not lost."""
    said = [Publish(1, "c", b"x" * 3_000_000, 1, 1.0, 1.0), Restored()]
    data = b"".join(map(encode, said))
    assert read_cut(FromWorker, data, list(range(0, len(data), 65_536))) == said


@pytest.mark.parametrize(
    "message",
    [
        Hello(1, 0, "\ud800", ""),
        Hello(2**70, 0, "", ""),
        Publish(1, "c", b"x" * MAX_MESSAGE_BYTES, 1, 1.0, 1.0),
    ],
)
def test_what_cannot_be_written_is_a_link_error(message: Message) -> None:
    with pytest.raises(LinkError):
        encode(message)


@given(st.integers())
def test_bounded_integers_can_be_written(integer: int) -> None:
    brought = bounded(integer)
    assert brought == integer or abs(brought) == MAX_INTEGER
    msgspec.msgpack.encode(brought)


def test_every_kind_has_a_tag_of_its_own() -> None:
    kinds = {*get_args(FromWorker), *get_args(FromService)}
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(set(tags)) == len(tags)
    assert messages.VERSION == 1


def test_a_message_with_something_deep_behind_its_fields_is_a_link_error() -> None:
    body = b"\x93\x00\x01" + b"\x91" * 3000 + b"\x00"
    reader = MessageReader(FromWorker)
    reader.feed(len(body).to_bytes(4, "big") + body)
    with pytest.raises(LinkError, match="makes no sense"):
        reader.next()
