"""A connection's life on virtual ports: drain, pressure, budget, errors, rest."""

from __future__ import annotations

import gc
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from wsloop.hub.channels import Subscription
from wsloop.hub.client import Client
from wsloop.loop.poller import WRITE
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits
from wsloop.protocol.session import BUDGET as FRAMES_PER_TURN
from wsloop.protocol.session import WSPROTO_WEIGHT, Session
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.connection import Connection
from wsloop.server.echo import EchoHandler
from wsloop.server.http_phase import REQUESTS_PER_TURN, HttpPhase
from wsloop.server.lifecycle import Deadlines, State
from wsloop.server.messaging import COMMANDS_PER_TURN, MessagingHandler
from wsloop.server.server import OutboxMarks
from wsloop.testing.client import (
    OPCODE_CLOSE,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    MessagingMemoryClient,
    masked_frame,
)
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator


UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer(seed=11) as made:
        yield made
    assert made.network.open_descriptors() == {}


def at_rest(house: MemoryServer) -> bool:
    statistics = house.server.statistics()
    return statistics.connections == 0 and statistics.rings_lent == 0 and house.hub.statistics().clients == 0


@pytest.mark.parametrize("kind", [ValueError, OSError])
def test_a_connection_that_the_poller_does_not_take_is_dropped_in_one_line(
    house: MemoryServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[Exception],
) -> None:
    def refuse(_fd: int, _interest: int) -> None:
        raise kind("no room")

    timers = house.reactor.statistics().timers
    client = house.dial()
    with monkeypatch.context() as patch:
        patch.setattr(house.reactor._poller, "register", refuse)
        house.run_until(lambda: client.is_gone)
    assert [record.exc_info for record in caplog.records] == [None]
    assert "it cannot be watched" in caplog.text
    assert house.reactor.statistics().timers == timers
    assert at_rest(house)
    assert house.connect("/echo").is_open


