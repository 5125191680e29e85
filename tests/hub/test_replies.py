"""Golden shapes: what the SDKs index must be there, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub import codes, replies
from wsloop.hub.broker import Appended
from wsloop.hub.history import Publication, StreamPosition, StreamView
from wsloop.hub.presence import PresenceStats

POSITION = StreamPosition(12, "abcdefgh")
BARE = Publication(0, b'{"a":1}')
FULL = Publication(11, b'"x"', b'{"user":"u","client":"c"}')


def test_an_empty_result_still_has_its_key() -> None:
    assert replies.reply(3, "publish", replies.EMPTY) == b'{"id":3,"publish":{}}'


def test_an_error_has_code_and_message() -> None:
    assert replies.error_reply(3, codes.UNKNOWN_CHANNEL) == (
        b'{"id":3,"error":{"code":102,"message":"unknown channel"}}'
    )


def test_an_error_worth_a_retry_says_so() -> None:
    assert replies.error_reply(3, codes.INTERNAL_ERROR) == (
        b'{"id":3,"error":{"code":100,"message":"internal server error","temporary":true}}'
    )


def test_connect_result() -> None:
    assert replies.encode(replies.ConnectResult("id", "wsloop 1", ping=25, pong=True)) == (
        b'{"client":"id","version":"wsloop 1","ping":25,"pong":true}'
    )


def test_connect_result_without_pings() -> None:
    assert replies.encode(replies.ConnectResult("id", "v")) == b'{"client":"id","version":"v"}'


def test_client_info_never_omits_user_and_client() -> None:
    assert replies.encode(replies.ClientInfo("", "c")) == b'{"user":"","client":"c"}'


def test_publish_result_is_the_position_if_there_is_one() -> None:
    assert replies.publish_result(Appended(12, "abcdefgh")) == b'{"offset":12,"epoch":"abcdefgh"}'
    assert replies.publish_result(Appended(0, "")) == b"{}"


def test_subscribe_result_of_an_unpositioned_subscription_is_empty() -> None:
    assert replies.subscribe_result(None) == b"{}"


def test_subscribe_result_of_a_positioned_subscription() -> None:
    assert replies.subscribe_result(POSITION) == b'{"positioned":true,"epoch":"abcdefgh","offset":12}'


def test_subscribe_result_of_a_recovered_subscription() -> None:
    result = replies.subscribe_result(
        StreamPosition(10, "abcdefgh"),
        recoverable=True,
        was_recovering=True,
        recovered=(replies.publication(FULL),),
    )
    assert result == (
        b'{"recoverable":true,"positioned":true,"epoch":"abcdefgh","offset":10,'
        b'"was_recovering":true,"recovered":true,'
        b'"publications":[{"data":"x","offset":11,"info":{"user":"u","client":"c"}}]}'
    )


def test_subscribe_result_of_an_unrecovered_subscription_has_no_publications() -> None:
    result = replies.subscribe_result(POSITION, recoverable=True, was_recovering=True)
    assert result == (
        b'{"recoverable":true,"positioned":true,"epoch":"abcdefgh","offset":12,"was_recovering":true}'
    )


def test_subscribe_result_when_nothing_was_missed() -> None:
    result = replies.subscribe_result(POSITION, recoverable=True, was_recovering=True, recovered=())
    assert result.endswith(b'"was_recovering":true,"recovered":true}')


def test_history_result_has_all_three_keys() -> None:
    assert replies.history_result(StreamView(StreamPosition(0, "e"))) == (
        b'{"publications":[],"epoch":"e","offset":0}'
    )
    assert replies.history_result(StreamView(POSITION, (FULL,))) == (
        b'{"publications":[{"data":"x","offset":11,"info":{"user":"u","client":"c"}}],'
        b'"epoch":"abcdefgh","offset":12}'
    )


def test_presence_result_has_its_inner_key_even_if_empty() -> None:
    assert replies.presence_result({}) == b'{"presence":{}}'
    assert replies.presence_result({"a": b'{"n":1}', "b": b'{"n":2}'}) == (
        b'{"presence":{"a":{"n":1},"b":{"n":2}}}'
    )


def test_presence_stats_never_omit_zeros() -> None:
    assert replies.presence_stats_result(PresenceStats(0, 0)) == b'{"num_clients":0,"num_users":0}'


def test_pushes() -> None:
    start = replies.push_start("chat:1")
    assert replies.pub_push(start, BARE) == b'{"push":{"channel":"chat:1","pub":{"data":{"a":1}}}}'
    assert replies.pub_push(start, FULL) == (
        b'{"push":{"channel":"chat:1","pub":{"data":"x","offset":11,"info":{"user":"u","client":"c"}}}}'
    )
    assert replies.join_push(start, b"{}") == b'{"push":{"channel":"chat:1","join":{"info":{}}}}'
    assert replies.leave_push(start, b"{}") == b'{"push":{"channel":"chat:1","leave":{"info":{}}}}'
    assert replies.unsubscribe_push(start, codes.UNSUBSCRIBE_INSUFFICIENT) == (
        b'{"push":{"channel":"chat:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}'
    )


@given(st.text())
def test_any_channel_name_is_escaped_on_one_line(name: str) -> None:
    push = replies.pub_push(replies.push_start(name), BARE)
    assert b"\n" not in push
    assert json.loads(push)["push"]["channel"] == name


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b' {"a": 1}\n', b'{"a": 1}'),
        (b'{\n  "a": 1,\r\n  "b": "x\\ny"\n}', b'{"a":1,"b":"x\\ny"}'),
        (b"null", b"null"),
    ],
)
def test_a_payload_from_inside_is_put_on_one_line(data: bytes, line: bytes) -> None:
    assert replies.one_line(data) == line


@pytest.mark.parametrize("data", [b"", b"nope", b'"\xff"', b"1 2", b"[" * 30_000])
def test_a_payload_from_inside_that_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(replies.PayloadError, match="not JSON"):
        replies.one_line(data)
