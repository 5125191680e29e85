"""The wire as a check: a tap between a queue and a socket that misbehaves, or a connection that does."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.server.connection import READ_BYTES
from wsloop.server.lifecycle import State
from wsloop.testing.simulator.checkers.wire import BEAT, FRAME_PING, WireTap
from wsloop.transport.base import flush

PIECES = st.lists(
    st.binary(min_size=1, max_size=40).filter(lambda data: data[0] not in b"\x88\x89"), max_size=8
)
"""No pings, no close frames: the tap knows when they may be sent, and hypothesis draws what sources name."""


class Sock:
    """Takes as many bytes as it was told to, None for EAGAIN; remembers them."""

    def __init__(self, takes: list[int | None] | None = None) -> None:
        self.wire = b""
        self.takes = takes or []

    def send(self, data: Any, /) -> int:
        count = self.takes.pop(0) if self.takes else len(data)
        if count is None:
            raise BlockingIOError
        taken = bytes(data[:count])
        self.wire += taken
        return len(taken)

    def recv(self, max_bytes: int, /) -> bytes:
        return b"x" * (max_bytes + (0 if max_bytes else 1))


class Transport:
    """As much of one as a flush needs."""

    def __init__(self, sock: Sock) -> None:
        self.sock = sock
        self.has_output = False

    def write(self, data: Any) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def write_many(self, views: Any) -> int:
        return self.write(b"".join(views))


def tapped(takes: list[int | None] | None = None) -> tuple[WireTap, Sock, Any]:
    sock = Sock(takes)
    outbox = SimpleNamespace(high_bytes=1000, low_bytes=100)
    connection: Any = SimpleNamespace(
        id=9, peer="10.0.0.1:1", state=State.OPEN, _outbox=outbox, _paused=False, _going_on=False
    )
    made: Any = sock
    return WireTap(scene(), connection, made, {}), sock, connection


@given(PIECES, st.lists(st.one_of(st.none(), st.integers(0, 60)), max_size=20))
def test_a_queue_that_is_flushed_as_it_should_be_passes(pieces: list[bytes], takes: list[int | None]) -> None:
    tap, sock, _ = tapped(takes)
    transport: Any = Transport(sock)
    for piece in pieces:
        tap.queue.append(piece)
        flush(transport, tap.queue)
    while tap.queue.size:
        flush(transport, tap.queue)
    assert sock.wire == b"".join(pieces)
    assert not tap.queue.owed


@given(st.binary(min_size=2, max_size=40), st.integers(1, 39))
def test_the_rest_of_what_was_said_at_once_is_queued(data: bytes, taken: int) -> None:
    tap, sock, _ = tapped([min(taken, len(data) - 1)])
    sent = sock.send(data)
    tap.queue.append(data)
    tap.queue.advance(sent)
    tap.check_settled()
    flush(Transport(sock), tap.queue)  # type: ignore[arg-type]
    assert sock.wire == data


def test_a_rest_that_nobody_queues_is_found() -> None:
    tap, sock, connection = tapped([3])
    sock.send(b"hello")
    with broken("wire", "connection 9", "2 bytes", "queued nowhere"):
        tap.check_settled()
    connection.state = State.CLOSED
    tap.check_settled()  # it is lost with the connection


def test_eagain_leaves_all_of_it() -> None:
    tap, sock, _ = tapped([None])
    with pytest.raises(BlockingIOError):
        sock.send(b"hello")
    with broken("wire", "5 bytes"):
        tap.check_settled()


def test_what_overtakes_the_queue_is_found() -> None:
    tap, sock, _ = tapped()
    tap.queue.append(b"first")
    with broken("wire", "b'second' was sent while b'first' is the head"):
        sock.send(b"second")


def test_what_overtakes_a_rest_is_found() -> None:
    tap, sock, _ = tapped([3])
    sock.send(b"hello")
    with broken("wire", "b'second' was sent in front of b'lo'"):
        sock.send(b"second")
    assert tap.cut is not None


def test_another_rest_than_was_left_is_found() -> None:
    tap, sock, _ = tapped([3])
    sock.send(b"hello")
    tap.queue.append(b"hello")
    with broken("wire", "b'o' was queued where b'lo' had to follow"):
        tap.queue.advance(4)


def test_to_pop_before_the_send_is_found() -> None:
    tap, _, _ = tapped()
    tap.queue.append(b"hello")
    with broken("wire", "moved on by 5 bytes, of which 0 were taken"):
        tap.queue.advance(5)


def test_to_advance_by_more_than_was_taken_is_found() -> None:
    tap, sock, _ = tapped([2])
    tap.queue.append(b"hello")
    sock.send(b"hello")
    with broken("wire", "moved on by 3 bytes, of which 2 were taken"):
        tap.queue.advance(3)


def test_a_queue_that_forgets_its_middle_is_found() -> None:
    tap, sock, _ = tapped([2])
    chance = random.Random(1)
    for _ in range(3):
        tap.queue.append(chance.randbytes(6))
    tap.queue._rest = None  # a bug: all but the first are gone
    tap.queue.size = 6
    sock.send(tap.queue.peek())
    tap.queue.advance(2)
    tap.queue._first = b"else"
    with broken("wire", "is the head of the queue"):
        sock.send(b"else")


def test_a_closed_connection_says_nothing() -> None:
    _, sock, connection = tapped()
    connection.state = State.CLOSED
    with broken("close", "connection 9", "5 bytes were sent when it was closed"):
        sock.send(b"hello")


def test_what_is_kept_of_a_queue_is_its_head() -> None:
    tap, _, _ = tapped()
    tap.queue.append(b"hello")
    tap.queue.append(b"world")
    tap.queue.keep(7)
    assert tap.queue.head(100) == b"hellowo"
    tap.queue.clear()
    assert not tap.queue.owed


def test_one_read_in_a_turn() -> None:
    tap, sock, _ = tapped()
    sock.recv(10)
    with broken("budget", "connection 9", "read from twice in one turn"):
        sock.recv(10)
    tap._scene.step = 78
    with pytest.raises(Exception, match=f"{READ_BYTES + 1} bytes were read in one turn"):
        sock.recv(READ_BYTES + 1)


GIVEN_UP = b"\x88\x09\x0b\xc4no pong"


@pytest.mark.parametrize("ping", [BEAT, FRAME_PING])
def test_who_answers_is_pinged_again_and_who_does_not_is_given_up(ping: bytes) -> None:
    tap, sock, _ = tapped()
    for turn in range(3):
        tap.queue.append(ping)
        tap._scene.step = turn
        sock.recv(10)
    tap.queue.append(ping)
    tap.queue.append(b"\x81\x01x")
    tap.queue.append(GIVEN_UP)
    assert tap.queue.size


def test_who_does_not_answer_is_not_pinged_again() -> None:
    tap, sock, connection = tapped()
    tap.queue.append(BEAT)
    with broken("pulse", "connection 9", "a second ping was sent, with nothing heard since the first"):
        tap.queue.append(BEAT)
    sock.recv(10)
    connection._paused = True
    tap.queue.append(BEAT)
    connection._paused = False
    tap.queue.append(BEAT)  # it was not read when it was pinged
    sock_step, tap._scene.step = tap._scene.step, 76
    sock.recv(10)
    tap._scene.step = sock_step
    connection._going_on = True
    tap.queue.append(BEAT)
    connection._going_on = False
    tap.queue.append(BEAT)  # what was read before it was taken behind it
    with broken("pulse", "a second ping"):
        tap.queue.append(BEAT)


def test_who_could_not_be_heard_in_between_may_be_pinged_again() -> None:
    tap, _, connection = tapped()
    tap.queue.append(BEAT)
    connection._paused = True
    tap._taken = 4
    tap.queue.advance(4)
    connection._paused = False
    tap.queue.append(BEAT)
    assert tap.is_pinged


def test_nobody_is_given_up_who_was_not_pinged_or_has_answered() -> None:
    tap, sock, connection = tapped()
    with broken("pulse", "connection 9", "no ping waited"):
        tap.queue.append(GIVEN_UP)
    tap.queue.append(BEAT)
    connection.state = State.CLOSING
    tap._scene.step = 76
    sock.recv(10)  # too late
    tap.queue.append(GIVEN_UP)
    connection.state = State.OPEN
    tap._scene.step = 77
    sock.recv(10)
    with broken("pulse", "no ping waited"):
        tap.queue.append(GIVEN_UP)
