"""A difference makes the target out of the base, is shorter, and costs little."""

from __future__ import annotations

import json
import random

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hub import fossil
from wsloop.hub import delta as module
from wsloop.hub.delta import checksum, delta, json_string, number

WORDS = st.lists(
    st.sampled_from(['"price":17,', "[1,2,3],", "a b ", "ä", "日本語の文章", "\U0001f600", "\\n", '\\"', ","])
    | st.text(st.characters(codec="utf-8"), max_size=8),
    max_size=30,
)


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return two texts, the second often made of pieces of the first."""
    base = draw(WORDS) * draw(st.integers(1, 20))
    target = list(base)
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(target)))
        end = draw(st.integers(begin, len(target)))
        kind = draw(st.sampled_from(["cut", "move", "repeat", "insert"]))
        piece = target[begin:end]
        if kind == "repeat":
            target[begin:begin] = piece
        elif kind == "insert":
            target[begin:begin] = draw(WORDS)
        else:
            del target[begin:end]
            if kind == "move":
                at = draw(st.integers(0, len(target)))
                target[at:at] = piece
    return "".join(base).encode(), "".join(target).encode()


@given(edits())
@example((b"", b""))
@example((b"same" * 10, b"same" * 10))
@example((("é" * 40).encode(), ("é" * 20 + "è" + "é" * 20).encode()))
def test_a_difference_makes_the_target_out_of_the_base(texts: tuple[bytes, bytes]) -> None:
    base, target = texts
    difference = delta(base, target)
    if difference is not None:
        assert fossil.apply(base, difference) == target
        assert bytes(apply_delta(base, difference)) == target


@given(edits())
def test_a_difference_is_shorter_than_the_text_in_json(texts: tuple[bytes, bytes]) -> None:
    base, target = texts
    difference = delta(base, target)
    if difference is not None:
        assert len(json_string(difference)) + len(b',"delta":true') < len(json_string(target))


@given(st.text(st.characters(codec="utf-8")))
def test_a_json_string_holds_the_text(text: str) -> None:
    assert json.loads(json_string(text.encode())) == text


@given(st.binary(max_size=40), st.integers(1, 300))
def test_the_checksum_is_the_sum_of_the_words(part: bytes, times: int) -> None:
    data = part * times
    padded = data + bytes(-len(data) % 4)
    words = [int.from_bytes(padded[index : index + 4], "big") for index in range(0, len(padded), 4)]
    assert checksum(data) == sum(words) % 2**32


@given(st.integers(0, 2**40))
def test_a_number_is_in_base_64(value: int) -> None:
    assert fossil.read_number(number(value) + b";", 0) == (value, len(number(value)))


@pytest.mark.parametrize(("value", "digits"), [(0, b"0"), (63, b"~"), (64, b"10"), (4095, b"~~")])
def test_the_digits_are_those_of_fossil(value: int, digits: bytes) -> None:
    assert number(value) == digits


def rows(count: int, seed: int) -> list[dict[str, object]]:
    chance = random.Random(seed)
    return [{"id": index, "name": f"user {chance.randrange(10**6)}"} for index in range(count)]


def test_two_edits_far_apart_are_two_short_literals() -> None:
    old = rows(200, 1)
    new = [dict(row) for row in old]
    new[50]["name"], new[150]["name"] = "Ada", "Grace"
    base, target = json.dumps(old).encode(), json.dumps(new).encode()
    difference = delta(base, target)
    assert difference is not None
    assert fossil.apply(base, difference) == target
    assert len(difference) < 100


def test_a_moved_part_is_found() -> None:
    old = rows(200, 1)
    base, target = json.dumps(old).encode(), json.dumps(old[100:] + old[:100]).encode()
    difference = delta(base, target)
    assert difference is not None
    assert fossil.apply(base, difference) == target
    assert len(difference) < 100


def test_prose_is_searched_between_its_spaces() -> None:
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(300)]
    base, target = " ".join(words).encode(), " ".join(words[150:] + words[:150]).encode()
    difference = delta(base, target)
    assert difference is not None
    assert fossil.apply(base, difference) == target
    assert len(difference) < 60


def test_a_text_too_large_to_search_still_shares_its_ends() -> None:
    base = b"[" + b"1234567890," * (module.SEARCH_LIMIT_BYTES // 11) + b"0]"
    target = base[:20_000] + b"7," + base[20_000:40_000] + b"8," + base[40_000:]
    difference = delta(base, target)
    assert difference is not None
    assert fossil.apply(base, difference) == target
    assert len(difference) > 20_000


def test_nothing_in_common_is_no_difference() -> None:
    assert delta(b'{"a":1}', b"[2,3,4,5,6]") is None


def test_a_short_text_is_no_difference() -> None:
    assert delta(b'{"a":1}', b'{"a":2}') is None


@pytest.mark.parametrize("is_found", [True, False])
def test_only_so_many_places_are_looked_up(is_found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    base = b"[" + ",".join("".join(chance.choices("abcdefghij", k=40)) for _ in range(40)).encode() + b"]"
    strange = b",".join(b"%040d" % number for number in range(20))
    target = b"{" + strange + b"," + base[1:-1] + b"}"
    monkeypatch.setattr(module, "LOOKUPS", 60 if is_found else 10)
    difference = delta(base, target)
    assert (difference is not None) is is_found
    if difference is not None:
        assert fossil.apply(base, difference) == target
