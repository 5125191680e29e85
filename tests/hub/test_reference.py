"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsloop.hub import codes
from wsloop.hub.dispatcher import COMMANDS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading, without its head."""
    section = (REFERENCE / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    assert rows, heading
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def test_all_commands_are_listed() -> None:
    assert {row[0] for row in table("client-protocol.md", "Commands")} == {method for method, _ in COMMANDS}


@pytest.mark.parametrize(
    ("heading", "low", "high"),
    [("Error codes", 100, 2000), ("Unsubscribe codes", 2000, 3000), ("Close codes", 3000, 4000)],
)
def test_all_codes_are_listed_with_their_texts(heading: str, low: int, high: int) -> None:
    known = [
        code for code in vars(codes).values() if isinstance(code, codes.Code) and low <= code.code < high
    ]
    listed = [(int(row[0]), row[1]) for row in table("client-protocol.md", heading)]
    assert set(listed) <= {(code.code, code.message) for code in known}


def test_commands_are_refused_with_known_codes() -> None:
    known = {code.code for code in vars(codes).values() if isinstance(code, codes.Code)}
    refusals = " ".join(row[3] for row in table("client-protocol.md", "Commands"))
    assert {int(number) for number in re.findall(r"\d{3,4}", refusals)} <= known
