from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.commands import decode_command, is_empty_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


def payload_of(text: str) -> bytes:
    command = decode_command('{"id":1,"publish":{"channel":"c","data":' + text + "}}")
    assert command.publish is not None
    return bytes(command.publish.data)


@given(JSON, st.sampled_from([None, 1, "\t"]))
def test_a_payload_is_kept_byte_for_byte(value: object, indent: int | str | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert payload_of(f" {text}\r") == text.encode()


@given(st.text())
def test_whatever_decodes_is_json_by_another_judge(text: str) -> None:
    try:
        payload = payload_of(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return
    json.loads(payload)


@pytest.mark.parametrize(
    "text",
    [
        "nope",
        '{"x":01}',
        "[1,]",
        '{"a":1,}',
        "{1:2}",
        "NaN",
        "",
        '"a',
        '"\\x41"',
        '"a\x01b"',
        '"\\u12"',
        "1 2",
    ],
)
def test_raw_payloads_are_validated_inside(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        payload_of(text)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r'"\ud83d"', r'"\ufffd"'),
        (r'"cut \uD83d"', r'"cut \ufffd"'),
        (r'"\ude00 first"', r'"\ufffd first"'),
        (r'"\ud83d\ud83d\ude00"', r'"\ufffd\ud83d\ude00"'),
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'),
        (r'"\\ud83d \ud83d"', r'"\\ud83d \ufffd"'),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(sent: str, kept: str) -> None:
    """JSON.stringify writes a cut emoji so; no UTF-8 reader could take it on."""
    assert payload_of(sent) == kept.encode()
    msgspec.json.decode(payload_of(sent))


@given(st.text(st.sampled_from('\\"ud83DeF0 x'), max_size=40))
def test_the_repair_never_makes_json_of_what_is_none_nor_changes_what_is(text: str) -> None:
    line = f'{{"id":1,"publish":{{"channel":"c","data":"{text}"}}}}'
    try:
        expected = msgspec.json.decode(line)["publish"]["data"]
    except msgspec.DecodeError:
        return
    command = decode_command(line)
    assert command.publish is not None
    assert msgspec.json.decode(command.publish.data) == expected


def test_a_pong_that_can_only_just_be_decoded_is_no_pong() -> None:
    assert is_empty_object("{}")
    assert is_empty_object(" { } ")
    assert not is_empty_object('{"x":' + "[" * 30_000 + "]" * 30_000 + "}")


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(RecursionError):
        payload_of("[" * 30_000 + "]" * 30_000)


def test_json_null_is_a_payload_and_nothing_is_none() -> None:
    assert payload_of("null") == b"null"
    command = decode_command('{"id":1,"publish":{"channel":"c"}}')
    assert command.publish is not None
    assert len(command.publish.data) == 0


@pytest.mark.parametrize("identifier", ["-1", "4294967296", "1.5", '"1"', "null", "true"])
def test_an_id_is_an_unsigned_number_of_32_bits(identifier: str) -> None:
    assert decode_command('{"id":4294967295}').id == 2**32 - 1
    with pytest.raises(msgspec.DecodeError):
        decode_command('{"id":' + identifier + "}")


@pytest.mark.parametrize(
    "line", ["[]", "1", "null", '"{}"', '{"id":1} {}', '{"id":1,"publish":{"channel":5}}']
)
def test_a_command_is_one_object_of_the_listed_types(line: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(line)


def test_fields_of_newer_sdks_are_ignored() -> None:
    command = decode_command('{"id":1,"novel":[],"subscribe":{"channel":"c","novel":{"a":1}}}')
    assert command.subscribe is not None
    assert command.subscribe.channel == "c"


def test_requests_are_no_work_for_the_garbage_collector() -> None:
    import gc

    assert not gc.is_tracked(decode_command('{"id":1,"publish":{"channel":"c","data":[1]}}'))


@pytest.mark.parametrize(
    ("line", "empty"), [("{}", True), ("{ }", True), ('{"id":0}', False), ('{"x":1}', False)]
)
def test_a_pong_is_an_empty_object(line: str, empty: bool) -> None:
    assert is_empty_object(line) is empty
