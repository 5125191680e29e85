"""Settings: what a file and flags become, and how each kind of mistake is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wsloop.daemon.config import Settings, load
from wsloop.errors import ConfigError, StartupError

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
        ("[serverr]\nport = 1\n", "wsloop.toml:1: unknown key 'serverr'", "did you mean 'server'?"),
        ("[log]\nzebra = 1\n", "wsloop.toml:2: unknown key 'zebra'", "known here: level, format"),
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
        ("[ws\n", "wsloop.toml: ", "the file must be TOML; strings need quotes"),
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
    assert caught.value.message.startswith("ws.ping_")
