"""The benchmark of a short life: it measures what it says, on every kind of request."""

from __future__ import annotations

import pytest

from tools.bench import handshake

pytestmark = pytest.mark.usefixtures("collector")


@pytest.mark.parametrize("request_kind", handshake.REQUESTS)
def test_every_contestant_goes_through_every_stage(request_kind: str) -> None:
    report = handshake.measure(3, 1, handshake.REQUESTS[request_kind])
    assert list(report) == ["wsloop", "wsloop, h11 only", "bare"]
    for row in report.values():
        assert list(row) == [*handshake.STAGES, "all"]
        assert row["all"] == sum(row[stage] for stage in handshake.STAGES)
        assert min(row.values()) > 0


def test_refusals_are_measured_on_a_house_that_is_full() -> None:
    assert handshake.measure_refusals(3, 2) > 0
