"""The command line, as an operator meets it: help, errors with a hint, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from selectors import DefaultSelector
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.system.daemon import Daemon
from tests.system.peers import MESSAGING, http, open_echo, raw, says
from tests.transport.test_certificates import PASSWORD, encrypted
from tests.transport.tls_kit import write_pair
from wsloop import __version__
from wsloop.daemon import compose
from wsloop.daemon.cli import cli, main
from wsloop.daemon.settings import TlsSettings
from wsloop.loop.poller import SelectorPoller
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    Fails = Callable[..., tuple[object, list[str]]]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run `wsloop` with arguments that must not start it; return the exit code and what it said."""

    def run(*arguments: str) -> tuple[object, list[str]]:
        monkeypatch.setattr(sys, "argv", ["wsloop", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert captured.out == ""
        return ended.value.code, captured.err.splitlines()

    return run


# -- help ---------------------------------------------------------------------------------------


def test_bare_wsloop_prints_help_that_begins_with_the_two_first_commands() -> None:
    result = CliRunner().invoke(cli, [], prog_name="wsloop")
    assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines() if line.strip()]
    assert lines[0].startswith("Usage: wsloop ")
    assert lines[1].startswith("wsloop serve --dev ")
    assert lines[2].startswith("wsloop serve -c ")


@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["version"]])
def test_the_version_is_told(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, result.output) == (0, f"wsloop {__version__}\n")


def test_every_option_of_serve_has_a_word_of_help() -> None:
    options = cli.commands["serve"].params
    assert len(options) > 15
    assert [option.name for option in options if not getattr(option, "help", None)] == []


# -- mistakes of usage: 2 -----------------------------------------------------------------------


def test_an_unknown_option_is_2_with_the_right_one_named(fails: Fails) -> None:
    code, lines = fails("serve", "--prot", "1")
    assert code == 2
    assert lines[0].startswith("error: ")
    assert "did you mean" in lines[0].lower()
    assert "--port" in lines[0]
    assert lines[1:] == ["hint: see wsloop serve --help"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("config", "show", "--prot", "1"), "wsloop config show"),
        (("serve", "--port", "x"), "wsloop serve"),
        (("token", "new", "--userr", "x"), "wsloop token new"),
        (("check-config", "--strikt"), "wsloop check-config"),
        (("config", "shwo"), "wsloop config"),
    ],
)
def test_the_hint_names_the_command_that_was_misused(
    fails: Fails, arguments: tuple[str, ...], command: str
) -> None:
    code, lines = fails(*arguments)
    assert code == 2
    assert lines[1] == f"hint: see {command} --help"


def test_an_unknown_command_is_2_with_the_right_one_named(fails: Fails) -> None:
    code, lines = fails("serv")
    assert code == 2
    assert "'serve'" in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "65536"),
        ("--port", "http"),
        ("--ws-ping-interval", "soon"),
        ("--poller", "iocp"),
        ("--log-level", "loud"),
        ("--backlog", "0"),
        ("stray",),
        ("--uds", ""),
        ("--fd", "-1"),
        ("--port", "9999", "--bind", "127.0.0.1:0"),
        ("--host", "localhost", "--uds", "/tmp/s"),
        ("--fd", "987", "-b", "fd://987"),
        ("-b", "unix:/tmp/s", "--uds", "/tmp/s"),
    ],
)
def test_a_bad_value_is_2_and_two_lines(fails: Fails, arguments: tuple[str, ...]) -> None:
    code, lines = fails("serve", *arguments)
    assert code == 2
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--ws-ping-interval", "inf"),
        ("--ws-max-size", "9" * 25),
        ("--backlog", "9" * 25),
    ],
)
def test_an_absurd_value_is_an_error_and_no_traceback(fails: Fails, arguments: tuple[str, ...]) -> None:
    code, lines = fails("serve", "--dev", "--port", "0", *arguments)
    assert code in (2, 78)
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--host", "::"),
        ("--bind", "0.0.0.0:0"),
        ("--bind", "127.0.0.1:0", "--bind", "192.0.2.1:0"),
        ("--fd", "0"),
    ],
)
def test_dev_refuses_to_listen_where_others_could_come_in(fails: Fails, arguments: tuple[str, ...]) -> None:
    code, lines = fails("serve", "--dev", *arguments)
    assert code == 2
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    assert "--dev" in lines[0]


