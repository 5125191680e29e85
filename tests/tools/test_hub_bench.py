"""The measurement of what messaging costs, in a tiny slice: everything is measured, and printed."""

from __future__ import annotations

import json

import pytest

from tools.bench import hub

pytestmark = pytest.mark.usefixtures("collector")


def test_everything_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SUBSCRIPTIONS", 200)
    monkeypatch.setattr(hub, "SHAPES", ((200, 1), (20, 10)))
    monkeypatch.setattr(hub, "SETTLE_S", 0.0)
    assert hub.main(["--rounds", "1", "--publishes", "2", "--receivers", "5"]) == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert costs["publish_us"] > 0
    assert costs["broker_us"] > 0
    assert set(costs["subscription_bytes"]) == {"200 clients, 1 channels", "20 clients, 10 channels"}
    assert all(size_bytes > 0 for size_bytes in costs["subscription_bytes"].values())
    assert costs["ratio"] == costs["hub_per_s"] / costs["raw_per_s"]
