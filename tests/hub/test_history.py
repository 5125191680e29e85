from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.hub.support import CountedEntropy
from wsloop.hub.broker import Draft
from wsloop.hub.history import (
    EPOCH_LETTERS,
    HistoryQuery,
    Publication,
    Stream,
    StreamPosition,
    StreamView,
    missed,
    new_epoch,
)

SIZE, TTL_S = 5, 10.0

STEPS = st.lists(st.integers(0, 12), max_size=30)
"""Seconds between one publication and the next."""

QUERIES = st.builds(
    HistoryQuery,
    limit=st.integers(-1, 8),
    since=st.none() | st.integers(0, 35) | st.just(2**70),
    reverse=st.booleans(),
)


@given(STEPS, st.integers(0, 12), QUERIES)
def test_a_stream_reads_as_a_list_that_was_filtered(
    pauses: list[int], last: int, query: HistoryQuery
) -> None:
    stream = Stream("e", 0.0)
    now, model = 0.0, []
    for number, pause in enumerate(pauses, start=1):
        now += pause
        stream.append(Draft(b"%d" % number), size=SIZE, ttl_s=TTL_S, now_s=now)
        model.append((now, number))
    now += last
    stream.trim(now)
    kept = [number for born, number in model[-SIZE:] if born + TTL_S > now]
    if query.since is not None:
        kept = [n for n in kept if (n < query.since if query.reverse else n > query.since)]
    expected = kept[::-1] if query.reverse else kept
    view = stream.read(query)
    assert view.top == StreamPosition(len(pauses), "e")
    assert [pub.offset for pub in view.publications] == expected[: max(0, query.limit)]
    assert all(pub.data == b"%d" % pub.offset for pub in view.publications)


@given(
    top=st.integers(0, 12),
    size=st.integers(1, 12),
    offset=st.integers(0, 14),
    limit=st.integers(1, 12),
    epoch=st.sampled_from(["e", "", "other"]),
)
def test_recovery_gives_exactly_what_was_missed_or_says_no(
    top: int, size: int, offset: int, limit: int, epoch: str
) -> None:
    stream = Stream("e", 0.0)
    for _ in range(top):
        stream.append(Draft(b"0"), size=size, ttl_s=1.0, now_s=0.0)
    found = missed(stream.read(HistoryQuery(limit, offset)), offset, epoch)
    wanted = list(range(offset + 1, top + 1))
    possible = epoch != "other" and offset <= top and len(wanted) <= min(size, limit)
    assert (None if found is None else [pub.offset for pub in found]) == (wanted if possible else None)


def test_a_client_ahead_of_the_stream_is_not_recovered() -> None:
    """A store that was put back to an older copy keeps its epoch, but not what came after."""
    view = StreamView(StreamPosition(3, "e"))
    assert missed(view, 4, "e") is None
    assert missed(view, 3, "e") == ()


def test_what_expired_in_the_middle_of_a_gap_is_not_recovered() -> None:
    view = StreamView(StreamPosition(3, "e"), (Publication(3, b"0"),))
    assert missed(view, 1, "e") is None


def test_an_epoch_is_eight_random_letters() -> None:
    entropy = CountedEntropy()
    first, second = new_epoch(entropy), new_epoch(entropy)
    assert first != second
    assert len(first) == 8
    assert set(first + second) <= set(EPOCH_LETTERS)


def test_every_byte_of_entropy_is_a_letter_equally_often() -> None:
    every_byte = iter(range(256))
    drawn = "".join(new_epoch(lambda count: bytes(next(every_byte) for _ in range(count))) for _ in range(32))
    assert {drawn.count(letter) for letter in EPOCH_LETTERS} == {8}
