"""Settings: what a file and flags become, and how each kind of mistake is told."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import places, table
from wsloop.daemon.addresses import check as check_addresses
from wsloop.daemon.config import Sources, load, read
from wsloop.daemon.settings import ServerSettings, Settings
from wsloop.errors import ConfigError, StartupError, UsageError
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wsloop.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_file_and_flags_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()
    assert load(None, {}, dev=True).dev


def test_the_file_beats_the_default_and_the_flag_beats_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, '[server]\nport = 9000\nhost = "::1"\n[ws]\nping_interval = 5\nping_timeout = 2\n'
    )
    settings = load(path, {"server": {"port": 9001}})
    assert settings.server.port == 9001
    assert settings.server.host == "::1"
    assert settings.ws.ping_interval == 5


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[ws]\n\nping_intervall = 3\n",
            "wsloop.toml:3: unknown key 'ping_intervall'",
            "did you mean 'ping_interval'?",
        ),
        ('[log]\nfile = "a\\u0000b"\n', "wsloop.toml:2: log.file: a text cannot have a NUL in it", ""),
        ('[server]\nbind = ["\\u0000"]\n', "wsloop.toml:2: server.bind: a text cannot have a NUL in it", ""),
        ("[serverr]\nport = 1\n", "wsloop.toml:1: unknown key 'serverr'", "did you mean 'server'?"),
        (
            "[log]\nzebra = 1\n",
            "wsloop.toml:2: unknown key 'zebra'",
            "known here: level, format, file, access",
        ),
        ("[server]\nport = 70000\n", "wsloop.toml:2: server.port: expected `int` <= 65535", ""),
        ('[server]\nport = "x"\n', "wsloop.toml:2: server.port: expected `int`, got `str`", ""),
        ("[ws]\nmax_size = 0\n", "wsloop.toml:2: ws.max_size: expected `int` >= 1", ""),
        ('[log]\nlevel = "loud"\n', "wsloop.toml:2: log.level: invalid enum value 'loud'", ""),
        ('[tls]\ncertfile = ""\n', "wsloop.toml:2: tls.certfile: expected `str` of length >= 1", ""),
        (
            '[tls]\nkeyfile = "k"\n',
            "tls.keyfile is given without tls.certfile",
            "a key needs its certificate",
        ),
        ("[ws\n", "wsloop.toml:1: ", "the file must be TOML; strings need quotes"),
        (
            '[server]\nbind = ["127.0.0.1:1", "fd://3", "fd://03"]\n',
            "fd://03 is named twice as an address",
            "name it once",
        ),
        (
            "[namespaces.chat]\nhistory_size = 1\n[namespaces.news]\nhistory_siez = 1\n",
            "wsloop.toml:4: unknown key 'history_siez'",
            "did you mean 'history_size'?",
        ),
        (
            "[channels]\npresense = true\n",
            "wsloop.toml:2: unknown key 'presense'",
            "did you mean 'presence'?",
        ),
        (
            "[client]\nallow_anon = true\n",
            "wsloop.toml:2: unknown key 'allow_anon'",
            "did you mean 'allow_anonymous'?",
        ),
        (
            "[channels]\nhistory_size = 1\n[namespaces.chat]\nhistory_size = -1\n",
            "wsloop.toml:4: namespaces.chat.history_size: expected `int` >= 0",
            "",
        ),
        ("[namespaces]\nchat = 1\n", "wsloop.toml:2: namespaces.chat: expected `object`, got `int`", ""),
        ("namespaces = 1\n", "wsloop.toml:1: namespaces: expected `object`, got `int`", ""),
        (
            "[channels]\npresence = true\nforce_recovery = true\n",
            "wsloop.toml:3: channels.force_recovery: has no effect without history",
            "set history_size and history_ttl_s",
        ),
        (
            "[client]\nbroadcast_channel = 'all'\n[namespaces.chat]\nchannel_regex = '['\n",
            "wsloop.toml:4: namespaces.chat.channel_regex: is no regular expression: unterminated",
            "Python's syntax",
        ),
        (
            '[namespaces."a b"]\n',
            "namespaces.a b: a namespace cannot be called 'a b'",
            "letters, digits and _ . - only, 64 at most",
        ),
        (
            "[namespaces.chat]\n[client]\npersonal_channel = true\npersonal_namespace = 'chta'\n",
            "wsloop.toml:4: client.personal_namespace: no namespace 'chta' is configured",
            "configured: chat",
        ),
        ("dev = true\n", "wsloop.toml: dev mode is switched on by the flag --dev only", ""),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_hint(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    assert message in caught.value.message
    assert caught.value.hint == hint
    assert caught.value.exit_code == 78


def test_namespaces_come_from_the_file_and_the_default_one_begins_closed(tmp_path: Path) -> None:
    path = written(tmp_path, "[namespaces.chat]\npresence = true\nhistory_ttl_s = 5\nhistory_size = 1\n")
    chat = Namespace(presence=True, history_ttl_s=5.0, history_size=1)
    assert load(path, {}).all_namespaces() == {"": Namespace(), "chat": chat}
    assert load(path, {}, dev=True).all_namespaces() == {"": dev_namespaces()[""], "chat": chat}
    path = written(tmp_path, "[channels]\npresence = true\n")
    opened = Namespace(presence=True)
    assert load(path, {}).all_namespaces() == {"": opened}
    assert load(path, {}, dev=True).all_namespaces() == {**dev_namespaces(), "": opened}


def test_the_defaults_for_clients_are_the_hubs() -> None:
    assert Settings().client.hub_options() == HubOptions()


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.toml", {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(binary, {})


@pytest.mark.parametrize("overrides", [{"ws": {"ping_interval": -1.0}}, {"ws": {"ping_timeout": 25.0}}])
def test_a_flag_out_of_range_is_an_error_without_a_file_name(overrides: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(StartupError) as caught:
        load(None, overrides)
    assert "ws.ping_" in caught.value.message


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "http://localhost:3000",
        "https://xn--bcher-kva.example:8443",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "capacitor://localhost",
        "file://",
    ],
)
def test_an_origin_as_a_browser_sends_it_is_taken(tmp_path: Path, origin: str) -> None:
    path = written(tmp_path, f'[server]\nallowed_origins = ["{origin}"]\n')
    assert load(path, {}).server.allowed_origins == (origin,)


@pytest.mark.parametrize(
    ("origin", "meant"),
    [
        ("https://example.org/", "https://example.org"),
        ("https://Example.ORG", "https://example.org"),
        (" https://example.org", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:80/chat?x", "http://example.org"),
        ("HTTP://[::1]:8080/", "http://[::1]:8080"),
        ("example.org", ""),
        ("https://*.example.org", ""),
        ("https://b\u00fccher.example", ""),
        ("https://user@example.org", ""),
        ("https://example.org:http", ""),
        ("https://", ""),
        ("*", ""),
        ("null", ""),
        ("", ""),
    ],
)
def test_an_origin_that_no_browser_sends_is_an_error(tmp_path: Path, origin: str, meant: str) -> None:
    path = written(tmp_path, f'[server]\nallowed_origins = ["https://fine.example", "{origin}"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.message == f"{path}:2: server.allowed_origins: {origin!r} is not an origin"
    assert caught.value.hint == (f"did you mean {meant!r}?" if meant else ANY_ORIGIN)


ANY_ORIGIN = "write it as browsers send it, such as https://example.org or http://localhost:3000"


def check(server: ServerSettings) -> None:
    check_addresses(server, (), lambda _table, _key: "")


@given(st.text(alphabet="htps:/.*@[]0123456789aA-_ \u00fc", max_size=30))
def test_a_hint_always_names_an_origin_that_is_taken(text: str) -> None:
    for origin in (text, f"https://{text}"):
        with contextlib.suppress(ConfigError):
            try:
                check(ServerSettings(allowed_origins=(origin,)))
            except ConfigError as error:
                found = re.fullmatch(r"did you mean '(.*)'\?", error.hint)
                if not found:
                    raise
                check(ServerSettings(allowed_origins=(found[1],)))


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32", "unix"])
def test_a_proxy_is_listed_by_address_network_or_as_unix(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, f'[server]\nforwarded_allow_ips = ["{text}"]\n')
    assert load(path, {}).server.forwarded_allow_ips == (text,)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("*", "who trusts everybody lets everybody choose an address: list the proxies, or their network"),
        ("localhost", 'an address such as 10.0.0.1, a network such as 10.0.0.0/8, or "unix"'),
        ("10.0.0.1/8", 'an address such as 10.0.0.1, a network such as 10.0.0.0/8, or "unix"'),
    ],
)
def test_what_is_no_proxy_is_told_with_the_way_to_list_one(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.forwarded_allow_ips: ") as caught:
        load(written(tmp_path, f'[server]\nforwarded_allow_ips = ["{text}"]\n'), {})
    assert caught.value.hint == hint
    with pytest.raises(UsageError):
        load(None, {"server": {"forwarded_allow_ips": [text]}})


def test_headers_of_proxies_none_of_which_is_listed_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no proxy is listed"):
        load(written(tmp_path, "[server]\nproxy_headers = true\n"), {})
    with pytest.raises(UsageError, match="no proxy is listed"):
        load(None, {"server": {"proxy_headers": True}})


@pytest.mark.parametrize("flag", [{"port": 9999}, {"host": "::1"}])
def test_a_port_beside_a_list_of_addresses_is_not_ignored(tmp_path: Path, flag: dict[str, Any]) -> None:
    path = written(tmp_path, '[server]\nbind = ["unix:/run/s"]\n')
    with pytest.raises(UsageError, match="do not go with a list"):
        load(path, {"server": flag})


def test_port_0_may_be_named_more_than_once() -> None:
    assert len(load(None, {"server": {"bind": ("127.0.0.1:0", "127.0.0.1:0")}}).server.bind) == 2


@pytest.mark.parametrize("text", ["60/1s", "1/h", "999999999/99999m", ""])
def test_a_rate_is_a_number_in_a_time(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'[rate_limits]\nip_connect = "{text}"\n')
    assert load(path, {}).rate_limits.ip_connect == text


@pytest.mark.parametrize(
    "text", ["60", "0/1s", "60/0s", "60/1d", "-1/1s", "60 / 1s", "60/1s\\n", "1e3/s", "60/s/s"]
)
def test_what_is_no_rate_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'[rate_limits]\nip_connect = "{text}"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.message.startswith(f"{path}:2: rate_limits.ip_connect: ")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("required = true", "auth.required: there is no place"),
        ('cookie = "a b"', "auth.cookie: a name of"),
        ('query = "a&b"', "auth.query: a name of"),
    ],
)
def test_contradictions_in_auth_are_told(lines: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, f"[auth]\n{lines}\n"), {})
    assert f"wsloop.toml:2: {message}" in caught.value.message


@pytest.mark.parametrize("section", ["token", "subscription_token"])
def test_algorithms_are_of_the_list(section: str, tmp_path: Path) -> None:
    made = load(written(tmp_path, f'[{section}]\nalgorithms = ["ES256", "EdDSA"]\n'), {})
    assert getattr(made, section).algorithms == ("ES256", "EdDSA")
    for bad in ("none", "hs256", "ES256K"):
        with pytest.raises(ConfigError, match="algorithms"):
            load(written(tmp_path, f'[{section}]\nalgorithms = ["{bad}"]\n'), {})


def test_many_namespaces_cost_one_look_through_the_file_and_one_at_the_options(tmp_path: Path) -> None:
    tables = [f'[namespaces.n{number}]\nhistory_size = 1\nhistory_ttl_s = "1m"\n' for number in range(200)]
    path = written(tmp_path, "".join(tables))
    places._index.cache_clear()
    table._options.cache_clear()
    origins = read(Sources(path, environ={})).origins
    assert origins["namespaces.n199.history_ttl_s"] == f"{path}:600"
    assert places._index.cache_info().misses == table._options.cache_info().misses == 1
