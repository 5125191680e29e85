"""`wsloop ctl`, `pub`, `sub`, `chat` and `health` as processes of their own, against real daemons."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import close_of, open_messaging
from wsloop.daemon import ctl_client
from wsloop.daemon.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

CHANNEL = "chat:lobby"


@pytest.fixture
def place() -> Iterator[str]:
    """A short path for a control socket."""
    with tempfile.TemporaryDirectory(prefix="wl") as directory:
        yield str(Path(directory, "c"))


def wsloop(*arguments: str, said: str = "", **environ: str) -> tuple[int, str, str]:
    """Run a command to its end, in this process; return its exit code, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["wsloop", *arguments])
        patch.setattr(sys, "stdin", io.StringIO(said))
        for name, value in environ.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out.getvalue(), err.getvalue()


def ctl(place: str, *arguments: str) -> Any:
    """Run `wsloop ctl` and return its answer."""
    code, out, err = wsloop("ctl", *arguments, "--control", place, "--json")
    assert code == 0, err
    return json.loads(out)


class Command:
    """A command that goes on; `lines` are those it has printed, `said` those on its error stream."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "wsloop", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        self._news: Queue[None] = Queue()
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self.lines), (self._process.stderr, self.said))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            into.append(line.rstrip("\n"))
            self._news.put(None)

    def until(self, condition: Any) -> None:
        """Wait until `condition()` is true of what it has written."""
        deadline_s = time.monotonic() + 2 * PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.lines, self.said)
            try:
                self._news.get(timeout=1.0)
            except Empty:
                assert self._process.poll() is None, (self.lines, self.said)

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def command(*arguments: str) -> Iterator[Command]:
    made = Command(*arguments)
    try:
        yield made
    finally:
        made.close()


def test_a_daemon_is_asked_and_steered(place: str) -> None:
    with Daemon("--control", place) as daemon, open_messaging(daemon) as ann, open_messaging(daemon) as ben:
        assert Path(place).stat().st_mode & 0o777 == 0o600
        assert ctl(place, "stats")["pid"] == daemon.pid
        rows = ctl(place, "conns", "--channel", CHANNEL)["connections"]
        assert len(rows) == 2
        assert all(row["received_bytes"] > 100 < row["sent_bytes"] for row in rows)
        assert ctl(place, "workers")["workers"][0]["connections"] == 2
        assert ctl(place, "publish", CHANNEL, '{"text":"hi"}')["offset"] == 1
        assert ctl(place, "reload") == {"lines": ["no key was changed"]}
        first = rows[0]
        assert ctl(place, "kick", f"{first['node']}/{first['connection']}") == {"closed": 1}
        assert close_of(ann) == (3503, "force disconnect")
        assert wsloop("health", "--control", place)[:2] == (0, "ready\n")
        code, out, _ = wsloop("ctl", "drain", "--wait", "--control", place)
        assert (code, out.splitlines()[-1]) == (0, "drained")
        assert close_of(ben) == (3001, "shutdown")
        assert daemon.wait() == 0
        assert not Path(place).exists()
        code, _, err = wsloop("ctl", "stats", "--control", place)
        assert (code, err.count("\n")) == (1, 2)
        assert f"no daemon is running at {place}" in err


@pytest.mark.usefixtures("measured")
def test_of_several_processes_the_first_is_the_one_for_signals(place: str) -> None:
    with Daemon("--control", place, "--workers", "2") as daemon:
        found = ctl(place, "stats")
        assert found["pid"] == daemon.pid
        assert [node["name"].rpartition("_")[2] for node in found["nodes"]] == ["worker-0", "worker-1"]
        assert [row["state"] for row in ctl(place, "workers")["workers"]] == ["serving", "serving"]
        assert ctl(place, "publish", CHANNEL, "not JSON", "--text")["offset"] == 1
        code, _, err = wsloop("ctl", "publish", CHANNEL, "not JSON", "--control", place)
        assert (code, err.splitlines()[0]) == (2, "error: the data is not JSON")
        code, out, _ = wsloop("ctl", "drain", "--wait", "--control", place)
        assert (code, out.splitlines()[-1]) == (0, "drained")
        assert daemon.wait() == 0


@pytest.mark.parametrize(
    ("redirected", "code", "told"),
    [
        ("0> /dev/null", 1, "error: cannot read standard input: Bad file descriptor"),
        ("<&-", 0, "0 published"),
        (r"< <(printf '1\n\xff\n')", 1, "error: line 2: the data is not JSON; 1 published before it"),
    ],
)
def test_an_input_that_cannot_be_read_is_told(redirected: str, code: int, told: str) -> None:
    with Daemon() as daemon:
        url = daemon.url("").rstrip("/")
        done = subprocess.run(
            ["bash", "-c", f"exec {sys.executable} -m wsloop pub {url} {CHANNEL} {redirected}"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        )
        assert done.returncode == code
        assert (done.stdout + done.stderr).splitlines()[0] == told
        assert "Traceback" not in done.stderr


def test_tables_are_for_people(place: str) -> None:
    with Daemon("--control", place) as daemon, open_messaging(daemon):
        for name, head in (("stats", "node"), ("conns", "id"), ("workers", "name")):
            code, out, _ = wsloop("ctl", name, "--control", place)
            assert code == 0
            assert any(line.startswith(head) for line in out.splitlines())
        assert wsloop("ctl", "kick", "--user", "zoe", "--control", place)[:2] == (1, "0 closed\n")


def test_a_live_socket_is_an_error_and_a_stale_one_is_replaced(place: str) -> None:
    with Daemon("--control", place) as daemon:
        code, _, err = wsloop("serve", "--dev", "--port", "0", "--no-admin", "--control", place)
        assert code == 3
        assert err.startswith(f"error: socket {place} is already in use")
        daemon.kill()
        assert Path(place).exists()
        daemon.start()
        assert ctl(place, "stats")["pid"] == daemon.pid


def test_the_default_place_is_found_and_several_are_listed() -> None:
    with tempfile.TemporaryDirectory(prefix="wl") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", directory)
        patch.setenv("TMPDIR", directory)
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        with Daemon() as first:
            assert f"{directory}/wsloop/ctl-{first.port}.sock" in first.banner
            assert wsloop("ctl", "stats")[0] == 0
            with Daemon() as second:
                code, _, err = wsloop("ctl", "stats")
                assert code == 1
                assert f"ctl-{first.port}.sock" in err
                assert f"ctl-{second.port}.sock" in err
        with Daemon("--control", ""):
            assert wsloop("ctl", "stats")[0] == 1


@pytest.mark.parametrize(("path", "expected"), [("x" * 120, 2), ("/nowhere/at/all", 3)])
def test_a_bad_place_is_one_clear_line(path: str, expected: int) -> None:
    code, _, err = wsloop("serve", "--dev", "--port", "0", "--no-admin", "--control", path)
    assert code == expected
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "hint"]


def test_a_stopped_daemon_is_told_from_a_dead_one(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl_client, "TIMEOUT_S", 0.5)
    with Daemon("--control", place) as daemon:
        daemon.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ctl_client.NotDoneError, match="does not answer"):
                ctl_client.ControlClient(Path(place)).ask("stats")
        finally:
            daemon.send_signal(signal.SIGCONT)


# -- pub, sub, chat -----------------------------------------------------------------------------


def test_what_is_published_is_printed_through_a_restart_of_the_connection(place: str) -> None:
    with Daemon("--control", place) as daemon:
        url = daemon.url("").rstrip("/")
        assert wsloop("pub", url, CHANNEL, '{"n":0}')[:2] == (0, "published, offset 1\n")
        with command("sub", url, CHANNEL, "--recover", "--history", "5", "--json") as listener:
            listener.until(lambda: len(listener.lines) == 1)
            # Cut off by the server, it comes back by itself, and has missed nothing.
            ident = ctl(place, "conns", "--channel", CHANNEL)["connections"][0]["connection"]
            assert ctl(place, "kick", str(ident), "--code", "4000") == {"closed": 1}
            said = "".join(f'{{"n":{number}}}\n' for number in range(1, 80))
            assert wsloop("pub", url, CHANNEL, "-", said=said)[:2] == (0, "79 published\n")
            listener.until(lambda: len(listener.lines) == 80)
            assert [json.loads(line)["data"]["n"] for line in listener.lines] == list(range(80))
            assert [json.loads(line)["offset"] for line in listener.lines] == list(range(1, 81))
            assert any("reconnecting" in line for line in listener.said)
            assert listener.end() == 0


def test_a_daemon_that_is_started_anew_is_found_again_and_a_lost_stream_is_told(place: str) -> None:
    with Daemon("--control", place) as daemon:
        url = daemon.url("").rstrip("/")
        with command("sub", url, CHANNEL, "--recover") as listener:
            listener.until(lambda: ctl(place, "conns", "--channel", CHANNEL)["total"] == 1)
            wsloop("pub", url, CHANNEL, "1")
            listener.until(lambda: listener.lines == ["1"])
            daemon.kill()
            listener.until(lambda: any("reconnecting" in line for line in listener.said))
            daemon.start()
            listener.until(lambda: any("is lost" in line for line in listener.said))
            wsloop("pub", url, CHANNEL, "2")
            listener.until(lambda: listener.lines == ["1", "2"])
            assert listener.end(signal.SIGTERM) == 0


@pytest.mark.usefixtures("measured")
def test_people_chat() -> None:
    with Daemon() as daemon:
        url = daemon.url("").rstrip("/")
        with command("chat", url, "--name", "ann") as ann:
            ann.until(lambda: "* 1 here: ann" in ann.said)
            code, _, err = wsloop("chat", url, "--name", "ben", said="hello\n\x1b[31mred\n/who\n")
            assert code == 0, err
            ann.until(lambda: len(ann.lines) == 2)
            assert ann.lines == ["ben: hello", "ben: \\x1b[31mred"]
            ann.until(lambda: "* ben went" in ann.said)
            assert "* ben came" in ann.said
            ann.say("bye")
            ann.until(lambda: "ann: bye" in ann.lines)
            assert ann.end() == 0


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (("pub", "ws://127.0.0.1:1", "a", "1"), "cannot connect to ws://127.0.0.1:1", 1),
        (("sub", "ws://127.0.0.1:1", "a"), "ECONNREFUSED", 1),
        (("chat", "unix:/nowhere"), "ENOENT", 1),
        (("pub", "http://a", "a", "1"), "no address of a WebSocket", 2),
        (("pub", "ws://127.0.0.1:1", "a", "not json"), "not JSON", 2),
        (("pub", "wss://127.0.0.1:1", "a", "1", "--ca-file", "/nowhere"), "cannot use /nowhere", 78),
        (("pub", "ws://127.0.0.1:1", "a", "NaN"), "not JSON", 2),
        (
            ("pub", "ws://127.0.0.1:1", "a", "1", "--token-file", "/nowhere"),
            "cannot read /nowhere: No such",
            78,
        ),
        (("pub", "ws://127.0.0.1:1", "a", "1", "--token-file", os.devnull), "there is no token in", 78),
        (("health", "http://127.0.0.1:1"), "cannot ask", 1),
        (("ctl", "kick"), "say whom", 2),
        (("ctl", "kick", "x"), "no connection", 2),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(arguments: tuple[str, ...], told: str, code: int) -> None:
    ended, out, err = wsloop(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith("error: ")
    assert told in err


def test_the_servers_refusals_are_told(place: str) -> None:
    with Daemon("--control", place) as daemon:
        url = daemon.url("").rstrip("/")
        code, _, err = wsloop("sub", url, "nowhere:a")
        assert (code, err.splitlines()[0]) == (1, "error: nowhere:a: unknown channel (102)")
        code, _, err = wsloop("pub", url, "nowhere:a", "1")
        assert (code, err.splitlines()[0]) == (1, "error: not published: unknown channel (102)")
        code, _, err = wsloop("pub", daemon.url("/nowhere"), "a", "1")
        assert (code, err.splitlines()[0]) == (1, "error: the server refuses: 404 Not Found (4)")


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    config = tmp_path / "wsloop.toml"
    config.write_text(
        '[token]\nhmac_secret_key = "0123456789abcdef0123456789abcdef"\n[channels]\n'
        "allow_publish_for_client = true\nallow_subscribe_for_client = true\n"
    )
    token = wsloop("token", "new", "-c", str(config), "--user", "ann")[1].strip()
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    with Daemon("-c", str(config), "--control", "", dev=False) as daemon:
        url = daemon.url("").rstrip("/")
        assert wsloop("pub", url, "a", "1", "--token-file", str(path))[0] == 0
        assert wsloop("pub", url, "a", "1", WSLOOP_TOKEN=token)[0] == 0
        code, _, err = wsloop("pub", url, "a", "1", WSLOOP_TOKEN="a.b.c")
        assert code == 1
        assert "invalid token" in err
        assert "WSLOOP_TOKEN" in err
        assert token not in daemon.stderr()
