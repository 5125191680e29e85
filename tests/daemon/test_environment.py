"""Variables of the environment: what they set, what is none of ours, and how a mistake is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.config import Sources, read
from wsloop.daemon.environment import NO_SETTINGS
from wsloop.daemon.settings import Settings
from wsloop.daemon.table import all_keys
from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def settings(**variables: str) -> Settings:
    return read(Sources(environ=variables)).settings


def fault(**variables: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        settings(**variables)
    assert caught.value.exit_code == 78
    return caught.value.message, caught.value.hint


def test_the_flag_goes_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text("[ws]\nmax_size = 1\nmax_fragments = 1\nsend_limit = 1\n", encoding="utf-8")
    environ = {"WSLOOP_WS__MAX_SIZE": "2", "WSLOOP_WS__MAX_FRAGMENTS": "2"}
    loaded = read(Sources(path, {"ws": {"max_size": 3}}, environ=environ))
    ws = loaded.settings.ws
    assert (ws.max_size, ws.max_fragments, ws.send_limit, ws.send_limit_messages) == (3, 2, 1, 10_000)
    assert loaded.origins == {
        "ws.max_size": "--ws-max-size",
        "ws.max_fragments": "$WSLOOP_WS__MAX_FRAGMENTS",
        "ws.send_limit": f"{path}:4",
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SERVER__HOST", "::1", "::1"),
        ("SERVER__PORT", "9000", 9000),
        ("WS__MAX_SIZE", "64KiB", 65536),
        ("WS__PING_INTERVAL", "1m", 60.0),
        ("WS__PING_INTERVAL", "60", 60.0),
        ("WS__BATCH_DELAY", "5", 5.0),
        ("WS__BATCH_DELAY", "0.5s", 500.0),
        ("WS__PER_MESSAGE_DEFLATE", "on", "on"),
        ("ADMIN__ENABLED", "No", False),
        ("AUTH__BEARER", "1", True),
        ("SERVER__ALLOWED_ORIGINS", "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ("SERVER__ALLOWED_ORIGINS", '["https://a.example"]', ("https://a.example",)),
        ("HOOKS__EVENTS", "[]", ()),
        ("CLIENT__PERSONAL_NAMESPACE", " 1 ", " 1 "),
    ],
)  # fmt: skip
def test_a_variable_is_read_by_the_kind_of_its_key(name: str, text: str, value: object) -> None:
    made = settings(**{f"WSLOOP_{name}": text}) if name != "HOOKS__EVENTS" else None
    made = made or settings(**{f"WSLOOP_{name}": text, "WSLOOP_HOOKS__URL": "http://127.0.0.1:1/h"})
    section, _, key = name.lower().partition("__")
    assert getattr(getattr(made, section), key) == value


def test_a_variable_that_is_empty_is_not_set() -> None:
    assert settings(**{key.variable: "" for key in all_keys()}) == Settings()


def test_options_of_channels_have_variables_too() -> None:
    made = settings(
        WSLOOP_CHANNELS__PRESENCE="true",
        WSLOOP_NAMESPACES__chat__HISTORY_SIZE="7",
        WSLOOP_NAMESPACES__chat__HISTORY_TTL_S="2m",
        WSLOOP_NAMESPACES__a__b__PRESENCE="true",
    )
    assert made.channels is not None
    assert made.channels.presence
    chat = made.namespaces["chat"]
    assert (chat.history_size, chat.history_ttl_s) == (7, 120.0)
    assert made.namespaces["a__b"].presence


def test_a_variable_completes_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text("[namespaces.chat]\npresence = true\n", encoding="utf-8")
    environ = {"WSLOOP_NAMESPACES__chat__JOIN_LEAVE": "true"}
    chat = read(Sources(path, environ=environ)).settings.namespaces["chat"]
    assert (chat.presence, chat.join_leave) == (True, True)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("WSLOOP_WS__MAX_SIZ", "did you mean WSLOOP_WS__MAX_SIZE?"),
        ("WSLOOP_WS_MAX_SIZE", "did you mean WSLOOP_WS__MAX_SIZE?"),
        ("WSLOOP_TLS__KEYPASSWORD", "did you mean WSLOOP_TLS__KEY_PASSWORD?"),
        ("WSLOOP_NAMESPACES__chat__PRESENSE", "did you mean WSLOOP_NAMESPACES__chat__PRESENCE?"),
        ("WSLOOP_CHANNELS__PRESENSE", "did you mean WSLOOP_CHANNELS__PRESENCE?"),
        ("WSLOOP_CHANNELS__a__PRESENCE", "did you mean WSLOOP_CHANNELS__PRESENCE?"),
        ("WSLOOP_ws__max_size", "did you mean WSLOOP_WS__MAX_SIZE?"),
        ("WSLOOP_PORT", "did you mean WSLOOP_SERVER__PORT?"),
        ("WSLOOP_ZEBRA", "wsloop config env lists those there are"),
        ("WSLOOP_", "wsloop config env lists those there are"),
    ],
)
def test_an_unknown_variable_is_a_mistake_and_the_right_one_is_named(name: str, near: str) -> None:
    message, hint = fault(**{name: "8765"})
    assert message == f"${name}: there is no such setting"
    assert hint == near


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WSLOOP_SERVER__PORT": "http"}, "$WSLOOP_SERVER__PORT: 'http' is not a whole number"),
        ({"WSLOOP_SERVER__PORT": "70000"}, "$WSLOOP_SERVER__PORT: expected `int` <= 65535"),
        ({"WSLOOP_SERVER__PORT": "1.5"}, "$WSLOOP_SERVER__PORT: '1.5' is not a whole number"),
        ({"WSLOOP_WS__PING_INTERVAL": "soon"}, "$WSLOOP_WS__PING_INTERVAL: 'soon' is not a time"),
        ({"WSLOOP_WS__MAX_SIZE": "5 parsecs"}, "$WSLOOP_WS__MAX_SIZE: '5 parsecs' is not a size"),
        ({"WSLOOP_WS__MAX_SIZE": "0"}, "$WSLOOP_WS__MAX_SIZE: expected `int` >= 1"),
        ({"WSLOOP_ADMIN__ENABLED": "maybe"}, "$WSLOOP_ADMIN__ENABLED: 'maybe' is neither true nor false"),
        ({"WSLOOP_LOG__LEVEL": "loud"}, "there are debug, info, warning, error"),
        ({"WSLOOP_SERVER__BIND": "[1"}, '$WSLOOP_SERVER__BIND: expected a list such as ["a", "b"], or a,b'),
        ({"WSLOOP_SERVER__BIND": "[1]"}, "$WSLOOP_SERVER__BIND: expected `str`, got `int`"),
        ({"WSLOOP_TOKEN__ALGORITHMS": "none"}, "$WSLOOP_TOKEN__ALGORITHMS: invalid enum value 'none'"),
        ({"WSLOOP_RATE_LIMITS__IP_RPC": "60"}, 'IP_RPC: expected a rate such as "60/1s"'),
        ({"WSLOOP_WS__PING_TIMEOUT": "1h"}, "$WSLOOP_WS__PING_TIMEOUT: ws.ping_timeout must be less"),
        ({"WSLOOP_TLS__KEYFILE": "k"}, "$WSLOOP_TLS__KEYFILE: tls.keyfile is given without tls.certfile"),
        ({"WSLOOP_CHANNELS__FORCE_RECOVERY": "1"}, "$WSLOOP_CHANNELS__FORCE_RECOVERY: channels."),
        ({"WSLOOP_PROXY__REFRESH": "http://a/b"}, "$WSLOOP_PROXY__REFRESH: proxy.refresh: is never asked"),
        ({"WSLOOP_PROXY__CONNECT": "ftp://a"}, "$WSLOOP_PROXY__CONNECT: "),
        ({"WSLOOP_AUTH__COOKIE": "a b"}, "$WSLOOP_AUTH__COOKIE: auth.cookie: a name of"),
        ({"WSLOOP_SERVER__ALLOWED_ORIGINS": "*"}, "$WSLOOP_SERVER__ALLOWED_ORIGINS: server."),
        ({"WSLOOP_NAMESPACES__a b__PRESENCE": "1"}, "a namespace cannot be called 'a b'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_the_variable(variables: dict[str, str], words: str) -> None:
    assert words in fault(**variables)[0]


@pytest.mark.parametrize("name", ["WSLOOP_ADMIN__API_KEY", "WSLOOP_TOKEN__HMAC_SECRET_KEY"])
def test_what_is_wrong_with_a_secret_is_told_without_it(name: str) -> None:
    secret = "\udcffsecret\udcff"
    assert "secret\udcff" not in "".join(fault(**{name: secret}))
    if name.endswith("API_KEY"):
        message, hint = fault(**{name: "two words\n"})
        assert message == "$WSLOOP_ADMIN__API_KEY: expected 8 to 255 visible characters of ASCII"
        assert hint == "a line break at its end counts too"


KUBERNETES = {
    "WSLOOP_SERVICE_HOST": "10.0.0.1",
    "WSLOOP_SERVICE_PORT": "8765",
    "WSLOOP_SERVICE_PORT_WEBSOCKET": "8765",
    "WSLOOP_PORT": "tcp://10.0.0.1:8765",
    "WSLOOP_PORT_8765_TCP": "tcp://10.0.0.1:8765",
    "WSLOOP_PORT_8765_TCP_PROTO": "tcp",
    "WSLOOP_PORT_8765_TCP_PORT": "8765",
    "WSLOOP_PORT_8765_TCP_ADDR": "10.0.0.1",
    "WSLOOP_ADMIN_SERVICE_HOST": "10.0.0.2",
    "WSLOOP_ADMIN_PORT": "tcp://10.0.0.2:8766",
}


def test_what_kubernetes_says_about_a_service_of_our_name_is_nothing_to_us() -> None:
    assert settings(**KUBERNETES, **dict.fromkeys(NO_SETTINGS, "x"), PATH="/bin", wsloop="x") == Settings()


@given(st.text(alphabet="ABCDEFGHIKLMNOPRSTUVWXYZ_abc", max_size=30), st.text(min_size=1, max_size=10))
def test_any_variable_is_a_setting_a_mistake_or_none_of_ours(name: str, text: str) -> None:
    try:
        read(Sources(environ={name: text, f"WSLOOP_{name}": text}))
    except ConfigError as error:
        assert f"WSLOOP_{name}" in error.message or "contradict" not in error.message
