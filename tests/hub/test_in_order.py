"""A line of answers keeps its order, whatever order they come in."""

from __future__ import annotations

import functools

from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.in_order import InOrder


@given(st.integers(0, 12).flatmap(lambda count: st.permutations(range(count))))
def test_actions_are_called_in_the_order_of_their_places(arrival: list[int]) -> None:
    line = InOrder()
    done: list[int] = []
    fills = [line.take_place() for _ in arrival]
    for index, place in enumerate(arrival):
        fills[place](functools.partial(done.append, place))
        came = set(arrival[: index + 1])
        expected = 0
        while expected in came:
            expected += 1
        assert done == list(range(expected))
    assert len(line) == 0


def test_an_action_may_take_the_next_place() -> None:
    line = InOrder()
    done: list[str] = []
    first = line.take_place()
    first(lambda: line.take_place()(lambda: done.append("second")))
    assert done == ["second"]
