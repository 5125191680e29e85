"""The endless fuzzer, for a moment: its targets are there, take bytes, and a failure gets out."""

from __future__ import annotations

import random

import pytest

from tools.fuzz import differential


def test_a_moment_of_every_target() -> None:
    targets = differential.targets()
    assert differential.fuzz(random.Random(6455), 10 * len(targets), print) == 10 * len(targets)


def test_a_failure_names_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_data: bytes) -> None:
        raise AssertionError("found")

    monkeypatch.setattr(differential, "targets", lambda: {"test_that_fails": fails})
    told: list[str] = []
    with pytest.raises(AssertionError, match="found"):
        differential.fuzz(random.Random(1), None, told.append)
    assert "test_that_fails failed, example 1" in told[0]


def test_the_command_ends_after_the_examples_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert differential.main(["--examples", "4", "--seed", "1"]) == 0
    assert "seed 1" in capsys.readouterr().err
