"""Names of many channels: `ns:a.*` stands for `ns:a.b` and `ns:a.c`, not for `ns:a.b.c`.

Behind the namespace a name is segments between points; `*`, a whole segment, stands for any one. A
pattern is of one namespace, and reaches neither into private channels nor, since such a channel is
for the users it names, over a segment with `#`.

The patterns in use are a tree with one level for each segment, so what a publication costs depends on
the segments of its channel's name, not on the number of patterns.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from wsloop.hub.naming import NAMESPACE_BOUNDARY, PRIVATE_PREFIX, USER_BOUNDARY

SEPARATOR = "."
WILDCARD = "*"

MAX_WILDCARDS = 3
"""In one pattern. With it a name of 16 segments is looked up along 697 paths at most."""

MAX_SEGMENTS = 16
"""Of a pattern."""

Value = TypeVar("Value")

_Node = dict[str, Any]

_HERE = ""
"""The key in a node of the value of the pattern that ends there; no segment's, as these end with a point."""


def is_pattern(name: str) -> bool:
    """Tell whether a name has a wildcard: a segment that is `*`."""
    return WILDCARD in name and WILDCARD in _segments(name)[1:]


def is_allowed(pattern: str) -> bool:
    """Tell whether a pattern keeps to the limits, and names no users."""
    segments = _segments(pattern)
    few = segments.count(WILDCARD) <= MAX_WILDCARDS and len(segments) <= MAX_SEGMENTS + 1
    return few and USER_BOUNDARY not in pattern


class Patterns(Generic[Value]):
    """Patterns, each with a value."""

    __slots__ = ("_count", "_root")

    def __init__(self) -> None:
        self._root: _Node = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, pattern: str, value: Value) -> None:
        """Add a pattern, or give one that is in already another value."""
        node = self._root
        for segment in _segments(pattern):
            node = node.setdefault(segment + SEPARATOR, {})
        self._count += _HERE not in node
        node[_HERE] = value

    def remove(self, pattern: str) -> None:
        """Remove a pattern; no effect if it is not in."""
        path = [self._root]
        segments = _segments(pattern)
        for segment in segments:
            child = path[-1].get(segment + SEPARATOR)
            if child is None:
                return
            path.append(child)
        if _HERE not in path[-1]:
            return
        del path[-1][_HERE]
        self._count -= 1
        for node, segment in zip(reversed(path[:-1]), reversed(segments), strict=True):
            if node[segment + SEPARATOR]:
                break
            del node[segment + SEPARATOR]

    def match(self, name: str) -> list[Value]:
        """Return the values of all patterns that a channel's name matches."""
        if not self._count:
            return []
        segments = _segments(name)
        first = self._root.get(segments[0] + SEPARATOR)
        nodes = [first] if first is not None else []
        for segment in segments[1:]:
            if not nodes:
                return []
            keys = [segment + SEPARATOR]
            if USER_BOUNDARY not in segment and segment != WILDCARD:
                keys.append(WILDCARD + SEPARATOR)
            nodes = [node[key] for node in nodes for key in keys if key in node]
        return [node[_HERE] for node in nodes if _HERE in node]


def _segments(name: str) -> list[str]:
    """Return what no wildcard stands for, the private prefix and the namespace, then the segments."""
    whole = name.removeprefix(PRIVATE_PREFIX)
    prefix = name[: len(name) - len(whole)]
    namespace, boundary, rest = whole.partition(NAMESPACE_BOUNDARY)
    if not boundary:
        return [prefix, *namespace.split(SEPARATOR)]
    return [prefix + namespace + boundary, *rest.split(SEPARATOR)]
