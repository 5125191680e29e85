"""The messaging client beside a real hub: connecting, subscribing, recovering, renewing, giving up."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.messaging_kit import MessagingWorld
from tests.hub.token_kit import sign, verifier
from wsloop.client.client_events import ClientOptions, ClientState
from wsloop.client.messages import CallError, ClientCode, PresenceResult, PublishResult
from wsloop.client.subscription import SubscribeOptions, SubState
from wsloop.errors import StateError
from wsloop.hub.namespaces import dev_namespaces
from wsloop.hub.operations import table
from wsloop.server.assembly import Options
from wsloop.server.messaging import MessagingHandler
from wsloop.testing.network import NetworkFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHANNEL = "chat:a"


@pytest.fixture
def world() -> Iterator[MessagingWorld]:
    with MessagingWorld() as made:
        yield made


def test_it_connects_publishes_and_hears_itself(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    assert world.publish(client, CHANNEL, {"a": 1}).offset == 1
    world.run_until(lambda: told.data.get(CHANNEL))
    assert told.data == {CHANNEL: [{"a": 1}]}
    assert told.names()[:4] == ["connecting", "connected", "subscribing", "subscribed"]


def test_presence_history_and_rpc_are_asked_and_answered(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    world.publish(client, CHANNEL, 1)
    presence = world.ask_client(client.presence, CHANNEL)
    assert isinstance(presence, PresenceResult)
    assert list(presence.presence) == [client.client_id]
    assert world.ask_client(client.presence_stats, CHANNEL).num_clients == 1
    history = world.ask_client(client.history, CHANNEL, limit=-1)
    assert [bytes(publication.data) for publication in history.publications] == [b"1"]
    assert world.ask_client(client.rpc, "now", b"{}").code == 108


def test_who_comes_and_goes_is_told(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    other, other_told = world.connected()
    world.subscribed(other, other_told, CHANNEL)
    other.disconnect()
    world.run_until(lambda: ("leave", CHANNEL, other.client_id) in told.events)
    assert ("join", CHANNEL, other.client_id) in told.events


def test_after_a_lost_connection_it_comes_back_and_recovers_what_it_missed(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    other, _ = world.connected()
    world.publish(other, CHANNEL, 0)
    world.run_until(lambda: told.data.get(CHANNEL))
    world.server.registry.snapshot()[0].close(3000, "elsewhere")
    world.run_until(lambda: not client.is_connected)
    for number in range(1, 5):
        world.publish(other, CHANNEL, number)
    world.run_until(lambda: told.data[CHANNEL][-1] == 4)
    assert told.data[CHANNEL] == [0, 1, 2, 3, 4]
    last = [event for event in told.events if event[0] == "subscribed"][-1]
    assert last[2].recovered


@given(
    st.integers(0, 2**32),
    st.builds(
        NetworkFaults,
        max_delay_s=st.sampled_from([0.0, 0.2]),
        max_read_bytes=st.sampled_from([None, 70]),
        max_write_bytes=st.sampled_from([None, 50]),
        reset_chance=st.sampled_from([0.0, 0.01]),
    ),
)
@settings(max_examples=12, deadline=None)
def test_whatever_the_network_does_every_message_comes_once_and_in_order(
    seed: int, faults: NetworkFaults
) -> None:
    """P4 and P5, with keys for the publisher: what is sent twice is appended once.

    A connection takes some 60 writes: one of two lives to see its replies. Somebody may be away for minutes,
    so history is kept for an hour.
    """
    kept = {
        name: msgspec.structs.replace(options, history_ttl_s=3600.0)
        for name, options in dev_namespaces().items()
    }
    with MessagingWorld(seed, faults=faults, options=Options(namespaces=kept, dev=True)) as world:
        client, told = world.client()
        client.connect()
        client.subscribe(CHANNEL)
        other, _ = world.client()
        other.connect()
        left = list(range(20))

        def publish_next(outcome: PublishResult | CallError | None = None) -> None:
            if outcome is not None and not isinstance(outcome, CallError):
                left.pop(0)
            if left:
                data = json.dumps(left[0]).encode()
                other.publish(CHANNEL, data, publish_next, key=f"k{left[0]}")

        world.run_until(lambda: any(e[0] == "subscribed" for e in told.events), within_s=600)
        publish_next()
        world.run_until(lambda: told.data.get(CHANNEL, [None])[-1] == 19, within_s=600)
        assert told.data[CHANNEL] == list(range(20))


def test_a_refused_subscription_ends_with_the_servers_code(world: MessagingWorld) -> None:
    client, told = world.connected()
    subscription = client.subscribe("unknown:a")
    world.run_until(lambda: subscription.state is SubState.UNSUBSCRIBED)
    assert told.events[-1][:3] == ("unsubscribed", "unknown:a", 102)
    assert client.subscribe("unknown:a") is not subscription


def test_a_channel_is_subscribed_to_once(world: MessagingWorld) -> None:
    client, _ = world.connected()
    client.subscribe(CHANNEL)
    with pytest.raises(StateError):
        client.subscribe(CHANNEL)


def test_unsubscribing_ends_it_on_both_sides(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    client.unsubscribe(CHANNEL)
    client.unsubscribe(CHANNEL)
    assert told.events[-1] == ("unsubscribed", CHANNEL, 0, "unsubscribe called")
    assert world.ask_client(client.presence_stats, CHANNEL).num_clients == 0


def test_a_server_that_is_not_there_is_tried_again_with_growing_waits(world: MessagingWorld) -> None:
    client, told = world.client(url="ws://127.0.0.1:9")
    client.connect()
    world.run_until(lambda: told.names().count("failed") == 8, within_s=200)
    waits = [event[2] for event in told.events if event[0] == "failed"]
    assert all(0.5 <= wait <= 20.0 for wait in waits)
    assert waits[0] < 1.01
    assert told.events[1][1].reason == "ECONNREFUSED"
    client.disconnect()
    assert client.is_closed


@pytest.mark.parametrize(("path", "status"), [("/nothing/here", 404), ("/healthz", 200)])
def test_an_answer_that_is_no_websocket(world: MessagingWorld, path: str, status: int) -> None:
    client, told = world.client(url=f"ws://127.0.0.1:8765{path}")
    client.connect()
    world.run_until(lambda: len(told.events) > 1)
    if status == 404:
        assert told.events[-1] == ("disconnected", ClientCode.REFUSED, "404 Not Found")
        assert client.is_closed
    else:
        assert told.events[-1][0] in ("failed", "disconnected")


def test_a_crowded_server_says_when_to_come_back() -> None:
    with MessagingWorld(options=Options(dev=True, max_connections=1)) as world:
        world.connected()
        client, told = world.client()
        client.connect()
        world.run_until(lambda: "failed" in told.names())
        ending, wait_s = told.events[-1][1:]
        assert ending.status == 503
        assert wait_s >= ending.retry_after_s > 0


@pytest.mark.parametrize(
    ("code", "is_final"), [(3000, False), (3501, True), (4000, False), (4999, True), (1012, False)]
)
def test_the_close_code_decides_whether_it_comes_back(
    world: MessagingWorld, code: int, is_final: bool
) -> None:
    client, told = world.connected()
    world.server.registry.snapshot()[0].close(code, "told so")
    world.run_until(lambda: not client.is_connected)
    assert (client.state is ClientState.DISCONNECTED) == is_final
    assert told.events[-1][:1] == (("disconnected",) if is_final else ("failed",))


def test_a_silent_server_is_given_up(world: MessagingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client, told = world.connected()
    monkeypatch.setattr(MessagingHandler, "on_ping_due", lambda _self: None)
    monkeypatch.setattr("wsloop.server.upkeep.Upkeep._tend_pulse", lambda _self: math.inf)
    world.run_until(lambda: not client.is_connected)
    assert ("connecting", ClientCode.NO_PING, "no ping") in told.events
    assert world.clock.now() >= 35.0
    world.run_until(lambda: client.is_connected)


def test_pings_are_answered_for_hours(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.run_for(3600)
    assert client.is_connected
    assert told.names() == ["connecting", "connected"]


def test_what_is_published_while_connecting_waits(world: MessagingWorld) -> None:
    client, _ = world.client()
    outcomes: list[Any] = []
    client.publish(CHANNEL, b"1", outcomes.append)
    client.connect()
    client.publish(CHANNEL, b"2", outcomes.append)
    world.run_until(lambda: len(outcomes) == 2)
    assert outcomes[0].code == 3
    assert outcomes[1].offset == 1


def test_a_call_without_an_answer_fails_in_time(world: MessagingWorld) -> None:
    client, _ = world.client(url="ws://127.0.0.1:9")
    client.connect()
    outcomes: list[Any] = []
    client.publish(CHANNEL, b"1", outcomes.append)
    client.publish(CHANNEL, b"2", outcomes.append)
    world.run_until(lambda: len(outcomes) == 2)
    assert [outcome.code for outcome in outcomes] == [1, 1]


def test_too_many_calls_fail_at_once(world: MessagingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsloop.client.calls.MAX_CALLS", 2)
    client, _ = world.client(url="ws://127.0.0.1:9")
    client.connect()
    outcomes: list[Any] = []
    for _ in range(3):
        client.publish(CHANNEL, b"1", outcomes.append)
    world.run_until(lambda: outcomes)
    assert outcomes[0].message == "too many calls are waiting"


def test_disconnecting_fails_what_waits_and_closes_cleanly(world: MessagingWorld) -> None:
    client, told = world.connected()
    outcomes: list[Any] = []
    client.publish(CHANNEL, b"1", outcomes.append)
    client.disconnect()
    client.disconnect()
    assert len(outcomes) == 1
    assert told.events[-1] == ("disconnected", 0, "disconnect called")
    world.run_until(lambda: client.is_closed)
    client.connect()
    world.run_until(lambda: client.is_connected)
    with pytest.raises(StateError):
        client.connect()


def test_a_server_that_speaks_something_else_is_left(world: MessagingWorld) -> None:
    client, told = world.client(url="ws://127.0.0.1:8765/echo")
    client.connect()
    world.run_until(lambda: "disconnected" in told.names() or told.names().count("failed") > 0)
    assert not client.is_connected


# -- tokens ---------------------------------------------------------------------------------------


class TokenWorld(MessagingWorld):
    """Tokens are needed: `source` makes them, each good for a minute, and `asked` counts how often."""

    def __init__(self) -> None:
        super().__init__(options=Options(namespaces=dev_namespaces(), verifier=verifier()))
        self.asked = 0

    def claims(self, **more: object) -> str:
        self.asked += 1
        return sign({"sub": "ann", "exp": self.clock.unix_s() + 60, **more})

    def source(self, done: Callable[[str], object]) -> None:
        token = self.claims()
        self.reactor.call_later(0.1, lambda: done(token))


@pytest.fixture
def tokens() -> Iterator[TokenWorld]:
    with TokenWorld() as made:
        yield made


def test_a_token_is_shown_and_renewed_before_it_expires(tokens: TokenWorld) -> None:
    client, told = tokens.connected(ClientOptions(get_token=tokens.source))
    tokens.run_for(600)
    assert client.is_connected
    assert told.names() == ["connecting", "connected"]
    assert 10 <= tokens.asked <= 12


def test_an_expired_token_is_replaced(tokens: TokenWorld) -> None:
    old = tokens.claims()
    tokens.run_for(61)
    client, told = tokens.client(ClientOptions(token=old, get_token=tokens.source))
    client.connect()
    tokens.run_until(lambda: client.is_connected)
    assert told.names() == ["connecting", "failed", "connected"]


def test_an_expired_token_that_cannot_be_replaced_ends_it(tokens: TokenWorld) -> None:
    old = tokens.claims()
    tokens.run_for(61)
    client, told = tokens.client(ClientOptions(token=old))
    client.connect()
    tokens.run_until(lambda: "disconnected" in told.names())
    assert told.events[-1][1] == 109


@pytest.mark.parametrize("answers", [[""], ["TOKEN", ""]])
def test_no_token_is_no_right(tokens: TokenWorld, answers: list[str]) -> None:
    left = list(answers)

    def source(done: Callable[[str], object]) -> None:
        done(left.pop(0) and tokens.claims())

    client, told = tokens.client(ClientOptions(get_token=source))
    client.connect()
    tokens.run_until(lambda: "disconnected" in told.names(), within_s=100)
    assert told.events[-1] == ("disconnected", ClientCode.UNAUTHORIZED, "unauthorized")


def test_a_bad_token_is_final(tokens: TokenWorld) -> None:
    client, told = tokens.client(ClientOptions(token="a.b.c"))
    client.connect()
    tokens.run_until(lambda: "disconnected" in told.names())
    assert told.events[-1][1] == 3500


def test_a_channels_token_is_got_and_renewed(tokens: TokenWorld) -> None:
    client, told = tokens.connected(ClientOptions(get_token=tokens.source))
    asked: list[str] = []

    def source(channel: str, done: Callable[[str], object]) -> None:
        asked.append(channel)
        token = tokens.claims(channel=channel)
        tokens.reactor.call_later(0.1, lambda: done(token))

    tokens.subscribed(client, told, "$secret", get_token=source)
    tokens.run_for(300)
    assert client.is_connected
    assert "unsubscribed" not in told.names()
    assert 5 <= len(asked) <= 7
    assert set(asked) == {"$secret"}


def test_no_token_for_a_channel_ends_the_subscription_alone(tokens: TokenWorld) -> None:
    client, told = tokens.connected(ClientOptions(get_token=tokens.source))
    client.subscribe("$secret", SubscribeOptions(get_token=lambda _channel, done: done("")))
    tokens.run_until(lambda: "unsubscribed" in told.names())
    assert told.events[-1] == ("unsubscribed", "$secret", ClientCode.UNAUTHORIZED, "unauthorized")
    assert client.is_connected


def test_the_servers_own_subscriptions_are_told_and_recovered(tokens: TokenWorld) -> None:
    options = ClientOptions(token=tokens.claims(channels=["chat:news"]))
    client, told = tokens.connected(options)
    other, _ = tokens.connected(ClientOptions(token=tokens.claims(sub="bob")))
    assert told.events[-1][:2] in (("subscribed", "chat:news"), ("join", "chat:news"))
    tokens.publish(other, "chat:news", 1)
    tokens.run_until(lambda: told.data.get("chat:news"))
    tokens.server.registry.snapshot()[0].close(3000, "elsewhere")
    tokens.run_until(lambda: not client.is_connected)
    tokens.publish(other, "chat:news", 2)
    tokens.run_until(lambda: told.data["chat:news"][-1] == 2)
    assert told.data["chat:news"] == [1, 2]


def operate(world: MessagingWorld, method: str, **fields: object) -> None:
    """Carry out a method of the server API."""
    answers: list[Any] = []
    table.call(world.house.operations, method, json.dumps(fields).encode(), answers.append)
    world.run_until(lambda: answers)


def test_what_the_server_does_to_a_client_is_told(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    operate(world, "unsubscribe", client=client.client_id, channel=CHANNEL)
    world.run_until(lambda: ("unsubscribed", CHANNEL) in [event[:2] for event in told.events])
    operate(world, "subscribe", client=client.client_id, channel="chat:b")
    world.run_until(lambda: ("subscribed", "chat:b") in [event[:2] for event in told.events])
    operate(world, "unsubscribe", client=client.client_id, channel="chat:b")
    world.run_until(lambda: ("unsubscribed", "chat:b") in [event[:2] for event in told.events])


def test_an_invalidated_state_is_forgotten_and_the_client_comes_back(world: MessagingWorld) -> None:
    client, told = world.connected()
    world.subscribed(client, told, CHANNEL)
    world.publish(client, CHANNEL, 1)
    world.server.registry.snapshot()[0].close(3014, "state invalidated")
    world.run_until(lambda: told.names().count("subscribed") == 2)
    last = [event for event in told.events if event[0] == "subscribed"][-1]
    assert not last[2].was_recovering


def test_a_refused_renewal_ends_it(tokens: TokenWorld) -> None:
    client, told = tokens.connected(ClientOptions(token=tokens.claims(), get_token=lambda done: done("bad")))
    tokens.run_until(lambda: "disconnected" in told.names())
    assert not client.is_connected


def test_what_is_left_while_nobody_is_there_is_left(world: MessagingWorld) -> None:
    client, told = world.client()
    client.subscribe(CHANNEL)
    client.unsubscribe(CHANNEL)
    client.unsubscribe(CHANNEL)
    assert told.names() == ["subscribing", "unsubscribed"]


def test_a_token_that_comes_when_nobody_waits_is_nothing(world: MessagingWorld) -> None:
    waiting: list[Callable[[str], object]] = []
    client, told = world.client(ClientOptions(get_token=waiting.append))
    client.connect()
    client.disconnect()
    waiting.pop()("too late")
    world.run_for(60.0)
    assert not client.is_connected
    assert told.names() == ["connecting", "disconnected"]
