"""Leases end once, at their time, whatever is done to them before."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.expiry import SPARE_ENTRIES, Expiries, Lease

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), st.integers(0, 20)),
        st.tuples(st.just("move"), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 8)),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_each_lease_ends_once_and_not_before_its_time(actions: list[tuple[str, int]]) -> None:
    expiries = Expiries()
    leases: list[Lease] = []
    deadlines: dict[int, int] = {}
    ended: list[int] = []
    now = 0
    for action, seconds in actions:
        if action == "lease":
            number = len(leases)
            leases.append(expiries.lease(now + seconds, partial(ended.append, number)))
            deadlines[number] = now + seconds
        elif action == "move" and leases:
            leases[-1].move(now + seconds)
            if len(leases) - 1 in deadlines:
                deadlines[len(leases) - 1] = now + seconds
        elif action == "cancel" and leases:
            leases[-1].cancel()
            deadlines.pop(len(leases) - 1, None)
        elif action == "wait":
            now += seconds
        expiries.run(now, 1000)
        due = {number for number, deadline in deadlines.items() if deadline <= now}
        for number in due:
            del deadlines[number]
        assert set(ended) == due
        assert len(ended) == len(due)
        ended.clear()
    expiries.run(now + 100, 1000)
    assert set(ended) == set(deadlines)
    assert len(expiries) == 0


def test_only_so_many_are_looked_at() -> None:
    expiries = Expiries()
    ended: list[int] = []
    for number in range(5):
        expiries.lease(number, partial(ended.append, number))
    assert expiries.run(10.0, 3) == 3
    assert ended == [0, 1, 2]
    assert expiries.run(10.0, 3) == 2


def test_what_is_cancelled_or_moved_to_an_earlier_time_does_not_pile_up() -> None:
    expiries = Expiries()
    ended: list[str] = []
    kept = expiries.lease(500.0, partial(ended.append, "kept"))
    for number in range(5 * SPARE_ENTRIES):
        expiries.lease(1e9, partial(ended.append, "cancelled")).cancel()
        kept.move(500.0 - number / 100)
        assert len(expiries) <= SPARE_ENTRIES + 3
    assert expiries.run(450.0, 10 * SPARE_ENTRIES) == 0
    expiries.run(500.0, 10 * SPARE_ENTRIES)
    assert ended == ["kept"]


def test_the_heap_may_be_tidied_while_it_is_walked() -> None:
    expiries = Expiries()
    ended: list[str] = []
    others = [expiries.lease(1e9, partial(ended.append, "other")) for _ in range(2 * SPARE_ENTRIES)]

    def cancel_others() -> None:
        for lease in others:
            lease.cancel()

    expiries.lease(1.0, cancel_others)
    expiries.lease(2.0, partial(ended.append, "behind"))
    expiries.run(3.0, 10)
    assert ended == ["behind"]
    assert len(expiries) <= SPARE_ENTRIES
