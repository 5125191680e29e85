"""The text of `/metrics`, read back with Prometheus' own parser."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.observe.kit import parsed
from wsloop.loop.histogram import BOUNDS_S, Histogram
from wsloop.observe.exposition import exposition
from wsloop.observe.metrics import METRICS
from wsloop.observe.snapshot import Snapshot, snapshot_of

if TYPE_CHECKING:
    from wsloop.observe.snapshot import Numbers


def test_every_metric_of_the_table_is_there_in_its_order_with_type_and_help() -> None:
    text = exposition(Snapshot()).decode()
    families = list(text_string_to_metric_families(text))
    assert [f"{each.name}{'_total' if each.type == 'counter' else ''}" for each in families] == list(METRICS)
    for family, metric in zip(families, METRICS.values(), strict=True):
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)


def test_a_number_is_a_sample_with_its_label() -> None:
    numbers: Numbers = {"wsloop_clients": 12, "wsloop_websocket_closes_total": {"1006": 3, "other": 1}}
    samples = parsed(exposition(snapshot_of([numbers])).decode())
    assert samples == {
        ("wsloop_clients", ()): 12,
        ("wsloop_websocket_closes_total", (("code", "1006"),)): 3,
        ("wsloop_websocket_closes_total", (("code", "other"),)): 1,
    }


@given(st.text(max_size=20))
def test_any_text_may_be_a_labels_value(value: str) -> None:
    numbers = {"wsloop_process_resident_memory_bytes": {value: 1}}
    samples = parsed(exposition(snapshot_of([numbers])).decode())
    assert samples == {("wsloop_process_resident_memory_bytes", (("process", value),)): 1}


@given(st.lists(st.floats(0, 100)))
def test_buckets_count_all_that_is_below_them(durations_s: list[float]) -> None:
    histogram = Histogram()
    for duration_s in durations_s:
        histogram.observe(duration_s)
    samples = parsed(exposition(snapshot_of([{"wsloop_fan_out_seconds": histogram}])).decode())
    name = "wsloop_fan_out_seconds"
    for bound_s in BOUNDS_S:
        below = sum(duration_s <= bound_s for duration_s in durations_s)
        assert samples[f"{name}_bucket", (("le", str(bound_s)),)] == below
    assert samples[f"{name}_bucket", (("le", "+Inf"),)] == samples[f"{name}_count", ()] == len(durations_s)
    assert samples[f"{name}_sum", ()] == histogram.sum_s


def test_the_library_is_loaded_for_the_first_scrape_and_brings_no_asyncio() -> None:
    program = (
        "import sys; from wsloop.observe import service; from wsloop.observe.snapshot import Snapshot;"
        "before = 'prometheus_client' in sys.modules; service.exposition(Snapshot());"
        "print(before, 'prometheus_client' in sys.modules, 'asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True False\n"
