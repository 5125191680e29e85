"""Promise P2: what is sent again is appended once. The extensions `publish.idem` and `publish.seq`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.support import Peer, RecordedSubscriber, World
from wsloop.hub.broker import Appended
from wsloop.hub.commands import FLAG_ACKS, FLAG_PUBLISH_ONCE, Numbered, PublishRequest
from wsloop.hub.grants import Identity
from wsloop.hub.idempotency import Keys, key_of
from wsloop.hub.namespaces import Namespace

KEYS = st.sampled_from("abcdef")


def as_user(world: World, user: str) -> Peer:
    subscriber = RecordedSubscriber()
    peer = Peer(subscriber, world.hub.new_client(subscriber, identity=Identity(user)))
    peer.ask("connect")
    return peer


def publish(peer: Peer, **request: Any) -> Any:
    return peer.ask("publish", **({"channel": "c", "data": 1} | request))


# -- on the wire -------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [{"idem": "k"}, {"seq": {"sender": "s", "n": 1}}])
def test_a_retry_on_another_connection_of_the_user_is_a_duplicate(names: dict[str, object]) -> None:
    world = World()
    listener = world.connect()
    listener.ask("subscribe", channel="c")
    listener.take()
    first = publish(as_user(world, "ann"), data=1, **names)
    again = publish(as_user(world, "ann"), data=2, **names)
    assert first["offset"] == 1
    assert again == first | {"dup": True}
    assert [line["push"]["pub"]["data"] for line in listener.take() if "pub" in line["push"]] == [1]


def test_other_users_channels_kinds_and_names_are_other_publications() -> None:
    world = World()
    ann, ben = as_user(world, "ann"), as_user(world, "ben")
    replies = [
        publish(ann, idem="1"),
        publish(ben, idem="1"),
        publish(ann, idem="1", channel="chat:c"),
        publish(ann, idem="2"),
        publish(ann, seq={"sender": "1", "n": 1}),
        publish(ann, seq={"sender": "1", "n": 2}),
        publish(ann, seq={"sender": "2", "n": 1}),
        publish(ann),
        publish(ann),
    ]
    assert not any("dup" in reply for reply in replies)


def test_without_history_a_duplicate_is_told_without_a_position() -> None:
    options = Namespace(allow_publish_for_client=True, allow_publish_for_anonymous=True)
    peer = World(namespaces={"": options}).connect()
    assert [publish(peer, idem="k") for _ in range(2)] == [{}, {"dup": True}]


def test_after_five_minutes_it_is_another_publication() -> None:
    world = World()
    peer = world.connect()
    publish(peer, idem="k")
    world.clock.advance(299.0)
    assert publish(peer, idem="k")["dup"] is True
    world.clock.advance(1.0)
    assert "dup" not in publish(peer, idem="k")


@pytest.mark.parametrize(
    "names",
    [
        {"idem": "k" * 65},
        {"seq": {"sender": "s" * 65, "n": 1}},
        {"seq": {"sender": "", "n": 1}},
        {"seq": {"sender": "s", "n": 0}},
        {"seq": {"sender": "s", "n": 2**63}},
        {"seq": {"sender": "s", "n": 10**4000}},
        {"seq": {"sender": "s"}},
        {"idem": "k", "seq": {"sender": "s", "n": 1}},
    ],
)
def test_a_name_that_is_none_is_error_107_and_nothing_is_published(names: dict[str, object]) -> None:
    world = World()
    assert publish(world.connect(), **names) == 107
    assert world.memory_broker.statistics().publications == 0


def test_the_longest_name_is_taken() -> None:
    assert publish(World().connect(), idem="é" * 64)["offset"] == 1
    assert publish(World().connect(), seq={"sender": "s" * 64, "n": 2**63 - 1})["offset"] == 1


@pytest.mark.parametrize(
    ("asked", "echoed"),
    [
        (FLAG_PUBLISH_ONCE, FLAG_PUBLISH_ONCE),
        (FLAG_PUBLISH_ONCE | FLAG_ACKS | 1 | 1 << 30, FLAG_PUBLISH_ONCE | FLAG_ACKS),
        (1, None),
        (0, None),
    ],
)
def test_connect_tells_which_extensions_it_has_of_those_asked_for(asked: int, echoed: int | None) -> None:
    reply = World().open().ask("connect", flag=asked)
    assert reply.get("flag") == echoed


# -- the keys ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.text(), st.text(max_size=64), st.booleans(), st.integers(1, 3)), max_size=20))
def test_different_publications_have_different_keys(cases: list[tuple[str, str, bool, int]]) -> None:
    keys: dict[str, tuple[object, ...]] = {}
    for user, name, is_sequence, number in cases:
        if not name:
            continue
        if is_sequence:
            request = PublishRequest("c", seq=Numbered(name, number))
            meaning: tuple[object, ...] = (user, name, number)
        else:
            request, meaning = PublishRequest("c", idem=name), (user, name)
        assert keys.setdefault(key_of(user, request), meaning) == meaning


def test_a_publication_without_a_name_has_no_key() -> None:
    assert key_of("ann", PublishRequest("c")) == ""


@given(st.lists(st.tuples(KEYS, st.integers(0, 6)), max_size=60), st.integers(1, 5))
def test_keys_are_a_table_that_forgets_by_time_and_by_number(
    steps: list[tuple[str, int]], limit: int
) -> None:
    keys, now_s = Keys(10.0, limit), 0.0
    model: list[tuple[str, float, Appended]] = []
    for number, (key, pause) in enumerate(steps):
        now_s += pause
        keys.expire(now_s, 2)
        alive = [entry for entry in model if now_s < entry[1] + 10.0]
        known = next((entry[2] for entry in alive if entry[0] == key), None)
        assert keys.find("c", key, now_s) == known
        assert keys.find("other", key, now_s) is None
        if known is None:
            appended = Appended(number, "e")
            keys.remember("c", key, appended, now_s)
            model = [entry for entry in model if entry[0] != key] + [(key, now_s, appended)]
            model = model[-limit:]
        assert len(keys) <= limit
