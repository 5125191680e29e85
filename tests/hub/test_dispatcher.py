"""Every answer a client can get, from the text on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub.broker import Done, Unavailable
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence

OPEN = Namespace(
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_subscriber=True,
    allow_publish_for_anonymous=True,
)
"""Subscribers may publish; no history, no presence."""


def refused(peer: Peer, method: str, **request: object) -> int:
    code = peer.ask(method, **request)
    assert isinstance(code, int)
    assert peer.close_code is None
    return code


# -- the envelope ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        " \n\n ",
        " ",
        "nope",
        "{",
        "[]",
        '{"id":2,"publish":{"channel":"c","data":{"a":}}}',
        '{"id":2,"publish":{"channel":"c","data":\n1}}',
        '{"id":-1,"publish":{"channel":"c","data":1}}',
        '{"id":"2","publish":{"channel":"c","data":1}}',
        '{"publish":{"channel":"c","data":1}}',
        '{"id":0,"subscribe":{"channel":"c"}}',
        '{"novel":{}}',
        '{"id":2,"connect":{}}',
        '{"id":2,"subscribe":{}}',
        '{"id":2,"subscribe":{"channel":"c","delta":"xdelta"}}',
        '{"id":2,"subscribe":{"channel":7}}',
        '{"id":2,"unsubscribe":{}}',
        '{"id":2,"publish":{"channel":"c"}}',
        '{"id":2,"publish":{"data":1}}',
        '{"id":2,"presence":{}}',
        '{"id":2,"presence_stats":{}}',
        '{"id":2,"history":{}}',
        '{"id":2,"presence":{"channel":"c"}}\n\n{"id":3,"presence":{"channel":"c"}}',
        b'{"id":2,"publish":{"channel":"c","data":"\xff"}}',
        '{"id":2,"publish":{"channel":"c","data":' + "[" * 30_000 + "]" * 30_000 + "}}",
        '{"id":2,"publish":{"channel":"c","data":"\ud83d"}}',
    ],
)
def test_what_breaks_the_protocol_closes_with_3501(text: str | bytes) -> None:
    peer = World().connect()
    peer.client.receive(text)
    ((code, reason),) = peer.subscriber.closed_with
    assert code == 3501
    assert reason.startswith("bad request: ")
    assert len(reason.encode()) <= 123


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"id":1,"subscribe":{"channel":"c"}}',
        '{"id":1,"novel":{}}',
        '{"send":{}}',
        '{"id":1,"ping":{}}',
    ],
)
def test_commands_before_connect_close_with_3501(text: str) -> None:
    peer = World().open()
    peer.client.receive(text)
    assert peer.subscriber.closed_with == [(3501, "bad request: not connected yet")]


def test_the_rest_of_a_bad_message_is_ignored() -> None:
    world = World()
    peer = world.connect()
    peer.client.receive(
        '{"id":2,"subscribe":{"channel":"c"}}\nnope\n{"id":3,"publish":{"channel":"c","data":1}}'
    )
    assert peer.close_code == 3501
    assert [line.get("id") for line in peer.take()] == [2, None]
    assert world.memory_broker.statistics().publications == 0


def test_nothing_is_heard_after_a_disconnect() -> None:
    peer = World().connect()
    peer.client.receive("nope")
    peer.client.receive("nope")
    peer.say({"id": 2, "publish": {"channel": "c", "data": 1}})
    assert len(peer.subscriber.closed_with) == 1
    assert peer.take() == []


def test_only_the_first_disconnect_counts() -> None:
    peer = World().connect()
    peer.client.disconnect(3001, "shutdown")
    peer.client.disconnect(3503, "force disconnect")
    peer.client.closed()
    peer.client.disconnect(3503, "force disconnect")
    assert peer.subscriber.closed_with == [(3001, "shutdown")]


def test_commands_of_a_message_are_answered_in_order() -> None:
    peer = World().open()
    peer.say(
        {"id": 1, "connect": {}},
        {"id": 2, "subscribe": {"channel": "c"}},
        {"id": 3, "publish": {"channel": "c", "data": 1}},
        {"id": 4, "history": {"channel": "c"}},
    )
    assert [line["id"] for line in peer.take() if "id" in line] == [1, 2, 3, 4]


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n", "\r"])
def test_white_space_around_a_message_is_allowed(end: str) -> None:
    peer = World().open()
    peer.client.receive(end + '{"id":1,"connect":{}}' + end)
    assert peer.take()[0]["id"] == 1


def test_binary_messages_are_json_too() -> None:
    peer = World().open()
    peer.client.receive(b'{"id":1,"connect":{}}')
    assert peer.take()[0]["id"] == 1


@pytest.mark.parametrize("method", ["novel", "Publish"])
def test_unknown_commands_are_error_104(method: str) -> None:
    assert refused(World().connect(), method) == 104


def test_a_command_without_a_method_is_error_104() -> None:
    peer = World().connect()
    peer.say({"id": 9})
    assert peer.take() == [{"id": 9, "error": {"code": 104, "message": "method not found"}}]


def test_the_client_ping_of_version_1_is_error_108() -> None:
    assert refused(World().connect(), "ping") == 108


def test_send_has_no_handler_and_closes_with_3508() -> None:
    peer = World().connect()
    peer.say({"send": {"data": 1}})
    assert peer.subscriber.closed_with == [(3508, "not available")]


@pytest.mark.parametrize("text", ["{}", "{ }", " {}\n"])
def test_a_pong_is_handed_to_the_connection(text: str) -> None:
    peer = World().connect()
    peer.client.receive(text)
    assert (peer.subscriber.pongs, peer.take(), peer.close_code) == (1, [], None)


# -- connect -----------------------------------------------------------------------------------


def test_connect_tells_id_version_and_pings() -> None:
    peer = World(HubOptions(version="wsloop 9", allow_anonymous=True, ping_interval_s=20)).open()
    peer.say({"id": 1, "connect": {"name": "python", "data": {"a": 1}}})
    assert peer.subscriber.lines == [
        b'{"id":1,"connect":{"client":"%b","version":"wsloop 9","ping":20,"pong":true}}'
        % peer.client.id.encode()
    ]
    assert peer.subscriber.connected == 1


def test_connect_promises_no_pings_where_the_transport_pings() -> None:
    peer = World().open(app_pings=False)
    peer.say({"id": 1, "connect": {}})
    assert set(peer.take()[0]["connect"]) == {"client", "version"}


def test_a_token_that_nobody_can_verify_closes_with_3500() -> None:
    peer = World().open()
    peer.say({"id": 1, "connect": {"token": "x"}})
    assert peer.subscriber.closed_with == [(3500, "invalid token")]
    assert peer.subscriber.connected == 0


def test_without_token_where_anonymous_is_not_allowed_closes_with_3501() -> None:
    peer = World(HubOptions()).open()
    peer.say({"id": 1, "connect": {}})
    assert peer.subscriber.closed_with == [(3501, "bad request: a token is required")]


def anonymous_info(data: str, **options: Any) -> Any:
    world = World(HubOptions(allow_anonymous=True, **options))
    peer = world.open()
    peer.client.receive('{"id":1,"connect":{"data":' + data + "}}")
    return json.loads(peer.client.info).get("conn_info")


def test_in_a_demonstration_the_connect_data_is_shown_to_others() -> None:
    assert anonymous_info('{"name":"Ada"}', anonymous_info=True) == {"name": "Ada"}


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ('{"name":"Ada"}', {}),
        ("1", {"anonymous_info": True}),
        ('{"name":"Ada"}', {"anonymous_info": True, "info_limit_bytes": 13}),
    ],
)
def test_connect_data_is_not_shown_unasked_or_too_long(data: str, options: dict[str, Any]) -> None:
    assert anonymous_info(data, **options) is None


# -- publish -----------------------------------------------------------------------------------


def test_publish_answers_the_position_and_pushes_to_the_publisher_too() -> None:
    peer = World().connect()
    peer.ask("subscribe", channel="chat:1")
    peer.take()
    reply = peer.ask("publish", channel="chat:1", data={"text": "hi"})
    assert reply["offset"] == 1
    assert len(reply["epoch"]) == 8
    pub = {"data": {"text": "hi"}, "offset": 1, "info": peer.info}
    assert peer.take() == [{"push": {"channel": "chat:1", "pub": pub}}]


def test_publish_without_history_answers_an_empty_object_and_no_offset() -> None:
    peer = World(namespaces={"": OPEN}).connect()
    peer.ask("subscribe", channel="c")
    assert peer.ask("publish", channel="c", data=None) == {}
    assert peer.take() == [{"push": {"channel": "c", "pub": {"data": None, "info": peer.info}}}]


@pytest.mark.parametrize("payload", ['{"a" :\t[1,  2]}', '"\u2028\u0085"', '{"a":\r1}', "1.0e+2", '"a\\nb"'])
def test_a_payload_is_handed_on_untouched_and_on_one_line(payload: str) -> None:
    peer = World().connect()
    peer.ask("subscribe", channel="c")
    peer.client.receive('{"id":7,"publish":{"channel":"c","data":' + payload + "}}")
    (frame,) = [line for line in peer.subscriber.lines if b'"pub"' in line]
    assert frame.startswith(b'{"push":{"channel":"c","pub":{"data":' + payload.encode() + b',"offset":1,')
    assert b"\n" not in frame


def test_publish_to_an_unknown_namespace_is_102() -> None:
    assert refused(World().connect(), "publish", channel="nope:1", data=1) == 102


def test_publish_to_an_impossible_name_is_107() -> None:
    assert refused(World().connect(), "publish", channel="caf\u00e9", data=1) == 107


def test_publish_without_the_right_is_103() -> None:
    peer = World(namespaces={"": OPEN}).connect()
    assert refused(peer, "publish", channel="c", data=1) == 103
    peer.ask("subscribe", channel="c")
    assert peer.ask("publish", channel="c", data=1) == {}


def test_dev_mode_does_not_open_private_channels() -> None:
    peer = World().connect()
    for channel in ("$secret", "inbox#42"):
        assert refused(peer, "publish", channel=channel, data=1) == 103
        assert refused(peer, "history", channel=channel) == 103
        assert refused(peer, "presence", channel=channel) == 103
        assert refused(peer, "subscribe", channel=channel) == 103


# -- presence ----------------------------------------------------------------------------------


def test_presence_and_its_numbers() -> None:
    world = World()
    here, there = world.connect(), world.connect()
    assert here.ask("presence", channel="c") == {"presence": {}}
    assert here.ask("presence_stats", channel="c") == {"num_clients": 0, "num_users": 0}
    here.ask("subscribe", channel="c")
    there.ask("subscribe", channel="c")
    assert here.ask("presence", channel="c") == {
        "presence": {here.client.id: here.info, there.client.id: there.info}
    }
    assert here.ask("presence_stats", channel="c") == {"num_clients": 2, "num_users": 1}


@pytest.mark.parametrize("method", ["presence", "presence_stats"])
def test_presence_off_is_108_without_right_103_unknown_102(method: str) -> None:
    peer = World(namespaces={"": OPEN, "shy": Namespace(presence=True)}).connect()
    assert refused(peer, method, channel="c") == 108
    assert refused(peer, method, channel="shy:c") == 103
    assert refused(peer, method, channel="nope:c") == 102


# -- history -----------------------------------------------------------------------------------


def with_history(count: int) -> tuple[Peer, str]:
    peer = World().connect()
    for number in range(count):
        peer.ask("publish", channel="c", data=number)
    return peer, peer.ask("history", channel="c")["epoch"]


def offsets(peer: Peer, **request: object) -> list[int]:
    return [pub["offset"] for pub in peer.ask("history", channel="c", **request)["publications"]]


def test_history_with_limit_0_is_the_position_only() -> None:
    peer, epoch = with_history(3)
    assert peer.ask("history", channel="c") == {"publications": [], "epoch": epoch, "offset": 3}


def test_history_publications_have_data_offset_and_info() -> None:
    peer, _ = with_history(1)
    assert peer.ask("history", channel="c", limit=-1)["publications"] == [
        {"data": 0, "offset": 1, "info": peer.info}
    ]


def test_history_ranges() -> None:
    peer, epoch = with_history(5)
    assert offsets(peer, limit=-1) == [1, 2, 3, 4, 5]
    assert offsets(peer, limit=2) == [1, 2]
    assert offsets(peer, limit=2, since={"offset": 3, "epoch": epoch}) == [4, 5]
    assert offsets(peer, limit=2, since={"offset": 3}) == [4, 5]
    assert offsets(peer, limit=-1, since={"offset": 9}) == []
    assert offsets(peer, limit=2, reverse=True) == [5, 4]
    assert offsets(peer, limit=9, since={"offset": 3, "epoch": epoch}, reverse=True) == [2, 1]


def test_history_is_capped() -> None:
    world = World(HubOptions(allow_anonymous=True, history_limit=3))
    peer = world.connect()
    for number in range(5):
        peer.ask("publish", channel="c", data=number)
    assert offsets(peer, limit=-1) == offsets(peer, limit=300) == [1, 2, 3]


def test_history_is_capped_in_bytes_and_read_on_from_there() -> None:
    world = World(HubOptions(allow_anonymous=True, history_limit_bytes=2500))
    for _ in range(5):
        world.hub.publish("c", b'"' + b"x" * 1000 + b'"')
    peer = world.connect()
    seen: list[int] = []
    since = 0
    while len(seen) < 5:
        reply = peer.ask("history", channel="c", limit=-1, since={"offset": since, "epoch": ""})
        assert len(json.dumps(reply)) < 2500
        seen += [pub["offset"] for pub in reply["publications"]]
        since = seen[-1]
    assert seen == [1, 2, 3, 4, 5]


def test_history_since_a_wrong_epoch_is_112() -> None:
    peer, _ = with_history(1)
    assert refused(peer, "history", channel="c", since={"offset": 1, "epoch": "other"}) == 112


def test_history_in_reverse_since_0_is_107() -> None:
    peer, epoch = with_history(1)
    assert refused(peer, "history", channel="c", since={"offset": 0, "epoch": epoch}, reverse=True) == 107


def test_history_off_is_108_without_right_103_unknown_102() -> None:
    shy = Namespace(history_size=1, history_ttl_s=1.0)
    peer = World(namespaces={"": OPEN, "shy": shy}).connect()
    assert refused(peer, "history", channel="c") == 108
    assert refused(peer, "history", channel="shy:c") == 103
    assert refused(peer, "history", channel="nope:c") == 102


# -- a broker that fails -----------------------------------------------------------------------


class BrokenPresence(MemoryPresence):
    def members(self, channel: str, done: Done[Any]) -> None:
        done(Unavailable("down"))

    def stats(self, channel: str, done: Done[Any]) -> None:
        done(Unavailable("down"))


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("publish", {"data": 1}),
        ("history", {}),
        ("presence", {}),
        ("presence_stats", {}),
        ("subscribe", {}),
    ],
)
def test_a_broker_that_is_down_is_the_temporary_error_100(method: str, request_: dict[str, Any]) -> None:
    world = World(broker=LateBroker, presence=BrokenPresence())
    peer = world.connect()
    world.broker.failing = True
    peer.say({"id": 5, method: {"channel": "c", **request_}})
    error = {"code": 100, "message": "internal server error", "temporary": True}
    assert peer.take() == [{"id": 5, "error": error}]
    assert world.hub.statistics().channels == 0


def test_no_reply_goes_out_once_the_client_is_closing() -> None:
    world = World(broker=LateBroker)
    peer = world.connect()
    peer.say({"id": 5, "publish": {"channel": "c", "data": 1}}, {"id": 6, "history": {"channel": "nope:"}})
    peer.take()
    peer.subscriber.closed_with.clear()
    peer.client.disconnect(3000, "test")
    peer.subscriber.closed_with.clear()
    world.broker.deliver()
    assert peer.take() == []
