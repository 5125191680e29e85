from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.broker import Retention
from wsloop.hub.codes import ReplyError
from wsloop.hub.namespaces import (
    Namespace,
    Namespaces,
    dev_namespaces,
    is_named,
    is_restricted,
    may,
    may_subscribe,
)

PLAIN, NEWS = Namespace(), Namespace(presence=True)
NAMESPACES = Namespaces({"": PLAIN, "news": NEWS})


EVERYBODY = dev_namespaces()[""]


def code_of(channel: str) -> int:
    with pytest.raises(ReplyError) as caught:
        NAMESPACES.rules_of(channel)
    return caught.value.error.code


@pytest.mark.parametrize(
    ("channel", "options"),
    [
        ("a", PLAIN),
        ("#42", PLAIN),
        ("$a", PLAIN),
        ("news:a", NEWS),
        ("news:a:b", NEWS),
        ("$news:a", NEWS),
        ("news:", NEWS),
        ("a" * 255, PLAIN),
    ],
)
def test_the_namespace_is_what_stands_before_the_first_colon(channel: str, options: Namespace) -> None:
    assert NAMESPACES.rules_of(channel).options is options


@pytest.mark.parametrize("channel", ["nope:a", ":a", "$:a", "#news:a", "News:a"])
def test_an_unknown_namespace_is_102(channel: str) -> None:
    assert code_of(channel) == 102


def test_without_a_default_namespace_plain_names_are_102() -> None:
    with pytest.raises(ReplyError, match="102"):
        Namespaces({"news": NEWS}).rules_of("a")


@pytest.mark.parametrize("channel", ["a" * 256, "nope:" + "a" * 251, "caf\u00e9", "\U0001f600", "news:\x80"])
def test_a_name_too_long_or_not_ascii_is_107(channel: str) -> None:
    assert code_of(channel) == 107


REGEX = Namespaces(
    {"": Namespace(channel_regex="[a-z]+"), "w": Namespace(channel_regex="\\w{1,3}"), "any": Namespace()}
)


@pytest.mark.parametrize("channel", ["abc", "$abc", "w:a_1", "$w:a", "w:\u00e9\u00e9", "any:#1"])
def test_a_name_that_matches_behind_the_namespace_is_taken(channel: str) -> None:
    REGEX.rules_of(channel)


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("", 107),
        ("ABC", 107),
        ("abc1", 107),
        ("abc\n", 107),
        ("w:", 107),
        ("w:abcd", 107),
        ("w:a-b", 107),
        ("$w:a:b", 107),
        ("any:\u00e9", 107),
        ("w:" + "a" * 254, 107),
        ("w:" + "\u00e9" * 127, 107),
        ("w:\ud83d", 107),
        ("none:\u00e9", 102),
    ],
)
def test_a_name_must_match_as_a_whole(channel: str, code: int) -> None:
    with pytest.raises(ReplyError) as caught:
        REGEX.rules_of(channel)
    assert caught.value.error.code == code


@given(st.text(alphabet="aw:$#*.,\u00e9\ud83d\n", max_size=12), st.integers(0, 3))
def test_any_name_has_rules_or_is_refused(name: str, repeats: int) -> None:
    channel = name * 40**repeats
    try:
        rules = REGEX.rules_of(channel)
    except ReplyError as refusal:
        assert refusal.error.code in (102, 107)
        return
    assert len(channel.encode()) <= 255
    rest = channel.removeprefix("$")
    namespace, boundary, behind = rest.partition(":")
    assert (namespace in ("w", "any")) if boundary else rules.options.channel_regex == "[a-z]+"
    if rules.options.channel_regex:
        assert re.fullmatch(rules.options.channel_regex, behind if boundary else rest)
    else:
        assert channel.isascii()


@pytest.mark.parametrize(
    ("channel", "user", "named"),
    [
        ("#42", "42", True),
        ("dialog#42,43", "43", True),
        ("dialog#42,43", "4", False),
        ("a#42#43", "43", True),
        ("a#42#43", "42", False),
        ("plain", "plain", False),
        ("room#", "", False),
        ("room#,42", "", False),
    ],
)
def test_a_user_limited_channel_names_its_users(channel: str, user: str, named: bool) -> None:
    assert is_named(channel, user) is named


def test_history_needs_both_a_size_and_a_time() -> None:
    assert Namespace(history_size=5).retention == Retention()
    assert Namespace(history_ttl_s=5.0).retention == Retention()
    assert Namespace(history_size=5, history_ttl_s=7.0, history_meta_ttl_s=9.0).retention == Retention(
        5, 7.0, 9.0
    )


def test_the_defaults_allow_nothing() -> None:
    assert not may_subscribe("c", PLAIN, "user")
    assert not any(value for key in PLAIN.__struct_fields__ if isinstance(value := getattr(PLAIN, key), bool))


@pytest.mark.parametrize(
    ("channel", "options", "user", "allowed"),
    [
        ("$c#u", EVERYBODY, "u", False),
        ("$c", EVERYBODY, "", False),
        ("c#v", EVERYBODY, "u", False),
        ("c#", EVERYBODY, "", False),
        ("c#u", Namespace(allow_user_limited_channels=True), "", False),
        ("c", Namespace(allow_subscribe_for_client=True), "u", True),
        ("c", Namespace(allow_subscribe_for_client=True), "", False),
        ("c", Namespace(allow_subscribe_for_anonymous=True), "", False),
        ("c", Namespace(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True), "", True),
        ("$c", Namespace(allow_subscribe_for_client=True), "u", False),
        ("c#u", Namespace(allow_subscribe_for_client=True), "u", False),
        ("c#u", Namespace(allow_user_limited_channels=True), "u", True),
        ("c#u", Namespace(allow_user_limited_channels=True), "v", False),
    ],
)
def test_who_may_subscribe(channel: str, options: Namespace, user: str, allowed: bool) -> None:
    assert may_subscribe(channel, options, user) is allowed


NONE = {"subscribed": False, "client": False, "subscriber": False, "anonymous": False}


@pytest.mark.parametrize(
    ("channel", "user", "given", "allowed"),
    [
        ("c", "u", {}, False),
        ("c", "u", {"client": True}, True),
        ("c", "", {"client": True}, False),
        ("c", "", {"client": True, "anonymous": True}, True),
        ("c", "u", {"subscriber": True}, False),
        ("c", "u", {"subscriber": True, "subscribed": True}, True),
        ("c", "", {"subscriber": True, "subscribed": True}, False),
        ("c", "u", {"subscribed": True}, False),
        ("$c", "u", {"client": True}, False),
        ("$c", "u", {"client": True, "subscribed": True}, True),
        ("c#v", "u", {"client": True}, False),
    ],
)
def test_who_may_act(channel: str, user: str, given: dict[str, Any], allowed: bool) -> None:
    assert may(channel, user, **{**NONE, **given}) is allowed


def test_dev_mode_has_everything_on_for_everybody() -> None:
    namespaces = dev_namespaces()
    assert set(namespaces) == {"", "chat"}
    for options in namespaces.values():
        assert options.retention == Retention(100, 300.0, 3600.0)
        assert options.presence
        assert options.force_push_join_leave
        assert options.force_recovery
        assert may_subscribe("chat:1", options, "")


def test_restricted_channels_are_private_or_user_limited() -> None:
    assert [is_restricted(name) for name in ("a", "$a", "a#1", "n:a")] == [False, True, True, False]
