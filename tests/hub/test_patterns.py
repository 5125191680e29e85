"""A pattern matches by segments, in its own namespace only; the tree finds what a plain comparison does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub import patterns as module
from wsloop.hub.patterns import Patterns, is_allowed, is_pattern

PREFIXES = st.sampled_from(["", "$", "ns:", "$ns:", "n.s:"])
SEGMENTS = st.sampled_from(["a", "b", "", "x#42", "#1"])


def joined(prefix: str, segments: list[str]) -> str:
    return prefix + ".".join(segments)


NAMES = st.builds(joined, PREFIXES, st.lists(SEGMENTS, min_size=1, max_size=3))
PATTERNS = st.builds(joined, PREFIXES, st.lists(SEGMENTS | st.just("*"), min_size=1, max_size=3))


def split(name: str) -> tuple[str, list[str]]:
    for prefix in ("$ns:", "n.s:", "ns:", "$"):
        if name.startswith(prefix):
            return prefix, name.removeprefix(prefix).split(".")
    return "", name.split(".")


def matches(pattern: str, name: str) -> bool:
    (one, wanted), (two, given) = split(pattern), split(name)
    return (
        one == two
        and len(wanted) == len(given)
        and all(
            each == segment or (each == "*" and "#" not in segment)
            for each, segment in zip(wanted, given, strict=True)
        )
    )


@given(st.lists(st.tuples(st.booleans(), PATTERNS), max_size=20), st.lists(NAMES, max_size=5))
def test_the_tree_finds_what_a_comparison_with_each_does(
    steps: list[tuple[bool, str]], names: list[str]
) -> None:
    tree: Patterns[str] = Patterns()
    known: set[str] = set()
    for is_added, pattern in steps:
        if is_added:
            tree.add(pattern, pattern)
            known.add(pattern)
        else:
            tree.remove(pattern)
            known.discard(pattern)
        assert len(tree) == len(known)
    for name in names:
        found = tree.match(name)
        assert len(found) == len(set(found))
        assert set(found) == {pattern for pattern in known if matches(pattern, name)}


@given(st.lists(PATTERNS, max_size=20))
def test_what_is_removed_leaves_nothing_behind(names: list[str]) -> None:
    tree: Patterns[None] = Patterns()
    for name in names:
        tree.add(name, None)
    for name in names:
        tree.remove(name)
    assert tree._root == {}


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("ns:a.*", "ns:a.b", True),
        ("ns:a.*", "ns:a.b.c", False),
        ("ns:a.*", "ns:a", False),
        ("ns:*", "ns:a", True),
        ("ns:*.b", "ns:a.b", True),
        ("ns:*", "other:a", False),
        ("*", "ns:a", False),
        ("ns:*", "$ns:a", False),
        ("*", "$a", False),
        ("$ns:*", "$ns:a", True),
        ("*", "#42", False),
        ("ns:a.*", "ns:a.b#42", False),
    ],
)
def test_examples(pattern: str, name: str, expected: bool) -> None:
    tree: Patterns[int] = Patterns()
    tree.add(pattern, 1)
    assert (tree.match(name) == [1]) is expected


@pytest.mark.parametrize("name", ["a*", "ns:a*", "**", "ns:*a.b", "*:a", "a", "ns:x*y"])
def test_a_star_in_a_longer_segment_is_a_character(name: str) -> None:
    assert not is_pattern(name)


def test_a_pattern_has_limits() -> None:
    assert is_allowed("ns:" + ".".join(["*"] * module.MAX_WILDCARDS))
    assert not is_allowed("ns:" + ".".join(["*"] * (module.MAX_WILDCARDS + 1)))
    assert is_allowed(".".join(["a"] * (module.MAX_SEGMENTS - 1) + ["*"]))
    assert not is_allowed(".".join(["a"] * module.MAX_SEGMENTS + ["*"]))
    assert not is_allowed("ns:*.x#42")
