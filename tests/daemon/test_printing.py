"""All settings in print: what is printed can be read, and says what it should and no secret."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import printing
from wsloop.daemon.config import Loaded, Sources, read
from wsloop.daemon.settings import Settings
from wsloop.daemon.table import Key, all_keys, namespace_keys

if TYPE_CHECKING:
    from pathlib import Path

EMPTY: dict[str, str] = {}
ROWS = {key.path: key for key in all_keys()}


def written(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "wsloop.toml"
    path.write_text(text, encoding="utf-8")
    return read(Sources(path, environ=EMPTY))


def test_the_default_file_is_read_as_the_defaults_and_names_every_key(tmp_path: Path) -> None:
    text = printing.default_file()
    assert written(tmp_path, text).settings == Settings()
    for key in (*all_keys(), *namespace_keys("channels")):
        if key.section != "subscription_token":
            assert re.search(rf"^(# )?{key.name} = ?.*# {re.escape(key.meaning)}$", text, re.MULTILINE), (
                key.path
            )


def test_with_every_line_that_could_be_set_uncommented_it_is_still_a_file_of_known_keys(
    tmp_path: Path,
) -> None:
    lines = []
    for line in printing.default_file().splitlines():
        bare = re.sub(r"^# (?=\[|\w+ = \S)", "", line)
        if not re.match(r"\w+ = +#", bare):
            lines.append(bare)
    made = written(tmp_path, "\n".join(lines)).settings
    assert made.subscription_token is not None
    assert made.channels is not None


def test_the_default_variables_are_read_as_the_defaults_and_name_every_key() -> None:
    lines = list(printing.variables())
    pairs = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert set(pairs) >= {key.variable for key in all_keys()}
    # A section that is there though all of it is at the defaults has no effect of its own.
    pairs = {name: text for name, text in pairs.items() if "SUBSCRIPTION_TOKEN" not in name}
    assert read(Sources(environ=pairs)).settings == Settings()
    assert any("ws.max_size: largest message" in line for line in lines)


def test_what_is_shown_names_every_key_with_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text('[ws]\nmax_size = "1MiB"\n[namespaces."a.b"]\npresence = true\n', encoding="utf-8")
    environ = {"WSLOOP_LOG__LEVEL": "debug"}
    loaded = read(Sources(path, {"server": {"port": 9000}}, environ=environ))
    lines = list(printing.shown(loaded))
    for key in all_keys():
        if key.section != "subscription_token":
            assert any(re.match(rf"(# )?{re.escape(key.path)} ", line) for line in lines), key.path
    shown = {line.partition("  ")[0]: line.rpartition("  # ")[2] for line in lines}
    assert shown['ws.max_size = "1MiB"'] == f"{path}:2"
    assert shown['log.level = "debug"'] == "$WSLOOP_LOG__LEVEL"
    assert shown["server.port = 9000"] == "--port"
    assert shown['server.host = "127.0.0.1"'] == "default"
    assert shown["# tls.certfile is not set"] == "default"
    assert shown['namespaces."a.b".presence = true'] == f"{path}:4"


def test_what_is_shown_can_be_read_and_means_the_same(tmp_path: Path) -> None:
    first = written(
        tmp_path,
        '[server]\nbind = ["127.0.0.1:1", "unix:/tmp/é \\u007f"]\n[ws]\nsend_limit = 1000\n'
        'ping_interval = 0.7\nping_timeout = "500ms"\n'
        '[namespaces.a]\nhistory_size = 3\nhistory_ttl_s = "90s"\n',
    )
    again = written(tmp_path, "\n".join(printing.shown(first)))
    assert again.settings == first.settings


def test_development_mode_is_shown_with_its_namespaces() -> None:
    lines = list(printing.shown(read(Sources(dev=True, environ=EMPTY))))
    assert any(line.startswith("namespaces.chat.history_size = 100") for line in lines)


SECRET = "s3cr3t"

url_words = st.text("abz019-._~/", min_size=1, max_size=8)


@given(
    st.sampled_from(["", f"{SECRET}@", f"ann:{SECRET}@", f":{SECRET}@"]),
    st.sampled_from(["app", "10.0.0.1:3000", "[::1]:80"]),
    url_words,
    st.lists(st.sampled_from([f"key={SECRET}", SECRET, f"a={SECRET}={SECRET}", "b=", "", f"={SECRET}"])),
)
def test_no_secret_of_a_url_is_shown_and_all_else_is(
    user: str, host: str, path: str, query: list[str]
) -> None:
    url = f"https://{user}{host}/{path}"
    shown = printing.spelt(ROWS["hooks.url"], f"{url}?{'&'.join(query)}" if query else url)
    assert SECRET not in shown
    assert shown.startswith(f'"https://{"***@" if user else ""}{host}/{path}')
    assert shown.count("&") == max(0, len(query) - 1)
    if not user and not query:
        assert shown == json.dumps(url)


@pytest.mark.parametrize("path", ["hooks.url", "proxy.connect", "proxy.rpc", "token.jwks_url"])
def test_the_urls_of_the_application_are_masked_where_the_settings_are_shown(path: str) -> None:
    variable = ROWS[path].variable
    loaded = read(Sources(environ={variable: f"https://app.example/in?token={SECRET}&v=2"}))
    text = "\n".join(printing.shown(loaded))
    assert SECRET not in text
    assert f'{path} = "https://app.example/in?token=***&v=***"' in text


def test_no_url_is_left_out() -> None:
    named = {
        path
        for path, key in ROWS.items()
        if "url" in key.name or (key.section == "proxy" and key.kind is str)
    }
    assert {path for path, key in ROWS.items() if key.is_url} == named - {"proxy.ca_file"}


def test_a_secret_is_masked_and_an_absent_one_is_not_hidden() -> None:
    environ = {"WSLOOP_TOKEN__HMAC_SECRET_KEY": "a-secret-of-the-test"}
    text = "\n".join(printing.shown(read(Sources(environ=environ))))
    assert "a-secret-of-the-test" not in text
    assert 'token.hmac_secret_key = "***"' in text
    assert "# admin.api_key is not set" in text


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_written_as_toml_reads_it(text: str) -> None:
    spelt = printing.spelt(ROWS["client.broadcast_channel"], text)
    assert tomllib.loads(f"x = {spelt}")["x"] == text


def test_bytes_that_are_no_text_can_be_shown() -> None:
    assert printing.spelt(ROWS["tls.certfile"], "/tmp/\udcff") == '"/tmp/\\\\udcff"'


@pytest.mark.parametrize("key", all_keys(), ids=lambda key: key.path)
def test_the_schema_describes_every_key(key: Key) -> None:
    described = described_of(key)
    assert described["description"].startswith(key.meaning)
    if key.unit:
        kinds = [each.get("type") for each in described["anyOf"]]
        assert "string" in kinds
        assert ("KiB" if key.unit == "B" else "ms, s, m, h, d") in described["description"]


def described_of(key: Key) -> dict[str, Any]:
    schema = printing.schema()
    name = schema["$defs"]["Settings"]["properties"][key.section]
    found = re.search(r'"#/\$defs/(\w+)"', json.dumps(name))
    assert found
    described: dict[str, Any] = schema["$defs"][found[1]]["properties"][key.name]
    return described


@pytest.mark.parametrize(
    ("text", "matches"), [("30s", True), ("1.5 h", True), ("30", True), ("30x", False), ("-1s", False)]
)
def test_the_schemas_times_are_those_that_are_read(text: str, matches: bool) -> None:
    accepted = described_of(ROWS["ws.ping_interval"])["anyOf"][-1]
    assert bool(re.search(accepted["pattern"], text)) is matches


@pytest.mark.parametrize(
    ("text", "matches"), [("64KiB", True), ("10mb", True), ("7", True), ("7B", True), ("1TB", False)]
)
def test_the_schemas_sizes_are_those_that_are_read(text: str, matches: bool) -> None:
    accepted = described_of(ROWS["ws.max_size"])["anyOf"][-1]
    assert bool(re.search(accepted["pattern"], text)) is matches


def test_the_schema_has_no_development_mode_and_no_pattern_of_pythons_own() -> None:
    text = json.dumps(printing.schema())
    assert "dev" not in printing.schema()["$defs"]["Settings"]["properties"]
    assert r"\\Z" not in text


def test_the_environment_file_fed_back_changes_nothing_not_even_which_sections_there_are() -> None:
    pairs = (line.partition("=") for line in printing.variables() if not line.startswith("#"))
    environ = {name: value for name, _, value in pairs}
    assert read(Sources(environ=environ)).settings == Settings()
