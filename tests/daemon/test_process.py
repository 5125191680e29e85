"""What a process says that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsloop.daemon import process

if TYPE_CHECKING:
    import pytest


def test_memory_and_time_are_those_of_a_python_process() -> None:
    used = process.usage()
    assert 5_000_000 < used.rss < 10_000_000_000
    assert used.cpu >= 0


def test_without_proc_it_is_the_most_that_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_arguments: object, **_options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert process.usage().rss > 5_000_000
