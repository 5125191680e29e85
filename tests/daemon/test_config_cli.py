"""`wsloop config` and `wsloop check-config` as an operator meets them."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon.cli import main
from wsloop.daemon.config import Sources, read
from wsloop.daemon.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[object, str, list[str]]]

GOOD = "[client]\nallow_anonymous = true\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `wsloop` with arguments; return the exit code, standard output, and the lines of the other."""

    def go(*arguments: str) -> tuple[object, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["wsloop", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err.splitlines()

    return go


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "wsloop.toml"
    made.write_text(GOOD, encoding="utf-8")
    return made


def test_the_default_file_is_good_as_it_is(run: Run, path: Path) -> None:
    code, text, errors = run("config", "default")
    assert (code, errors) == (0, [])
    path.write_text(text, encoding="utf-8")
    assert read(Sources(path, environ={})).settings == Settings()
    code, _, errors = run("check-config", str(path))
    assert code == 0
    (warning,) = errors
    assert warning.startswith("warning: nobody can connect")


def test_the_settings_are_shown_with_flags_environment_and_file(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSLOOP_WS__MAX_FRAGMENTS", "7")
    code, text, _ = run("config", "show", "--dev", "-c", str(path), "--ws-max-size", "64KiB", "--no-admin")
    assert code == 0
    lines = {line.partition("  ")[0]: line.rpartition("# ")[2] for line in text.splitlines()}
    assert lines['ws.max_size = "64KiB"'] == "--ws-max-size"
    assert lines["admin.enabled = false"] == "--admin"
    assert lines["ws.max_fragments = 7"] == "$WSLOOP_WS__MAX_FRAGMENTS"
    assert lines["client.allow_anonymous = true"] == f"{path}:2"


def test_variables_and_schema_are_printed(run: Run) -> None:
    code, text, _ = run("config", "env")
    assert code == 0
    assert "WSLOOP_WS__MAX_SIZE=" in text.splitlines()
    assert "WSLOOP_TLS__KEY_PASSWORD=" in text.splitlines()
    code, text, _ = run("config", "schema")
    assert code == 0
    assert json.loads(text)["$defs"]["Settings"]


def test_a_good_file_is_said_to_be_good(run: Run, path: Path) -> None:
    for options in ((), ("--strict",)):
        assert run("check-config", str(path), *options) == (0, f"{path} is good\n", [])


def test_the_file_may_be_named_as_for_every_other_command(run: Run, path: Path) -> None:
    assert run("check-config", "-c", str(path)) == (0, f"{path} is good\n", [])
    for arguments in ((), (str(path), "-c", str(path))):
        code, _, errors = run("check-config", *arguments)
        assert (code, len(errors)) == (2, 2)


def test_warnings_are_printed_and_with_strict_are_78(run: Run, path: Path) -> None:
    path.write_text(f"{GOOD}[admin]\napi_insecure = true\n", encoding="utf-8")
    warning = f"warning: {path}:4: admin.api_insecure: whoever reaches the admin listener may call the API"
    assert run("check-config", str(path)) == (0, f"{path} can be used\n", [warning])
    assert run("check-config", str(path), "--strict") == (
        78,
        "",
        [warning, f"error: {path}: 1 warning, and --strict"],
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"[ws]\nmax_siz = 1\n", ":2: unknown key 'max_siz'"),
        (b"[wss]\n", ":1: unknown key 'wss'"),
        (b"[ws]\nmax_size = '5x'\n", ":2: ws.max_size: '5x' is not a size"),
        (b"[ws]\nping_interval = '5x'\n", ":2: ws.ping_interval: '5x' is not a time"),
        (b"[ws]\nping_interval = '0s'\n", ":2: ws.ping_interval: expected `float` > 0.0"),
        (b"[namespaces.a]\nhistory_ttl_s = '5x'\n", ":2: namespaces.a.history_ttl_s: '5x' is not a time"),
        (b"[server]\nport = true\n", ":2: server.port: expected `int`, got `bool`"),
        (b"[server]\nport = 70000\n", ":2: server.port: expected `int` <= 65535"),
        (b"[server]\nport = 1\nport = 2\n", ":3: Cannot overwrite a value"),
        (b"[ws]\n[log]\n[ws]\n", ":3: Cannot declare ('ws',) twice"),
        (b"[ws]\nmax_size = \n", ":2: Invalid value"),
        (b"[ws", ":1: Expected ']' at the end of a table declaration"),
        (b"\xff\xfe", "cannot read"),
        (b"[ws]\nping_timeout = '1h'\n", ":2: ws.ping_timeout must be less than ws.ping_interval"),
        (b"[admin]\ntls = true\n", ":2: admin.tls is on without a certificate"),
        (b"[tls]\nkeyfile = 'k'\n", ":2: tls.keyfile is given without tls.certfile"),
        (b"[tls]\ncertfile = '/no/such/file'\n", "cannot read /no/such/file"),
        (b"[server]\nbind = ['nowhere']\n", ":2: 'nowhere' is not an address to listen on"),
        (b"[server]\nbind = ['unix:/%s']\n" % (b"x" * 120), ":2: the socket path /xxx"),
        (b"[server]\n\ncontrol = '/%s'\n" % (b"x" * 120), ":3: the control socket's path /xxx"),
        (b"[server]\nworkers = 'many'\n", ':2: server.workers: expected a whole number or "auto"'),
        (b"[server]\nallowed_origins = ['*']\n", ":2: server.allowed_origins: '*' is not an origin"),
        (b"[rate_limits]\nip_rpc = '60'\n", ':2: rate_limits.ip_rpc: expected a rate such as "60/1s"'),
        (b"[log]\nlevel = 'loud'\n", ":2: log.level: invalid enum value 'loud'; there are debug, info"),
        (b"[admin]\napi_key = 'short'\n", ":2: admin.api_key: expected 8 to 255 visible characters of ASCII"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_is_78_and_told_with_its_line(
    run: Run, path: Path, text: bytes, error: str
) -> None:
    path.write_bytes(text)
    code, out, errors = run("check-config", str(path))
    assert (code, out) == (78, "")
    assert errors[0].startswith("error: ")
    assert error in errors[0]
    assert len(errors) <= 2


def test_a_file_that_is_not_there_or_a_folder_is_78(run: Run, tmp_path: Path) -> None:
    code, _, errors = run("check-config", str(tmp_path / "none.toml"))
    assert code == 78
    assert "No such file" in errors[0]
    code, _, errors = run("check-config", str(tmp_path))
    assert code in (2, 78)
    assert "directory" in errors[0]


def test_a_file_that_may_not_be_read_is_78(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, **_how: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(type(path), "read_text", refuse)
    code, _, errors = run("check-config", str(path))
    assert (code, errors[0]) == (78, f"error: cannot read {path}: Permission denied")


def test_a_mistake_in_the_environment_is_78_too(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSLOOP_WS__MAX_SIZ", "7")
    assert run("check-config", str(path))[2] == [
        "error: $WSLOOP_WS__MAX_SIZ: there is no such setting",
        "hint: did you mean WSLOOP_WS__MAX_SIZE?",
    ]