# -- cannot start: 3 ----------------------------------------------------------------------------


@on_linux
def test_a_port_in_use_is_3_and_two_lines_that_name_the_holder(fails: Fails) -> None:
    with Daemon() as other:
        code, lines = fails("serve", "--dev", "--port", str(other.port))
        comm = Path(f"/proc/{other.pid}/comm").read_text(encoding="utf-8").strip()
        assert code == 3
        assert lines == [
            f"error: port {other.port} is already in use (pid {other.pid}, {comm})",
            f"hint: try --port {other.port + 10}",
        ]


def test_a_failure_of_the_second_address_leaves_the_first_one_free(fails: Fails) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
        probe.close()
        binds = [f"127.0.0.1:{free}", f"127.0.0.1:{taken.getsockname()[1]}"]
        code, lines = fails("serve", "--dev", "--bind", binds[0], "--bind", binds[1])
        assert (code, len(lines)) == (3, 2)
        socket.create_server(("127.0.0.1", free)).close()


def test_a_start_that_fails_does_not_sleep_before_it_says_so(
    fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    class WatchedPoller(SelectorPoller):
        def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
            waits.append(timeout_s)
            return super().poll(timeout_s)

    monkeypatch.setattr(compose, "make_poller", lambda _backend: WatchedPoller(DefaultSelector()))
    assert fails("serve", "--fd", "987")[0] == 3
    assert set(waits) <= {0.0}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--bind", "unix:/no/such/folder/wsloop.sock"), id="no folder"),
        pytest.param(("--uds", __file__), id="a file that is no socket"),
        pytest.param(("--host", "192.0.2.1"), id="not an address of this machine"),
        pytest.param(("--fd", "987"), id="no such descriptor"),
    ],
)
def test_an_address_that_cannot_be_had_is_3(fails: Fails, arguments: tuple[str, ...]) -> None:
    code, lines = fails("serve", *arguments)
    assert code == 3
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]


def test_a_unix_socket_in_use_is_3_and_its_owner_keeps_it(fails: Fails, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with Daemon(uds=path):
        assert fails("serve", "--dev", "--uds", path)[0] == 3
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)


