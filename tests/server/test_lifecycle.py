"""The connection's table of states, and the deadline in each."""

from __future__ import annotations

import itertools

import pytest

from wsloop.errors import StateError
from wsloop.server.lifecycle import DEADLINE_OF_STATE, TRANSITIONS, Deadlines, State, Step, step

LEGAL = {
    (State.ACCEPTING, Step.BEGIN): State.HANDSHAKING,
    (State.HANDSHAKING, Step.UPGRADE): State.OPEN,
    (State.HANDSHAKING, Step.FINISH): State.CLOSING,
    (State.OPEN, Step.FINISH): State.CLOSING,
}


@pytest.mark.parametrize(("state", "taken"), list(itertools.product(State, Step)))
def test_every_pair_is_either_in_the_table_or_illegal(state: State, taken: Step) -> None:
    expected = State.CLOSED if taken is Step.LOSE and state is not State.CLOSED else LEGAL.get((state, taken))
    if expected is None:
        with pytest.raises(StateError, match=f"{taken.value} is illegal while {state.value}"):
            step(state, taken)
    else:
        assert step(state, taken) is expected


def test_every_state_but_closed_can_be_left_and_has_a_deadline() -> None:
    deadlines = Deadlines()
    for state in State:
        leaves = any(pair[0] is state for pair in TRANSITIONS)
        limit = deadlines.of(state)
        assert leaves is (state is not State.CLOSED)
        assert (limit is not None and limit > 0) is leaves
    assert set(DEADLINE_OF_STATE) == set(State)


@pytest.mark.parametrize("field", ["handshake_s", "first_message_s", "pong_timeout_s", "stall_s", "close_s"])
def test_a_deadline_must_be_positive(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Deadlines(**{field: 0.0})


def test_a_pong_must_be_due_before_the_next_ping() -> None:
    with pytest.raises(ValueError, match="pong_timeout_s must be less"):
        Deadlines(ping_interval_s=10.0, pong_timeout_s=10.0)
