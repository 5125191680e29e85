from __future__ import annotations

import os
import socket
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.channel import (
    MAX_MESSAGE_BYTES,
    MAX_QUEUED,
    Answer,
    Ask,
    Beat,
    Channel,
    Drain,
    Failed,
    HandOver,
    Leave,
    Listen,
    Message,
    Unframer,
    encode,
)
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator

counts = st.integers(0, 2**31)
keys = st.lists(counts, max_size=4).map(tuple)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Beat, counts, st.booleans(), counts, st.booleans(), st.booleans(), counts),
    st.builds(Ask, counts, st.text(max_size=20), st.text(max_size=20)),
    st.builds(Answer, counts, st.booleans(), st.text(max_size=80)),
    st.builds(Drain),
    st.builds(HandOver, st.booleans()),
    st.builds(Listen, keys),
    st.builds(Leave, keys),
)


@given(st.lists(messages, max_size=8), st.lists(st.integers(0, 400), max_size=20))
def test_however_the_bytes_are_cut_the_messages_are_the_same(said: list[Message], cuts: list[int]) -> None:
    data = b"".join(map(encode, said))
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    unframer, heard = Unframer(), []
    for begin, end in pairwise(places):
        heard += unframer.feed(data[begin:end])
    assert heard == said


@given(st.binary(max_size=200))
def test_nonsense_is_one_kind_of_error(data: bytes) -> None:
    try:
        Unframer().feed(data)
    except (ValueError, msgspec.MsgspecError):
        return


def test_a_message_that_is_too_long_is_nonsense_before_it_is_there() -> None:
    with pytest.raises(ValueError, match="a message of"):
        Unframer().feed((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))


class End:
    """One end of a line, and what came out of it."""

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self.heard: list[tuple[Message, list[int]]] = []
        self.ends = 0
        self.channel = Channel(reactor, sock, lambda *what: self.heard.append(what), self._on_end)

    def _on_end(self) -> None:
        self.ends += 1


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor(MonotonicClock(), make_poller())
    yield made
    made.close()


@pytest.fixture
def line(reactor: Reactor) -> Iterator[tuple[End, End]]:
    one, other = socket.socketpair()
    ends = End(reactor, one), End(reactor, other)
    yield ends
    for end in ends:
        end.channel.close()


def turn(reactor: Reactor, times: int = 3) -> None:
    """Turn without sleeping."""
    for _ in range(times):
        reactor.call_soon(lambda: None)
        reactor.run_once()


def test_what_one_end_says_the_other_hears(reactor: Reactor, line: tuple[End, End]) -> None:
    ours, theirs = line
    ours.channel.send(Drain())
    theirs.channel.send(Ask(1, "restart"))
    turn(reactor)
    assert theirs.heard == [(Drain(), [])]
    assert ours.heard == [(Ask(1, "restart"), [])]


def test_descriptors_go_along_and_are_given_to_their_message(reactor: Reactor, line: tuple[End, End]) -> None:
    ours, theirs = line
    reading, writing = os.pipe()
    ours.channel.send(Beat())
    ours.channel.send(Listen((7, 8)), (reading, writing))
    ours.channel.send(Leave((7,)))
    turn(reactor)
    (beat, none), (listen, received), (leave, also_none) = theirs.heard
    assert (beat, listen, leave) == (Beat(), Listen((7, 8)), Leave((7,)))
    assert none == also_none == []
    os.write(received[1], b"through the copies")
    assert os.read(reading, 64) == b"through the copies"
    assert not any(os.get_inheritable(each) for each in received)
    for each in (reading, writing, *received):
        os.close(each)


def test_the_end_of_one_is_told_to_the_other_once(reactor: Reactor, line: tuple[End, End]) -> None:
    ours, theirs = line
    ours.channel.send(Beat(connections=3))
    ours.channel.close()
    turn(reactor)
    assert theirs.heard == [(Beat(connections=3), [])]
    assert (ours.ends, theirs.ends) == (0, 1)
    theirs.channel.send(Drain())  # says nothing, harms nobody


@pytest.mark.parametrize("is_gone", [True, False])
def test_of_one_that_is_gone_the_last_words_are_heard(
    reactor: Reactor, line: tuple[End, End], is_gone: bool
) -> None:
    ours, theirs = line
    said: list[Message] = [Failed("x" * 70_000), *(Beat(connections=number) for number in range(50))]
    said.append(Failed("the last"))
    for message in said:
        ours.channel.send(message)
    assert not ours.channel.is_stuck
    if is_gone:
        ours.channel.close()
    theirs.channel.finish()
    assert [message for message, _ in theirs.heard] == said
    theirs.channel.finish()
    turn(reactor)
    assert len(theirs.heard) == len(said)


def test_nonsense_ends_the_line(reactor: Reactor) -> None:
    one, other = socket.socketpair()
    end = End(reactor, one)
    other.sendall(b"\xff\xff\xff\xff")
    turn(reactor)
    assert end.ends == 1
    other.close()


def test_an_end_that_does_not_read_gets_what_fits_and_all_of_that(
    reactor: Reactor, line: tuple[End, End]
) -> None:
    ours, theirs = line
    long = Answer(1, is_done=True, text="x" * 60_000)
    for _ in range(3 * MAX_QUEUED):
        ours.channel.send(long)
    assert ours.channel.is_stuck
    turn(reactor, 300)
    assert MAX_QUEUED <= len(theirs.heard) < 3 * MAX_QUEUED
    assert all(message == long for message, _ in theirs.heard)


def test_a_forked_copy_is_closed_without_a_word(reactor: Reactor) -> None:
    one, other = socket.socketpair()
    end = Channel(reactor, one, lambda *_: None, lambda: None)
    reactor.unregister(one.fileno())  # what is left to the parent, whose poller this is
    end.detach()
    assert one.fileno() == -1
    end.send(Drain())
    other.close()


def test_what_the_other_end_would_not_take_is_not_sent() -> None:
    with pytest.raises(ValueError, match="a message of"):
        encode(Answer(1, is_done=True, text="x" * (MAX_MESSAGE_BYTES + 1)))
