"""The reference of the client protocol says what the code does: its generated tables, from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.server.test_codes import CASES
from wsloop.hub import codes
from wsloop.hub.dispatcher import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "client-protocol.md"
HEADINGS = pytest.mark.parametrize(
    ("heading", "kind", "low", "high"),
    [
        ("Error codes", "error", 100, 2000),
        ("Unsubscribe codes", "unsubscribe", 2000, 3000),
        ("Close codes", "close", 3000, 4000),
    ],
)


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the tables under a heading, without their heads."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = [line.strip("|").split("|") for line in section.splitlines() if re.match(r"\| [`\d]", line)]
    assert found, heading
    return [[cell.strip().strip("`") for cell in row] for row in found]


def test_all_commands_are_listed_with_known_codes() -> None:
    listed = rows("Commands")
    assert {row[0] for row in listed} == {method for method, _ in COMMANDS}
    known = {code.code for code in vars(codes).values() if isinstance(code, codes.Code)}
    assert {int(number) for row in listed for number in re.findall(r"\d{3,4}", row[3])} <= known


@HEADINGS
def test_all_codes_are_listed_with_their_texts(heading: str, kind: str, low: int, high: int) -> None:
    known = [
        code for code in vars(codes).values() if isinstance(code, codes.Code) and low <= code.code < high
    ]
    listed = [(int(row[0]), row[1]) for row in rows(heading)]
    assert sorted(listed) == sorted((code.code, code.message) for code in known)


@HEADINGS
def test_a_code_that_is_sent_names_its_test(heading: str, kind: str, low: int, high: int) -> None:
    named = {row[3] for row in rows(heading) if len(row) == 4}
    assert named == {f"test_codes.py[{name}]" for name in CASES if name.startswith(f"{kind}-")}
