"""The hub process's end: who is in, who has gone, who is asked, and who is turned away."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from tests.cluster.kit import LINK
from tests.cluster.test_uplink import Workers, members
from wsloop.cluster import messages, service
from wsloop.cluster.codec import MAX_MESSAGE_BYTES, LinkError, encode
from wsloop.cluster.departures import LEAVE_AFTER_S
from wsloop.cluster.link_states import LinkLimits
from wsloop.cluster.session import SESSION_TRANSITIONS, SessionState, SessionStep
from wsloop.cluster.uplink_states import UplinkState
from wsloop.hub.broker import Draft
from wsloop.hub.history import HistoryQuery
from wsloop.testing.contracts.broker_harness import KEEP_3
from wsloop.testing.machine import Machine


def test_the_table_says_what_is_possible() -> None:
    assert SESSION_TRANSITIONS[SessionState.GONE] == {}
    assert {step for steps in SESSION_TRANSITIONS.values() for step in steps} == set(SessionStep)


def of(rig: Workers, slot: int, *kinds: str) -> list[tuple[Any, ...]]:
    return [told for told in rig.hubs[slot].told if told[0] in kinds]


def joined(rig: Workers, slot: int, channel: str, *clients: str) -> None:
    """Let clients join on a worker, as a hub does."""
    rig.settle()
    for client in clients:
        rig.ends[slot].presence.add(channel, client, "user", client.encode())
        rig.ends[slot].broker.publish_join(channel, client.encode())
    rig.settle()


# -- presence, joins and leaves ----------------------------------------------------------------


def test_presence_forgets_the_clients_of_a_dead_worker_at_once_and_leaves_follow() -> None:
    rig = Workers()
    rig.link(0)
    other = rig.link(1)
    other.broker.subscribe("c")
    joined(rig, 0, "c", "a", "b", "b2")
    joined(rig, 1, "c", "d")
    rig.ends[0].broker.publish_leave("c", b"b2")
    rig.settle()
    rig.hubs[1].told.clear()
    rig.kill(0)
    rig.run_for(0.01)
    assert members(rig, other, "c") == {"d": b"d"}
    assert rig.hubs[1].told == []
    rig.run_for(LEAVE_AFTER_S)
    assert rig.hubs[1].told == [("leave", "c", b"a"), ("leave", "c", b"b")]


def test_a_new_process_in_the_slot_proves_that_the_old_one_is_dead() -> None:
    rig = Workers()
    rig.link(0)
    rig.link(1).broker.subscribe("c")
    joined(rig, 0, "c", "a")
    rig.kill(0)
    rig.link(0)
    rig.run_for(0.01)
    assert of(rig, 1, "leave") == [("leave", "c", b"a")]
    rig.run_for(10)
    assert of(rig, 1, "leave") == [("leave", "c", b"a")]


def test_who_joins_again_is_said_to_have_left_before_and_not_after() -> None:
    rig = Workers()
    end = rig.link(0)
    rig.link(1).broker.subscribe("c")
    joined(rig, 0, "c", "a")
    rig.hubs[1].told.clear()
    rig.cut(0)
    rig.run_until(lambda: not end.uplink.is_up)
    end.broker.publish_leave("c", b"a")
    rig.run_until(lambda: end.uplink.is_up)
    end.broker.publish_join("c", b"a")
    rig.run_for(5)
    assert of(rig, 1, "join", "leave") == [("leave", "c", b"a"), ("join", "c", b"a")]


def test_who_takes_leave_is_gone_at_once_and_nothing_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig = Workers()
    rig.link(0)
    other = rig.link(1)
    other.broker.subscribe("c")
    rig.ends[0].broker.subscribe("mine")
    joined(rig, 0, "c", "a", "b")
    rig.ends[0].broker.publish_leave("c", b"a")
    rig.settle()
    caplog.clear()
    rig.hubs[1].told.clear()
    rig.ends[0].uplink.close()
    rig.run_for(0.01)
    assert members(rig, other, "c") == {}
    assert rig.hubs[1].told == [("leave", "c", b"b")]
    assert rig.service.shared.broker.statistics().interests == 1
    assert rig.service.slots == [1]
    assert called(rig) == []  # worker 1 is to answer first: nobody is missing
    assert [record[1:] for record in caplog.record_tuples] == [(logging.INFO, "worker 0 has left")]
    rig.run_for(10)
    assert rig.hubs[1].told == [("leave", "c", b"b")]
    assert rig.service.statistics().ended == 0


def test_who_takes_leave_before_all_was_said_again_is_gone_as_well() -> None:
    rig = Workers()
    rig.link(1).broker.subscribe("c")
    end = rig.link(0)
    joined(rig, 0, "c", *(f"client-{number}" for number in range(1200)))
    rig.hubs[1].told.clear()
    rig.cut(0)
    rig.run_until(lambda: end.uplink.state is UplinkState.RESTORING)
    end.uplink.close()
    rig.run_for(0.1)
    assert len(of(rig, 1, "leave")) == 1200
    assert members(rig, rig.ends[1], "c") == {}


def test_a_link_that_breaks_and_comes_back_is_no_leave_and_leaves_no_ghost() -> None:
    rig = Workers()
    rig.link(0)
    other = rig.link(1)
    other.broker.subscribe("c")
    joined(rig, 0, "c", "stays", "goes")
    rig.hubs[1].told.clear()
    rig.cut(0)
    rig.run_for(0.01)
    end = rig.ends[0]
    end.presence.remove("c", "goes")
    end.broker.publish_leave("c", b"goes")
    end.presence.add("c", "comes", "user", b"comes")
    end.broker.publish_join("c", b"comes")
    rig.run_for(1)
    assert rig.hubs[1].told == [("leave", "c", b"goes"), ("join", "c", b"comes")]
    assert members(rig, other, "c") == {"stays": b"stays", "comes": b"comes"}
    rig.run_for(10)
    assert len(rig.hubs[1].told) == 2
    rig.kill(0)
    rig.run_for(LEAVE_AFTER_S + 1)
    assert of(rig, 1, "leave")[1:] == [("leave", "c", b"stays"), ("leave", "c", b"comes")]


def test_a_worker_that_comes_back_late_joins_again() -> None:
    """It was stopped: others were told that its clients left."""
    rig = Workers()
    end = rig.link(0)
    rig.link(1).broker.subscribe("c")
    joined(rig, 0, "c", "a")
    rig.machine.stop(rig.reactors[0])
    rig.cut(0)
    rig.run_for(5)
    assert of(rig, 1, "join", "leave") == [("join", "c", b"a"), ("leave", "c", b"a")]
    rig.machine.go_on(rig.reactors[0])
    rig.run_until(lambda: end.uplink.statistics().links == 2)
    rig.run_for(0.01)
    assert of(rig, 1, "join", "leave")[2:] == [("join", "c", b"a")]


def test_a_new_hub_process_is_told_of_joins_and_tells_nobody() -> None:
    """Nobody was told that they left; and it can tell so, once they do."""
    rig = Workers()
    rig.link(0)
    rig.link(1).broker.subscribe("c")
    joined(rig, 0, "c", "a", "b")
    rig.kill_service()
    rig.start_service()
    rig.run_for(0.01)
    rig.run_until(lambda: all(end.uplink.is_up for end in rig.ends.values()))
    rig.settle()
    assert members(rig, rig.ends[1], "c") == {"a": b"a", "b": b"b"}
    assert of(rig, 1, "join", "leave") == [("join", "c", b"a"), ("join", "c", b"b")]
    rig.kill(0)
    rig.run_for(LEAVE_AFTER_S + 1)
    assert of(rig, 1, "leave") == [("leave", "c", b"a"), ("leave", "c", b"b")]


def test_links_that_break_while_they_restore_settle_in_the_end() -> None:
    rig = Workers()
    end = rig.link(0)
    other = rig.link(1)
    other.broker.subscribe("c0")
    rig.settle()
    for number in range(3000):
        end.presence.add(f"c{number}", "client", "user", b"{}")
        end.broker.publish_join(f"c{number}", b"%d" % number)
    rig.settle()
    for _ in range(3):
        rig.cut(0)
        rig.run_until(lambda: end.uplink.state.value == "restoring")
        rig.machine.turn()
    rig.run_until(lambda: end.uplink.is_up)
    rig.settle()
    rig.run_for(5)
    assert of(rig, 1, "join", "leave") == [("join", "c0", b"0")]
    for number in (0, 2999):
        assert members(rig, other, f"c{number}") == {"client": b"{}"}
    rig.kill(0)
    rig.run_for(5)
    assert of(rig, 1, "leave") == [("leave", "c0", b"0")]
    assert rig.service.presence.channel_count == 0


def test_a_newer_link_of_a_worker_ends_the_older_one() -> None:
    """Its end is not known here yet: the network has said nothing."""
    rig = Workers()
    end = rig.link(0)
    joined(rig, 0, "c", "a")
    sock = next(iter(rig.machine.sockets(rig.reactors[0])))
    old_peer = sock.peer
    rig.machine.stop(rig.service_reactor)
    end.uplink._link.end_soon("tried")
    rig.run_for(0.5)
    rig.machine.go_on(rig.service_reactor)
    rig.run_until(lambda: end.uplink.is_up)
    assert old_peer.fileno() == -1
    assert members(rig, end, "c") == {"a": b"a"}
    assert rig.service.slots == [0]


# -- interests ---------------------------------------------------------------------------------


def test_channels_are_occupied_and_vacated_over_all_processes() -> None:
    rig = Workers()
    heard: list[str] = []
    rig.service.shared.on_occupied = lambda channel: heard.append(f"+{channel}")
    rig.service.shared.on_vacated = lambda channel: heard.append(f"-{channel}")
    ends = [rig.link(0), rig.link(1)]
    for broker in (ends[0].broker, ends[1].broker, rig.service.broker):
        broker.subscribe("c")
        rig.settle()
    assert heard == ["+c"]
    rig.cut(0)
    rig.run_for(0.01)
    ends[1].broker.unsubscribe("c")
    rig.service.broker.unsubscribe("c")
    rig.run_for(1)
    assert heard == ["+c"]  # the worker whose link broke came back in time
    rig.kill(0)
    rig.run_for(LEAVE_AFTER_S + 1)
    assert heard == ["+c", "-c"]
    assert rig.service.shared.broker.statistics().interests == 0


def test_events_are_encoded_once_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Workers()
    for slot in range(4):
        rig.link(slot).broker.subscribe("c")
    rig.settle()
    encoded: list[str] = []

    def counted(message: messages.Message) -> bytes:
        encoded.append(type(message).__name__)
        return encode(message)

    monkeypatch.setattr("wsloop.cluster.shared.encode", counted)
    rig.ends[0].broker.publish("c", Draft(b"1"), KEEP_3, lambda _: None)
    rig.settle()
    rig.run_for(0.01)
    assert encoded == ["Published"]
    assert all(rig.published(slot) == [b"1"] for slot in range(4))


def test_a_worker_that_does_not_read_is_cut_off_and_comes_back() -> None:
    rig = Workers(limits=LinkLimits(queue_bytes=500_000))
    stopped, other = rig.link(0), rig.link(1)
    stopped.broker.subscribe("c")
    other.broker.subscribe("c")
    rig.settle()
    rig.machine.stop(rig.reactors[0])
    for _ in range(100):
        other.broker.publish("c", Draft(b"x" * 10_000), KEEP_3, lambda _: None)
        rig.run_for(0.01)
    assert len(rig.published(1)) == 100
    assert rig.service.statistics().overflows == 1
    assert rig.service.slots == [1]
    rig.machine.go_on(rig.reactors[0])
    rig.run_until(lambda: ("interrupted",) in rig.hubs[0].told)
    before = len(rig.published(0))
    assert before < 100
    other.broker.publish("c", Draft(b"after"), KEEP_3, lambda _: None)
    rig.settle()
    rig.run_for(0.01)
    assert rig.published(0)[before:] == [b"after"]


# -- operations --------------------------------------------------------------------------------


def called(rig: Workers, timeout_s: float = 1.0) -> list[dict[int, bytes | None]]:
    answers: list[dict[int, bytes | None]] = []
    rig.service.call_all("name", b"body", timeout_s, answers.append)
    return answers


def answering(rig: Workers, slot: int) -> None:
    """Let a worker answer with what it was asked and its slot."""

    def handler(name: str, body: bytes, done: Any) -> None:
        done(name.encode() + body + b"%d" % slot)

    rig.link(slot).uplink.handler = handler


def test_all_workers_are_asked_and_their_answers_come_by_slot() -> None:
    rig = Workers()
    assert called(rig) == [{}]
    for slot in (0, 3):
        answering(rig, slot)
    answers = called(rig)
    rig.run_for(0.01)
    assert answers == [{0: b"namebody0", 3: b"namebody3"}]


def test_who_is_late_lost_or_away_has_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    rig = Workers()
    for slot in range(5):
        answering(rig, slot)

    def raises(name: str, body: bytes, done: Any) -> None:
        raise KeyError(name)

    rig.ends[1].uplink.handler = None
    rig.ends[2].uplink.handler = raises
    rig.machine.stop(rig.reactors[3])
    rig.kill(4)
    rig.run_for(0.01)
    answers = called(rig)
    rig.run_for(0.5)
    assert answers == []
    assert rig.service.statistics().calls == 1
    rig.run_for(0.6)
    assert answers == [{0: b"namebody0", 1: None, 2: None, 3: None, 4: None}]
    assert "the answer to name raised" in caplog.text
    rig.machine.go_on(rig.reactors[3])
    rig.run_for(1)
    assert len(answers) == 1


def test_a_worker_lost_during_a_call_is_not_waited_for() -> None:
    rig = Workers()
    answering(rig, 0)
    answering(rig, 1)
    rig.machine.stop(rig.reactors[1])
    answers = called(rig, 60.0)
    rig.run_for(0.01)
    assert answers == []
    rig.kill(1)
    rig.run_for(0.01)
    assert answers == [{0: b"namebody0", 1: None}]


def test_a_worker_that_takes_leave_during_a_call_is_not_missing() -> None:
    rig = Workers()
    answering(rig, 0)
    end = rig.link(1)
    end.uplink.handler = lambda name, body, done: None
    answers = called(rig, 60.0)
    rig.run_for(0.01)
    assert answers == []
    end.uplink.close()
    rig.run_for(0.01)
    assert answers == [{0: b"namebody0"}]


def test_closing_ends_calls_with_what_was_answered() -> None:
    rig = Workers()
    answering(rig, 0)
    rig.machine.stop(rig.reactors[0])
    answers = called(rig)
    rig.service.close()
    assert answers == [{0: None}]


def test_all_workers_are_told_and_a_new_one_first_of_all() -> None:
    rig = Workers()
    heard: list[tuple[int, str, bytes]] = []

    def listening(slot: int) -> Any:
        return lambda name, body, done: heard.append((slot, name, body))

    for slot in (0, 1):
        rig.link(slot).uplink.handler = listening(slot)
    rig.service.cast_all("block", b"ann")
    rig.run_for(0.01)
    assert heard == [(0, "block", b"ann"), (1, "block", b"ann")]
    rig.service.on_link = lambda slot: [("block", b"ann"), ("slot", b"%d" % slot)]
    end = rig.link(2, waits=False)
    end.uplink.handler = listening(2)
    rig.run_until(lambda: end.uplink.is_up)
    assert heard[2:] == [(2, "block", b"ann"), (2, "slot", b"2")]
    with pytest.raises(LinkError):
        rig.service.cast_all("long", b"x" * MAX_MESSAGE_BYTES)


def test_a_worker_asks_the_hub_process() -> None:
    rig = Workers()
    end = rig.link()
    asked: list[tuple[str, bytes]] = []

    def handler(name: str, body: bytes, done: Any) -> None:
        asked.append((name, body))
        done(b"answer")

    answers: list[bytes | None] = []
    end.uplink.ask("name", b"body", answers.append)
    rig.run_for(0.01)
    assert answers == [None]
    rig.service.handler = handler
    end.uplink.ask("name", b"body", answers.append)
    rig.run_for(0.01)
    assert answers == [None, b"answer"]
    assert asked == [("name", b"body")]


def test_an_answer_too_long_for_the_link_is_none() -> None:
    rig = Workers()
    end = rig.link()

    def handler(name: str, body: bytes, done: Any) -> None:
        done(b"x" * MAX_MESSAGE_BYTES)

    rig.service.handler = handler
    answers: list[bytes | None] = []
    end.uplink.ask("name", b"", answers.append)
    rig.run_for(0.01)
    assert answers == [None]
    assert end.uplink.is_up


# -- strangers ---------------------------------------------------------------------------------


HELLO = messages.Hello(messages.VERSION, 0, "uid", "")


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode(messages.Restored()),
        encode(HELLO) + encode(HELLO),
        encode(HELLO) + encode(messages.Restored()) + encode(messages.Restored()),
        encode(messages.Hello(messages.VERSION, -1, "uid", "")),
        encode(messages.Hello(messages.VERSION, 2**40, "uid", "")),
        encode(messages.Hello(messages.VERSION, 0, "", "")),
        encode(messages.Hello(messages.VERSION, 0, "u" * 2000, "")),
        encode(messages.Welcome("")),
    ],
)
def test_who_breaks_the_protocol_is_dropped_and_nobody_else_notices(said: bytes) -> None:
    rig = Workers()
    end = rig.link(7)
    end.broker.subscribe("c")
    sock = rig.machine.network.connect(LINK)
    sock.send(said)
    rig.run_for(0.1)
    sock.recv(10_000) if sock.readable() else None
    assert sock.peer.fileno() == -1
    assert rig.service.slots == [7]
    end.broker.publish("c", Draft(b"1"), KEEP_3, lambda _: None)
    rig.settle()
    assert rig.published(7) == [b"1"]


def test_another_version_is_told_so_and_refused() -> None:
    rig = Workers()
    sock = rig.machine.network.connect(LINK)
    sock.send(encode(messages.Hello(2, 0, "uid", "")))
    rig.run_for(0.1)
    assert sock.recv(1000) == encode(messages.Refused("this is version 1 of the link, not 2"))
    assert sock.recv(1000) == b""
    assert rig.service.statistics().refused == 1


def test_who_says_nothing_is_dropped_and_there_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_LINKS", 3)
    rig = Workers()
    socks = [rig.machine.network.connect(LINK) for _ in range(5)]
    rig.run_for(0.1)
    assert [sock.peer.fileno() == -1 for sock in socks] == [False, False, False, True, True]
    assert rig.service.statistics().refused == 2
    rig.run_for(6)
    assert all(sock.peer.fileno() == -1 for sock in socks)
    rig.link()


def test_a_silent_worker_is_a_reason() -> None:
    rig = Workers()
    rig.link(0)
    rig.link(2)
    rig.run_for(10)
    assert rig.service.reasons() == []
    rig.machine.stop(rig.reactors[2])
    rig.run_for(8)
    (reason,) = rig.service.reasons()
    assert re.fullmatch(r"worker 2 has not been heard for [89] s", reason)
    rig.run_for(30)
    assert rig.service.slots == [0]


def test_statistics_are_a_snapshot() -> None:
    rig = Workers()
    end = rig.link(0)
    rig.run_for(2.5)
    told = rig.service.statistics()
    assert list(told.links) == [0]
    assert (told.accepted, told.ended, told.refused, told.overflows) == (1, 0, 0, 0)
    here = end.uplink.statistics()
    assert (told.messages_in, told.bytes_in) == (here.messages_out, here.bytes_out)
    assert (told.messages_out, told.bytes_out) == (here.messages_in, here.bytes_in)
    assert here.link.round_trip_s is not None


def test_closing_leaves_nothing() -> None:
    rig = Workers()
    for slot in (0, 1):
        rig.link(slot)
    joined(rig, 0, "c", "a")
    rig.kill(0)
    rig.run_for(0.01)
    rig.ends[1].uplink.close()
    rig.service.close()
    rig.service.close()
    for reactor in (rig.reactors[1], rig.service_reactor):
        reactor.run_once()
        statistics = reactor.statistics()
        assert (statistics.descriptors, statistics.timers, statistics.errors) == (0, 0, 0)
    assert rig.machine.network.open_descriptors() == {}
    assert isinstance(rig.machine, Machine)


def test_an_answer_of_the_broker_that_is_too_long_fails_alone() -> None:
    rig = Workers()
    end = rig.link()
    answers: list[Any] = []
    for _ in range(3):
        end.broker.publish("c", Draft(b"x" * 6_000_000), KEEP_3, answers.append)
        rig.settle()
    end.broker.history("c", HistoryQuery(100), KEEP_3, answers.append)
    rig.settle()
    assert [type(answer).__name__ for answer in answers] == ["Appended"] * 3 + ["Unavailable"]
    assert "too long for the link" in answers[-1].reason
    end.broker.history("c", HistoryQuery(1), KEEP_3, answers.append)
    rig.settle()
    assert len(answers[-1].publications) == 1
