"""What an operator gets wrong, and what goes wrong with a machine, to daemons of one worker and of two.

A daemon that cannot start says so in one `error:` line, a hint and an exit code, and leaves everything as
it was. One that runs goes on: a line in the log, or a metric and /readyz, says what is missing. In memory the
same is in tests/daemon; other clients' faults are in `test_bad_clients.py`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.crowd import Crowd
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.family import children_of, until
from tests.system.peers import open_echo, says
from tests.transport.tls_kit import write_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc, /dev/full and setpriv(1) are Linux's"),
]

WORKERS = ("1", "2")
LONG = "/" + "x" * 120
OK, FAILED, USAGE, NOT_STARTED, BAD_CONFIG = 0, 1, 2, 3, 78


def refusals(
    *options: str, environ: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> set[tuple[int, tuple[str, ...]]]:
    """Start daemons that must not start, of one worker and of two at once; return exit codes and lines said.

    `before` is a command that runs them. Nothing may be printed but an error and, if need be, a hint.
    """
    command = [*before, sys.executable, "-m", "wsloop", "serve", *options]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, "--workers", workers],
                    env={**os.environ, **(environ or {})},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for workers in WORKERS
        ]
        for process in processes:
            stack.callback(process.kill)
        found = set()
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE_S)
            assert out == ""
            lines = tuple(err.splitlines())
            assert [line.partition(": ")[0] for line in lines] in (["error"], ["error", "hint"]), err
            found.add((process.returncode, lines))
        return found


def refusal(
    *options: str, environ: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Return exit code and error of daemons that must not start, the same for one worker and for two."""
    ((code, lines),) = refusals(*options, environ=environ, before=before)
    return code, lines[0].removeprefix("error: ")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place with a short name."""
    with tempfile.TemporaryDirectory(prefix="wl") as made:
        yield Path(made)


# -- it cannot start ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server\n", ":1: Expected ']'"),
        ("[server]\nprot = 1\n", ":2: unknown key 'prot'"),
        ("[server]\nworkers = 0\n", ":2: server.workers: expected `int` >= 1"),
        ("[ws]\nping_timeout = '1h'\n", ":2: ws.ping_timeout must be less than ws.ping_interval"),
        (f"[server]\nbind = ['unix:{LONG}']\n", ":2: the socket path /xxx"),
    ],
)
def test_a_mistake_in_the_file_is_78(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "wsloop", "serve", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (BAD_CONFIG, "")
    assert done.stderr.startswith(f"error: {path}{said}")
    assert done.stderr.count("\n") <= 2


def test_a_mistake_in_the_environment_is_78_and_in_a_flag_2() -> None:
    code, said = refusal(environ={"WSLOOP_SERVER__PROT": "1"})
    assert (code, said) == (BAD_CONFIG, "$WSLOOP_SERVER__PROT: there is no such setting")
    assert refusal("--uds", LONG) == (USAGE, f"the socket path {LONG} is too long")


def test_a_port_in_use_is_3_and_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, socket.socket() as shared:
        port = holder.getsockname()[1]
        who = f"port {port} is already in use (pid {os.getpid()}, "
        code, said = refusal("--dev", "--port", str(port), "--no-admin")
        assert code == NOT_STARTED
        assert said.startswith(who)
        code, said = refusal("--dev", "--port", "0", "--admin-port", str(port))
        assert code == NOT_STARTED
        assert said.startswith(f"admin: {who}")
        # One that would share it with others must not be joined unasked.
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", 0))
        shared.listen()
        assert refusal("--dev", "--port", str(shared.getsockname()[1]), "--no-admin")[0] == NOT_STARTED


def test_a_privileged_port_without_rights_is_3() -> None:
    first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    if first_free <= 1:
        pytest.skip("this kernel lets everybody have every port: net.ipv4.ip_unprivileged_port_start")
    before = () if os.geteuid() else ("setpriv", "--bounding-set=-net_bind_service")
    port = str(min(first_free - 1, 79))
    code, said = refusal("--dev", "--no-admin", "--port", port, before=before)
    assert (code, said) == (NOT_STARTED, f"no permission to listen on port {port}")
    code, said = refusal("--dev", "--port", "0", "--admin-port", port, before=before)
    assert (code, said) == (NOT_STARTED, f"no permission to listen on port {port}")


def test_a_certificate_of_another_key_is_78_and_at_a_reload_changes_nothing(tmp_path: Path) -> None:
    (cert, key), (_, other) = write_pair(tmp_path), write_pair(tmp_path, "other")
    said = f"the key in {other} does not belong to the certificate in {cert}"
    tls = ("--ssl-certfile", cert, "--ssl-keyfile")
    assert refusal("--dev", "--port", "0", "--no-admin", *tls, other) == (BAD_CONFIG, said)
    for workers in WORKERS:
        mine = tmp_path / f"{workers}.key"
        shutil.copy(key, mine)
        with Daemon("--no-admin", *tls, str(mine), "--workers", workers) as daemon:
            shutil.copy(other, mine)
            daemon.send_signal(signal.SIGHUP)
            until(lambda: "nothing was changed" in daemon.stderr(), "a word about the reload")
            assert daemon.stderr().count("does not belong to the certificate") == 1
            assert daemon.stderr().count(" ERROR ") == 1
            daemon.connect().close()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait() == OK
            assert "Traceback" not in daemon.stderr()


def test_a_pid_file_of_a_daemon_that_lives_is_3_and_one_that_is_stale_is_replaced(folder: Path) -> None:
    path = folder / "pid"
    base = ("--dev", "--port", "0", "--no-admin", "--control", "", "--pid-file")
    path.write_text("not a number\n", encoding="ascii")
    assert refusal(*base, str(path)) == (NOT_STARTED, f"{path} exists and is no pid file")
    for workers in WORKERS:
        # The number of a process that lives, but is no daemon.
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
        with Daemon("--no-admin", "--pid-file", str(path), "--workers", workers) as daemon:
            assert daemon.stderr().count(f"the pid file {path} is stale: replaced") == 1
            assert path.read_text(encoding="ascii") == f"{daemon.pid}\n"
            if workers == WORKERS[-1]:
                said = f"a daemon runs already (pid {daemon.pid} holds {path})"
                assert refusal(*base, str(path)) == (NOT_STARTED, said)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait() == OK
            assert not path.exists()


def test_a_folder_for_temporary_files_that_is_too_deep_keeps_nobody_from_having_workers(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone" / "gone"))
        patch.setenv("TMPDIR", str(deep))
        with Daemon("--no-admin", "--workers", "2") as daemon:
            assert "  control  off: " in daemon.banner
            with open_echo(daemon) as peer:
                assert says(peer, "hello") == "hello"
    assert list(deep.iterdir()) == []


DIES = """
import sys
from wsloop.daemon import cli, respawn, serving
respawn.LONGEST_S = 0.2
serve = serving.serve
def fail(settings, role, *rest):
    if role.name == "worker-0":
        raise RuntimeError("a bug that shows at start")
    return serve(settings, role, *rest)
