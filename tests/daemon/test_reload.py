"""Reload: every live key takes effect, every other one is reported, and a mistake changes nothing."""

from __future__ import annotations

import json
import logging
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.daemon.reload_kit import Reloadable
from tests.hub.token_kit import SECRET, public_jwk, public_pem
from tests.transport.tls_kit import write_pair
from wsloop.daemon import logs
from wsloop.daemon.heartbeat import MAX_REASON
from wsloop.daemon.reload import MAX_ERROR, Outcome, Record, judge
from wsloop.daemon.settings import LogSettings, Settings
from wsloop.daemon.table import all_keys, namespace_keys
from wsloop.daemon.units import spell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wsloop.daemon.table import Key

FOLLOWED_BY_LOGS = "log"
"""The section that `logs.apply` follows: see tests/system/test_reload.py."""

BESIDE: dict[str, dict[str, str]] = {
    "server.proxy_headers": {"WSLOOP_SERVER__FORWARDED_ALLOW_IPS": "10.0.0.0/8"},
    "auth.required": {"WSLOOP_AUTH__BEARER": "true"},
    "client.personal_namespace": {"WSLOOP_CLIENT__PERSONAL_CHANNEL": "true"},
    "proxy.refresh": {"WSLOOP_PROXY__CONNECT": "http://127.0.0.1:1/c"},
    "proxy.subscribe": {"WSLOOP_NAMESPACES__a__SUBSCRIBE_PROXY": "true"},
    "proxy.publish": {"WSLOOP_NAMESPACES__a__PUBLISH_PROXY": "true"},
    "proxy.sub_refresh": {"WSLOOP_NAMESPACES__a__SUB_REFRESH_PROXY": "true"},
}
"""What a value needs beside it, from the start."""

NOT_ALONE = {"proxy.refresh", "proxy.subscribe", "proxy.publish", "proxy.sub_refresh"}
"""Their opposite is a mistake, too: they are changed from one URL to another."""


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    log = logging.getLogger("wsloop")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    """Return variables with which most keys may have any other value."""
    certfile, keyfile = write_pair(tmp_path)
    return {
        "WSLOOP_TLS__CERTFILE": certfile,
        "WSLOOP_TLS__KEYFILE": keyfile,
        "WSLOOP_TOKEN__HMAC_SECRET_KEY": SECRET,
        "WSLOOP_SUBSCRIPTION_TOKEN__HMAC_SECRET_KEY": SECRET,
        "WSLOOP_NAMESPACES__a__HISTORY_SIZE": "10",
        "WSLOOP_NAMESPACES__a__HISTORY_TTL_S": "1m",
        "WSLOOP_HOOKS__URL": "http://127.0.0.1:1/hooks",
    }


def special(tmp_path: Path) -> dict[str, str]:
    """Return values of keys for which not any will do."""
    pem, jwks, other = tmp_path / "rsa.pem", tmp_path / "keys.json", tmp_path / "other"
    pem.write_bytes(public_pem("RSA"))
    jwks.write_text(json.dumps({"keys": [{**public_jwk("P-384"), "kid": "P-384"}]}))
    other.mkdir(exist_ok=True)
    certfile, keyfile = write_pair(other)
    found = {
        "server.bind": "127.0.0.1:1,127.0.0.1:2",
        "server.allowed_origins": "https://example.org",
        "ws.ping_interval": "50s",
        "ws.ping_timeout": "5s",
        "ws.batch_delay": "7ms",
        "server.proxy_headers": "false",
        "server.forwarded_allow_ips": "10.0.0.0/8",
        "tls.certfile": certfile,
        "tls.keyfile": keyfile,
        "admin.api_key": "a-secret-of-the-test",
        "client.personal_namespace": "a",
        "client.broadcast_channel": "a:all",
        "proxy.headers": "cookie",
        "hooks.url": "http://127.0.0.1:2/hooks",
        "hooks.events": "occupied",
        "auth.cookie": "sid",
        "auth.query": "token",
    }
    for section in ("token", "subscription_token"):
        found |= {
            f"{section}.hmac_secret_key": SECRET[::-1],
            f"{section}.rsa_public_key": str(pem),
            f"{section}.ecdsa_public_key": public_pem("P-256").decode(),
            f"{section}.eddsa_public_key": public_pem("Ed25519").decode(),
            f"{section}.jwks_file": str(jwks),
            f"{section}.jwks_url": "https://127.0.0.1:1/keys",
            f"{section}.algorithms": "HS256",
            f"{section}.audience": "us",
            f"{section}.issuer": "me",
        }
    return found


