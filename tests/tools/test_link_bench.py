"""The measurement of what the link costs, in a tiny slice: everything is measured, and printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.bench import link

if TYPE_CHECKING:
    import pytest


def test_everything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert link.main(["--rounds", "1", "--batches", "3", "--batch", "50", "--workers", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["benchmark"], said["batch"]) == ("link", 50)
    costs = said["costs"]
    assert all(costs[name] > 0 for name in ("in_process_us", "worker_us", "hub_us", "more_worker_us"))
    assert costs["ratio"] == (costs["worker_us"] + costs["hub_us"]) / costs["in_process_us"]
