"""Who talks to the echo hears whether each message comes back, and whether its pings are answered."""

from __future__ import annotations

import pytest

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.server.echo import EchoHandler
from wsloop.testing.simulator.faults import NO_FAULTS
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.echoer import Echoer, EchoSocket
from wsloop.testing.simulator.people.frames import PONG, TEXT
from wsloop.testing.simulator.run import simulate
from wsloop.testing.simulator.violation import Violation
from wsloop.testing.simulator.world import World


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


def test_what_is_owed_is_told() -> None:
    assert EchoSocket(scene(), "ann").owed == "the handshake"
    assert echoed(b"one", b"two").owed == "text b'one', nor 1 more"
    assert echoed(b"p1", b"p2").owed == "the ping b'p2'"
    answered = echoed(b"one", b"p1", b"p2")
    answered.take(echo(b"one", b"p2"))
    assert not answered.owed


def test_an_echo_that_fell_silent_is_found_in_the_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoHandler, "on_text", lambda _self, _data: None)
    monkeypatch.setattr(EchoHandler, "on_binary", lambda _self, _data: None)
    world = World("echo 3", "one", NO_FAULTS)
    world.run_for(5.0)
    with pytest.raises(Violation, match=r"echo \d has had no answer to"):
        world.calm()


def test_no_two_pings_of_a_connection_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a pong to the later one would be taken for one to the earlier."""
    said: dict[EchoSocket, list[bytes]] = {}
    ping = Echoer._ping

    def listening(echoer: Echoer, socket: EchoSocket) -> None:
        before = socket.pings
        ping(echoer, socket)
        said.setdefault(socket, []).extend([socket.pinged[-1]] * (socket.pings - before))

    monkeypatch.setattr(Echoer, "_ping", listening)
    simulate(678, 6000, shape="one", is_single=True)
    assert sum(len(payloads) for payloads in said.values()) > 5
    assert all(len(set(payloads)) == len(payloads) for payloads in said.values())
