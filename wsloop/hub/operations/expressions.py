"""Expressions that choose connections: a small part of CEL, the language Centrifugo uses for it.

    user == "42" && protocol != "json"
    "news" in channels || app_name.startsWith("shop-")
    !(meta.plan in ["free", "trial"])

Values are strings, numbers, true, false, null, lists of these, and fields; `meta` has fields of its own,
which are null where they are missing. Operators: `==`, `!=`, `in`, `&&`, `||`, `!`, parentheses. Functions
of strings: `startsWith`, `endsWith`, `contains`. There is no arithmetic, and nothing that could take long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

MAX_LENGTH = 1000
"""Characters: more than an operator types, and few enough to evaluate for thousands of connections."""

MAX_DEPTH = 20
"""Parentheses, negations and lists inside each other."""

Fields = Mapping[str, Any]
"""What a connection is judged by."""

Judge = Callable[[Fields], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<mark>&&|\|\||==|!=|[!()\[\],.]))"""
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


class Expression:
    """A compiled expression; "" is true for all. Raises ValueError with the reason for a wrong one.

    `fields` are the names that may stand in it.
    """

    __slots__ = ("_judge",)

    def __init__(self, text: str, fields: frozenset[str]) -> None:
        self._judge = _Parser(text, fields).parse() if text.strip() else None

    def holds(self, fields: Fields) -> bool:
        """Tell whether it is true."""
        return self._judge is None or self._judge(fields) is True


class _Parser:
    """Recursive descent; each method takes what it knows from the tokens and returns what judges it."""

    def __init__(self, text: str, fields: frozenset[str]) -> None:
        self._fields = fields
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Judge:
        judge = self._either()
        if self._at < len(self._tokens):
            _fail(f"{self._tokens[self._at][1]!r} is not expected")
        return judge

    def _next(self) -> str:
        """Return the next token if it is a mark or a name, else ""."""
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return text if kind in ("mark", "name") else ""

    def _take(self, *expected: str) -> bool:
        if self._next() not in expected or not self._next():
            return False
        self._at += 1
        return True

    def _demand(self, mark: str) -> None:
        if not self._take(mark):
            _fail(f"{mark!r} is missing")

    def _either(self) -> Judge:
        judges = [self._both()]
        while self._take("||"):
            judges.append(self._both())
        return judges[0] if len(judges) == 1 else lambda f: any(judge(f) is True for judge in judges)

    def _both(self) -> Judge:
        judges = [self._negation()]
        while self._take("&&"):
            judges.append(self._negation())
        return judges[0] if len(judges) == 1 else lambda f: all(judge(f) is True for judge in judges)

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _fail(f"nested more than {MAX_DEPTH} deep")

    def _negation(self) -> Judge:
        self._deepen()
        if self._take("!"):
            inner = self._negation()
            judge: Judge = lambda f: inner(f) is not True  # noqa: E731 - one of several
        elif self._take("("):
            judge = self._either()
            self._demand(")")
        else:
            judge = self._comparison()
        self._depth -= 1
        return judge

    def _comparison(self) -> Judge:
        left = self._value()
        if self._take("=="):
            right = self._value()
            return lambda f: _same(left(f), right(f))
        if self._take("!="):
            right = self._value()
            return lambda f: not _same(left(f), right(f))
        if self._take("in"):
            right = self._value()
            return lambda f: _contains(right(f), left(f))
        return left

    def _value(self) -> Judge:
        if self._take("["):
            return self._list()
        if self._at >= len(self._tokens):
            _fail("it ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "name" and text in self._fields:
            return self._path(text)
        constant = _constant(kind, text)
        return lambda f: constant

    def _list(self) -> Judge:
        self._deepen()
        values: list[Judge] = []
        while not self._take("]"):
            if values:
                self._demand(",")
            values.append(self._value())
        self._depth -= 1
        return lambda f: [value(f) for value in values]

    def _path(self, field: str) -> Judge:
        names = [field]
        while self._take("."):
            name = self._next()
            if name in _FUNCTIONS:
                self._at += 1
                return self._call(names, name)
            if not name.isidentifier():
                _fail("a name is missing behind '.'")
            names.append(name)
            self._at += 1
        return lambda f: _look_up(f, names)

    def _call(self, names: list[str], function: str) -> Judge:
        self._demand("(")
        argument = self._value()
        self._demand(")")
        holds = _FUNCTIONS[function]

        def judge(fields: Fields) -> bool:
            subject, part = _look_up(fields, names), argument(fields)
            return isinstance(subject, str) and isinstance(part, str) and holds(subject, part)

        return judge


def _tokens(text: str) -> list[tuple[str, str]]:
    if len(text) > MAX_LENGTH:
        _fail(f"longer than {MAX_LENGTH} characters")
    found, end = [], 0
    text = text.rstrip()
    while end < len(text):
        match = _TOKEN.match(text, end)
        if match is None:
            _fail(f"nothing that is known begins with {text[end:].lstrip()[:10]!r}")
        assert match.lastgroup is not None
        found.append((match.lastgroup, match[match.lastgroup]))
        end = match.end()
    return found


def _constant(kind: str, text: str) -> str | float | bool | None:
    if kind == "text":
        return _unquoted(text)
    if kind == "number":
        return float(text)
    if text not in _CONSTANTS:
        _fail(f"{text!r} is not known here")
    return _CONSTANTS[text]


def _unquoted(text: str) -> str:
    """Return what a string in single or double quotes stands for; escapes are those of JSON."""
    inner = text[1:-1]
    if text[0] == "'":
        inner = re.sub(r"\\'", "'", inner)
        inner = re.sub(r'(\\.)|"', lambda match: match[1] or '\\"', inner)
    try:
        return msgspec.json.decode(f'"{inner}"', type=str)
    except (msgspec.DecodeError, UnicodeEncodeError):
        _fail("a string holds an escape that JSON does not know")


def _look_up(fields: Fields, names: list[str]) -> Any:  # noqa: ANN401 - any JSON
    value: Any = fields
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _same(left: object, right: object) -> bool:
    """Compare as JSON does: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _contains(whole: object, part: object) -> bool:
    if isinstance(whole, Mapping):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list) and any(_same(each, part) for each in whole)


def _fail(reason: str) -> NoReturn:
    raise ValueError(reason)
