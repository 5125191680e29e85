"""The end of a connection: the transport first, then presence and leave, in every way there is.

Where the others are told first, a client that comes back at once finds its former self still there,
and a storm of reconnects piles up ghosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.api_kit import ApiHouse
from wsloop.hub.backend import NoHooks
from wsloop.server.lifecycle import State
from wsloop.testing.client import OPCODE_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.hub.backend import Person
    from wsloop.server.connection import Connection
    from wsloop.testing.client import MessagingMemoryClient

CHANNEL = "chat:room"


class Witness(NoHooks):
    """Notes what the hub tells of one client's end, each time with whether its socket is still open."""

    def __init__(self, house: ApiHouse) -> None:
        self._house = house
        self._client, self._descriptor = "", -1
        self.seen: list[tuple[str, bool]] = []
        house.hub.hooks = self
        self._wrap(house.hub.presence, "remove", "presence")
        self._wrap(house.hub.broker, "publish_leave", "leave")

    def watch(self, client: str, connection: Connection) -> None:
        self._client, self._descriptor = client, connection._transport.fileno()

    def on_disconnect(self, person: Person, code: int, reason: str) -> None:
        self._note("disconnect", person.client)

    def _note(self, what: str, about: object) -> None:
        if self._client and self._client in str(about):
            self.seen.append((what, self._descriptor in self._house.network.open_descriptors()))

    def _wrap(self, port: Any, name: str, what: str) -> None:
        inner = getattr(port, name)

        def noting(*arguments: Any) -> None:
            self._note(what, arguments)
            inner(*arguments)

        setattr(port, name, noting)


class Room(ApiHouse):
    """A server whose clients are all in one channel, with one who stays and watches."""

    def __init__(self) -> None:
        super().__init__()
        self.witness = Witness(self)
        self.watcher = self.enter("watcher")

    def enter(self, name: str) -> MessagingMemoryClient:
        client = self.user(name)
        assert "subscribe" in self.ask(client, subscribe={"channel": CHANNEL})
        return client

    def connection(self) -> Connection:
        """The newest one."""
        return self.server.registry.snapshot()[-1]

    def present(self) -> list[str]:
        """Ask, as a client would, who is there."""
        reply: Any = self.ask(self.watcher, presence={"channel": CHANNEL})
        return sorted(entry["user"] for entry in reply["presence"]["presence"].values())

    def leaves(self) -> int:
        return sum("leave" in push for push in self.watcher.pushes)


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as made:
        yield made
    assert made.network.open_descriptors() == {}


def close_frame(room: Room, client: MessagingMemoryClient) -> None:
    client.send_close()


def end_of_stream(room: Room, client: MessagingMemoryClient) -> None:
    client.close()


def reset(room: Room, client: MessagingMemoryClient) -> None:
    client.reset()


def power_cut(room: Room, client: MessagingMemoryClient) -> None:
    client.vanish()


def call_of_the_api(room: Room, client: MessagingMemoryClient) -> None:
    room.call("disconnect", user="victim")


def expiry(room: Room, client: MessagingMemoryClient) -> None:
    room.call("refresh", user="victim", expire_at=int(room.clock.unix_s()) + 5)


def nonsense(room: Room, client: MessagingMemoryClient) -> None:
    client.send_text("nonsense")


def broken_frame(room: Room, client: MessagingMemoryClient) -> None:
    client.send_bytes(bytes([0x80 | OPCODE_TEXT, 0x01, 0x61]))


def silence(room: Room, client: MessagingMemoryClient) -> None:
    client.answers_pings = False


def slowness(room: Room, client: MessagingMemoryClient) -> None:
    client.stop_reading()
    connection = room.connection()
    while connection.state is State.OPEN:
        room.call("publish", channel=CHANNEL, data="x" * 50_000)
    client.resume_reading()


def slowness_for_ever(room: Room, client: MessagingMemoryClient) -> None:
    slowness(room, client)
    client.stop_reading()


def gap(room: Room, client: MessagingMemoryClient) -> None:
    room.call("publish", channel="chat:other", data=0)
    room.call("subscribe", user="victim", channel="chat:other")
    subscription = room.hub.clients_of("victim")[0].subscriptions["chat:other"]
    subscription.offset -= 1
    room.call("publish", channel="chat:other", data=1)


def drain(room: Room, client: MessagingMemoryClient) -> None:
    room.server.drain(lambda: None)


WAYS: tuple[Callable[[Room, MessagingMemoryClient], None], ...] = (
    close_frame, end_of_stream, reset, power_cut, call_of_the_api, expiry, nonsense, broken_frame, silence,
    slowness, slowness_for_ever, gap, drain,
)  # fmt: skip
COMES_BACK = tuple(way for way in WAYS if way not in (power_cut, slowness_for_ever, drain))
"""After these the client learns that its connection has ended, and the server is still there."""


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_the_transport_ends_before_anybody_is_told(
    room: Room, way: Callable[[Room, MessagingMemoryClient], None]
) -> None:
    client = room.enter("victim")
    connection = room.connection()
    room.witness.watch(room.id_of(client), connection)
    way(room, client)
    room.run_until(lambda: connection.state is State.CLOSED, within_s=120)
    room.run_until(lambda: ("disconnect", False) in room.witness.seen)
    assert not any(is_open for _, is_open in room.witness.seen)
    assert [what for what, _ in room.witness.seen][-3:] == ["presence", "leave", "disconnect"]


@pytest.mark.parametrize("way", COMES_BACK, ids=[way.__name__ for way in COMES_BACK])
def test_who_comes_back_at_once_does_not_meet_its_former_self(
    room: Room, way: Callable[[Room, MessagingMemoryClient], None]
) -> None:
    for round_number in range(1, 6):
        client = room.enter("victim")
        assert room.present() == ["victim", "watcher"]
        way(room, client)
        room.run_until(lambda: client.is_gone, within_s=120)  # noqa: B023
        room.run_until(lambda: room.leaves() == round_number)  # noqa: B023
    assert len(room.server.registry) == len(room.hub.all_clients()) == 1
    assert room.present() == ["watcher"]


@pytest.mark.parametrize("way", [power_cut, slowness_for_ever])
def test_who_is_never_heard_of_again_is_gone_within_its_deadlines(
    room: Room, way: Callable[[Room, MessagingMemoryClient], None]
) -> None:
    client = room.enter("victim")
    way(room, client)
    deadlines = room.server.deadlines
    silent_s = 2 * deadlines.ping_interval_s + deadlines.pong_timeout_s + deadlines.close_s
    room.run_until(lambda: room.leaves() == 1, within_s=silent_s)
    assert room.present() == ["watcher"]


def test_who_comes_back_without_hearing_of_its_end_is_there_twice_for_the_close_handshake_only(
    room: Room,
) -> None:
    """A link that is dead in one direction: the close frame is never answered."""
    for _ in range(5):
        client = room.enter("victim")
        client.stop_reading()
        room.call("disconnect", user="victim")
    latest = room.enter("victim")
    room.run_for(room.server.deadlines.close_s + 1.0)
    assert room.present() == ["victim", "watcher"]
    assert not latest.is_gone


def test_a_drain_is_over_when_the_last_leave_is_told(room: Room) -> None:
    for _ in range(3):
        room.enter("victim")
    over: list[tuple[int, list[str]]] = []
    room.server.drain(lambda: over.append((len(room.hub.all_clients()), list(room.hub.channel_names()))))
    room.run_until(lambda: over)
    assert over == [(0, [])]
    assert room.hub.statistics().subscriptions == 0
