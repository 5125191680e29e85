"""The ledger: processes die, are silent and come again, and no counter ever falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.kit import Samples, Watched, counters
from wsloop.loop.histogram import Histogram
from wsloop.observe.exposition import exposition
from wsloop.observe.ledger import Ledger
from wsloop.observe.snapshot import Snapshot, snapshot_of

if TYPE_CHECKING:
    from wsloop.observe.snapshot import Numbers

COUNTER, GAUGE, HISTOGRAM = "wsloop_commands_total", "wsloop_clients", "wsloop_loop_turn_seconds"


class Worker:
    """A process that counts, and now and then dies and begins again at 0."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lives = 0
        self.begin()

    def begin(self) -> None:
        self.lives += 1
        self.count = 0
        self.histogram = Histogram()

    def work(self) -> None:
        self.count += 1
        self.histogram.observe(0.001)

    def snapshot(self) -> Snapshot:
        numbers: Numbers = {COUNTER: self.count, GAUGE: 1, HISTOGRAM: self.histogram}
        return snapshot_of([numbers], self.name, str(self.lives))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("work"), st.integers(0, 2)),
        st.tuples(st.just("die"), st.integers(0, 2)),
        st.tuples(st.just("scrape"), st.sets(st.integers(0, 2))),
        st.tuples(st.just("the keeper dies"), st.none()),
    )
)


@given(steps)
def test_no_counter_falls_and_nothing_that_was_told_is_lost(history: list[tuple[str, object]]) -> None:
    workers = [Worker(f"worker-{number}") for number in range(3)]
    ledger = Ledger()
    told = [0, 0, 0]
    ended = [0, 0, 0]
    before = 0.0
    kept = b""
    for step, which in history:
        if step == "scrape":
            assert isinstance(which, set)
            answers = [workers[number].snapshot() for number in sorted(which)]
            for number in which:
                told[number] = ended[number] + workers[number].count
            values = ledger.total(answers).values
            count = values.get(COUNTER, {"": [0.0]})[""][0]
            assert count == sum(told) >= before
            assert values.get(GAUGE, {"": [0]}) == {"": [len(which)]}
            assert sum(values.get(HISTOGRAM, {"": [0, 0]})[""][:-1]) == count
            before = count
            kept = ledger.kept()
        elif step == "the keeper dies":
            ledger = Ledger(kept)
        else:
            assert isinstance(which, int)
            worker = workers[which]
            if step == "work":
                worker.work()
            else:
                ended[which] = told[which]
                worker.begin()


def test_what_belongs_to_one_process_goes_with_it() -> None:
    ledger, name = Ledger(), "wsloop_process_cpu_seconds_total"
    ledger.total([snapshot_of([{name: {"worker-0": 7.0}}], "worker-0", "a")])
    assert name not in ledger.total([]).values
    again = ledger.total([snapshot_of([{name: {"worker-0": 1.0}}], "worker-0", "b")])
    assert again.values[name] == {"worker-0": [1.0]}


def test_prometheus_reads_counters_that_never_fall_over_the_death_of_the_keeper() -> None:
    workers = [Worker("worker-0"), Worker("worker-1")]
    ledger = Ledger()
    before: Samples = {}
    for life in range(3):
        keeper = Worker("hub")  # who keeps the ledger counts as well, and begins at 0
        keeper.lives = life
        for _ in range(3):
            for each in (*workers, keeper):
                each.work()
            text = exposition(ledger.total([each.snapshot() for each in (*workers, keeper)])).decode()
            now = counters(text)
            assert {key for key, value in before.items() if now[key] < value} == set()
            before = now
        workers[1].begin()  # at the same time
        ledger = Ledger(ledger.kept())
    assert before[COUNTER, ()] == 27
    assert before["wsloop_loop_turn_seconds_count", ()] == 27


@pytest.mark.parametrize("kept", [b"{", b"[1]", b'[{"values":{"wsloop_commands_total":{"":["1"]}}}]'])
def test_what_cannot_be_read_is_told_and_begun_anew(kept: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert Ledger(kept).total([]) == Snapshot()
    assert "the counters of the process before cannot be read" in caplog.text


def test_what_is_kept_of_an_idle_process_is_little() -> None:
    with Watched() as house:
        house.get("/metrics")
        ledger = Ledger()
        ledger.total([house.snapshot()])
        assert 0 < len(ledger.kept()) < 1000
