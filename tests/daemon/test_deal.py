from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.deal import Deal, Move


def held(deal: Deal, slots: set[int]) -> dict[int, tuple[int, ...]]:
    return {slot: deal.held_by(slot) for slot in slots}


@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.booleans(), max_size=30))
def test_whoever_comes_and_goes_every_socket_is_held_by_one_slot_that_is_there(
    keys: int, slots: int, comings: list[bool]
) -> None:
    deal, there, opened = Deal(list(range(keys)), slots), set(range(slots)), keys
    for comes in comings:
        if comes:
            number = len(there)
            move = deal.add(number)
            there.add(number)
            if move is None:
                deal.give(number, opened)
                opened += 1
        elif len(there) > 1:
            there.discard(number := max(there))
            before = deal.held_by(number)
            moves = deal.remove(number)
            assert [(move.key, move.giver) for move in moves] == [(key, number) for key in before]
            assert all(move.taker in there for move in moves)
        by_slot = held(deal, there)
        assert sorted(key for each in by_slot.values() for key in each) == list(range(opened))


def test_sockets_are_dealt_out_in_turn() -> None:
    deal = Deal([10, 11, 12, 13, 14], 2)
    assert held(deal, {0, 1}) == {0: (10, 12, 14), 1: (11, 13)}


def test_a_socket_that_is_shared_is_everybodys_and_moves_nowhere() -> None:
    deal = Deal([10], 2, is_shared=True)
    assert deal.is_shared
    assert deal.add(2) is None
    assert held(deal, {0, 1, 2}) == {0: (10,), 1: (10,), 2: (10,)}
    assert deal.remove(2) == []
    assert deal.held_by(0) == (10,)


def test_who_goes_leaves_its_socket_to_another_and_who_comes_gets_it_back() -> None:
    deal = Deal([10, 11, 12], 3)
    assert deal.remove(2) == [Move(12, 2, 0)]
    assert deal.held_by(0) == (10, 12)
    assert deal.add(2) == Move(12, 0, 2)
    assert held(deal, {0, 1, 2}) == {0: (10,), 1: (11,), 2: (12,)}


def test_who_comes_when_nobody_has_one_to_spare_needs_a_new_one() -> None:
    deal = Deal([10, 11], 2)
    assert deal.add(2) is None
    deal.give(2, 12)
    assert deal.held_by(2) == (12,)


def test_another_number_can_take_all_over() -> None:
    deal = Deal([10, 11], 2)
    deal.rename(0, 7)
    assert held(deal, {1, 7}) == {1: (11,), 7: (10,)}
    assert deal.held_by(0) == ()
