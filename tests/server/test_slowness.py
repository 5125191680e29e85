"""Slow consumers from the wire: what they lose, what they are told, and that nobody else notices."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate

from tests.server.tls_client import TlsMessagingMemoryClient, tls_server
from wsloop.hub.client import Client
from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import Packet, kept
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.frames import Opcode, encode_frame, frame_ends
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.echo import EchoHandler
from wsloop.server.lifecycle import Deadlines, State
from wsloop.server.server import OutboxMarks
from wsloop.testing.client import OPCODE_TEXT, MessagingMemoryClient, masked_frame
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.server.connection import Connection as ServerConnection

CAPACITY_BYTES = 3_000
"""Of the network between: what a peer that does not read has been sent at most."""

MARKS = OutboxMarks(hard_bytes=20_000, high_bytes=10_000, low_bytes=2_000, hard_messages=100, age_s=30.0)
TEXT = "x" * 480
"""A publication is some 550 bytes with its push."""

RECOVERING = dev_namespaces()[""]
PLAIN = Namespace(
    presence=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
)
NAMESPACES = {
    "": PLAIN,
    "close": RECOVERING,
    "oldest": structs.replace(PLAIN, slow_policy="drop-oldest"),
    "newest": structs.replace(PLAIN, slow_policy="conflate"),
    "whole": structs.replace(RECOVERING, slow_policy="drop-oldest"),
    "whole-newest": structs.replace(RECOVERING, slow_policy="conflate"),
}


def make_house(seed: int = 1, *, faults: NetworkFaults | None = None, **options: Any) -> MemoryServer:
    chosen: dict[str, Any] = {"dev": True, "outbox": MARKS, "namespaces": NAMESPACES, **options}
    chosen.setdefault("messaging_limits", Limits(message_bytes=2_000))
    house = MemoryServer(seed=seed, faults=faults, options=Options(**chosen))
    house.network.capacity_bytes = CAPACITY_BYTES
    return house


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with make_house() as made:
        yield made
    assert made.reactor.statistics().errors == 0


def members(house: MemoryServer, channel: str, count: int = 2) -> list[MessagingMemoryClient]:
    clients = [house.join() for _ in range(count)]
    for client in clients:
        assert "error" not in house.ask(client, subscribe={"channel": channel})
    return clients


def publish(house: MemoryServer, channel: str, first: int, last: int) -> None:
    """Publish the numbers, each in a turn of its own."""
    for number in range(first, last + 1):
        house.hub.publish(channel, b'{"n":%d,"text":"%s"}' % (number, TEXT.encode()))
        house.run_for(0.01)


def numbers(client: MessagingMemoryClient, channel: str) -> list[int]:
    return [data["n"] for data in client.publications(channel)]


def seen(client: MessagingMemoryClient, channel: str) -> list[int]:
    """Return the numbers, and for each flagged gap its length below zero, in order."""
    found = []
    for push in client.pushes:
        if push.get("channel") == channel:
            if "gap" in push:
                found.append(-push["gap"]["dropped"])
            elif "pub" in push:
                found.append(push["pub"]["data"]["n"])
    return found


def accounted(found: list[int]) -> int:
    """Return the last number up to which publications were seen or flagged, and fail if one is not."""
    last = 0
    for item in found:
        assert item < 0 or item == last + 1, f"{item} behind {last}"
        last = last - item if item < 0 else item
    return last


def connection_of(house: MemoryServer, client: MessagingMemoryClient) -> ServerConnection:
    return house.server.registry.snapshot()[house._clients.index(client)]


# -- what it has asked for ---------------------------------------------------------------------


def test_who_asks_for_much_at_once_is_given_it_as_fast_as_it_reads(house: MemoryServer) -> None:
    channels = [f"close:{number}" for number in range(16)]
    for channel in channels:
        publish(house, channel, 1, 40)
    client = house.join()
    wanted = {"recover": True, "recoverable": True}
    commands = [
        json.dumps({"id": 100 + number, "subscribe": {"channel": channel, **wanted}})
        for number, channel in enumerate(channels)
    ]
    client.send_text("\n".join(commands))
    house.run_until(lambda: client.is_gone or len(client.replies) == 17)
    assert not client.is_gone
    for number in range(16):
        assert len(client.replies[100 + number]["subscribe"]["publications"]) == 40
    assert house.server.slow.closed_total == 0


def test_who_asks_for_much_and_reads_nothing_is_owed_little(house: MemoryServer) -> None:
    publish(house, "close:c", 1, 10)
    client = house.join()
    client.stop_reading()
    history = {"history": {"channel": "close:c", "limit": -1}}
    client.send_text("\n".join(json.dumps({"id": 100 + number, **history}) for number in range(30)))
    house.run_for(1.0)
    assert connection_of(house, client).queued_bytes < 2 * MARKS.high_bytes
    house.run_for(60.0)
    assert house.server.slow.closed_total == 1


# -- close -------------------------------------------------------------------------------------


def test_closed_as_slow_at_once_and_without_what_waits(house: MemoryServer) -> None:
    slow, fast = members(house, "close:c")
    slow.stop_reading()
    publish(house, "close:c", 1, 60)
    assert house.server.slow.closed_total == 1
    slow.resume_reading()
    house.run_until(lambda: slow.is_gone)
    assert slow.close_frame is not None
    code, reason = slow.close_frame
    assert code == 3008
    assert reason.startswith("slow q=")
    assert len(numbers(slow, "close:c")) <= CAPACITY_BYTES // 500 + 1
    assert accounted(seen(slow, "close:c")) < 10
    assert numbers(fast, "close:c") == list(range(1, 61))


def test_too_many_messages_are_too_many_however_short(house: MemoryServer) -> None:
    slow, fast = members(house, "close:c")
    slow.stop_reading()
    for number in range(170):
        house.hub.publish("close:c", b'{"n":%d}' % number)
        house.run_for(0.01)
    slow.resume_reading()
    house.run_until(lambda: slow.is_gone)
    assert slow.close_frame is not None
    assert slow.close_frame[0] == 3008
    assert int(slow.close_frame[1].removeprefix("slow q=")) < MARKS.hard_bytes / 2
    assert len(numbers(fast, "close:c")) == 170


def test_too_old_is_too_slow() -> None:
    deadlines = Deadlines(ping_interval_s=300.0)
    with make_house(deadlines=deadlines) as house:
        slow, _ = members(house, "close:c")
        slow.stop_reading()
        publish(house, "close:c", 1, 10)
        house.run_for(29.0)
        assert connection_of(house, slow).state is State.OPEN
        house.run_for(2.0)
        assert house.server.slow.closed_total == 1


def test_one_who_asked_for_much_is_not_too_slow_for_what_comes_behind() -> None:
    with make_house(deadlines=Deadlines(ping_interval_s=300.0)) as house:
        house.network.faults = NetworkFaults(min_delay_s=0.1, max_delay_s=0.1)
        (client,) = members(house, "close:c", 1)
        publish(house, "close:c", 1, 99)
        client.stop_reading()
        client.command(history={"channel": "close:c", "limit": 100})
        house.run_for(1.0)
        publish(house, "close:c", 100, 102)
        client.resume_reading()
        house.run_for(9.0)
        client.stop_reading()
        house.run_for(1.0)
        assert house.server.slow.closed_total == 0


def test_an_echo_that_is_closed_as_slow_gets_the_frame_that_is_partly_out_and_no_other() -> None:
    marks = replace(MARKS, hard_bytes=200_000, high_bytes=100_000)
    with make_house(outbox=marks) as house:
        client = house.connect("/echo")
        client.stop_reading()
        for number in range(4):
            client.send_binary(bytes([number]) * 60_000)
        house.run_for(5.0)
        (connection,) = house.server.registry.snapshot()
        house.run_until(lambda: connection.state is not State.OPEN)
        client.resume_reading()
        house.run_until(lambda: client.is_gone)
        assert client.binaries == [bytes([0]) * 60_000]
        assert client.close_frame is not None
        assert client.close_frame[0] == 1008


# -- drop-oldest and conflate -------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["oldest", "newest"])
def test_what_was_dropped_is_flagged_and_the_connection_goes_on(policy: str) -> None:
    channel = f"{policy}:c"
    with make_house() as house:
        slow, fast = members(house, channel)
        slow.stop_reading()
        publish(house, channel, 1, 90)
        connection = connection_of(house, slow)
        assert connection.queued_bytes <= MARKS.hard_bytes + 2_000 + 1_000
        publish(house, channel, 91, 300)
        slow.resume_reading()
        house.run_until(lambda: 300 in numbers(slow, channel))
        found = seen(slow, channel)
        assert accounted(found) == 300
        assert -sum(item for item in found if item < 0) == connection.dropped > 0
        publish(house, channel, 301, 302)
        house.run_until(lambda: 302 in numbers(slow, channel))
        assert seen(slow, channel)[-2:] == [301, 302]
        assert numbers(fast, channel) == list(range(1, 303))
        assert connection.state is State.OPEN


def test_of_a_conflated_channel_only_the_newest_waits(house: MemoryServer) -> None:
    slow, _ = members(house, "newest:c")
    slow.stop_reading()
    publish(house, "newest:c", 1, 300)
    slow.resume_reading()
    house.run_until(lambda: 300 in numbers(slow, "newest:c"))
    flags = [item for item in seen(slow, "newest:c") if item < 0]
    assert 1 <= len(flags) <= 3


def test_of_a_pattern_the_newest_of_one_channel_does_not_stand_for_the_others() -> None:
    namespaces = {**NAMESPACES, "wide": structs.replace(NAMESPACES["newest"], allow_wildcard=True)}
    with make_house(namespaces=namespaces) as house:
        (slow,) = members(house, "wide:*", 1)
        slow.stop_reading()
        for number in range(1, 50):
            house.hub.publish(f"wide:{number % 2}", b'{"n":%d,"text":"%s"}' % (number, TEXT.encode()))
            house.run_for(0.01)
        slow.resume_reading()
        house.run_until(lambda: 49 in numbers(slow, "wide:*"))
        assert accounted(seen(slow, "wide:*")) == 49
        assert {48, 49} <= set(numbers(slow, "wide:*"))


def test_who_comes_back_hears_of_no_gap_from_before(house: MemoryServer) -> None:
    """Alone in its channel, which ends with it: the next one of that name has another lane."""
    (slow,) = members(house, "oldest:c", 1)
    slow.stop_reading()
    publish(house, "oldest:c", 1, 60)
    assert house.server.slow.dropped_total > 0
    slow.command(unsubscribe={"channel": "oldest:c"})
    slow.command(subscribe={"channel": "oldest:c"})
    house.run_for(0.1)
    publish(house, "oldest:c", 101, 300)
    slow.resume_reading()
    house.run_until(lambda: 300 in numbers(slow, "oldest:c"))
    publish(house, "oldest:c", 301, 302)
    house.run_until(lambda: 302 in numbers(slow, "oldest:c"))
    found = seen(slow, "oldest:c")
    before = [number for number in found if 0 < number <= 100]
    assert found[: len(before)] == before == list(range(1, len(before) + 1))
    assert len(before) < 60, "the rest was dropped, and is nobody's affair"
    since = [item - 100 if item > 0 else item for item in found[len(before) :]]
    assert accounted(since) == 202


def test_a_recovering_subscription_is_ended_and_recovers_all(house: MemoryServer) -> None:
    for channel in ("whole:c", "whole-newest:c"):
        slow, fast = members(house, channel)
        slow.stop_reading()
        publish(house, channel, 1, 100)
        assert house.server.slow.cut_total == 1
        house.server.slow.cut_total = 0
        slow.resume_reading()
        house.run_for(1.0)
        house.run_for(1.0)
        (ended,) = [push["unsubscribe"] for push in slow.pushes if "unsubscribe" in push]
        assert ended["code"] == 2500
        before = numbers(slow, channel)
        assert before == list(range(1, len(before) + 1)), "nothing came behind a gap"
        publish(house, channel, 101, 105)
        assert numbers(slow, channel) == before
        recover = {"channel": channel, "recover": True, "offset": before[-1], "epoch": ""}
        result: Any = house.ask(slow, subscribe=recover)["subscribe"]
        recovered = [each["data"]["n"] for each in result["publications"]]
        assert before + recovered == list(range(1, 106))
        assert len(numbers(fast, channel)) == 105


def test_what_is_published_meanwhile_does_not_slip_in_before_the_end_is_told(house: MemoryServer) -> None:
    slow, _ = members(house, "whole:c")
    slow.stop_reading()
    publish(house, "whole:c", 1, 100)
    for number in range(101, 130):
        house.hub.publish("whole:c", b'{"n":%d,"text":"%s"}' % (number, TEXT.encode()))
    slow.resume_reading()
    house.run_for(1.0)
    pushes = [push for push in slow.pushes if "pub" in push or "unsubscribe" in push]
    ends = [index for index, push in enumerate(pushes) if "unsubscribe" in push]
    assert ends == [len(pushes) - 1]
    assert numbers(slow, "whole:c") == list(range(1, len(pushes)))


def test_one_channel_is_dropped_another_is_not(house: MemoryServer) -> None:
    (client,) = members(house, "oldest:c", 1)
    house.ask(client, subscribe={"channel": "close:c"})
    client.stop_reading()
    publish(house, "close:c", 1, 10)
    publish(house, "oldest:c", 1, 200)
    publish(house, "close:c", 11, 12)
    client.resume_reading()
    house.run_until(lambda: 12 in numbers(client, "close:c"))
    assert numbers(client, "close:c") == list(range(1, 13))
    house.run_until(lambda: 200 in numbers(client, "oldest:c"))
    assert accounted(seen(client, "oldest:c")) == 200


def test_too_old_is_dropped_and_flagged() -> None:
    with make_house(deadlines=Deadlines(ping_interval_s=300.0)) as house:
        slow, _ = members(house, "oldest:c")
        slow.stop_reading()
        publish(house, "oldest:c", 1, 20)
        house.run_for(40.0)
        publish(house, "oldest:c", 21, 22)
        slow.resume_reading()
        house.run_until(lambda: 22 in numbers(slow, "oldest:c"))
        found = seen(slow, "oldest:c")
        assert accounted(found) == 22
        assert found[-2:] == [21, 22]
        assert min(found) < -5


def test_joins_are_not_dropped() -> None:
    channel = "talk:c"
    namespaces = {**NAMESPACES, "talk": structs.replace(NAMESPACES["oldest"], join_leave=True)}
    with make_house(namespaces=namespaces) as house:
        slow = house.join()
        house.ask(slow, subscribe={"channel": channel, "join_leave": True})
        slow.stop_reading()
        publish(house, channel, 1, 30)
        comers = members(house, channel, 3)
        publish(house, channel, 31, 100)
        slow.resume_reading()
        house.run_until(lambda: 100 in numbers(slow, channel))
        joins = [push for push in slow.pushes if "join" in push]
        assert len(joins) == len(comers) + 1
        assert accounted(seen(slow, channel)) == 100


@pytest.mark.parametrize(
    ("channel", "is_closed"), [("oldest:c", False), ("newest:c", False), ("close:c", True)]
)
def test_over_tls_it_is_the_same(channel: str, is_closed: bool) -> None:
    options = Options(
        dev=True, outbox=MARKS, namespaces=NAMESPACES, messaging_limits=Limits(message_bytes=2_000)
    )
    with tls_server(3, options=options) as house:
        house.network.capacity_bytes = CAPACITY_BYTES
        slow = house.dial(TlsMessagingMemoryClient)
        slow.upgrade(CONNECTION_PATH)
        house.ask(slow, connect={})
        house.ask(slow, subscribe={"channel": channel})
        connection = connection_of(house, slow)
        slow.stop_reading()
        publish(house, channel, 1, 300)
        assert (connection.state is State.OPEN) is not is_closed
        slow.resume_reading()
        house.run_until(lambda: slow.is_gone if is_closed else 300 in numbers(slow, channel))
        found = seen(slow, channel)
        if is_closed:
            assert slow.close_frame is not None
            assert slow.close_frame[0] == 3008
            assert found == list(range(1, len(found) + 1))
        else:
            assert accounted(found) == 300
            assert connection.dropped > 50


class DeflatingClient(MessagingMemoryClient):
    """Agrees to compressed messages, and sends plain ones; counts those it got compressed."""

    def __init__(self, *ports: Any) -> None:
        super().__init__(*ports)
        deflate = PerMessageDeflate()
        deflate.finalize("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        self._protocol = Connection(ConnectionType.CLIENT, [deflate])


@pytest.mark.parametrize("per_frame", [1, 4])
@pytest.mark.parametrize("channel", ["oldest:c", "newest:c"])
def test_compressed_it_is_the_same_however_many_come_at_once(channel: str, per_frame: int) -> None:
    deflate = DeflateOptions(min_bytes=64)
    with make_house(messaging_deflate=deflate, messages_per_frame=per_frame) as house:
        slow = house.dial(DeflatingClient)
        slow.upgrade(CONNECTION_PATH, (("Sec-WebSocket-Extensions", "permessage-deflate"),))
        house.ask(slow, connect={})
        house.ask(slow, subscribe={"channel": channel})
        connection = connection_of(house, slow)
        assert connection._compressor is not None
        chance, sent = random.Random(1), 0

        def say() -> None:
            nonlocal sent
            sent += 1
            text = chance.randbytes(240).hex().encode()
            house.hub.publish(channel, b'{"n":%d,"text":"%s"}' % (sent, text))

        for burst in (3, 1, 40, 2, 200, 1):
            slow.stop_reading()
            for _ in range(burst):
                say()
            house.run_for(0.1)
            for _ in range(burst // 2):
                say()
                house.run_for(0.01)
            slow.resume_reading()
            house.run_for(0.02)
        house.run_until(lambda: sent in numbers(slow, channel))
        assert accounted(seen(slow, channel)) == sent
        assert connection.dropped > 10


def test_a_push_in_the_middle_of_a_read_comes_behind_what_answers_it(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = encode_frame(Opcode.TEXT, b"pushed")
    pushed = frame, (Packet(frame, (b"pushed",), kept(JSON)),)

    def on_text(self: EchoHandler, data: str) -> None:
        self._connection.send_text(data)
        self._connection.push(*pushed)

    monkeypatch.setattr(EchoHandler, "on_text", on_text)
    client = house.connect("/echo")
    client.stop_reading()
    for _ in range(10):
        client.send_text("x" * 500)
        house.run_for(0.1)
    assert house.server.registry.snapshot()[0].queued_messages > 1
    client.resume_reading()
    house.run_until(lambda: len(client.texts) == 20)
    assert client.texts == ["x" * 500, "pushed"] * 10


def test_a_fault_while_a_subscription_is_ended_costs_its_connection_only(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Client, channel: str) -> None:
        raise ZeroDivisionError("a bug in the hub")

    slow, fast = members(house, "whole:c")
    monkeypatch.setattr(Client, "miss", fail)
    slow.stop_reading()
    publish(house, "whole:c", 1, 100)
    slow.resume_reading()
    house.run_until(lambda: slow.is_gone)
    assert slow.close_frame == (1011, "internal error")
    assert "a bug in the hub" in caplog.text
    assert numbers(fast, "whole:c") == list(range(1, 101))


def test_a_peer_found_gone_while_it_is_asked_to_take_more_is_forgotten(house: MemoryServer) -> None:
    slow, fast = members(house, "oldest:c")
    slow.stop_reading()
    publish(house, "oldest:c", 1, 60)
    connection = connection_of(house, slow)
    slow.sock.reset()
    for number in range(61, 63):
        house.hub.publish("oldest:c", b'{"n":%d,"text":"%s"}' % (number, TEXT.encode()))
    house.run_until(lambda: 62 in numbers(fast, "oldest:c"))
    assert connection.state is State.CLOSED


def test_one_who_has_caught_up_is_listed_for_what_was_dropped(house: MemoryServer) -> None:
    slow, _ = members(house, "oldest:c")
    slow.stop_reading()
    publish(house, "oldest:c", 1, 100)
    slow.resume_reading()
    house.run_until(lambda: 100 in numbers(slow, "oldest:c"))
    (peer,) = house.server.slowest()
    assert (peer.queued_bytes, peer.age_s) == (0, 0.0)
    assert peer.dropped == house.server.slow.dropped_total > 0


# -- who is slow, and who is gone -----------------------------------------------------------------


def test_a_slow_reader_of_what_may_be_dropped_is_still_heard_and_pinged_ahead_of_what_waits() -> None:
    with make_house(deadlines=Deadlines(ping_interval_s=20.0, pong_timeout_s=5.0)) as house:
        slow, _ = members(house, "oldest:c")
        slow.stop_reading()
        publish(house, "oldest:c", 1, 100)
        connection = connection_of(house, slow)
        assert not connection._paused
        house.run_until(lambda: connection._pulse is not None and connection._pulse._ping_sent_s)
        slow.resume_reading()
        house.run_until(lambda: slow.heartbeats)
        house.run_for(30.0)
        assert connection.state is State.OPEN


def test_a_dead_reader_is_found_by_its_missing_pong() -> None:
    with make_house(deadlines=Deadlines(ping_interval_s=20.0, pong_timeout_s=5.0)) as house:
        dead, _ = members(house, "oldest:c")
        connection = connection_of(house, dead)
        dead.vanish()
        for first in range(1, 400, 10):
            publish(house, "oldest:c", first, first + 9)
            house.run_for(1.0)
        assert connection.state is State.CLOSED
        assert connection._close_code == 3012


def test_half_the_limit_is_told_once(house: MemoryServer, caplog: pytest.LogCaptureFixture) -> None:
    slow, _ = members(house, "oldest:c")
    slow.stop_reading()
    with caplog.at_level(logging.WARNING, "wsloop.server"):
        publish(house, "oldest:c", 1, 300)
    (record,) = caplog.records
    assert "falls behind" in record.message
    assert house.server.slow.warned_total == 1


def test_the_slowest_are_listed_the_worst_first(house: MemoryServer) -> None:
    clients = members(house, "oldest:c", 4)
    for index, client in enumerate(clients[:3]):
        client.stop_reading()
        publish(house, "oldest:c", index * 20 + 1, index * 20 + 20)
    house.run_for(2.0)
    first, second, third = house.server.slowest()
    assert first.queued_bytes > second.queued_bytes > third.queued_bytes > 0
    assert first.client == connection_of(house, clients[0]).member.identity[0]  # type: ignore[union-attr]
    assert first.user == ""
    assert first.queued_messages > 10
    assert 2.0 < first.age_s < 3.0
    assert [peer.connection for peer in house.server.slowest(1)] == [first.connection]
    echo = house.connect("/echo")
    echo.stop_reading()
    for _ in range(20):
        echo.send_binary(bytes(2_000))
    house.run_for(3.0)
    (worst,) = [peer for peer in house.server.slowest() if not peer.client]
    assert worst.queued_bytes > worst.queued_messages == 0
    assert 2.0 < worst.age_s < 3.5


def test_leave_and_presence_end_only_when_the_slow_transport_is_closed() -> None:
    namespaces = {**NAMESPACES, "talk": structs.replace(RECOVERING, history_size=0)}
    with make_house(namespaces=namespaces) as house:
        slow, fast = members(house, "talk:c")
        connection = connection_of(house, slow)
        slow.stop_reading()
        number = 0
        while connection.state is State.OPEN:
            number += 1
            house.hub.publish("talk:c", b'{"n":%d,"text":"%s"}' % (number, TEXT.encode()))
            house.reactor.run_once()
        assert connection.state is State.CLOSING
        stats: Any = house.ask(fast, presence_stats={"channel": "talk:c"})
        assert stats["presence_stats"]["num_clients"] == 2
        assert not any("leave" in push for push in fast.pushes)
        house.run_until(lambda: connection.state is State.CLOSED)
        house.run_until(lambda: any("leave" in push for push in fast.pushes))
        stats = house.ask(fast, presence_stats={"channel": "talk:c"})
        assert stats["presence_stats"]["num_clients"] == 1


def test_what_the_server_subscribed_it_to_it_recovers_by_connecting_again() -> None:
    hub = HubOptions(allow_anonymous=True, broadcast_channel="whole:all")
    with make_house(hub=hub) as house:
        slow, fast = house.join(), house.join()
        slow.stop_reading()
        publish(house, "whole:all", 1, 100)
        slow.resume_reading()
        house.run_until(lambda: slow.is_gone)
        assert slow.close_frame == (3010, "insufficient state")
        assert numbers(fast, "whole:all") == list(range(1, 101))


def test_a_drain_sends_what_waits_in_a_mailbox(house: MemoryServer) -> None:
    slow, _ = members(house, "oldest:c")
    slow.stop_reading()
    publish(house, "oldest:c", 1, 15)
    house.server.drain(lambda: None)
    slow.resume_reading()
    house.run_until(lambda: slow.is_gone)
    assert numbers(slow, "oldest:c") == list(range(1, 16))
    assert slow.close_frame == (3001, "shutdown")


class KeepingClient(MessagingMemoryClient):
    """Keeps the bytes behind the upgrade: wsproto does not look at what comes behind a close frame."""

    stream = b""

    def _receive(self, data: bytes) -> None:
        was_open = self.is_open
        super()._receive(data)
        if was_open:
            self.stream += data


def test_what_was_dropped_is_not_told_behind_the_close_frame() -> None:
    with make_house(outbox=replace(MARKS, age_s=5.0)) as house:
        slow = house.dial(KeepingClient)
        slow.upgrade(CONNECTION_PATH)
        slow.command(connect={})
        slow.command(subscribe={"channel": "oldest:c"})
        house.run_until(lambda: len(slow.replies) == 2)
        slow.stop_reading()
        publish(house, "oldest:c", 1, 20)
        house.run_for(7.0)  # what waited is dropped, and nothing comes behind it
        connection = connection_of(house, slow)
        assert connection.dropped
        assert connection.queued_messages == 0
        house.server.drain(lambda: None)
        slow.resume_reading()
        house.run_until(lambda: slow.is_gone)
    assert slow.close_frame == (3001, "shutdown")
    ends = [0, *frame_ends(slow.stream)]
    assert slow.stream[ends[-2]] & 0x0F == Opcode.CLOSE


# -- frames --------------------------------------------------------------------------------------


def ask_in_one_frame(house: MemoryServer, client: MessagingMemoryClient, count: int) -> list[int]:
    lines = [b'{"id":%d,"presence_stats":{"channel":"c"}}' % number for number in range(500, 500 + count)]
    client.texts.clear()
    client.send_bytes(masked_frame(OPCODE_TEXT, b"\n".join(lines), bytes(4)))
    house.run_until(lambda: 500 + count - 1 in client.replies)
    return [text.count("\n") + 1 for text in client.texts]


@pytest.mark.parametrize(("most", "expected"), [(16, [16, 4]), (1, [1] * 20), (7, [7, 7, 6])])
def test_replies_to_one_read_share_frames(most: int, expected: list[int]) -> None:
    with make_house(messages_per_frame=most) as house:
        (client,) = members(house, "c", 1)
        assert ask_in_one_frame(house, client, 20) == expected
        assert [number for number in client.replies if number >= 500] == list(range(500, 520))


def test_a_close_comes_behind_the_replies_of_the_same_read(house: MemoryServer) -> None:
    (client,) = members(house, "c", 1)
    lines = (b'{"id":70,"presence_stats":{"channel":"c"}}', b'{"id":71}', b"garbage")
    client.send_bytes(masked_frame(OPCODE_TEXT, b"\n".join(lines), bytes(4)))
    house.run_until(lambda: client.is_gone)
    assert client.replies[70]["presence_stats"]
    assert client.replies[71]["error"]["code"] == 104
    assert client.close_frame is not None
    assert client.close_frame[0] == 3501


# -- anything at all -----------------------------------------------------------------------------

CHANNELS = ("oldest:c", "newest:c", "close:c")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(CHANNELS), st.integers(1, 60)),
        st.tuples(st.just("pause"), st.just(""), st.just(0)),
        st.tuples(st.just("read"), st.just(""), st.integers(1, 20)),
        st.tuples(st.just("ask"), st.just(""), st.integers(1, 3)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 1000))
def test_a_reader_that_comes_and_goes_sees_all_or_a_flag_and_the_others_see_all(
    todo: list[tuple[str, str, int]], seed: int
) -> None:
    faults = NetworkFaults(max_delay_s=0.02, max_write_bytes=700, eagain_chance=0.1)
    with make_house(seed, faults=faults) as house:
        client, other = house.join(), house.join()
        for each in (client, other):
            for channel in CHANNELS:
                house.ask(each, subscribe={"channel": channel})
        sent = dict.fromkeys(CHANNELS, 0)
        asked = []
        for step, channel, count in todo:
            if step == "publish":
                publish(house, channel, sent[channel] + 1, sent[channel] + count)
                sent[channel] += count
            elif step == "pause":
                client.stop_reading()
            elif step == "read":
                client.resume_reading()
                house.run_for(count / 100)
            elif not client.is_gone:
                asked += [client.command(presence_stats={"channel": channel or "c"}) for _ in range(count)]
        client.resume_reading()
        house.run_for(20.0)
        for channel in CHANNELS:
            assert numbers(other, channel) == list(range(1, sent[channel] + 1))
            last = accounted(seen(client, channel))
            assert client.is_gone or last == sent[channel]
        assert numbers(client, "close:c") == list(range(1, len(numbers(client, "close:c")) + 1))
        assert client.is_gone or all(number in client.replies for number in asked)
        assert house.reactor.statistics().errors == 0
