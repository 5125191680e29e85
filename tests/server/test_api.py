"""The server API from the wire: how it is called, what is refused, and every method's effect."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.server.api_kit import KEY, ApiHouse, post
from wsloop.hub.operations import table
from wsloop.hub.operations.publishing import PUBLISHES_PER_TURN
from wsloop.server.api import BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def house() -> Iterator[ApiHouse]:
    with ApiHouse(personal_channel=True, broadcast_channel="all") as made:
        yield made
    assert made.network.open_descriptors() == {}


def pushes(client: Any, kind: str) -> list[Any]:
    return [push[kind] for push in client.pushes if kind in push]


# How it is called


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(post("info", b"{}"), 200, id="key in its header"),
        pytest.param(post("info", b"{}", f"Authorization: apikey {KEY}", key=""), 200, id="Authorization"),
        pytest.param(post(f"info?api_key={KEY}", b"{}", key=""), 200, id="key in the query"),
        pytest.param(post("info", b"{}", "Content-Type: application/json; charset=utf-8"), 200, id="json"),
        pytest.param(
            post("info", b"{}", "Content-Type: application/x-www-form-urlencoded"), 200, id="what curl says"
        ),
        pytest.param(post("info", b"{}", key=""), 401, id="no key"),
        pytest.param(post("info", b"{}", key=KEY + "x"), 401, id="wrong key"),
        pytest.param(post("info", b"{}", key="\xe9"), 401, id="a key in Latin-1"),
        pytest.param(post("info?api_key=%FF", b"{}", key=""), 401, id="wrong key in the query"),
        pytest.param(post("no_such_method", b"{}", key=""), 401, id="no key, no method"),
        pytest.param(post("no_such_method", b"{}"), 404, id="no such method"),
        pytest.param(post("", b"{}"), 404, id="no method"),
        pytest.param(post("info/", b"{}"), 404, id="a slash too much"),
        pytest.param(post("info", b"{}").replace(b"POST", b"GET"), 405, id="GET"),
        pytest.param(post("info", b"").replace(b"POST", b"HEAD"), 405, id="HEAD"),
        pytest.param(post("info", b"{}", "Content-Type: text/html"), 415, id="type"),
        pytest.param(post("info", b"{}", "Content-Encoding: gzip"), 415, id="coding"),
        pytest.param(post("info", b"").replace(b"Content-Length: 0\r\n", b""), 411, id="no length"),
        pytest.param(post("info", b"{}", "Origin: http://evil.example"), 403, id="a page of another site"),
        pytest.param(post("info", b"x" * (BODY_BYTES + 1)), 413, id="too large"),
        pytest.param(post("info", b""), 400, id="empty"),
        pytest.param(post("info", b"{"), 400, id="half an object"),
        pytest.param(post("info", b"{}{}"), 400, id="two bodies"),
        pytest.param(post("info", b'{"a":"\xff"}'), 400, id="not UTF-8"),
        pytest.param(post("info", b"[" * 100_000), 400, id="deep"),
    ],
)
def test_a_call_is_answered_with_the_status_that_http_has_for_it(
    house: ApiHouse, request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert house.exchange(request_bytes)[0] == status
    assert KEY not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_405_names_post_and_a_401_how_to_show_the_key(house: ApiHouse) -> None:
    wrong = house.send(post("info", b"{}").replace(b"POST", b"PUT"))
    house.run_until(lambda: wrong.is_gone)
    assert b"allow: post\r\n" in wrong.http.lower()
    stranger = house.send(post("info", b"{}", key=""))
    house.run_until(lambda: stranger.is_gone)
    assert b"www-authenticate: " in stranger.http.lower()


def test_without_a_key_configured_nobody_needs_one_but_pages_of_other_sites_are_refused() -> None:
    with ApiHouse(key="") as house:
        assert house.exchange(post("info", b"{}", key=""))[0] == 200
        assert house.exchange(post("info", b"{}", "Origin: http://evil.example", key=""))[0] == 403


def test_where_there_is_no_api_there_is_health() -> None:
    with ApiHouse(key=None) as house:
        assert house.exchange(post("info", b"{}"))[0] == 404
        assert house.exchange(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == (200, b"ok\n")


def test_a_slow_body_ends_with_408_and_disturbs_nobody(house: ApiHouse) -> None:
    slow = house.send(post("publish", b'{"channel":"a"')[:-3])
    assert house.call("info")["nodes"]
    house.run_until(lambda: slow.is_gone)
    assert slow.http.startswith(b"HTTP/1.1 408 ")


def test_calls_on_one_connection_are_answered_in_order(house: ApiHouse) -> None:
    bodies = [json.dumps({"channel": "a", "data": number}).encode() for number in range(40)]
    client = house.send(b"".join(post("publish", body) for body in bodies))
    house.run_until(lambda: client.http.count(b'"offset"') == 40)
    offsets = [int(piece.split(b",")[0]) for piece in client.http.split(b'"offset":')[1:]]
    assert offsets == list(range(1, 41))


# Errors


@pytest.mark.parametrize(
    ("method", "fields", "code", "status"),
    [
        ("publish", {}, 107, 400),
        ("publish", {"channel": 5, "data": 1}, 107, 400),
        ("publish", {"channel": "", "data": 1}, 107, 400),
        ("publish", {"channel": "a"}, 107, 400),
        ("publish", {"channel": "nowhere:a", "data": 1}, 102, 404),
        ("publish", {"channel": "\xe9", "data": 1}, 107, 400),
        ("publish", {"channel": "a", "b64data": "%%%"}, 107, 400),
        ("publish", {"channel": "a", "b64data": "eA=="}, 107, 400),
        ("publish", {"channel": "a", "data": 1, "tags": {"k": 1}}, 107, 400),
        ("publish", {"channel": "a", "data": 1, "idempotency_key": "k" * 257}, 107, 400),
        ("publish_to_user", {"user": "a,b", "data": 1}, 107, 400),
        ("publish_to_user", {"user": "a#b", "data": 1}, 107, 400),
        ("broadcast", {"channels": [], "data": 1}, 107, 400),
        ("broadcast", {"channels": ["a"] * 10_001, "data": 1}, 106, 400),
        ("batch", {"commands": [{}] * 10_001}, 106, 400),
        ("presence", {"channel": "bare:a"}, 108, 400),
        ("presence_stats", {"channel": "bare:a"}, 108, 400),
        ("history", {"channel": "bare:a"}, 108, 400),
        ("history_remove", {"channel": "bare:a"}, 108, 400),
        ("history", {"channel": "a", "since": {"offset": 0, "epoch": "other"}}, 112, 416),
        ("history", {"channel": "a", "reverse": True, "since": {"offset": 0}}, 107, 400),
        ("subscribe", {"channel": "a"}, 107, 400),
        ("subscribe", {"user": "ann", "channel": "nowhere:a"}, 102, 404),
        ("unsubscribe", {"user": "ann", "channel": "nowhere:a"}, 102, 404),
        ("disconnect", {}, 107, 400),
        ("disconnect", {"user": "ann", "disconnect": {"code": 1000}}, 107, 400),
        ("refresh", {"user": "ann", "expire_at": -1}, 107, 400),
        ("channels", {"pattern": "[a"}, 107, 400),
        ("channels", {"limit": 0}, 107, 400),
        ("connections", {"expression": "user =="}, 107, 400),
        ("connections", {"expression": "password == 'x'"}, 107, 400),
        ("rpc", {"method": "x"}, 108, 400),
        ("device_list", {}, 108, 400),
    ],
)
def test_an_error_has_its_code_and_in_the_transport_mode_its_status(
    house: ApiHouse, method: str, fields: dict[str, object], code: int, status: int
) -> None:
    assert house.call(method, **fields) == code
    body = json.dumps(fields).encode()
    told, answer = house.exchange(post(method, body, "X-Centrifugo-Error-Mode: transport"))
    assert (told, json.loads(answer)["code"]) == (status, code)


def test_an_error_says_what_is_wrong(house: ApiHouse) -> None:
    _, body = house.exchange(post("publish", b'{"data":1}'))
    assert json.loads(body)["error"]["message"] == "bad request: object missing required field `channel`"
    status, body = house.exchange(post("publish", b'{"channel"'))
    assert status == 400
    assert json.loads(body)["error"]["code"] == 107


def test_a_channel_of_everybody_or_personal_ones_that_are_off_are_not_available() -> None:
    with ApiHouse() as house:
        assert house.call("publish_to_all", data=1) == 108
        assert house.call("publish_to_user", user="ann", data=1) == 108


# Publishing


def test_what_is_published_reaches_subscribers_with_its_tags_and_its_place(house: ApiHouse) -> None:
    client = house.user("ann")
    house.ask(client, subscribe={"channel": "news"})
    result = house.call("publish", channel="news", data={"a": [1, None]}, tags={"k": "v"})
    assert result["offset"] == 1
    house.run_until(lambda: pushes(client, "pub"))
    assert pushes(client, "pub") == [{"data": {"a": [1, None]}, "offset": 1, "tags": {"k": "v"}}]


def test_a_payload_on_many_lines_or_in_base64_comes_on_one_line(house: ApiHouse) -> None:
    client = house.user("ann")
    house.ask(client, subscribe={"channel": "news"})
    house.exchange(post("publish", b'{"channel": "news",\n "data": {"a":\n  1}}'))
    house.call("publish", channel="news", b64data=base64.b64encode(b'{"b":\n2}').decode())
    house.run_until(lambda: len(client.publications("news")) == 2)
    assert client.publications("news") == [{"a": 1}, {"b": 2}]


def test_what_skips_history_is_delivered_and_not_kept(house: ApiHouse) -> None:
    client = house.user("ann")
    house.ask(client, subscribe={"channel": "news"})
    assert house.call("publish", channel="news", data=1, skip_history=True) == {"offset": 0, "epoch": ""}
    house.run_until(lambda: client.publications("news") == [1])
    assert house.call("history", channel="news", limit=-1)["publications"] == []


def test_a_key_publishes_once_in_each_channel(house: ApiHouse) -> None:
    first = house.call("publish", channel="a", data=1, idempotency_key="k")
    assert house.call("publish", channel="a", data=2, idempotency_key="k") == first
    assert house.call("publish", channel="b", data=3, idempotency_key="k")["offset"] == 1
    assert house.call("broadcast", channels=["a", "b"], data=4, idempotency_key="l")["responses"]
    assert [pub["data"] for pub in house.call("history", channel="a", limit=-1)["publications"]] == [1, 4]


def test_a_version_that_is_not_above_the_last_is_not_published(house: ApiHouse) -> None:
    for version, data in ((5, "five"), (4, "four"), (5, "again"), (6, "six")):
        house.call("publish", channel="a", data=data, version=version)
    house.call("publish", channel="a", data="new", version=1, version_epoch="other")
    kept = house.call("history", channel="a", limit=-1)["publications"]
    assert [pub["data"] for pub in kept] == ["five", "six", "new"]


def test_a_broadcast_reaches_every_channel_that_exists(house: ApiHouse) -> None:
    client = house.user("ann")
    house.ask(client, subscribe={"channel": "chat:b"})
    answer = house.call("broadcast", channels=["a", "nowhere:x", "chat:b"], data="x")["responses"]
    assert [each.get("error", {}).get("code") for each in answer] == [None, 102, None]
    assert answer[0]["result"]["offset"] == 1
    house.run_until(lambda: client.publications("chat:b") == ["x"])


def test_a_long_broadcast_leaves_the_turn_to_others(house: ApiHouse) -> None:
    body = json.dumps({"channels": [f"c{number}" for number in range(1000)], "data": 1}).encode()
    caller = house.send(post("broadcast", body))
    house.run_until(lambda: house.hub.statistics().broker.publications)
    assert house.hub.statistics().broker.publications <= 2 * PUBLISHES_PER_TURN
    house.run_until(lambda: b'"responses"' in caller.http)
    assert house.hub.statistics().broker.publications == 1000
    assert caller.http.count(b'"offset":1') == 1000


def test_a_user_a_group_and_everybody_have_calls_of_their_own(house: ApiHouse) -> None:
    """The topics user/{uid}, group/{gid} and broadcast."""
    ann, bob = house.user("ann"), house.user("bob")
    house.ask(ann, subscribe={"channel": "group:g1"})
    house.call("publish_to_user", user="ann", data="to ann")
    house.call("publish_to_group", group="g1", data="to g1")
    house.call("publish_to_all", data="to all")
    house.run_until(lambda: bob.publications("all") and ann.publications("all"))
    heard = [ann.publications(name) for name in ("#ann", "group:g1", "all")]
    assert heard == [["to ann"], ["to g1"], ["to all"]]
    assert [bob.publications(name) for name in ("#bob", "#ann", "all")] == [[], [], ["to all"]]


# Users


def test_the_server_subscribes_all_connections_of_a_user_and_tells_them(house: ApiHouse) -> None:
    first, second, other = house.user("ann"), house.user("ann"), house.user("bob")
    assert house.call("subscribe", user="ann", channel="news", data={"d": 1}, info={"i": 2}) == {}
    house.run_until(lambda: pushes(first, "subscribe") and pushes(second, "subscribe"))
    push = pushes(first, "subscribe")[0]
    assert push["recoverable"]
    assert push["data"] == {"d": 1}
    assert not pushes(other, "subscribe")
    presence = house.call("presence", channel="news")["presence"]
    assert {entry["user"] for entry in presence.values()} == {"ann"}
    assert all(entry["chan_info"] == {"i": 2} for entry in presence.values())
    assert house.call("presence_stats", channel="news") == {"num_clients": 2, "num_users": 1}
    assert house.call("subscribe", user="ann", channel="news") == {}
    house.call("publish", channel="news", data="x")
    house.run_until(lambda: first.publications("news") == second.publications("news") == ["x"])


def test_a_server_subscription_may_begin_in_the_past(house: ApiHouse) -> None:
    client = house.user("ann")
    for number in range(5):
        epoch = house.call("publish", channel="news", data=number)["epoch"]
    since = {"offset": 2, "epoch": epoch}
    house.call("subscribe", user="ann", client=house.id_of(client), channel="news", recover_since=since)
    house.run_until(lambda: len(client.publications("news")) == 3)
    assert pushes(client, "subscribe")[0]["offset"] == 2
    assert [pub["offset"] for pub in pushes(client, "pub")] == [3, 4, 5]
    assert client.publications("news") == [2, 3, 4]


def test_options_of_a_server_subscription_can_differ_from_its_namespaces(house: ApiHouse) -> None:
    house.user("ann")
    house.call("subscribe", user="ann", channel="news", override={"presence": {"value": False}})
    assert house.call("presence", channel="news")["presence"] == {}


def test_a_server_subscription_ends_when_it_expires(house: ApiHouse) -> None:
    client = house.user("ann")
    house.call("subscribe", user="ann", channel="news", expire_at=int(house.clock.unix_s()) + 30)
    house.run_until(lambda: client.close_frame, within_s=60)
    assert client.close_frame == (3006, "subscription expired")


def test_unsubscribe_ends_subscriptions_of_both_sides(house: ApiHouse) -> None:
    client, other = house.user("ann"), house.user("bob")
    house.ask(client, subscribe={"channel": "a"})
    house.ask(other, subscribe={"channel": "a"})
    house.call("subscribe", user="ann", channel="b")
    assert house.call("unsubscribe", user="ann", channel="a") == {}
    house.run_until(lambda: pushes(client, "unsubscribe"))
    assert pushes(client, "unsubscribe") == [{"code": 2000, "reason": "server unsubscribe"}]
    assert not pushes(other, "unsubscribe")
    house.call("unsubscribe", user="ann")
    house.run_until(lambda: len(pushes(client, "unsubscribe")) == 4)
    assert house.call("channels")["channels"].keys() == {"a", "#bob", "all"}


def test_disconnect_closes_a_users_connections_but_those_on_the_list(house: ApiHouse) -> None:
    first, second, other = house.user("ann"), house.user("ann"), house.user("bob")
    assert house.call("disconnect", user="ann", whitelist=[house.id_of(second)]) == {}
    house.run_until(lambda: first.close_frame)
    assert first.close_frame == (3503, "force disconnect")
    house.call("disconnect", user="ann", disconnect={"code": 4321, "reason": "bye"})
    house.run_until(lambda: second.close_frame)
    assert second.close_frame == (4321, "bye")
    assert other.close_frame is None


def test_an_anonymous_connection_is_meant_by_its_id_and_no_user_by_nothing(house: ApiHouse) -> None:
    anonymous = house.join()
    assert house.call("disconnect", user="") == 107
    house.call("disconnect", user="ann", client=house.id_of(anonymous))
    assert anonymous.close_frame is None
    house.call("disconnect", client=house.id_of(anonymous))
    house.run_until(lambda: anonymous.close_frame)


def test_a_session_that_none_has_means_nobody(house: ApiHouse) -> None:
    client = house.user("ann")
    house.call("disconnect", user="ann", session="s")
    house.run_for(1.0)
    assert client.close_frame is None


def test_refresh_moves_the_end_of_an_identity(house: ApiHouse) -> None:
    client = house.user("ann")
    assert house.call("refresh", user="ann", expire_at=int(house.clock.unix_s()) + 60) == {}
    house.run_until(lambda: pushes(client, "refresh"))
    assert pushes(client, "refresh")[0]["expires"]
    assert 58 <= pushes(client, "refresh")[0]["ttl"] <= 60
    house.call("refresh", user="ann")
    house.run_for(120.0)
    assert client.close_frame is None
    house.call("refresh", user="ann", expire_at=int(house.clock.unix_s()) + 10)
    house.run_until(lambda: client.close_frame, within_s=60)
    assert client.close_frame == (3005, "connection expired")


@pytest.mark.parametrize("fields", [{"expired": True}, {"expire_at": 1}])
def test_refresh_can_end_an_identity_at_once(house: ApiHouse, fields: dict[str, object]) -> None:
    client = house.user("ann")
    house.call("refresh", user="ann", **fields)
    house.run_until(lambda: client.close_frame)
    assert client.close_frame == (3005, "connection expired")


def test_refresh_can_change_what_others_see(house: ApiHouse) -> None:
    client = house.user("ann")
    house.call("refresh", user="ann", info={"name": "Ann"})
    house.ask(client, subscribe={"channel": "a"})
    (entry,) = house.call("presence", channel="a")["presence"].values()
    assert entry["conn_info"] == {"name": "Ann"}


# Taking rights back


def closing(client: Any) -> int | None:
    return client.close_frame[0] if client.close_frame else None


def test_a_blocked_user_is_sent_away_and_not_let_in_until_unblocked(house: ApiHouse) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    assert house.call("block_user", user="ann") == {}
    house.run_until(lambda: ann.close_frame)
    assert (closing(ann), closing(bob)) == (3503, None)
    assert closing(house.user("ann")) == 3507
    assert house.call("unblock_user", user="ann") == {}
    assert closing(house.user("ann")) is None


def test_a_block_may_end_by_itself(house: ApiHouse) -> None:
    house.call("block_user", user="ann", expire_at=int(house.clock.unix_s()) + 30)
    assert closing(house.user("ann")) == 3507
    house.run_for(31.0)
    assert closing(house.user("ann")) is None


def test_a_revoked_token_is_no_good_any_more(house: ApiHouse) -> None:
    ann = house.user("ann")
    assert house.call("revoke_token", uid="id-ann") == {}
    house.run_until(lambda: ann.close_frame)
    assert closing(ann) == 3014
    assert closing(house.user("ann")) == 3500
    assert closing(house.user("bob")) is None


def test_all_tokens_of_a_user_up_to_a_moment_can_be_taken_back(house: ApiHouse) -> None:
    ann = house.user("ann")
    assert house.call("invalidate_user_tokens", user="ann", issued_before=7) == {}
    assert closing(house.user("ann")) is None
    assert house.call("invalidate_user_tokens", user="ann") == {}
    house.run_until(lambda: ann.close_frame)
    assert closing(ann) == 3014
    assert closing(house.user("ann")) == 3500
    assert house.call("invalidate_user_tokens", user="ann", channel="news") == 108


@pytest.mark.parametrize("method", ["block_user", "unblock_user", "invalidate_user_tokens"])
def test_a_right_that_is_taken_back_is_somebodys(house: ApiHouse, method: str) -> None:
    assert house.call(method, user="") == 107
    assert house.call(method, user="x" * 256) == 107


# Looking


def test_history_is_read_in_parts_and_removed(house: ApiHouse) -> None:
    for number in range(1, 6):
        house.call("publish", channel="a", data=number)
    everything = house.call("history", channel="a", limit=-1)
    assert [pub["data"] for pub in everything["publications"]] == [1, 2, 3, 4, 5]
    assert house.call("history", channel="a")["publications"] == []
    part = house.call("history", channel="a", limit=2, since={"offset": 2, "epoch": everything["epoch"]})
    assert [pub["offset"] for pub in part["publications"]] == [3, 4]
    assert house.call("history", channel="a", limit=2**70) == everything
    newest = house.call("history", channel="a", limit=1, reverse=True)
    assert [pub["data"] for pub in newest["publications"]] == [5]
    assert house.call("history_remove", channel="a") == {}
    empty = house.call("history", channel="a", limit=-1)
    assert (empty["publications"], empty["offset"]) == ([], 0)
    assert empty["epoch"] != everything["epoch"]


def test_a_history_of_many_bytes_comes_in_parts(house: ApiHouse) -> None:
    for number in range(10):
        house.call("publish", channel="a", data=f"{number}" + "x" * 1_000_000)
    read: list[str] = []
    while len(read) < 10:
        part = house.call("history", channel="a", limit=-1, since={"offset": len(read)})["publications"]
        assert 0 < len(part) < 5
        read += [pub["data"][0] for pub in part]
    assert read == [str(number) for number in range(10)]


def test_channels_are_listed_by_pattern_and_in_pages(house: ApiHouse) -> None:
    client = house.user("ann")
    for number in range(7):
        house.ask(client, subscribe={"channel": f"chat:{number}"})
    assert house.call("channels", pattern="chat:[0-2]")["channels"] == {
        f"chat:{number}": {"num_clients": 1} for number in range(3)
    }
    listed: list[str] = []
    cursor, pages = "", 0
    while cursor or not pages:
        page = house.call("channels", limit=2, cursor=cursor)
        listed += page["channels"]
        cursor, pages = page.get("cursor", ""), pages + 1
    assert listed == sorted([f"chat:{number}" for number in range(7)] + ["#ann", "all"])
    assert pages == 5


def test_connections_are_listed_by_user_by_expression_and_in_pages(house: ApiHouse) -> None:
    ann, bob = house.user("ann", name="shop-js", version="1.2"), house.user("bob")
    anonymous = house.join()
    house.ask(ann, subscribe={"channel": "news"})
    listed = house.call("connections", user="ann", expression="")["connections"]
    assert listed == {
        house.id_of(ann): {
            "app_name": "shop-js",
            "app_version": "1.2",
            "transport": "websocket",
            "protocol": "json",
            "user": "ann",
            "state": {
                "channels": {"#ann": {"source": 1}, "all": {"source": 1}, "news": {}},
                "connection_token": {"uid": "id-ann", "issued_at": 7},
                "meta": {"plan": "ann"},
            },
            "address": "127.0.0.1",
        }
    }
    for expression, expected in (
        ('"news" in channels', [ann]),
        ("app_name.startsWith('shop')", [ann]),
        ("meta.plan in ['bob', 'eve']", [bob]),
        ("user == ''", [anonymous]),
        ("protocol == 'json' && transport == 'websocket'", [ann, bob, anonymous]),
    ):
        found = house.call("connections", user="", expression=expression)["connections"]
        assert set(found) == {house.id_of(client) for client in expected}, expression
    first = house.call("connections", limit=2)
    rest = house.call("connections", limit=2, cursor=first["cursor"])
    assert len(first["connections"]) == 2
    assert len(rest["connections"]) == 1
    assert "cursor" not in rest


@pytest.mark.parametrize("meta", [b'{"n":1e999}', b'["\\ud800"]', b"[" * 500 + b"]" * 500])
def test_a_connection_whose_meta_cannot_be_parsed_hides_no_other(
    house: ApiHouse, meta: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    (client,) = house.hub.clients_of("ann")
    assert client.identity is not None
    client.identity = msgspec.structs.replace(client.identity, meta=meta)
    found = house.call("connections", expression="meta.plan == 'bob'")["connections"]
    assert set(found) == {house.id_of(bob)}
    assert house.id_of(ann) in house.call("connections", expression="user == 'ann'")["connections"]
    assert not caplog.records


def test_info_counts(house: ApiHouse) -> None:
    house.user("ann")
    house.user("ann")
    house.join()
    (node,) = house.call("info")["nodes"]
    assert (node["num_clients"], node["num_users"], node["num_channels"], node["num_subs"]) == (3, 1, 2, 5)
    assert node["uid"]
    assert node["metrics"]["items"]["commands"] == 3


def test_acks_tell_how_far_behind_everybody_is(house: ApiHouse) -> None:
    quick, slow, silent = house.user("quick"), house.user("slow"), house.user("silent")
    for client in (quick, slow, silent):
        house.ask(client, subscribe={"channel": "news"})
    for number in range(5):
        epoch = house.call("publish", channel="news", data=number)["epoch"]
    house.ask(quick, ack={"channel": "news", "offset": 5})
    house.ask(slow, ack={"channel": "news", "offset": 2})
    answer = house.call("acks", channel="news")
    assert (answer["offset"], answer["epoch"]) == (5, epoch)
    told = [(lag["user"], lag["acked"], lag["behind"]) for lag in answer["clients"]]
    assert told == [("silent", 0, 5), ("slow", 2, 3), ("quick", 5, 0)]
    assert [lag["user"] for lag in house.call("acks", channel="news", limit=1)["clients"]] == ["silent"]
    assert house.call("acks", channel="empty")["clients"] == []
    assert house.call("acks", channel="bare:a") == 108


def test_the_slowest_are_named_with_what_waits_for_them(house: ApiHouse) -> None:
    slow, quick = house.user("ann"), house.user("bob")
    for client in (slow, quick):
        house.ask(client, subscribe={"channel": "news"})
    assert house.call("slowest") == {"connections": []}
    slow.stop_reading()
    for _ in range(30):
        house.call("publish", channel="news", data="x" * 20_000)
    (found,) = house.call("slowest", limit=5)["connections"]
    assert (found["client"], found["user"]) == (house.id_of(slow), "ann")
    assert found["queued_bytes"] > 20_000
    assert house.call("slowest", limit=0) == 107


# Batches


@pytest.mark.parametrize("parallel", [True, False])
def test_a_batch_carries_out_its_commands_in_order_each_with_its_own_end(
    house: ApiHouse, parallel: bool
) -> None:
    commands: list[dict[str, object]] = [
        {"publish": {"channel": "a", "data": number}} for number in range(300)
    ]
    commands += [
        {"history": {"channel": "a", "limit": 1, "reverse": True}},
        {"publish": {"channel": "nowhere:a", "data": 1}},
        {"no_such": {}},
        {"batch": {"commands": []}},
        {},
        {"rpc": {}},
    ]
    replies = house.call("batch", commands=commands, parallel=parallel)["replies"]
    assert [reply["publish"]["offset"] for reply in replies[:300]] == list(range(1, 301))
    assert replies[300]["history"]["publications"][0]["data"] == 299
    assert [reply["error"]["code"] for reply in replies[301:]] == [102, 104, 107, 107, 108]


def test_an_empty_batch_is_answered(house: ApiHouse) -> None:
    assert house.call("batch", commands=[]) == {"replies": []}


def test_a_failure_inside_is_an_error_100_and_the_server_lives(
    house: ApiHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    method = table.METHODS["info"]
    monkeypatch.setitem(table.METHODS, "info", table.Method(method.request, method.result, broken))
    assert house.call("info") == 100
    assert house.call("channels") == {"channels": {}}
