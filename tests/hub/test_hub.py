from __future__ import annotations

import uuid
from typing import Any, cast

import pytest

from tests.hub.support import World
from wsloop.errors import StateError
from wsloop.hub import codes
from wsloop.hub.backend import Refused
from wsloop.hub.client_state import CLIENT_TRANSITIONS, ClientState, ClientStep
from wsloop.hub.codes import ReplyError
from wsloop.hub.no_backend import NoBackend
from wsloop.hub.replies import PayloadError


def test_client_ids_are_random_uuids() -> None:
    world = World()
    ids = [uuid.UUID(world.open().client.id) for _ in range(50)]
    assert {(each.version, each.variant) for each in ids} == {(4, uuid.RFC_4122)}
    assert len(set(ids)) == 50


def test_a_push_is_encoded_once_for_all_subscribers() -> None:
    world = World()
    peers = [world.connect() for _ in range(3)]
    for peer in peers:
        peer.ask("subscribe", channel="c")
    world.hub.publish("c", b"1")
    first, *others = [peer.subscriber.pushes[-1] for peer in peers]
    assert first == b'{"push":{"channel":"c","pub":{"data":1,"offset":1}}}'
    assert all(other is first for other in others)


def test_a_channel_nobody_listens_to_is_encoded_for_nobody() -> None:
    world = World()
    peer = world.connect()
    peer.ask("subscribe", channel="c")
    peer.ask("unsubscribe", channel="c")
    pushed = len(peer.subscriber.pushes)
    world.hub.on_publication("c", Any, "e")  # type: ignore[arg-type]
    world.hub.on_join("c", b"{}")
    world.hub.on_leave("c", b"{}")
    assert len(peer.subscriber.pushes) == pushed


def test_the_server_publishes_without_info_and_on_one_line() -> None:
    world = World()
    peer = world.connect()
    peer.ask("subscribe", channel="chat:1")
    peer.take()
    positions: list[Any] = []
    world.hub.publish("chat:1", b'{\n "a": 1\n}', positions.append)
    assert positions[0].offset == 1
    assert peer.take() == [{"push": {"channel": "chat:1", "pub": {"data": {"a": 1}, "offset": 1}}}]


def test_the_server_cannot_publish_what_is_not_json_or_nowhere() -> None:
    hub = World().hub
    with pytest.raises(PayloadError):
        hub.publish("c", b"nope")
    with pytest.raises(ReplyError, match="102"):
        hub.publish("nope:c", b"1")


def test_shutdown_tells_everybody_to_come_back() -> None:
    world = World()
    peers = [world.connect(), world.open()]
    world.hub.shutdown()
    assert [peer.subscriber.closed_with for peer in peers] == [[(3001, "shutdown")]] * 2


def test_a_drain_goes_in_steps_and_disconnects_each_once() -> None:
    world = World()
    peers = [world.connect() for _ in range(5)]
    assert world.hub.disconnect_all(3001, "shutdown", 2) == 5
    assert [peer.close_code for peer in peers] == [3001, 3001, None, None, None]
    peers[0].client.closed()
    assert world.hub.disconnect_all(3001, "shutdown", 2) == 4
    assert [peer.close_code for peer in peers] == [3001, 3001, 3001, 3001, None]
    world.hub.disconnect_all(3503, "force disconnect")
    for peer in peers[1:]:
        peer.client.closed()
    assert world.hub.disconnect_all(3001, "shutdown") == 0
    assert [len(peer.subscriber.closed_with) for peer in peers] == [1] * 5


def test_statistics() -> None:
    world = World()
    peers = [world.connect() for _ in range(3)]
    for peer in peers:
        peer.ask("subscribe", channel="c")
    peers[0].ask("subscribe", channel="d")
    world.hub.publish("c", b"1")
    world.hub.publish("nobody", b"1")
    world.clock.advance(5.0)
    statistics = world.hub.statistics()
    assert statistics.uptime_s == 5.0
    assert (statistics.clients, statistics.channels, statistics.subscriptions) == (3, 2, 4)
    assert (statistics.commands_total, statistics.publications_total, statistics.deliveries_total) == (
        7,
        1,
        3,
    )
    assert (statistics.broker.streams, statistics.broker.publications) == (3, 2)
    with pytest.raises(AttributeError):
        statistics.clients = 0  # type: ignore[misc]


@pytest.mark.parametrize("before", ClientState)
@pytest.mark.parametrize("taken", ClientStep)
def test_a_client_goes_only_where_its_table_says(before: ClientState, taken: ClientStep) -> None:
    client = World().open().client
    client.state = before
    after = CLIENT_TRANSITIONS[before].get(taken)
    if after is not None:
        client.take(taken)
        assert client.state is after
    else:
        with pytest.raises(StateError):
            client.take(taken)


def test_the_hub_sweeps_in_batches() -> None:
    world = World()
    for number in range(1500):
        world.hub.publish(f"c{number}", b"1")
    world.clock.advance(300.0)
    assert [world.hub.expire(world.clock.now()) for _ in range(3)] == [1000, 500, 0]
    assert world.hub.statistics().broker.publications == 0


def test_what_is_dropped_of_a_channel_that_one_is_not_in_is_nothing() -> None:
    peer = World().connect()
    peer.client.miss("chat:a")
    assert (peer.take(), peer.close_code) == ([], None)


def test_who_is_told_to_go_is_told_nothing_else() -> None:
    peer = World().connect()
    peer.client.disconnect(3001, "shutdown")
    peer.client.tell(b"{}")
    assert peer.take() == []


def test_without_a_backend_every_question_is_refused() -> None:
    answers: list[Any] = []
    backend, anything = NoBackend(), cast("Any", None)
    backend.connect(anything, answers.append)
    backend.refresh(anything, answers.append)
    backend.subscribe(anything, answers.append)
    backend.publish(anything, answers.append)
    backend.sub_refresh(anything, "a", answers.append)
    backend.rpc(anything, answers.append)
    backend.send(anything)
    assert answers == [Refused(codes.NOT_AVAILABLE)] * 6
