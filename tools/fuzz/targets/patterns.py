"""What an operator writes about channels and users: expressions, globs, wildcards, and requests by them.

The first byte chooses: `e` an expression, `g` a glob, `w` a pattern of names; then lines: it, and what it
judges.
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from tools.fuzz.shaping import agree, promise, promise_reason
from wsloop.hub.operations.expressions import Expression
from wsloop.hub.operations.globs import Glob
from wsloop.hub.patterns import Patterns, is_allowed, is_pattern

FIELDS = frozenset(("user", "channels", "meta", "client"))


def one_input(data: bytes) -> None:
    """See the module."""
    kind, lines = data[:1], data[1:].decode("utf-8", "replace").split("\n")
    judge = {b"e": _expression, b"g": _glob, b"w": _wildcard}.get(kind)
    if judge is not None:
        judge(lines[0], lines[1:])


def _expression(text: str, lines: list[str]) -> None:
    try:
        expression = Expression(text, FIELDS)
    except ValueError as error:
        promise_reason(error)
        return
    denied = _denied(text)
    for line in lines:
        try:
            fields = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            fields = {}
        said = expression.holds(fields)
        agree(type(said), bool, "neither true nor false")
        if denied is not None:
            agree(denied.holds(fields), not said, "denied, and not the opposite")


def _denied(text: str) -> Expression | None:
    """Return the opposite of an expression; None for what is empty, or beyond the limits."""
    try:
        return Expression(f"!({text})", FIELDS)
    except ValueError:
        return None


def _glob(text: str, names: list[str]) -> None:
    try:
        glob = Glob(text)
    except ValueError as error:
        promise_reason(error)
        return
    for name in names:
        agree(type(glob.matches(name)), bool, "neither yes nor no")


def _wildcard(pattern: str, names: list[str]) -> None:
    if not is_pattern(pattern) or not is_allowed(pattern):
        return
    patterns: Patterns[str] = Patterns()
    patterns.add(pattern, "found")
    others = {name for name in names if is_pattern(name) and is_allowed(name) and name != pattern}
    for each in others:
        patterns.add(each, each)
    for name in names:
        found = "found" in patterns.match(name)
        promise(
            not found or name.count(".") == pattern.count("."), "a wildcard stands for more than a segment"
        )
    promise("found" in patterns.match(pattern), "a pattern does not match itself")
    patterns.remove(pattern)
    promise("found" not in patterns.match(pattern), "what was removed is still there")
    promise(all(each in patterns.match(each) for each in others), "what was not removed is gone")
    agree(len(patterns), len(others), "patterns are miscounted")


EXPRESSIONS = (
    'user == "ann"',
    "user != 'b' && (channels == [1, 2.5] || !true)",
    "'a' in channels && meta.plan.startsWith(\"p\")",
    "meta.a.b.contains('x') == false",
    "!(user in ['a', \"\\u00e9\", null])",
)
FIELD_LINES = (
    '{"user":"ann","meta":{"plan":"pro","a":{"b":"xyz"}},"channels":["a"]}',
    '{"channels":{"a":1}}',
    "{}",
)
GLOBS = ("chat:*", "?[a-z][!x]*", "{a,b{c,d}}*", "\\*\\{", "[", "{", "a}", "")
WILDCARDS = ("ns:a.*", "$ns:*.*", "a.*.b", "*", "ns:*", "ns:a.*.#b")
NAMES = ("chat:a", "ns:a.b", "ns:a.b.c", "$ns:x.y", "a.#.b", "bc", "*{")


def inputs() -> st.SearchStrategy[bytes]:
    """Draw right ones and wrong ones of each kind, cut and glued together."""

    def some(kind: str, texts: tuple[str, ...], behind: tuple[str, ...]) -> st.SearchStrategy[bytes]:
        whole = st.sampled_from(texts)
        part = st.tuples(whole, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
        first = st.one_of(whole, st.lists(part, max_size=4).map("".join))
        lines = st.tuples(first, st.lists(st.sampled_from(behind), max_size=4))
        return lines.map(lambda said: (kind + "\n".join((said[0], *said[1]))).encode())

    return some("e", EXPRESSIONS, FIELD_LINES) | some("g", GLOBS, NAMES) | some("w", WILDCARDS, NAMES)
