"""The measurement of how long one peer holds a turn, in a tiny slice: every kind of input is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.bench import turns

if TYPE_CHECKING:
    import pytest


def test_every_kind_of_input_makes_busy_turns(capsys: pytest.CaptureFixture[str]) -> None:
    assert turns.main(["--turns", "20", "--rounds", "1"]) == 0
    holds = json.loads(capsys.readouterr().out)["holds"]
    assert [hold["input"] for hold in holds] == list(turns.inputs())
    for hold in holds:
        assert hold["turns"] > 0
        assert hold["median_ms"] <= hold["p99_ms"] <= hold["longest_ms"]


def test_the_calmest_round_counts() -> None:
    hold = turns.summarise("x", [[9_000_000] * 10, [1_000_000] * 9 + [2_000_000]])
    assert hold == turns.Hold("x", 10, 1.0, 2.0, 2.0)