def other_value(key: Key, tmp_path: Path) -> str:
    """Return a text that means another value than the default."""
    known = special(tmp_path).get(key.path)
    if known is not None:
        return known
    if key.choices:
        return next(choice for choice in key.choices if choice != key.default)
    if key.kind is bool:
        return str(not key.default).lower()
    if key.unit:
        return spell(key.default / 2 if key.default else 2**20, key.unit) if key.unit == "B" else "7s"
    if key.kind in (int, float):
        return "7"
    if key.section == "rate_limits":
        return "5/s"
    return "http://127.0.0.1:1/x" if key.section == "proxy" and key.name != "ca_file" else str(tmp_path / "x")


def plainly(key: Key) -> bool:
    return key.section != FOLLOWED_BY_LOGS


LIVE = [key for key in all_keys() if key.is_live and plainly(key)]
FIXED = [key for key in all_keys() if not key.is_live]


def started(key: Key, base: dict[str, str]) -> Reloadable:
    return Reloadable(**{**base, **BESIDE.get(key.path, {})})


@pytest.mark.parametrize("key", LIVE, ids=lambda key: key.path)
def test_a_live_key_takes_effect_as_if_the_server_had_been_started_with_it(
    key: Key, base: dict[str, str], tmp_path: Path
) -> None:
    server = started(key, base)
    before = server.fingerprint()
    change = {key.variable: other_value(key, tmp_path)}
    if key.section == "tls":
        change = {
            f"WSLOOP_TLS__{name}": special(tmp_path)[f"tls.{name.lower()}"]
            for name in ("CERTFILE", "KEYFILE")
        }
    outcome = server.change(**change)
    assert not outcome.error
    assert key.path in [each.path for each in outcome.changes]
    assert all(each.is_live for each in outcome.changes), outcome.lines()
    fresh = Reloadable(**server.environ)
    assert server.fingerprint() == fresh.fingerprint()
    assert server.reloading.settings == fresh.reloading.settings
    # Connections do not look at the rules for subscriptions, and so no token here can tell.
    if key.section != "subscription_token":
        assert server.fingerprint() != before


@pytest.mark.parametrize("key", FIXED, ids=lambda key: key.path)
def test_any_other_key_keeps_its_value_and_is_said_to_need_a_restart(
    key: Key, base: dict[str, str], tmp_path: Path
) -> None:
    beside = dict(BESIDE.get(key.path, {}))
    if key.path in NOT_ALONE:
        beside[key.variable] = "http://127.0.0.1:9/before"
    server = Reloadable(**{**base, **beside})
    before = server.fingerprint()
    outcome = server.change(**{key.variable: other_value(key, tmp_path)})
    assert not outcome.error
    (change,) = outcome.changes
    assert (change.path, change.is_live) == (key.path, False)
    assert str(change).endswith(" needs a restart")
    assert server.fingerprint() == before
    # It is reported as long as it is so.
    assert server.change().changes == outcome.changes


@pytest.mark.parametrize("key", namespace_keys("namespaces.a"), ids=lambda key: key.name)
def test_every_option_of_a_namespace_is_live(key: Key) -> None:
    beside = {
        "PRESENCE": "true", "JOIN_LEAVE": "true", "HISTORY_SIZE": "10", "HISTORY_TTL_S": "60",
        "ALLOW_RECOVERY": "true", "ALLOWED_DELTA_TYPES": "fossil", "ALLOW_SUBSCRIBE_FOR_CLIENT": "true",
        "ALLOW_PUBLISH_FOR_CLIENT": "true", "ALLOW_PRESENCE_FOR_CLIENT": "true",
        "ALLOW_HISTORY_FOR_CLIENT": "true",
    }  # fmt: skip
    wanted = {
        "presence": {"PRESENCE": "false", "ALLOW_PRESENCE_FOR_CLIENT": "false"},
        "join_leave": {"JOIN_LEAVE": "false"},
        "history_size": {"HISTORY_SIZE": "7"},
        "history_ttl_s": {"HISTORY_TTL_S": "2m"},
        "history_meta_ttl_s": {"HISTORY_META_TTL_S": "2h"},
        "channel_regex": {"CHANNEL_REGEX": "[a-z]+"},
        "allowed_delta_types": {"ALLOWED_DELTA_TYPES": "[]"},
        "recovery_mode": {"RECOVERY_MODE": "cache"},
        "slow_policy": {"SLOW_POLICY": "conflate"},
        "subscribe_proxy": {"SUBSCRIBE_PROXY": "true"},
        "publish_proxy": {"PUBLISH_PROXY": "true"},
        "sub_refresh_proxy": {"SUB_REFRESH_PROXY": "true"},
    }
    flipped = {key.name.upper(): "false" if beside.get(key.name.upper()) == "true" else "true"}
    change = wanted.get(key.name, flipped)
    if key.name.endswith("_proxy"):
        question = key.name.removesuffix("_proxy").upper()
        server = Reloadable(
            **{
                f"WSLOOP_PROXY__{question}": "http://127.0.0.1:1/x",
                f"WSLOOP_CHANNELS__{key.name.upper()}": "true",
            }
        )
    else:
        server = Reloadable()
    server.change(**{f"WSLOOP_NAMESPACES__a__{name}": value for name, value in beside.items()})
    before = server.fingerprint()
    outcome = server.change(**{f"WSLOOP_NAMESPACES__a__{name}": value for name, value in change.items()})
    assert not outcome.error
    assert all(each.is_live for each in outcome.changes)
    assert key.path in [each.path for each in outcome.changes]
    assert server.fingerprint() == Reloadable(**server.environ).fingerprint() != before