serving.serve = fail
cli.main()
"""


def test_a_worker_that_dies_whenever_it_starts_ends_the_daemon_with_1_and_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-c", DIES, "serve", "--dev", "--port", "0", "--no-admin", "--control", ""]
    done = subprocess.run(
        [*command, "--workers", "2", "--log-file", str(path)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr == "error: worker-0: RuntimeError: a bug that shows at start (<string>:8)\n"
    log = path.read_text(encoding="utf-8")
    assert log.count("worker-0: RuntimeError: a bug that shows at start (<string>:8)") == 1
    assert "ended with exit status 1 for the same reason (2 times); respawn in" in log
    assert "ended with exit status 1 for the same reason (10 times)" in log
    assert log.count("10 processes died within 60 s: giving up") == 1
    assert "Traceback" not in log


# -- it runs, and something is missing --------------------------------------------------------------


def admin(daemon: Daemon, path: str) -> tuple[int, str]:
    """Ask the admin listener."""
    found = re.search(r"admin    http://127\.0\.0\.1:(\d+)", daemon.banner)
    assert found
    return get(int(found[1]), path)


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def sample(daemon: Daemon, name: str) -> float:
    """Return the sum of a metric's samples."""
    rows = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", admin(daemon, "/metrics")[1], re.MULTILINE)
    return sum(map(float, rows))


