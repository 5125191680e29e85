"""A tags filter means what Centrifugo's means, and what is none is refused."""

from __future__ import annotations

import gc
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from centrifuge.filter import Filter as Sdk
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub import tags as module
from wsloop.hub.tags import FilterError, Filters, parse_tags, to_number

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.sampled_from(["a", "b", "price"])
VALUES = st.sampled_from(["1", "2", "10", "1.50", "-3", "x", "xy", "yx", "0.0000000000000000001"])
TAGS = st.dictionaries(KEYS, VALUES | st.just(""))
ONE = st.sampled_from(["eq", "neq", "sw", "ew", "ct", "lt", "lte", "gt", "gte"])


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(lambda key, cmp, val: {"key": key, "cmp": cmp, "val": val}, KEYS, ONE, VALUES),
        st.builds(
            lambda key, cmp, vals: {"key": key, "cmp": cmp, "vals": vals},
            KEYS,
            st.sampled_from(["in", "nin"]),
            st.lists(VALUES, min_size=1, max_size=3),
        ),
        st.builds(lambda key, cmp: {"key": key, "cmp": cmp}, KEYS, st.sampled_from(["ex", "nex"])),
    )


def joined(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    many = st.fixed_dictionaries(
        {"op": st.sampled_from(["and", "or"]), "nodes": st.lists(inner, min_size=1, max_size=3)}
    )
    one = st.fixed_dictionaries({"op": st.just("not"), "nodes": inner.map(lambda node: [node])})
    return st.one_of(many, one)


def nodes() -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(leaves(), joined, max_leaves=6)


def judge(node: dict[str, Any], tags: dict[str, str]) -> bool:
    """Say what the protocol's page says, one line each."""
    children = [judge(each, tags) for each in node.get("nodes", ())]
    has, value, wanted = node.get("key") in tags, tags.get(node.get("key", ""), ""), node.get("val", "")
    numbers = [Decimal(text) if to_number(text) is not None else None for text in (value, wanted)]
    left, right = numbers
    comparable = has and left is not None and right is not None
    says: dict[str, Callable[[], bool]] = {
        "and": lambda: all(children),
        "or": lambda: any(children),
        "not": lambda: not children[0],
        "eq": lambda: has and value == wanted,
        "neq": lambda: not has or value != wanted,
        "in": lambda: value in node["vals"],
        "nin": lambda: value not in node["vals"],
        "ex": lambda: has,
        "nex": lambda: not has,
        "sw": lambda: has and value.startswith(wanted),
        "ew": lambda: has and value.endswith(wanted),
        "ct": lambda: has and wanted in value,
        "lt": lambda: comparable and left < right,  # type: ignore[operator]
        "lte": lambda: comparable and left <= right,  # type: ignore[operator]
        "gt": lambda: comparable and left > right,  # type: ignore[operator]
        "gte": lambda: comparable and left >= right,  # type: ignore[operator]
    }
    return says[node.get("op") or node["cmp"]]()


def compiled(node: object) -> module.Filter:
    return Filters().compile(json.dumps(node).encode())


@given(nodes(), TAGS)
def test_a_filter_matches_what_the_protocol_says(node: dict[str, Any], tags: dict[str, str]) -> None:
    assert compiled(node).matches(tags) is judge(node, tags)


@pytest.mark.parametrize(
    "text", ["", ".", ".5", "5.", "1e3", "1,5", " 1", "1_0", "--1", "1.00000000000000000001", "٣", "1" * 201]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert to_number(text) is None
    assert not compiled({"key": "a", "cmp": "gte", "val": "-9"}).matches({"a": text})
    if text:
        assert not compiled({"key": "a", "cmp": "gte", "val": text}).matches({"a": "5"})


@given(st.integers(-(10**25), 10**25), st.integers(-(10**25), 10**25), st.integers(0, 19), st.integers(0, 19))
def test_numbers_are_compared_exactly(left: int, right: int, left_places: int, right_places: int) -> None:
    one, two = Decimal(left).scaleb(-left_places), Decimal(right).scaleb(-right_places)
    tags, node = {"a": f"{one:f}"}, {"key": "a", "cmp": "lt", "val": f"{two:f}"}
    assert compiled(node).matches(tags) is (one < two)


@pytest.mark.parametrize(
    "node",
    [
        {},
        [],
        1,
        {"op": "xor", "nodes": [{"key": "a", "cmp": "ex"}]},
        {"op": "and"},
        {"op": "or", "nodes": []},
        {"op": "not", "nodes": [{"key": "a", "cmp": "ex"}] * 2},
        {"op": "and", "nodes": [{}]},
        {"key": "a"},
        {"key": "a", "cmp": "like", "val": "x"},
        {"key": "a", "cmp": "eq"},
        {"key": "a", "cmp": "eq", "val": 1},
        {"key": "a", "cmp": "eq", "val": "x", "vals": ["x"]},
        {"key": "a", "cmp": "in"},
        {"key": "a", "cmp": "in", "val": "x"},
        {"key": "a", "cmp": "in", "vals": ["x"], "val": "x"},
        {"key": "a", "cmp": "ex", "val": "x"},
        {"cmp": "eq", "val": "x"},
        {"key": "a", "cmp": "in", "vals": ["x"] * (module.MAX_VALUES + 1)},
        {"key": "a", "cmp": "eq", "val": "x" * module.MAX_FILTER_BYTES},
        {"op": "and", "nodes": [{"key": "a", "cmp": "ex"}] * module.MAX_NODES},
    ],
)
def test_what_is_no_filter_is_refused(node: object) -> None:
    with pytest.raises(FilterError):
        compiled(node)


def test_a_filter_may_be_as_deep_as_the_limit() -> None:
    node: dict[str, Any] = {"key": "a", "cmp": "ex"}
    for _ in range(module.MAX_DEPTH - 1):
        node = {"op": "not", "nodes": [node]}
    assert compiled(node).matches({"a": ""}) is (module.MAX_DEPTH % 2 == 1)
    with pytest.raises(FilterError):
        compiled({"op": "not", "nodes": [node]})


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(FilterError):
        Filters().compile(b'{"nodes":[' * 300)


def test_equal_filters_are_one_object_until_the_last_is_gone() -> None:
    filters = Filters()
    one = filters.compile(b'{"key":"a","cmp":"eq","val":"x"}')
    two = filters.compile(b'{"val": "x", "cmp": "eq", "key": "a", "vals": [], "new": 1}')
    assert one is two
    assert filters.compile(b'{"key":"b","cmp":"eq","val":"x"}') is not one
    del one, two
    gc.collect()
    assert len(filters) == 0


def test_what_the_sdk_builds_is_a_filter() -> None:
    wanted = Sdk.all(
        Sdk.eq("ticker", "AAPL"),
        Sdk.gte("price", "100"),
        Sdk.any(Sdk.is_in("source", ["NASDAQ", "NYSE"]), Sdk.negate(Sdk.exists("source"))),
    )
    matches = compiled(wanted.node).matches
    assert matches({"ticker": "AAPL", "price": "100.0", "source": "NYSE"})
    assert matches({"ticker": "AAPL", "price": "1000"})
    assert not matches({"ticker": "AAPL", "price": "99.999", "source": "NYSE"})
    assert not matches({"ticker": "AAPL", "price": "1000", "source": "LSE"})


def test_tags_are_an_object_of_strings() -> None:
    assert parse_tags(b"") == {}
    assert parse_tags(b'{"a":"1"}') == {"a": "1"}