def test_namespaces_come_and_go_and_are_told_by_their_names() -> None:
    server = Reloadable()
    assert server.change(WSLOOP_NAMESPACES__a__PRESENCE="true").lines() == ["namespaces.a: added"]
    del server.environ["WSLOOP_NAMESPACES__a__PRESENCE"]
    assert server.change().lines() == ["namespaces.a: removed"]
    assert server.change().lines() == ["no key was changed"]


def test_the_difference_is_told_in_units_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Reloadable(WSLOOP_WS__MAX_SIZE="64KiB", WSLOOP_TOKEN__HMAC_SECRET_KEY=SECRET)
    lines = server.change(
        WSLOOP_WS__MAX_SIZE="131072",
        WSLOOP_TOKEN__HMAC_SECRET_KEY=SECRET[::-1],
        WSLOOP_ADMIN__API_KEY="a-secret-of-the-test",
        WSLOOP_SERVER__PORT="9000",
    ).lines()
    assert lines == [
        "server.port: 8765 -> 9000 needs a restart",
        'ws.max_size: "64KiB" -> "128KiB"',
        'admin.api_key: (not set) -> "***"',
        'token.hmac_secret_key: "***" -> "***"',
    ]
    for line in lines:
        assert f"reload: {line}" in caplog.text
    assert "a-secret-of-the-test" not in caplog.text
    assert SECRET[::-1] not in caplog.text


def test_many_changes_are_all_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcome = Reloadable().change(
        **{key.variable: "5/s" for key in all_keys() if key.section == "rate_limits"}
    )
    assert len(outcome.changes) > 10
    assert len({record.msg for record in caplog.records if "rate_limits" in record.msg}) == len(
        outcome.changes
    )


MISTAKES = [
    ({"WSLOOP_WS__MAX_SIZ": "1"}, "$WSLOOP_WS__MAX_SIZ: there is no such setting"),
    ({"WSLOOP_WS__PING_TIMEOUT": "1h"}, "ws.ping_timeout must be less than ws.ping_interval"),
    ({"WSLOOP_CHANNELS__FORCE_RECOVERY": "true"}, "channels.force_recovery: has no effect without history"),
    ({"WSLOOP_TOKEN__RSA_PUBLIC_KEY": "/no/such/file"}, "token.rsa_public_key: cannot read /no/such/file"),
    ({"WSLOOP_TLS__CERTFILE": "/no/such/file"}, "cannot read /no/such/file"),
    (
        {"WSLOOP_CHANNELS__SUBSCRIBE_PROXY": "true", "WSLOOP_PROXY__SUBSCRIBE": "http://127.0.0.1:1/s"},
        "some of it needs a restart, and so channels.subscribe_proxy: there is nobody to ask",
    ),
]


