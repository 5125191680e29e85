"""The language that chooses connections."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.operations.expressions import MAX_DEPTH, MAX_LENGTH, Expression

FIELDS = frozenset({"user", "channels", "meta", "n"})
ANN = {"user": "ann", "channels": ["news", "chat:1"], "meta": {"plan": "pro", "tags": ["a"], "n": 1}, "n": 5}


def holds(text: str) -> bool:
    return Expression(text, FIELDS).holds(ANN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "user == 'ann'",
        'user == "ann"',
        "'ann' == user",
        "user != 'bob' && 'news' in channels",
        "user == 'bob' || 'chat:1' in channels",
        "!('x' in channels)",
        "!!(user == 'ann')",
        "user in ['bob', 'ann']",
        "meta.plan == 'pro' && meta.n == 1",
        "'plan' in meta",
        "'a' in meta.tags",
        "meta.none == null && meta.none.deeper == null",
        "user.startsWith('a') && user.endsWith('n') && user.contains('nn')",
        "n == 5 && n != 5.5",
        "meta.n != true",
        r"'it\'s' != user && '\"' != user && '\u0061nn' == user",
        "user == 'x' || user == 'y' && user == 'z' || true",
        "[] != user",
    ],
)
def test_true_ones(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "user == 'bob'",
        "user",
        "meta",
        "false",
        "null",
        "1",
        "user == 5",
        "'x' in user",
        "meta.plan.startsWith(5)",
        "n.startsWith('5')",
        "true && user",
        "'a' in ['b', ['a']]",
    ],
)
def test_false_ones_and_what_is_no_boolean(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "user ==",
        "== 'ann'",
        "(user == 'ann'",
        "user == 'ann')",
        "password == 'x'",
        "user == 'ann",
        "user.",
        "user.startsWith(",
        "user.startsWith('a'",
        "user = 'ann'",
        "user & user",
        "['a'",
        "['a' 'b']",
        "user ann",
        "'\\q' == user",
        "'\\ud800' == user",
        "import os",
        "user.__class__ == 'x' ; 1",
        "(" * (MAX_DEPTH + 1) + "true" + ")" * (MAX_DEPTH + 1),
        "!" * (MAX_DEPTH + 1) + "true",
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "[" * MAX_LENGTH,
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_wrong_ones_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Expression(text, FIELDS)


@given(st.text(max_size=40) | st.text("()!&|=.'\"[], useranmt12", max_size=30))
def test_any_text_is_compiled_or_refused_with_a_reason(text: str) -> None:
    try:
        expression = Expression(text, FIELDS)
    except ValueError as fault:
        assert str(fault)
    else:
        expression.holds(ANN)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_quoted_string_is_the_string(name: str, other: str) -> None:
    expression = Expression(f"user == {json.dumps(name)}", FIELDS)
    assert expression.holds({"user": name})
    assert expression.holds({"user": other}) is (name == other)