# -- bad configuration: 78 ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[server]\nprot = 1\n", 2, "'prot'"),
        ("\n\n[sever]\n", 3, "'sever'"),
        ('[server]\nhost = "::1"\nport = "high"\n', 3, "server.port"),
        ("[ws]\n\nping_interval = -1\n", 3, "ws.ping_interval"),
        ("[server\n", 1, ""),
    ],
)
def test_a_bad_file_is_78_with_file_and_line(
    fails: Fails, tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text(text, encoding="utf-8")
    code, lines = fails("serve", "-c", str(path))
    assert code == 78
    assert lines[0].startswith(f"error: {path}:")
    assert re.search(rf":{line}: |line {line}\b", lines[0]), lines[0]
    assert words in lines[0]


def test_a_missing_file_is_78(fails: Fails, tmp_path: Path) -> None:
    code, lines = fails("serve", "-c", str(tmp_path / "none.toml"))
    assert code == 78
    assert "none.toml" in lines[0]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    return write_pair(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("{cert}", "/nowhere/k"), "cannot read /nowhere/k: No such file", id="missing"),
        pytest.param(("{key}", "{cert}"), "holds no certificate in PEM format", id="wrong way round"),
        pytest.param(("{cert}", "{other}"), "does not belong to the certificate", id="another's key"),
        pytest.param(("{cert}", "{cert}"), "holds no private key in PEM format", id="no key"),
        pytest.param(("/", "{key}"), "cannot read /: Is a directory", id="a directory"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_78_and_two_lines(
    fails: Fails, tmp_path: Path, pair: tuple[str, str], options: tuple[str, str], words: str
) -> None:
    names = {"cert": pair[0], "key": pair[1], "other": write_pair(tmp_path, "other")[1]}
    cert, key = (option.format(**names) for option in options)
    held = set(os.listdir("/dev/fd"))
    code, lines = fails("serve", "--dev", "--port", "0", "--ssl-certfile", cert, "--ssl-keyfile", key)
    assert set(os.listdir("/dev/fd")) == held  # nobody goes on listening
    assert code == 78
    assert words in lines[0]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]


def test_a_key_without_a_certificate_is_78(fails: Fails, pair: tuple[str, str]) -> None:
    code, lines = fails("serve", "--dev", "--port", "0", "--ssl-keyfile", pair[1])
    assert code == 78
    assert "certfile" in lines[0]


def test_the_password_of_a_key_comes_from_the_environment_only(
    fails: Fails, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyfile = encrypted(pair[1])
    arguments = ("serve", "--dev", "--port", "0", "--ssl-certfile", pair[0], "--ssl-keyfile", keyfile)
    code, lines = fails(*arguments)
    assert code == 78
    assert "is encrypted" in lines[0]
    assert "WSLOOP_TLS__KEY_PASSWORD" in lines[1]
    monkeypatch.setenv("WSLOOP_TLS__KEY_PASSWORD", "not the one")
    code, lines = fails(*arguments)
    assert code == 78
    assert "password is wrong" in lines[0]
    monkeypatch.setenv("WSLOOP_TLS__KEY_PASSWORD", PASSWORD.decode())
    assert compose.certificates(TlsSettings(certfile=pair[0], keyfile=keyfile)) is not None


# -- a start that succeeds ----------------------------------------------------------------------


@pytest.mark.system
def test_the_file_is_used_and_a_flag_beats_it(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text("[server]\nport = 1\n[ws]\nmax_size = 10\n", encoding="utf-8")
    with Daemon("-c", str(path)) as daemon, raw(daemon) as peer:  # Daemon passes --port
        peer.send(OPCODE_TEXT, b"0123456789")
        assert peer.read_frame() == (OPCODE_TEXT, b"0123456789")
        peer.send(OPCODE_TEXT, b"0123456789!")
        opcode, payload = peer.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (OPCODE_CLOSE, 1009)


@pytest.mark.system
def test_bind_may_be_given_more_than_once(tmp_path: Path) -> None:
    unix = tmp_path / "s"
    with Daemon("-b", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--uds", str(unix)) as daemon:
        ports = [int(port) for port in re.findall(r"ws://127\.0\.0\.1:(\d+)/echo", daemon.banner)]
        assert len(set(ports)) == 2
        assert f"unix:{unix}" in daemon.banner
        for port in ports:
            daemon.port = port
            with open_echo(daemon) as peer:
                assert says(peer, "both") == "both"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(unix))
            sock.sendall(GET)
            assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.system
def test_the_banner_has_the_address_and_how_to_stop() -> None:
    with Daemon() as daemon:
        assert f"http://127.0.0.1:{daemon.port}/" in daemon.banner
        assert daemon.banner.rstrip().endswith("Ctrl+C to stop")
        assert "anybody" in daemon.banner
        status, headers, body = http(daemon, GET)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<title>" in body


@pytest.mark.system
def test_without_dev_there_is_no_page_no_echo_and_nobody_gets_in() -> None:
    with Daemon(dev=False) as daemon:
        assert "echo" not in daemon.banner
        assert "nobody   can connect yet" in daemon.banner
        assert http(daemon, GET)[1]["content-type"].startswith("text/plain")
        assert http(daemon, GET.replace(b"GET /", b"GET /echo"))[0] == 404
        with raw(daemon, MESSAGING) as peer:
            peer.send(OPCODE_TEXT, b'{"id":1,"connect":{}}')
            opcode, payload = peer.read_frame()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (OPCODE_CLOSE, 3501)


@pytest.mark.system
def test_logs_are_json_lines_where_nobody_watches() -> None:
    with Daemon(dev=False) as daemon:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        lines = [json.loads(line) for line in daemon.stderr().splitlines()]
        assert [line["message"] for line in lines][-1] == "stopped"
        assert all(line["level"] == "INFO" and line["time"] for line in lines)


def imported(log: str) -> set[str]:
    """Return the modules that `python -X importtime` says were imported."""
    return {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}


@pytest.mark.system
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_server_process_never_imports_asyncio_or_what_is_slow_to_load(log_format: str) -> None:
    """But for what writes metrics, where there is an admin listener (tests/system/test_start.py)."""
    options = ("--no-admin", "--log-format", log_format)
    with Daemon(*options, python_options=("-X", "importtime")) as daemon:
        with open_echo(daemon) as peer, raw(daemon, MESSAGING) as client:
            assert says(peer, "everything is on") == "everything is on"
            client.send(OPCODE_TEXT, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"chat:a"}}')
            assert b'"connect"' in client.read_frame()[1]
        assert http(daemon, GET)[0] == 200
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        modules = imported(daemon.stderr())
    assert {"wsloop.server.connection", "wsloop.hub.dispatcher", "wsproto", "h11"} <= modules
    assert ("pythonjsonlogger.json" in modules) is (log_format == "json")
    heavy = {"asyncio", "ssl", "hypothesis", "prometheus_client", "jwt", "urllib.request", "http.client"}
    assert modules & (heavy | {"wsloop.testing", "unittest", "concurrent.futures"}) == set()


def test_help_does_not_load_the_house() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "wsloop", "serve", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    modules = imported(done.stderr)
    assert "wsloop.daemon.cli" in modules
    assert {name for name in modules if name.startswith(("wsloop.server", "wsloop.loop", "wsproto"))} == set()
    assert "wsloop.hub.hub" not in modules


@pytest.mark.system
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_banner_that_cannot_be_printed_does_not_keep_the_daemon_from_serving(tmp_path: Path) -> None:
    unix = tmp_path / "s"
    command = [sys.executable, "-m", "wsloop", "serve", "--dev", "--uds", str(unix)]
    with (
        open("/dev/full", "w", encoding="ascii") as full,
        subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            assert "cannot print the addresses: No space left on device" in process.stderr.readline()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(unix))
                sock.sendall(GET)
                assert sock.recv(12) == b"HTTP/1.1 200"
        finally:
            process.terminate()
        assert process.wait() == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--ws-ping-interval", "-1"),
        ("--ws-ping-interval", "nan"),
        ("--ws-ping-timeout", "inf"),
        ("--backlog", "99999999999"),
        ("--bind", "nonsense"),
        ("--workers", "many"),
        ("--uds", "/" + "x" * 200),
        ("--control", "/" + "x" * 200),
    ],
)
def test_a_value_that_is_wrong_on_the_command_line_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "wsloop", "serve", "--dev", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.system
def test_a_unix_socket_beside_it_does_not_open_the_tcp_address_to_foreign_names(tmp_path: Path) -> None:
    unix = tmp_path / "s"
    foreign = GET.replace(b"Host: localhost", b"Host: evil.example")
    with Daemon("-b", "127.0.0.1:0", "--uds", str(unix)) as daemon:
        assert http(daemon, foreign)[0] == 421
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(unix))
            sock.sendall(foreign)
            assert sock.recv(12) == b"HTTP/1.1 200"
