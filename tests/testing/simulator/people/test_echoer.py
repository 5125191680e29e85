"""Who talks to the echo hears whether each message comes back, and whether its pings are answered."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.echoer import EchoSocket
from wsloop.testing.simulator.people.frames import PONG, TEXT


def echoed(*said: bytes) -> EchoSocket:
    """Return a socket that has said these: pings begin with "p"."""
    socket = EchoSocket(scene(), "ann")
    socket.is_open = True
    for each in said:
        if each.startswith(b"p"):
            socket.pinged.append(each)
            socket.pings += 1
        else:
            socket.expected.append((TEXT, each, socket.pings))
    return socket


def echo(*payloads: bytes) -> bytes:
    return b"".join(frames.unmasked(PONG if each.startswith(b"p") else TEXT, each) for each in payloads)


def test_the_last_of_several_pings_is_answered_at_least() -> None:
    socket = echoed(b"one", b"p1", b"p2", b"two")
    socket.take(echo(b"one", b"p2", b"two"))
    assert not socket.expected
    assert not socket.pinged


def test_a_ping_that_is_not_answered_is_noticed() -> None:
    with broken("speech", "ann was echoed b'two' before its ping was answered"):
        echoed(b"one", b"p1", b"p2", b"two").take(echo(b"one", b"p1", b"two"))


def test_a_ping_said_since_may_have_taken_the_place_of_the_others() -> None:
    socket = echoed(b"p1", b"one", b"p2")
    socket.take(echo(b"one", b"p2"))
    assert not socket.pinged


def test_something_else_than_was_said_is_noticed() -> None:
    with broken("speech", "ann said 3 bytes b'one' and was echoed b'on'"):
        echoed(b"one").take(echo(b"on"))
    with broken("speech", "without having said anything"):
        echoed().take(echo(b"one"))
    with broken("speech", "having sent no ping"):
        echoed().take(echo(b"p1"))
