r"""Patterns for channel names: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, and `\` before a character that is meant.

The syntax is that of the library Centrifugo uses (gobwas/glob, without separators). Braces are
expanded, the rest is the standard library's fnmatch, whose expressions never backtrack over a `*`.
"""

from __future__ import annotations

import re
from fnmatch import translate

MAX_PATTERN_LENGTH = 255
"""Characters: a name has no more, so a longer pattern would say nothing that a shorter one could not."""

MAX_ALTERNATIVES = 64
"""Patterns that braces may stand for: a name is compared with each."""

_PART = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|[{},]|.", re.DOTALL)


class Glob:
    """A compiled pattern; "" matches everything. Raises ValueError with the reason for a wrong one."""

    __slots__ = ("_expressions",)

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise ValueError(f"longer than {MAX_PATTERN_LENGTH} characters")
        self._expressions = [re.compile(translate(each)) for each in _expand(pattern)] if pattern else []

    def matches(self, name: str) -> bool:
        """Tell whether a name is one of those meant."""
        return not self._expressions or any(each.match(name) for each in self._expressions)


def _expand(pattern: str) -> list[str]:
    """Return the patterns without braces, in fnmatch's syntax, that one with braces stands for."""
    parts = _PART.findall(pattern)
    found, end = _sequence(parts, 0, inside=False)
    if end < len(parts):
        raise ValueError("a closing brace without its opening one")
    return found


def _sequence(parts: list[str], index: int, *, inside: bool) -> tuple[list[str], int]:
    """Expand parts up to the end, or up to what ends an alternative; return where that is."""
    found = [""]
    while index < len(parts):
        part = parts[index]
        if part == "}" or (part == "," and inside):
            break
        if part == "{":
            tails, index = _choice(parts, index + 1)
        else:
            tails = [_translated(part)]
        found = [head + tail for head in found for tail in tails]
        if len(found) > MAX_ALTERNATIVES:
            raise ValueError(f"its braces stand for more than {MAX_ALTERNATIVES} patterns")
        index += 1
    return found, index


def _choice(parts: list[str], index: int) -> tuple[list[str], int]:
    """Expand the alternatives between braces; return the place of the closing one."""
    found: list[str] = []
    while True:
        alternatives, index = _sequence(parts, index, inside=True)
        found += alternatives
        if index >= len(parts):
            raise ValueError("an opening brace without its closing one")
        if parts[index] == "}":
            return found, index
        index += 1


def _translated(part: str) -> str:
    r"""Return one part in fnmatch's syntax, to which `\` is a character like others."""
    if part == "\\":
        raise ValueError("a backslash with nothing behind it")
    if part.startswith("\\"):
        return _literal(part[1])
    if part == "[":
        raise ValueError("an opening bracket without its closing one")
    if "\\" in part:
        raise ValueError("a backslash inside brackets")
    return part


def _literal(char: str) -> str:
    return f"[{char}]" if char in "*?[" else char
