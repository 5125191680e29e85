"""What the numbers say of a server, against what has happened to it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.observe.kit import Watched, counters
from wsloop.hub.rate_limits import Rate, RateLimits
from wsloop.observe.exposition import exposition
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MemoryClient, MessagingMemoryClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def house() -> Iterator[Watched]:
    with Watched() as made:
        yield made


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=5000), st.booleans()), max_size=20))
@settings(max_examples=40, deadline=None)
def test_messages_and_bytes_are_those_that_went_over_the_wire(
    messages: list[tuple[bool, bytes, bool]],
) -> None:
    with Watched() as house:
        client = house.connect()
        before = [house.number(f"{way}_bytes_total") for way in ("received", "sent")]
        sent_bytes = 0
        for is_text, data, has_ping in messages:
            head_bytes = 6 + (2 if len(data) > 125 else 0)
            if is_text:
                client.send_text(data.hex()[:120])
                sent_bytes += 6 + len(data.hex()[:120])
            else:
                client.send_binary(data)
                sent_bytes += head_bytes + len(data)
            if has_ping:
                client.send_ping()
                sent_bytes += 6
        house.run_until(lambda: len(client.texts) + len(client.binaries) == len(messages))
        house.run_until(lambda: len(client.pongs) > 0 or not any(ping for _, _, ping in messages))
        assert house.number("messages_received_total") == len(messages)
        assert house.number("messages_sent_total") == len(messages)
        assert house.number("received_bytes_total") - before[0] == sent_bytes
        answered = house.number("sent_bytes_total") - before[1]
        pongs = sum(ping for _, _, ping in messages)
        assert answered <= sent_bytes - 4 * (len(messages) + pongs)
        assert answered >= sent_bytes - 4 * len(messages) - 6 * pongs


def test_a_publication_is_counted_once_and_its_deliveries_for_each(house: Watched) -> None:
    guests = [house.join(name) for name in ("ann", "ben", "cid")]
    for guest in guests:
        house.ask(guest, subscribe={"channel": "room"})
    sent, pushed = house.number("messages_sent_total"), house.number("fan_out_seconds")
    house.ask(guests[0], publish={"channel": "room", "data": 1})
    house.run_until(lambda: all(guest.publications("room") for guest in guests))
    assert house.number("publications_total") == 1
    assert house.number("deliveries_total") == 3
    assert house.number("fan_out_seconds") == pushed + 1
    assert house.number("messages_sent_total") == sent + 4
    assert (house.number("clients"), house.number("subscriptions"), house.number("channels")) == (3, 3, 1)
    assert house.number("broker_streams") == 1


def test_a_life_is_counted_from_accept_to_close_code(house: Watched) -> None:
    ann, ben = house.connect(), house.connect()
    assert (house.number("connections"), house.number("websockets")) == (2, 2)
    assert house.number("handshake_seconds") == 2
    ann.send_close(1001)
    ben.reset()
    house.run_until(lambda: house.number("connections") == 0)
    assert house.number("websocket_closes_total", "1001") == 1
    assert house.number("websocket_closes_total", "1006") == 1
    assert house.number("websockets") == 0
    assert house.number("websockets_opened_total") == house.number("http_responses_total", "1xx") == 2


@pytest.mark.parametrize(("code", "label"), [(3999, "other"), (4242, "other"), (1000, "1000")])
def test_a_code_that_only_a_client_has_thought_of_is_no_label(house: Watched, code: int, label: str) -> None:
    client = house.connect()
    client.send_close(code)
    house.run_until(lambda: house.number("websockets") == 0)
    assert house.number("websocket_closes_total", label) == 1
    assert str(code) not in house.snapshot().values["wsloop_websocket_closes_total"] or label == str(code)


def test_answers_are_counted_by_the_class_of_their_status(house: Watched) -> None:
    assert house.get("/livez")[0] == 200
    assert house.get("/nothing")[0] == 404
    client = house.dial()
    client.send_bytes(b"nonsense\r\n\r\n")
    house.run_until(lambda: client.is_gone)
    assert house.number("http_responses_total", "2xx") == 1
    assert house.number("http_responses_total", "4xx") == 2


def test_refusals_are_counted_by_their_limit() -> None:
    with Watched(options=Options(dev=True, max_connections=1)) as house:
        house.connect()
        refused = house.dial()
        house.run_until(lambda: refused.is_gone)
        assert house.number("connections_refused_total", "full") == 1
        assert house.number("connections_refused_total", "rate") == 0
        assert house.number("connections_accepted_total") == 2
        assert house.number("connections") == 1


def test_errors_tokens_and_rate_limits_are_counted() -> None:
    limits = RateLimits(client=(Rate(3, 60.0), None, None, None, None, None))
    with Watched(options=Options(dev=True, rate_limits=limits)) as house:
        guest = house.join("ann")
        replies = [house.ask(guest, history={"channel": "room"}) for _ in range(5)]
        assert [reply["error"]["code"] for reply in replies if "error" in reply][-2:] == [111, 111]  # type: ignore[index]
        assert house.number("rate_limited_total", "history") == 2
        assert house.number("error_replies_total", "111") == 2
        stranger = house.dial(MessagingMemoryClient)
        stranger.upgrade(CONNECTION_PATH)
        stranger.command(connect={"token": "not one of ours"})
        house.run_until(lambda: stranger.is_gone or stranger.close_frame)
        assert house.number("tokens_refused_total", "invalid") == 1


def test_the_loop_is_measured_from_its_next_turn_on(house: Watched) -> None:
    house.run_for(5.0)
    turns = house.number("loop_turns_total")
    assert turns - 3 <= house.number("loop_turn_seconds") <= turns
    assert 8 <= house.number("loop_lag_seconds") <= 10
    assert house.number("process_loop_lag_seconds", "alone") < 0.01


def test_a_slow_turn_is_seen_as_its_length_and_as_lag(house: Watched) -> None:
    house.run_for(1.0)
    house.reactor.call_later(0.2, functools.partial(house.clock.advance, 2.0))
    house.run_for(5.0)
    numbers = house.snapshot().values
    assert numbers["wsloop_loop_turn_seconds"][""][-1] == pytest.approx(2.0)
    assert numbers["wsloop_loop_lag_seconds"][""][-1] == pytest.approx(1.75, abs=0.26)


def test_a_contributor_adds_its_own_and_to_others(house: Watched) -> None:
    house.observer.add(lambda: {"wsloop_workers": 2, "wsloop_commands_total": 100})
    assert (house.number("workers"), house.number("commands_total")) == (2, 100)


ACTIONS = ("echo", "join", "publish", "leave", "garbage", "wait")


@given(st.lists(st.sampled_from(ACTIONS), max_size=30), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_between_two_scrapes_no_counter_falls(actions: list[str], seed: int) -> None:
    with Watched(seed=seed) as house:
        before = counters(exposition(house.snapshot()).decode())
        clients: list[MemoryClient] = []
        for action in actions:
            act(house, clients, action)
            after = counters(exposition(house.snapshot()).decode())
            assert all(after[name] >= value for name, value in before.items())
            before = after


def act(house: Watched, clients: list[MemoryClient], action: str) -> None:
    if action == "echo":
        client = house.connect()
        client.send_text("x")
        clients.append(client)
    elif action == "join":
        guest = house.join("ann")
        house.ask(guest, subscribe={"channel": "room"})
        clients.append(guest)
    elif action == "publish":
        house.hub.publish("room", b"1")
    elif action == "leave" and clients:
        clients.pop().send_close()
    elif action == "garbage":
        client = house.dial()
        client.send_bytes(b"\x00\r\n\r\n")
    house.run_for(0.1)
