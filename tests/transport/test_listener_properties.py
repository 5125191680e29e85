"""Shortages of descriptors that come and go, at any moment: what is paused stands still, and ends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.test_listener import House, is_reset

PLENTY = 1000

ACTS = st.one_of(
    st.tuples(st.just("dial"), st.integers(1, 5)),
    st.tuples(st.just("exhaust"), st.integers(-1, 2)),
    st.tuples(st.just("relieve"), st.just(0)),
    st.tuples(st.just("turn"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.01, 0.1, 3.0])),
    st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
)


def turn(house: House) -> None:
    """Make a turn, in which a listener that says that it is paused takes nobody from the queue."""
    was_paused, calls = house.listener.statistics().paused, house.sock.accept_calls
    house.loop.turn()
    assert not was_paused or house.sock.accept_calls == calls, "accepted while it was paused"
    assert len(house.loop.timers) <= 1


def act(house: House, verb: str, number: float) -> None:
    descriptors = house.network.descriptors
    if verb == "dial":
        limit, descriptors.limit = descriptors.limit, PLENTY
        house.dial(int(number))
        descriptors.limit = limit
    elif verb == "exhaust":
        house.exhaust(free=int(number))
    elif verb == "relieve":
        descriptors.limit = PLENTY
    elif verb == "turn":
        turn(house)
    elif verb == "wait":
        house.clock.advance(number)
        turn(house)
    elif verb == "pause":
        house.listener.pause()
    else:
        house.listener.resume()


@settings(max_examples=200)
@given(st.lists(ACTS, max_size=20), st.integers(1, 4))
def test_a_listener_that_is_paused_accepts_nobody_and_in_the_end_everybody_is_served_or_told(
    acts: list[tuple[str, float]], budget: int
) -> None:
    house = House(budget)
    for verb, number in acts:
        act(house, verb, number)
    house.network.descriptors.limit = PLENTY
    house.listener.resume()
    for _ in range(3 + len(house.clients)):
        house.clock.advance(1.0)
        turn(house)
    told = sum(is_reset(client) for client in house.clients)
    statistics = house.listener.statistics()
    assert len(house.transports) + told == len(house.clients)
    assert (statistics.accepted, statistics.shed) == (len(house.transports), told)
    assert not statistics.paused
    house.close()
