"""No expression of ours, kept by a module, depends on what was mended in Python 3.11.5.

Up to then a possessive quantifier of a group kept its place in the text when an item of the group did not
match (CPython issue 106052): `(?:ab)*+c` found "ac". Debian 12 has Python 3.11.2.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import pytest

import wsloop

# What `re` makes of a pattern; there is no public way to see it.
parser: Any = importlib.import_module("re._parser")
constants: Any = importlib.import_module("re._constants")

ONE_CHARACTER = (constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN)


def possessive_groups(parsed: Any) -> int:
    """Count the possessive quantifiers of more than one character in a parsed pattern."""
    found = 0
    for operator, argument in parsed:
        if operator is constants.POSSESSIVE_REPEAT:
            repeated = argument[2]
            found += len(repeated) != 1 or repeated[0][0] not in ONE_CHARACTER
        found += sum(possessive_groups(each) for each in inner(argument))
    return found


def inner(argument: Any) -> list[Any]:
    """Return the patterns inside an operator's argument."""
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [pattern for each in argument for pattern in inner(each)]
    return []


def patterns_of_ours() -> list[tuple[str, re.Pattern[Any]]]:
    names = [module.name for module in pkgutil.walk_packages(wsloop.__path__, "wsloop.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return [
        (f"{module.__name__}.{name}", value)
        for module in modules
        for name, kept in vars(module).items()
        for value in (kept.values() if isinstance(kept, dict) else (kept,))
        if isinstance(value, re.Pattern)
    ]


@pytest.mark.parametrize("pattern", [r"(?:ab)*+c", r"(a(?:b|cd)++)", r"(?=x(?:ab)?+)", r"(?:a|(?:bc){2}+)"])
def test_it_is_seen(pattern: str) -> None:
    assert possessive_groups(parser.parse(pattern)) == 1


@pytest.mark.parametrize("pattern", [r"[a-z]++b*+.?+[^x]{3}+", r"(?:ab++)*c", r"(?>(?:ab)*)c"])
def test_what_is_right_in_every_version_is_none(pattern: str) -> None:
    assert possessive_groups(parser.parse(pattern)) == 0


def test_no_expression_of_ours_has_one() -> None:
    ours = patterns_of_ours()
    assert len(ours) > 30
    assert [name for name, each in ours if possessive_groups(parser.parse(each.pattern, each.flags))] == []