@pytest.mark.parametrize("workers", WORKERS)
def test_a_full_disk_for_logs_is_a_warning_a_metric_and_a_line_when_there_is_room_again(
    folder: Path, workers: str
) -> None:
    path = folder / "log"
    path.symlink_to("/dev/full")
    options = ("--log-file", str(path), "--access-log", "--admin-port", "0", "--workers", workers)
    with Daemon(*options) as daemon, Crowd(daemon.url("/connection/websocket")) as crowd:
        (client,) = crowd.join("chat:lobby")
        for number in range(1, 6):
            assert crowd.publish(client, "chat:lobby", number).offset == number
        until(lambda: sample(daemon, "wsloop_log_lines_lost_total") > 0, "lost lines that are counted")
        until(lambda: "(No space left on device)" in admin(daemon, "/readyz")[1], "a warning")
        status, text = admin(daemon, "/readyz")
        assert (status, text.split("\n")[0]) == (200, "ready")
        assert get(daemon.port, "/readyz") == (200, "ready\n")
        path.unlink()
        daemon.send_signal(signal.SIGUSR1)
        until(lambda: path.exists() and "lines of the log were lost" in path.read_text(), "a word about them")
        until(lambda: admin(daemon, "/readyz") == (200, "ready\n"), "an end of the warning")
        crowd.run_until(lambda: crowd.heard("chat:lobby") == [[1, 2, 3, 4, 5]])
        assert daemon.stderr() == ""


@pytest.mark.parametrize("workers", WORKERS)
def test_a_reload_that_fails_is_a_warning_and_a_metric_until_a_good_one(folder: Path, workers: str) -> None:
    path = folder / "wsloop.toml"
    path.write_text("", encoding="utf-8")
    with Daemon("-c", str(path), "--admin-port", "0", "--workers", workers) as daemon:
        until(lambda: sample(daemon, "wsloop_last_reload_success_timestamp_seconds") > 0, "the first reading")
        read_s = sample(daemon, "wsloop_last_reload_success_timestamp_seconds")
        assert sample(daemon, "wsloop_last_reload_failed") == 0
        path.write_text("[ws]\nmax_sise = 1\n", encoding="utf-8")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: sample(daemon, "wsloop_last_reload_failed") == 1, "a reload that failed")
        status, text = admin(daemon, "/readyz")
        who = "supervisor: " if workers != "1" else ""
        assert (status, text.splitlines()[0]) == (200, "ready")
        assert text.splitlines()[1].startswith(f"warning: {who}reload: {path}:2: unknown key")
        path.write_text("", encoding="utf-8")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: admin(daemon, "/readyz") == (200, "ready\n"), "an end of the warning")
        assert sample(daemon, "wsloop_last_reload_failed") == 0
        assert sample(daemon, "wsloop_reload_failures_total") == 1
        assert sample(daemon, "wsloop_last_reload_success_timestamp_seconds") > read_s


def test_a_stopped_broker_is_told_in_one_line_and_nothing_is_lost_or_hammered() -> None:
    with Daemon("--admin-port", "0", "--workers", "2") as daemon:
        hub = children_of(daemon.pid)[0]
        channel = ("chat:lobby", '"meanwhile"')
        os.kill(hub, signal.SIGSTOP)
        try:
            until(lambda: get(daemon.port, "/readyz") == (503, "not ready: unavailable\n"), "503")
            url = daemon.url("").rstrip("/")
            command = [sys.executable, "-m", "wsloop", "pub", url, *channel]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
                try:
                    told = f"hub (pid {hub}) has been silent for"
                    until(lambda: told in daemon.stderr(), "a word about the broker")
                    health = [sys.executable, "-m", "wsloop", "health", f"http://127.0.0.1:{daemon.port}"]
                    asked = subprocess.run(
                        health, capture_output=True, text=True, timeout=PATIENCE_S, check=False
                    )
                    assert (asked.returncode, asked.stdout) == (FAILED, "not ready: not ready: unavailable\n")
                    time.sleep(1.0)  # of this process: what must not happen needs time to happen
                    assert publisher.poll() is None
                finally:
                    os.kill(hub, signal.SIGCONT)
                out, _ = publisher.communicate(timeout=PATIENCE_S)
                assert (publisher.returncode, out) == (OK, "published, offset 1\n")
        finally:
            os.kill(hub, signal.SIGCONT)
        until(lambda: admin(daemon, "/readyz") == (200, "ready\n"), "200")
        until(lambda: f"hub (pid {hub}) is heard of again" in daemon.stderr(), "a word of its end")
        assert daemon.stderr().count(told) == 1
        assert sample(daemon, "wsloop_error_replies_total") < 100
