"""A filter by tags, and on the lines behind it the tags of publications, all JSON.

A filter means what it means written in any other way: canonical, or under two negations.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from tools.fuzz.shaping import agree
from wsloop.hub.tags import FilterError, FilterNode, Filters, parse, to_number


def one_input(data: bytes) -> None:
    """See the module."""
    source, *lines = data.split(b"\n")
    filters = Filters()
    try:
        compiled = filters.compile(source)
    except FilterError:
        return
    node = parse(source)
    canonical = msgspec.json.encode(node)
    agree(filters.compile(canonical) is compiled, True, "the canonical form is another filter")
    opposite = _twice_denied(node, filters)
    for line in lines:
        try:
            tags = msgspec.json.decode(line, type=dict[str, str])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        said = compiled.matches(tags)
        agree(type(said), bool, "a filter says neither yes nor no")
        if opposite is not None:
            agree(opposite.matches(tags), said, "denied twice, and not the same")
        for value in tags.values():
            to_number(value)


def _twice_denied(node: FilterNode, filters: Filters) -> Any:  # noqa: ANN401 - a filter, or None beyond the limits
    twice = FilterNode("not", nodes=(FilterNode("not", nodes=(node,)),))
    try:
        return filters.compile(msgspec.json.encode(twice))
    except FilterError:
        return None


KEYS = st.sampled_from(("a", "price", ""))
VALUES = st.sampled_from(
    ("1", "2", "-3", "1.50", "0.0000000000000000001", "x", "xy", "", "\u00e9", "9" * 40, "1e5")
)
COMPARISONS = ("eq", "neq", "sw", "ew", "ct", "lt", "lte", "gt", "gte", "in", "nin", "ex", "nex", "?")


def inputs() -> st.SearchStrategy[bytes]:
    """Draw filters, most of them right, and tags."""
    leaf = st.fixed_dictionaries(
        {"key": KEYS, "cmp": st.sampled_from(COMPARISONS)},
        optional={"val": VALUES, "vals": st.lists(VALUES, max_size=3)},
    )
    right = st.builds(
        lambda key, compare, value: {"key": key, "cmp": compare, "val": value},
        st.just("a"),
        st.sampled_from(COMPARISONS[:9]),
        st.sampled_from(("1", "x", "-3")),
    )

    def joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        nodes = st.lists(inner, max_size=3)
        return st.fixed_dictionaries({"op": st.sampled_from(("and", "or", "not", "xor")), "nodes": nodes})

    node = st.recursive(leaf | right, joined, max_leaves=5)
    tags = st.dictionaries(KEYS, VALUES, max_size=3)
    lines = st.tuples(node, st.lists(tags, max_size=3))
    return lines.map(lambda said: "\n".join(map(json.dumps, (said[0], *said[1]))).encode())
