"""The ledger: processes die, are silent and come again, and no counter ever falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from wsloop.loop.histogram import Histogram
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
    )
)


@given(steps)
def test_no_counter_falls_and_nothing_that_was_told_is_lost(history: list[tuple[str, object]]) -> None:
    workers = [Worker(f"worker-{number}") for number in range(3)]
    ledger = Ledger()
    told = [0, 0, 0]
    ended = [0, 0, 0]
    before = 0.0
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
