"""Options that contradict each other are found, and none that make sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.namespace_checks import CHECKS, client_mistake, name_mistake, namespace_mistake
from wsloop.hub.namespaces import Namespace, Namespaces, dev_namespaces
from wsloop.hub.options import HubOptions

HISTORY: dict[str, Any] = {"history_size": 10, "history_ttl_s": 60.0}
FOSSIL: dict[str, Any] = {"allowed_delta_types": ("fossil",)}

BROKEN: list[dict[str, Any]] = [
    {"history_size": 10},
    {"history_ttl_s": 60.0},
    {**HISTORY, "history_meta_ttl_s": 59.0},
    {"force_recovery": True},
    {"allow_recovery": True},
    {"force_positioning": True},
    {"allow_positioning": True},
    {"allow_history_for_client": True},
    {"allow_history_for_subscriber": True},
    {**HISTORY, "recovery_mode": "cache"},
    {"force_push_join_leave": True},
    {"delta_publish": True},
    {"allow_presence_for_client": True},
    {"allow_presence_for_subscriber": True},
    {"allow_subscribe_for_anonymous": True},
    {"allow_publish_for_anonymous": True},
    {"presence": True, "allow_presence_for_anonymous": True},
    {**HISTORY, "allow_history_for_anonymous": True},
]


@pytest.mark.parametrize(("check", "options"), list(zip(CHECKS, BROKEN, strict=True)))
def test_each_check_finds_what_it_is_for(check: Any, options: dict[str, Any]) -> None:
    mistake = namespace_mistake(Namespace(**options))
    assert mistake is not None
    assert (mistake.key, mistake.fault, mistake.hint) == (check.key, check.fault, check.hint)
    assert mistake.key in options


@pytest.mark.parametrize(
    "options",
    [
        {},
        HISTORY,
        {**HISTORY, "slow_policy": "drop-oldest", "force_recovery": True},
        {**HISTORY, "slow_policy": "close", "force_recovery": True},
        {**HISTORY, "recovery_mode": "cache", "allow_recovery": True},
        {**FOSSIL, "delta_publish": True},
        {"channel_regex": "[a-z]+"},
        {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True},
    ],
)
def test_what_makes_sense_is_taken(options: dict[str, Any]) -> None:
    assert namespace_mistake(Namespace(**options)) is None


def test_dev_mode_makes_sense() -> None:
    assert [namespace_mistake(options) for options in dev_namespaces().values()] == [None, None]


def test_a_regex_that_is_none_is_a_mistake_with_its_reason() -> None:
    mistake = namespace_mistake(Namespace(channel_regex="[a"))
    assert mistake is not None
    assert mistake.key == "channel_regex"
    assert "unterminated character set" in mistake.fault
    mistake = namespace_mistake(Namespace(channel_regex="a{4294967296}"))
    assert mistake is not None
    assert "too large" in mistake.fault


@given(st.text(max_size=70))
def test_a_name_that_is_taken_is_the_namespace_of_its_channels(name: str) -> None:
    if name_mistake(name) is not None:
        return
    options = Namespace(presence=True)
    namespaces = Namespaces({"": Namespace(), name: options})
    for channel in (f"{name}:a", f"${name}:a#42", f"{name}:"):
        assert namespaces.rules_of(channel).options is options


@pytest.mark.parametrize("name", ["", "a:b", "$a", "a#b", "a,b", "a b", "caf\u00e9", "a*", "a" * 65, "a\n"])
def test_a_name_that_would_mean_something_else_is_a_mistake(name: str) -> None:
    assert name_mistake(name) is not None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (HubOptions(), None),
        (HubOptions(personal_channel=True), None),
        (HubOptions(personal_channel=True, personal_namespace="users"), None),
        (HubOptions(personal_channel=True, personal_namespace="user"), "personal_namespace"),
        (HubOptions(broadcast_channel="broadcast"), None),
        (HubOptions(broadcast_channel="users:all"), None),
        (HubOptions(broadcast_channel="all:users"), "broadcast_channel"),
        (HubOptions(broadcast_channel="a" * 256), "broadcast_channel"),
    ],
)
def test_what_the_hub_is_to_use_must_be_there(options: HubOptions, key: str | None) -> None:
    mistake = client_mistake(options, {"": Namespace(), "users": Namespace()})
    assert (mistake and mistake.key) == key