def test_what_expires_does_so_even_after_a_fault_in_the_sweep(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept: list[float] = []

    def expire(now_s: float) -> int:
        swept.append(now_s)
        raise ZeroDivisionError("a bug in the broker")

    monkeypatch.setattr(house.hub, "expire", expire)
    house.run_for(5.5)
    assert len(swept) == 5
    assert "ZeroDivisionError" in caplog.text


def test_a_drain_tells_each_kind_of_client_its_code_and_ends_by_itself(house: MemoryServer) -> None:
    chatting, echoing, asking = house.join(), house.connect("/echo"), house.dial()
    drained: list[bool] = []
    house.server.drain(lambda: drained.append(True))
    house.run_until(lambda: drained, within_s=10)
    assert chatting.close_frame == (3001, "shutdown")
    assert echoing.close_frame == (1012, "shutdown")
    assert asking.is_gone
    assert at_rest(house)
    with pytest.raises(ConnectionRefusedError):
        house.dial()


def test_a_drain_waits_no_longer_than_the_close_deadline_for_a_silent_peer(house: MemoryServer) -> None:
    silent = house.connect("/echo")
    silent.stop_reading()
    began_s = house.clock.now()
    drained: list[bool] = []
    house.server.drain(lambda: drained.append(True))
    house.run_until(lambda: drained, within_s=10)
    assert 5.0 <= house.clock.now() - began_s < 5.2


def test_a_drain_of_nobody_ends_at_once(house: MemoryServer) -> None:
    drained: list[bool] = []
    house.server.drain(lambda: drained.append(True))
    house.run_until(lambda: drained, within_s=0.1)


def test_what_was_queued_before_a_drain_still_arrives(house: MemoryServer) -> None:
    client = house.join()
    house.ask(client, subscribe={"channel": "chat:a"})
    house.hub.publish("chat:a", b'{"last":true}')
    house.server.drain(lambda: None)
    house.run_until(lambda: client.is_gone)
    assert client.publications("chat:a") == [{"last": True}]
    assert client.close_frame == (3001, "shutdown")


def test_the_peers_close_is_answered_with_its_code_behind_what_was_said_before(house: MemoryServer) -> None:
    client = house.connect("/echo")
    mask = b"\x01\x02\x03\x04"
    both = masked_frame(OPCODE_TEXT, b"last words", mask) + masked_frame(OPCODE_CLOSE, b"\x0f\xa0bye", mask)
    client.send_bytes(both)
    house.run_until(lambda: client.is_gone, within_s=1)
    assert client.texts == ["last words"]
    assert client.close_frame is not None
    assert client.close_frame[0] == 4000
    house.run_until(lambda: at_rest(house), within_s=1)


def test_half_a_close_is_no_close_what_was_asked_for_is_still_answered(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.sock.send(masked_frame(OPCODE_TEXT, b"and now I shut my half", b"\0\0\0\0"))
    client.sock.shutdown(socket.SHUT_WR)
    house.run_until(lambda: client.is_gone, within_s=10)
    assert client.texts == ["and now I shut my half"]


def test_one_peer_gets_no_more_than_its_budget_of_messages_in_a_turn(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[int] = []
    original = EchoHandler.on_text

    def counting(self: EchoHandler, data: str) -> None:
        served[-1] += 1
        original(self, data)

    monkeypatch.setattr(EchoHandler, "on_text", counting)
    client = house.connect("/echo")
    count = FRAMES_PER_TURN * 4
    client.send_bytes(masked_frame(OPCODE_TEXT, b"x", b"\0\0\0\0") * count)
    while len(client.texts) < count:
        served.append(0)
        house.reactor.run_once()
    assert sum(served) == count
    # A turn may serve a continuation and a readiness of the same peer, no more.
    assert max(served) <= 2 * FRAMES_PER_TURN
    assert house.server.pool.lent == 0


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 900_000])
def test_any_size_comes_back_through_a_network_that_cuts_everything(size: int) -> None:
    faults = NetworkFaults(
        max_delay_s=0.01,
        max_read_bytes=max(7, size // 50),
        max_write_bytes=max(5, size // 70),
        eagain_chance=0.2,
    )
    with MemoryServer(seed=size, faults=faults) as house:
        client = house.connect("/echo")
        payload = bytes(index * 7 % 256 for index in range(size))
        client.send_binary(payload)
        client.send_text("é" * (size // 2))
        house.run_until(lambda: client.binaries and client.texts, within_s=600)
        assert client.binaries == [payload]
        assert client.texts == ["é" * (size // 2)]
        assert house.server.pool.lent == 0


def test_a_peer_over_its_mark_is_not_read_until_it_catches_up() -> None:
    options = Options(dev=True, outbox=OutboxMarks(100_000, 50_000, 10_000))
    with MemoryServer(seed=12, options=options) as house:
        client = house.connect("/echo")
        client.stop_reading()
        for number in range(100):
            client.send_binary(number.to_bytes(1, "big") * 10_000)
        house.run_for(5.0)
        (connection,) = house.server.registry.snapshot()
        assert connection.state is State.OPEN
        client.resume_reading()
        house.run_until(lambda: len(client.binaries) == 100)
        assert [data[0] for data in client.binaries] == list(range(100))


def test_a_handler_that_raises_costs_its_connection_only(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: EchoHandler, data: str) -> None:
        raise RuntimeError("a bug in the application")

    other = house.join()
    client = house.connect("/echo")
    monkeypatch.setattr(EchoHandler, "on_text", broken)
    with caplog.at_level(logging.ERROR, "wsloop.server"):
        client.send_text("trigger")
        house.run_until(lambda: client.is_gone)
    assert client.close_frame == (1011, "internal error")
    assert "a bug in the application" in caplog.text
    assert house.ask(other, ping={})["id"]


def test_without_a_ring_left_a_half_frame_is_1013(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.server.pool, "_max_lent", 0)
    client = house.connect("/echo")
    whole = masked_frame(OPCODE_TEXT, b"whole", bytes(4))
    client.send_bytes(whole + b"\x82\xfe\x13\x88" + bytes(3000))
    house.run_until(lambda: client.is_gone, within_s=1)
    assert client.texts == ["whole"], "what was decoded before is answered"
    assert client.close_frame == (1013, "server is out of buffers")


def test_commands_of_one_message_share_the_turn_with_others(house: MemoryServer) -> None:
    greedy, polite = house.join(), house.connect("/echo")
    count = 1_000
    lines = [b'{"id":%d,"publish":{"channel":"chat:a","data":%d}}' % (n, n) for n in range(100, 100 + count)]
    greedy.send_bytes(masked_frame(OPCODE_TEXT, b"\n".join(lines), bytes(4)))
    greedy.send_bytes(masked_frame(OPCODE_TEXT, b'{"id":5000,"history":{"channel":"chat:a"}}', bytes(4)))
    polite.send_text("may I?")
    most = before = 0
    while 5000 not in greedy.replies:
        house.reactor.run_once()
        total = house.hub.statistics().commands_total
        most, before = max(most, total - before), total
        if polite.texts and len(greedy.replies) < count:
            polite.texts.clear()
            polite.send_text("again?")
    assert most <= COMMANDS_PER_TURN
    assert [number for number in greedy.replies if number >= 100] == [*range(100, 100 + count), 5000]


def test_commands_behind_a_close_are_not_carried_out() -> None:
    """A peer that was closed as slow in the middle of a message has said its last."""
    marks = OutboxMarks(hard_bytes=40_000, high_bytes=20_000, low_bytes=10_000)
    with MemoryServer(seed=2, options=Options(dev=True, outbox=marks)) as house:
        client = house.join()
        for number in range(100):
            house.ask(client, publish={"channel": "chat:a", "data": "x" * 20_000 + str(number)})
        client.stop_reading()
        before = house.hub.statistics().commands_total
        lines = [b'{"id":%d,"history":{"channel":"chat:a","limit":100}}' % n for n in range(1000, 1060)]
        client.send_bytes(masked_frame(OPCODE_TEXT, b"\n".join(lines), bytes(4)))
        house.run_for(30.0)
        assert house.hub.statistics().commands_total - before < 5
        client.resume_reading()
        house.run_until(lambda: client.is_gone)


def test_a_handler_that_begins_to_beat_after_its_close_keeps_its_last_words(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_open(self: EchoHandler) -> None:
        self._connection.send_text("last words")
        self._connection.close(4000)
        self._connection.start_beating()

    monkeypatch.setattr(EchoHandler, "on_open", on_open)
    client = house.connect("/echo")
    house.run_until(lambda: client.is_gone)
    assert client.texts == ["last words"]
    assert client.close_frame == (4000, "")


def test_a_handler_that_tolerates_a_stale_peer_is_told_once(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(EchoHandler, "stale_after_s", 3.0)
    monkeypatch.setattr(EchoHandler, "on_stale", lambda _self: told.append(house.reactor.now))
    house.connect("/echo")
    turns = house.reactor.statistics().turns
    house.run_for(10.0)
    assert len(told) == 1
    assert house.reactor.statistics().turns - turns < 50


@pytest.mark.parametrize("offered", ["centrifuge-json", "centrifuge-protobuf, centrifuge-json"])
def test_the_subprotocol_is_one_that_is_known_and_offered(house: MemoryServer, offered: str) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH, (("Sec-WebSocket-Protocol", offered),))
    house.run_until(lambda: client.is_open)
    assert b"Sec-WebSocket-Protocol: centrifuge-json\r\n" in client.http


@pytest.mark.parametrize("offered", ["centrifuge-protobuf", "chat, centrifuge-protobuf"])
def test_a_client_that_offers_unknown_subprotocols_only_is_refused(house: MemoryServer, offered: str) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH, (("Sec-WebSocket-Protocol", offered),))
    house.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 400 ")
    assert client.http.endswith(b"no subprotocol in common: centrifuge-json is spoken here, or offer none\n")


def test_a_path_without_subprotocols_ignores_the_offer(house: MemoryServer) -> None:
    client = house.dial()
    client.upgrade("/echo", (("Sec-WebSocket-Protocol", "chat"),))
    house.run_until(lambda: client.is_open)
    assert b"Sec-WebSocket-Protocol" not in client.http


def test_ping_frames_can_be_had_instead_of_the_protocols_own(house: MemoryServer) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(f"{CONNECTION_PATH}?cf_ws_frame_ping_pong=true")
    number = client.command(connect={})
    house.run_for(80.0)
    assert client.heartbeats == 0
    assert len(client.pings) == 3
    assert "ping" not in client.replies[number]["connect"]
    assert not client.is_gone


def test_presence_is_told_of_the_leave_only_after_the_transport_is_closed(house: MemoryServer) -> None:
    stays, leaves = house.join(), house.join()
    for client in (stays, leaves):
        house.ask(client, subscribe={"channel": "chat:a", "join_leave": True})
    leaves.reset()
    house.run_until(lambda: any("leave" in push for push in stays.pushes), within_s=1)
    presence = house.ask(stays, presence={"channel": "chat:a"})["presence"]
    assert len(presence["presence"]) == 1  # type: ignore[index]
    assert len(house.server.registry) == 1


def test_limits_of_the_options_reach_the_session() -> None:
    options = Options(
        dev=True,
        echo_limits=Limits(message_bytes=10),
        deadlines=Deadlines(ping_interval_s=3, pong_timeout_s=1),
    )
    with MemoryServer(seed=13, options=options) as house:
        client = house.connect("/echo")
        house.run_for(20.0)
        assert 5 <= len(client.pings) <= 7
        client.send_text("x" * 11)
        house.run_until(lambda: client.is_gone)
        assert client.close_frame is not None
        assert client.close_frame[0] == 1009


def test_a_reset_met_in_the_middle_of_a_fan_out_harms_nobody_else() -> None:
    options = Options(dev=True, outbox=OutboxMarks(300, 200, 100))
    with MemoryServer(seed=14, options=options) as house:
        first, broken, last, writer = (house.join() for _ in range(4))
        for client in (first, broken, last):
            house.ask(client, subscribe={"channel": "chat:a"})
        house.run_for(1.0)
        broken.sock.reset()
        # In one turn, so that the queue of the broken one is over its limit before the loop knows.
        for number in range(8):
            house.hub.publish("chat:a", b'{"n":%d,"text":"%s"}' % (number, b"x" * 60))
        house.run_until(lambda: len(last.publications("chat:a")) == 8 == len(first.publications("chat:a")))
        assert house.ask(writer, presence={"channel": "chat:a"})["presence"]
        assert len(house.server.registry) == 3
        assert house.reactor.statistics().errors == 0


def test_an_answer_that_is_still_queued_when_the_drain_begins_is_sent(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    house.run_until(lambda: len(house.server.registry) == 1)
    while not house.server.registry.snapshot()[0]._outbox.size:
        house.reactor.run_once()
    house.server.drain(lambda: None)
    house.run_until(lambda: client.is_gone)
    assert client.http.endswith(b"\r\n\r\nok\n")


def test_a_peer_that_half_closes_behind_its_request_is_answered(house: MemoryServer) -> None:
    client = house.dial()
    client.sock.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    client.sock.shutdown(socket.SHUT_WR)
    house.run_until(lambda: client.is_gone, within_s=1)
    assert client.http.endswith(b"\r\n\r\nok\n")


def test_a_peer_that_stops_inside_its_request_is_told_400(house: MemoryServer) -> None:
    client = house.dial()
    client.sock.send(b"GET /healthz HTTP/1.1\r\nHo")
    client.sock.shutdown(socket.SHUT_WR)
    house.run_until(lambda: client.is_gone, within_s=1)
    assert client.http.startswith(b"HTTP/1.1 400 ")


def test_nothing_is_sent_and_nothing_breaks_after_the_end(house: MemoryServer) -> None:
    client = house.connect("/echo")
    (connection,) = house.server.registry.snapshot()
    client.reset()
    house.run_until(lambda: connection.state is State.CLOSED)
    for act in (connection.send_ping, connection.close, connection.drop, connection.shut_down):
        act()
    connection.send_text("x")
    connection.send_binary(b"x")
    connection.send_frame(b"x")
    house.run_for(60.0)
    assert house.reactor.statistics().errors == 0


@pytest.mark.parametrize("flood", ["frames", "fragments", "requests"])
def test_a_sustained_flood_gets_its_budget_a_turn_and_no_more(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch, flood: str
) -> None:
    """Continuations must not pile up: a chain for each readiness would serve N budgets a turn."""
    done: list[int] = []
    owner, name, budget = {
        "requests": (HttpPhase, "_respond", REQUESTS_PER_TURN),
        "frames": (EchoHandler, "on_text", FRAMES_PER_TURN),
        "fragments": (Session, "_on_frame", FRAMES_PER_TURN // WSPROTO_WEIGHT),
    }[flood]
    original = getattr(owner, name)

    def counting(self: object, argument: object) -> object:
        done[-1] += 1
        return original(self, argument)

    monkeypatch.setattr(owner, name, counting)
    if flood == "requests":
        client, unit = house.dial(), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    else:
        client = house.connect("/echo")
        unit = masked_frame(OPCODE_TEXT, b"x", bytes(4))
        if flood == "fragments":
            unit = b"\x01" + unit[1:] + b"\x80\x80" + bytes(4)
    client.send_bytes(unit * 40_000)
    for _ in range(100):
        done.append(0)
        house.reactor.run_once()
    assert sum(done) > budget * 50
    assert max(done) <= 2 * budget


@pytest.mark.parametrize("opcode", [OPCODE_PING, OPCODE_PONG])
def test_too_many_control_frames_are_1008(house: MemoryServer, opcode: int) -> None:
    limits = Limits()
    client, patient = house.connect("/echo"), house.connect("/echo")
    frame = masked_frame(opcode, b"x", bytes(4))
    for _ in range(3):
        patient.send_bytes(frame * limits.control_burst)
        house.run_for(limits.control_burst / limits.control_frames_per_s)
    client.send_bytes(frame * limits.control_burst)
    house.run_for(1.0)
    assert not client.is_gone
    client.send_bytes(frame * (limits.control_frames_per_s + 2))
    house.run_until(lambda: client.is_gone, within_s=10)
    assert client.close_frame == (1008, "too many control frames")
    assert not patient.is_gone
    patient.send_text("still here")
    house.run_until(lambda: patient.texts == ["still here"])


def test_a_flood_with_a_close_frame_behind_it_in_the_same_read_is_1008(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = house.connect("/echo")
    client.send_bytes(
        masked_frame(OPCODE_PING, b"", bytes(4)) * 60 + masked_frame(OPCODE_CLOSE, b"\x03\xe8", bytes(4))
    )
    house.run_until(lambda: client.is_gone, within_s=10)
    assert client.close_frame == (1008, "too many control frames")
    assert "internal error" not in caplog.text


def test_every_ping_is_answered_while_the_peer_takes_its_pongs_then_only_the_latest(
    house: MemoryServer,
) -> None:
    client = house.connect("/echo")
    pings = [masked_frame(OPCODE_PING, b"%d" % number, bytes(4)) for number in range(10)]
    client.send_bytes(b"".join(pings))
    house.run_for(0.1)
    assert client.pongs == [b"%d" % number for number in range(10)]
    (connection,) = house.server.registry.snapshot()
    client.stop_reading()
    while not connection._interest & WRITE:
        connection.send_binary(bytes(1 << 14))
        house.run_for(0.01)
    client.send_bytes(b"".join(pings))
    house.run_for(0.1)
    client.resume_reading()
    house.run_until(lambda: len(client.pongs) > 10)
    house.run_for(1.0)
    assert client.pongs[10:] == [b"9"]


def test_more_than_a_ring_behind_the_handshake_is_used_whole(house: MemoryServer) -> None:
    client = house.dial()
    frames = b"".join(masked_frame(OPCODE_TEXT, b"%099d" % number, b"\0\0\0\0") for number in range(4000))
    pages = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 40
    client.send_bytes(pages + UPGRADE + frames)
    house.run_until(lambda: len(client.texts) == 4000)
    assert client.http.count(b"HTTP/1.1 200 ") == 40
    assert [int(text) for text in client.texts] == list(range(4000))


@pytest.mark.parametrize("count", [1, 1000, 3000])
def test_everything_received_before_the_end_of_input_is_answered(house: MemoryServer, count: int) -> None:
    client = house.connect("/echo")
    client.send_bytes(masked_frame(OPCODE_TEXT, b"x", b"\0\0\0\0") * count)
    house.run_until(client.has_sent_all)
    client.sock.shutdown(socket.SHUT_WR)
    house.run_until(lambda: client.is_gone)
    assert len(client.texts) == count


def test_pipelined_requests_before_the_end_of_input_are_all_answered(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    house.run_until(client.has_sent_all)
    client.sock.shutdown(socket.SHUT_WR)
    house.run_until(lambda: client.is_gone)
    assert client.http.count(b"HTTP/1.1 200 ") == 100


def test_a_client_that_takes_its_time_before_connect_is_not_pinged() -> None:
    options = Options(dev=True, deadlines=Deadlines(ping_interval_s=2.0, pong_timeout_s=1.0))
    with MemoryServer(seed=15, options=options) as house:
        client = house.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH)
        house.run_for(9.0)
        assert client.heartbeats == 0
        assert not client.is_gone
        number = client.command(connect={})
        house.run_until(lambda: number in client.replies)
        house.run_for(9.0)
        assert client.heartbeats >= 4
        assert not client.is_gone


def test_a_recovery_of_megabytes_over_a_slow_line_is_no_slowness() -> None:
    with MemoryServer(seed=16) as house:
        reader, writer = house.join(), house.join()
        position = house.ask(reader, subscribe={"channel": "chat:a"})["subscribe"]
        reader.reset()
        text = "x" * 60_000
        for number in range(60):
            house.ask(writer, publish={"channel": "chat:a", "data": {"n": number, "text": text}})
        # 3.6 MB at some 400 kB/s: ten seconds, twice the close deadline, far beyond the send limit.
        house.network.faults = NetworkFaults(min_delay_s=0.1, max_delay_s=0.1)
        house.network.capacity_bytes = 40_000
        back = house.join()
        recover = {"channel": "chat:a", "recover": True, "offset": 0, "epoch": position["epoch"]}  # type: ignore[index]
        number = back.command(subscribe=recover)
        house.run_until(lambda: number in back.replies or back.is_gone, within_s=120)
        assert back.close_frame is None
        result = back.replies[number]["subscribe"]
        assert result["recovered"] is True
        assert [publication["data"]["n"] for publication in result["publications"]] == list(range(60))


@pytest.mark.parametrize("ending", ["close", "reset", "refused", "garbage", "half frame"])
@pytest.mark.parametrize("path", ["/echo", CONNECTION_PATH])
def test_a_closed_connection_is_freed_without_the_cycle_collector(
    house: MemoryServer, path: str, ending: str
) -> None:
    """Frozen garbage is never found (gc.freeze), so no cycle may be left."""
    kinds = (Connection, HttpPhase, Session, Handshake, EchoHandler, MessagingHandler, Client, Subscription)
    gc.collect()
    gc.disable()
    try:
        client = house.dial(MessagingMemoryClient)
        client.upgrade("/nowhere" if ending == "refused" else path)
        if path == CONNECTION_PATH:
            client.command(connect={})
            client.command(subscribe={"channel": "chat:a"})
        house.run_for(1.0)
        if ending == "close":
            client.send_close()
        elif ending == "reset":
            client.reset()
        elif ending == "garbage":
            client.send_bytes(b"\xff" * 10)
        elif ending == "half frame":
            client.send_bytes(b"\x82\xfe\x03\xe8\0\0\0\0half")
            house.run_for(0.1)
            client.reset()
        house.run_until(lambda: not len(house.server.registry))
        house.reactor.run_once()
        left = [type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds)]
        assert left == []
    finally:
        gc.enable()
