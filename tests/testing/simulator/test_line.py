from __future__ import annotations

import socket

import pytest

from tests.testing.simulator.kit import DOOR, Kit
from wsloop.testing.simulator.line import Line
from wsloop.testing.simulator.sockets import SimulatedSocket


class Client:
    """A line, what came on it, and the server's end."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.got = bytearray()
        self.ends: list[str] = []
        listener = kit.far.listen(DOOR)
        line = kit.cable.dial(DOOR, "10.0.0.1", self.got.extend, self.ends.append)
        assert isinstance(line, Line)
        self.line = line
        kit.settle()
        server, _ = listener.accept()
        assert isinstance(server, SimulatedSocket)
        self.server = server
        listener.close()


def test_what_arrives_is_handed_on_and_what_is_written_arrives() -> None:
    client = Client(Kit())
    client.line.write(b"hello")
    client.server.send(b"there")
    client.kit.settle()
    assert (client.server.recv(99), bytes(client.got)) == (b"hello", b"there")


def test_what_the_network_does_not_take_follows_when_it_does() -> None:
    client = Client(Kit())
    client.line.peer.capacity_bytes = 10
    client.line.write(b"0123456789abcdefghij")
    client.line.write(b"klm")
    assert client.line.pending_bytes == 13
    read = b""
    for _ in range(3):
        client.kit.settle()
        read += client.server.recv(99)
    assert read == b"0123456789abcdefghijklm"


def test_a_stalled_client_fills_the_network_and_goes_on_where_it_was() -> None:
    client = Client(Kit())
    client.line.capacity_bytes = 4
    client.line.stall()
    assert client.server.send(b"abcdef") == 4
    client.kit.settle()
    assert client.server.events(2) == 0
    client.line.go_on()
    assert client.server.send(b"ef") == 2
    client.kit.settle()
    assert bytes(client.got) == b"abcdef"


def test_the_ends_of_a_line() -> None:
    ended = Client(Kit())
    ended.server.send(b"bye")
    ended.server.shutdown(socket.SHUT_WR)
    ended.kit.settle()
    assert (bytes(ended.got), ended.ends) == (b"bye", ["fin"])
    ended.line.leave()
    ended.kit.settle()
    assert ended.server.recv(9) == b""
    reset = Client(Kit())
    reset.server.reset()
    assert (reset.ends, reset.line.is_over) == (["reset"], True)
    gone = Client(Kit())
    gone.line.vanish()
    gone.line.write(b"nobody hears this")
    gone.kit.settle()
    assert gone.ends == ["vanished"]
    assert gone.server.events(1) == 0
    assert gone.kit.cable.lines == {}


def test_a_client_may_end_its_direction_and_still_read() -> None:
    client = Client(Kit())
    client.line.end_writing()
    client.line.write(b"too late")
    client.kit.settle()
    assert client.server.recv(9) == b""
    client.server.send(b"x")
    client.kit.settle()
    assert bytes(client.got) == b"x"
    client.line.end_writing()


@pytest.mark.parametrize("stalled", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
def test_what_is_on_its_way_when_the_peer_aborts_is_lost(stalled: tuple[int, ...]) -> None:
    client = Client(Kit())
    kit, line = client.kit, client.line
    line.write(b"unread, so that the end is a reset")
    kit.settle()
    for number in range(3):
        line.delay_s = number + 1.0
        client.server.send(b"%d" % number)
    for number in range(3):
        if number == 1:
            client.server.close()
        if number in stalled:
            line.stall()
        due_s = kit.agenda.entries[0][0]
        kit.clock.move_to(due_s)
        kit.agenda.run(due_s)
        line.go_on()
    assert bytes(client.got) == b"0"


def test_a_line_is_sound_while_nothing_has_spoilt_it() -> None:
    line = Client(Kit()).line
    sound = [line.is_sound]
    line.delay_s = 0.1
    sound.append(line.is_sound)
    line.delay_s = 0.0
    line.stall()
    sound.append(line.is_sound)
    line.go_on()
    sound.append(line.is_sound)
    line.end_writing()
    sound.append(line.is_sound)
    assert sound == [True, False, False, True, False]
