"""A subscriber's filter: which publications it wants, judged by their tags.

A filter is a tree of JSON objects (client-protocol, "tags filter"): a leaf compares one tag, a node
joins others with and, or, not. It is checked and compiled once; what a publication costs is a few
comparisons. Equal filters are one object, so that a publication is judged once for all who have it.
The rules, down to what is no number, are those of Centrifugo's `internal/filter`.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_FILTER_BYTES = 4096
"""Length of a filter in JSON: a page of conditions, and bounded memory per subscription."""

MAX_DEPTH = 8
"""Nodes within nodes. Two are enough for any condition in a normal form; people write three or four."""

MAX_NODES = 64
"""Nodes in all: bounds what one publication costs, about 0.2 us for each."""

MAX_VALUES = 256
"""Values of one `in` or `nin`; they are looked up in a set."""

MAX_NUMBER_LENGTH = 200
"""Characters of a number, as in the decimal type that Centrifugo compares with."""

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]{1,19}))?")
"""What is a number: no exponent, no bare point, at most 19 digits behind it."""

if TYPE_CHECKING:
    Test = Callable[[Mapping[str, str]], bool]
    Text = Callable[[str, str], Any]


class FilterError(WsloopError):
    """What a subscriber sent is no filter, or one beyond the limits."""

    peer_fault = True


class FilterNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node as it is sent: with `op` one that joins `nodes`, without it a leaf."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: tuple[str, ...] = ()
    nodes: tuple[FilterNode, ...] = ()


class Filter:
    """A compiled filter; `matches(tags)` tells whether a publication with these tags is wanted."""

    __slots__ = ("__weakref__", "matches")

    def __init__(self, node: FilterNode) -> None:
        self.matches = _compile(node)


class Filters:
    """All filters in use, each once. They are forgotten with their last subscription."""

    __slots__ = ("_filters",)

    def __init__(self) -> None:
        self._filters: WeakValueDictionary[bytes, Filter] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._filters)

    def compile(self, source: bytes) -> Filter:
        """Return the filter that `source`, JSON, describes. Raises FilterError."""
        node = parse(source)
        canonical = msgspec.json.encode(node)
        found = self._filters.get(canonical)
        if found is None:
            found = self._filters[canonical] = Filter(node)
        return found


def parse(source: bytes) -> FilterNode:
    """Return a filter's tree. Raises FilterError for what is none, or beyond the limits."""
    if len(source) > MAX_FILTER_BYTES:
        raise FilterError("a filter of more than 4096 bytes")
    try:
        node = msgspec.json.decode(source, type=FilterNode)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FilterError(f"not a filter: {error}") from None
    if _check(node, 1) > MAX_NODES:
        raise FilterError("a filter of too many nodes")
    return node


def parse_tags(tags: bytes) -> dict[str, str]:
    """Return a publication's tags, a JSON object of strings or b""."""
    return msgspec.json.decode(tags, type=dict[str, str]) if tags else {}


def to_number(text: str) -> int | None:
    """Return a decimal number in units of 10^-19, None for what is no number."""
    found = _NUMBER.fullmatch(text) if len(text) <= MAX_NUMBER_LENGTH else None
    if found is None:
        return None
    sign, whole, fraction = found.groups()
    return int(sign + whole + (fraction or "").ljust(19, "0"))


def _check(node: FilterNode, depth: int) -> int:
    """Return the number of nodes; raises FilterError for one that makes no sense."""
    if depth > MAX_DEPTH:
        raise FilterError("a filter of too many levels")
    if not node.op:
        _check_leaf(node)
        return 1
    if node.op not in ("and", "or", "not"):
        raise FilterError("an unknown op")
    if not node.nodes or (node.op == "not" and len(node.nodes) > 1):
        raise FilterError("an op over a wrong number of nodes")
    return 1 + sum(_check(each, depth + 1) for each in node.nodes)


def _check_leaf(node: FilterNode) -> None:
    takes = _OPERANDS.get(node.cmp)
    if takes is None:
        raise FilterError("an unknown cmp")
    if bool(node.val) != (takes == "val") or bool(node.vals) != (takes == "vals"):
        raise FilterError("a cmp with the wrong operand")
    if not node.key and takes:
        raise FilterError("a cmp without key")
    if len(node.vals) > MAX_VALUES:
        raise FilterError("a cmp with too many vals")


_OPERANDS = {
    "ex": "",
    "nex": "",
    "in": "vals",
    "nin": "vals",
    "eq": "val",
    "neq": "val",
    "sw": "val",
    "ew": "val",
    "ct": "val",
    "lt": "val",
    "lte": "val",
    "gt": "val",
    "gte": "val",
}
"""Which field a comparison takes besides `key`."""

_TEXT: dict[str, Text] = {
    "eq": operator.eq,
    "sw": str.startswith,
    "ew": str.endswith,
    "ct": operator.contains,
}
"""Comparisons of texts that a missing tag fails."""

_NUMBERS: dict[str, Callable[[int, int], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def _compile(node: FilterNode) -> Test:
    if not node.op:
        return _compile_leaf(node)
    tests = tuple(_compile(each) for each in node.nodes)
    if node.op == "and":
        return lambda tags: all(test(tags) for test in tests)
    if node.op == "or":
        return lambda tags: any(test(tags) for test in tests)
    return lambda tags: not tests[0](tags)


def _compile_leaf(node: FilterNode) -> Test:
    key, val, cmp = node.key, node.val, node.cmp
    if cmp in _NUMBERS:
        return _compare_numbers(key, to_number(val), _NUMBERS[cmp])
    if cmp in _TEXT:
        holds = _TEXT[cmp]
        return lambda tags: key in tags and bool(holds(tags[key], val))
    if cmp == "neq":
        return lambda tags: tags.get(key) != val
    if cmp in ("ex", "nex"):
        return (lambda tags: key in tags) if cmp == "ex" else (lambda tags: key not in tags)
    # A missing tag counts as an empty one here, as in Centrifugo.
    values = frozenset(node.vals)
    if cmp == "in":
        return lambda tags: tags.get(key, "") in values
    return lambda tags: tags.get(key, "") not in values


def _compare_numbers(key: str, than: int | None, holds: Callable[[int, int], Any]) -> Test:
    """Return a test of a number; what is none, on either side, fails it."""
    if than is None:
        return lambda _tags: False
    limit = than

    def test(tags: Mapping[str, str]) -> bool:
        number = to_number(tags.get(key, ""))
        return number is not None and bool(holds(number, limit))

    return test
