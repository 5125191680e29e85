from __future__ import annotations

import pytest

from wsloop.errors import StateError
from wsloop.transport.tls_state import (
    DECRYPTING,
    ENCRYPTING,
    ENDED,
    SHAKING,
    TLS_TRANSITIONS,
    TlsState,
    TlsStep,
    tls_step,
)

S, T = TlsState, TlsStep
PAIRS = [(state, taken) for state in S for taken in T]


@pytest.mark.parametrize(("state", "taken"), PAIRS)
def test_a_pair_is_in_the_table_or_raises(state: TlsState, taken: TlsStep) -> None:
    if taken in TLS_TRANSITIONS[state]:
        assert tls_step(state, taken) is TLS_TRANSITIONS[state][taken]
    else:
        with pytest.raises(StateError, match="illegal while"):
            tls_step(state, taken)


def test_every_state_is_reached_and_all_but_the_last_can_be_released() -> None:
    reached = {after for row in TLS_TRANSITIONS.values() for after in row.values()}
    assert reached == set(S)
    assert [state for state in S if T.RELEASE not in TLS_TRANSITIONS[state]] == [S.RELEASED]


def test_a_read_may_want_input_and_make_output_wherever_it_decrypts_or_shakes_hands() -> None:
    for taken in (T.READ_WANTS_INPUT, T.READ_MAKES_OUTPUT):
        staying = {state for state, row in TLS_TRANSITIONS.items() if row.get(taken) is state}
        assert staying == DECRYPTING | {S.HANDSHAKING}


def test_a_write_may_want_input_during_the_handshake_only() -> None:
    for state in SHAKING:
        assert tls_step(state, T.WRITE_WANTS_INPUT) is state
    for state in ENCRYPTING:
        assert tls_step(state, T.WRITE_WANTS_INPUT) is S.FAILED


def test_each_direction_ends_by_itself_in_either_order() -> None:
    for steps in ((T.NOTIFY_SENT, T.NOTIFY_RECEIVED), (T.NOTIFY_RECEIVED, T.NOTIFY_SENT)):
        state = S.OPEN
        for taken in steps:
            state = tls_step(state, taken)
        assert state is S.BOTH_ENDED


def test_a_stream_that_is_cut_off_ends_one_direction_like_a_close_notify() -> None:
    for state in DECRYPTING:
        assert tls_step(state, T.CUT_OFF) is tls_step(state, T.NOTIFY_RECEIVED)


def test_the_groups_do_not_overlap_where_they_must_not() -> None:
    assert not SHAKING & (DECRYPTING | ENCRYPTING | ENDED)
    assert not DECRYPTING & ENDED
    assert {S.OPEN} == DECRYPTING & ENCRYPTING
    assert set(S) - SHAKING - DECRYPTING - ENDED == {S.REFUSED}
