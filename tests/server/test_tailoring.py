"""Deltas, filters, numbers and patterns from the wire, through frames, fan-out and slow peers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.hub import fossil
from wsloop.hub.broker import Draft
from wsloop.hub.namespaces import dev_namespaces
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import Options
from wsloop.server.server import OutboxMarks
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.testing.client import MessagingMemoryClient

ALL = structs.replace(
    dev_namespaces()[""],
    force_recovery=False,
    force_positioning=False,
    allowed_delta_types=("fossil",),
    delta_publish=True,
    allow_tags_filter=True,
    allow_wildcard=True,
    allow_channel_compaction=True,
)
DROPPING = structs.replace(ALL, slow_policy="drop-oldest")
MARKS = OutboxMarks(hard_bytes=20_000, high_bytes=10_000, low_bytes=2_000, hard_messages=100, age_s=30.0)


def make_house() -> MemoryServer:
    options = Options(
        dev=True,
        namespaces={"": ALL, "drop": DROPPING},
        outbox=MARKS,
        messaging_limits=Limits(message_bytes=8_000),
    )
    return MemoryServer(options=options)


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with make_house() as server:
        yield server


def state(number: int) -> dict[str, Any]:
    """Return what hardly differs from one number to the next."""
    return {"players": ["Ann", "Böb", "漢字"] * 20, "turn": number}


def publish(house: MemoryServer, channel: str, data: object, tags: dict[str, str] | None = None) -> None:
    rules = house.hub.namespaces.rules_of(channel)
    draft = Draft(json.dumps(data, ensure_ascii=False).encode(), tags=json.dumps(tags or {}).encode())
    house.hub.broker.publish(channel, draft, rules.retention, lambda _: None)


def payloads(client: MessagingMemoryClient, name: str | int) -> list[Any]:
    """Return what an SDK makes of the pushes of one subscription by differences."""
    key, base, found = "channel" if isinstance(name, str) else "id", b"", []
    for push in client.pushes:
        if push.get(key) == name and "pub" in push:
            text = push["pub"]["data"].encode()
            base = fossil.apply(base, text) if "delta" in push["pub"] else text
            found.append(json.loads(base))
    return found


def test_differences_are_put_together_by_number_and_by_name(house: MemoryServer) -> None:
    named, numbered, plain = house.join(), house.join(), house.join()
    assert house.ask(named, subscribe={"channel": "a", "delta": "fossil"})["subscribe"] == {"delta": True}
    result: Any = house.ask(numbered, subscribe={"channel": "a", "delta": "fossil", "flag": 1})["subscribe"]
    house.ask(plain, subscribe={"channel": "a"})
    for number in range(5):
        publish(house, "a", state(number))
    house.run_for(1.0)
    expected = [state(number) for number in range(5)]
    assert payloads(named, "a") == payloads(numbered, result["id"]) == plain.publications("a") == expected
    sizes = [len(text) for text in named.texts if '"delta":true' in text]
    assert max(sizes) < len(json.dumps(state(1)))


def test_what_one_publishes_reaches_by_name_pattern_and_filter(house: MemoryServer) -> None:
    writer, exact, wide, choosy = (house.join() for _ in range(4))
    house.ask(exact, subscribe={"channel": "log.a"})
    house.ask(wide, subscribe={"channel": "log.*"})
    wanted = {"key": "level", "cmp": "gte", "val": "3"}
    house.ask(choosy, subscribe={"channel": "log.*", "tf": wanted})
    house.ask(writer, publish={"channel": "log.a", "data": 1})
    publish(house, "log.b", 2, {"level": "3"})
    publish(house, "log.a", 3, {"level": "10"})
    house.run_for(1.0)
    assert exact.publications("log.a") == [1, 3]
    assert wide.publications("log.*") == [1, 2, 3]
    assert choosy.publications("log.*") == [2, 3]
    assert [push["pub"]["channel"] for push in wide.pushes] == ["log.a", "log.b", "log.a"]


def test_a_slow_reader_of_differences_is_ended_before_it_misunderstands(house: MemoryServer) -> None:
    house.network.capacity_bytes = 3_000
    slow, fast = house.join(), house.join()
    for each in (slow, fast):
        house.ask(each, subscribe={"channel": "drop:c", "delta": "fossil"})
    slow.stop_reading()
    for number in range(150):
        publish(house, "drop:c", {**state(number), "text": f"{number}" * 300})
        house.run_for(0.01)
    slow.resume_reading()
    house.run_for(2.0)
    (ended,) = [push["unsubscribe"]["code"] for push in slow.pushes if "unsubscribe" in push]
    assert ended == 2500
    turns = [each["turn"] for each in payloads(slow, "drop:c")]
    assert turns == list(range(len(turns)))
    assert [each["turn"] for each in payloads(fast, "drop:c")] == list(range(150))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([{}, {"flag": 1}, {"delta": "fossil"}, {"delta": "fossil", "flag": 1}]),
            st.sampled_from([0, 1, 3]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(0, 20), min_size=1, max_size=20),
)
def test_any_mix_of_wishes_hears_the_same(
    arrivals: list[tuple[dict[str, Any], int]], pauses: list[int]
) -> None:
    """Those who come later hear the rest."""
    with make_house() as house:
        numbers = iter(range(10_000))
        expected: list[list[Any]] = []
        clients: list[tuple[MessagingMemoryClient, dict[str, Any], Any]] = []

        def publish_some(count: int) -> None:
            for _ in range(count):
                data = state(next(numbers))
                publish(house, "a", data)
                for heard in expected:
                    heard.append(data)

        for wish, before in arrivals:
            publish_some(before)
            client = house.join()
            result = house.ask(client, subscribe={"channel": "a", **wish})["subscribe"]
            clients.append((client, wish, result))
            expected.append([])
        for pause in pauses:
            publish_some(1)
            house.run_for(pause / 1000)
        house.run_for(1.0)
        for (client, wish, result), heard in zip(clients, expected, strict=True):
            assert isinstance(result, dict)
            name = result.get("id", "a")
            if "delta" in wish:
                assert payloads(client, name) == heard
            else:
                key = "id" if "flag" in wish else "channel"
                meant = [push for push in client.pushes if push.get(key) == name]
                found = [push["pub"]["data"] for push in meant if "pub" in push]
                assert found == heard