@pytest.mark.parametrize(("variables", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_changes_nothing_and_is_told_in_one_line(
    variables: dict[str, str], message: str, base: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    server = Reloadable(**base)
    before, settings = server.fingerprint(), server.reloading.settings
    caplog.clear()
    outcome = server.change(WSLOOP_SERVER__LIMIT_PER_IP="7", **variables)
    assert message in outcome.error
    assert outcome.changes == ()
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert message in record.getMessage()
    assert record.getMessage().endswith("; nothing was changed")
    assert server.fingerprint() == before
    assert server.reloading.settings == settings


def test_how_reloads_went_is_counted_and_a_failed_one_is_a_warning_until_a_good_one(
    base: dict[str, str],
) -> None:
    with Reloadable(**base) as house:
        record = house.reloading.record
        began = {
            "wsloop_reload_failures_total": 0,
            "wsloop_last_reload_failed": False,
            "wsloop_last_reload_success_timestamp_seconds": house.clock.unix_s(),
        }
        assert record.numbers(is_first=True) == began
        assert record.warning() == ""
        house.run_for(60.0)
        for failures in (1, 2):
            house.change(WSLOOP_WS__MAX_SIZE="much")
            failed = {"wsloop_reload_failures_total": failures, "wsloop_last_reload_failed": True}
            assert record.numbers(is_first=True) == {**began, **failed}
        assert record.warning().startswith("reload: $WSLOOP_WS__MAX_SIZE: ")
        assert record.warning().endswith("; nothing was changed")
        house.change(WSLOOP_WS__MAX_SIZE="2MiB")
        assert record.warning() == ""
        good = {"wsloop_reload_failures_total": 2, "wsloop_last_reload_failed": False}
        assert record.numbers(is_first=False) == good
        name = "wsloop_last_reload_success_timestamp_seconds"
        assert record.numbers(is_first=True)[name] == began[name] + 60.0


def test_a_mistake_as_long_as_a_file_makes_a_short_warning() -> None:
    record = Record(lambda: 1.0)
    record.note(Outcome(error="unknown key '" + "x" * 2_000_000))
    assert record.warning().startswith("reload: unknown key 'xxx")
    assert len(record.warning()) < MAX_REASON
    assert len(record.error) == MAX_ERROR


def test_tls_is_neither_switched_on_nor_off(base: dict[str, str]) -> None:
    server = Reloadable()
    outcome = server.change(**{name: value for name, value in base.items() if "TLS" in name})
    assert [(each.path, each.is_live) for each in outcome.changes] == [
        ("tls.certfile", False),
        ("tls.keyfile", False),
    ]
    assert server.reloading.settings == Settings()


def test_a_section_of_its_own_for_subscriptions_neither_comes_nor_goes(base: dict[str, str]) -> None:
    server = Reloadable(**base)
    del server.environ["WSLOOP_SUBSCRIPTION_TOKEN__HMAC_SECRET_KEY"]
    assert server.change().lines() == ["subscription_token: removed needs a restart"]


def test_keys_that_are_fetched_keep_the_algorithms_they_were_fetched_with(base: dict[str, str]) -> None:
    server = Reloadable(**base, WSLOOP_TOKEN__JWKS_URL="https://127.0.0.1:1/keys")
    outcome = server.change(WSLOOP_TOKEN__ALGORITHMS="HS256")
    assert outcome.lines() == ['token.algorithms: [] -> ["HS256"] needs a restart']


def test_files_that_were_replaced_are_read_again_though_no_key_has_changed(
    base: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pem = tmp_path / "key.pem"
    pem.write_bytes(public_pem("P-256"))
    server = Reloadable(**base, WSLOOP_TOKEN__ECDSA_PUBLIC_KEY=str(pem))
    before = server.fingerprint()
    write_pair(tmp_path)
    pem.write_bytes(public_pem("P-384"))
    assert server.change().lines() == ["no key was changed"]
    after = server.fingerprint()
    assert {name for name in after if after[name] != before[name]} == {"certificate", "tokens"}
    assert "reload: the certificate was read again" in caplog.text
    assert "reload: the keys for tokens were read again" in caplog.text


def test_tokens_may_come_to_be_known_and_unknown(base: dict[str, str]) -> None:
    server = Reloadable()
    for _ in range(2):
        server.change(WSLOOP_TOKEN__HMAC_SECRET_KEY=SECRET)
        assert any(server.fingerprint()["tokens"])
        server.change(WSLOOP_TOKEN__HMAC_SECRET_KEY="")
        assert not any(server.fingerprint()["tokens"])


def test_a_supervisor_judges_and_goes_by_what_it_has_judged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Reloadable()
    server.environ["WSLOOP_WS__MAX_FRAGMENTS"] = "7"
    outcome, plan = judge(server.sources, Settings())
    assert outcome.lines() == ["ws.max_fragments: 1024 -> 7"]
    assert plan is not None
    assert plan.settings.ws.max_fragments == 7
    server.environ["WSLOOP_WS__MAX_FRAGMENTS"] = "none"
    outcome, after = judge(server.sources, plan.settings)
    assert "$WSLOOP_WS__MAX_FRAGMENTS: 'none' is not a whole number" in outcome.error
    assert after is None


def test_a_log_file_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    server = Reloadable()
    before = server.fingerprint()
    path = tmp_path / "nowhere" / "wsloop.log"
    outcome = server.change(WSLOOP_LOG__FILE=str(path), WSLOOP_WS__MAX_FRAGMENTS="7")
    assert outcome.error == f"cannot open log.file {path}: No such file or directory"
    assert server.fingerprint() == before
    assert server.reloading.settings.log.file is None


@pytest.mark.parametrize(("before", "after"), [("info", "error"), ("error", "info")])
def test_what_has_changed_is_told_at_the_more_talkative_of_two_levels(before: str, after: str) -> None:
    with tempfile.TemporaryFile("w+") as file:
        stop = logs.start(LogSettings(level=before, format="text"), dev=False, fd=file.fileno())  # type: ignore[arg-type]
        Reloadable(WSLOOP_LOG__LEVEL=before, WSLOOP_LOG__FORMAT="text").change(WSLOOP_LOG__LEVEL=after)
        stop()
        file.seek(0)
        assert f'reload: log.level: "{before}" -> "{after}"' in file.read()
