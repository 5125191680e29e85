"""Patterns of channel names, held against a matcher that is obviously right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.operations.globs import MAX_PATTERN_LENGTH, Glob

NAMES = st.text("ab:.[", max_size=6)


def matches(pattern: str, name: str) -> bool:
    """Compare by definition, for patterns of letters, `*` and `?`."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return matches(pattern[1:], name) or (bool(name) and matches(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and matches(pattern[1:], name[1:])


@given(st.text("ab:*?.", min_size=1, max_size=6), NAMES)
def test_stars_and_question_marks_mean_what_they_say(pattern: str, name: str) -> None:
    assert Glob(pattern).matches(name) is matches(pattern, name)


@given(st.lists(st.text("ab*?", max_size=3), min_size=1, max_size=4), st.text("ab", max_size=2), NAMES)
def test_braces_are_any_of_their_alternatives(alternatives: list[str], head: str, name: str) -> None:
    whole = Glob(f"{head}:{{{','.join(alternatives)}}}")
    assert whole.matches(name) is any(matches(f"{head}:{each}", name) for each in alternatives)


@given(st.text("ab*?[]{},\\!", min_size=1, max_size=12))
def test_any_pattern_is_compiled_or_refused_with_a_reason(pattern: str) -> None:
    try:
        glob = Glob(pattern)
    except ValueError as fault:
        assert str(fault)
    else:
        glob.matches("ab")


@given(st.text("ab*?[]{},\\!-", min_size=1, max_size=12))
def test_a_backslash_makes_any_character_mean_itself(name: str) -> None:
    escaped = "".join(f"\\{char}" for char in name)
    assert Glob(escaped).matches(name)
    assert not Glob(escaped).matches(name + "a")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("", "anything", True),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[a,b]", ",", True),
        ("{a,{b,c}d}", "cd", True),
        ("{a,b},c", "b,c", True),
        ("a{,b}", "a", True),
        ("chat:*", "chat:1", True),
        ("chat:*", "news:chat:1", False),
    ],
)
def test_examples(pattern: str, name: str, expected: bool) -> None:
    assert Glob(pattern).matches(name) is expected


@pytest.mark.parametrize(
    "pattern", ["{a", "a}", "[a", "[\\a]", "a\\", "{a,b", "x" * (MAX_PATTERN_LENGTH + 1), "{a,b}" * 7]
)
def test_a_wrong_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Glob(pattern)


def test_no_pattern_takes_long() -> None:
    """Each star is final where it first fits: 84 of them against a name without the end they want."""
    assert not Glob("*a" * 84 + "*b").matches("a" * 255)
