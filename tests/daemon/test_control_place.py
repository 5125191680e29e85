"""Where the control socket is, for the daemon and for who looks for it."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import control_place, ctl_client
from wsloop.daemon.control_place import bind_for, default_path, running
from wsloop.errors import ConfigError, StartupError
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator

ME = os.getuid()


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl") as directory:
        yield Path(directory)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/wsloop:/run/b", "XDG_RUNTIME_DIR": "/x"}, "/run/wsloop/ctl.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/wsloop/ctl-8765.sock"),
        ({"TMPDIR": "/var/tmp"}, "/var/tmp/wsloop-7/ctl-8765.sock"),
    ],
)
def test_the_first_directory_there_is_counts(environ: dict[str, str], expected: str) -> None:
    assert str(default_path("8765", environ, 7)) == expected


def test_its_directory_is_made_for_the_owner_alone_and_so_is_the_file(root: Path) -> None:
    bind = bind_for(None, "1", {"TMPDIR": str(root)})
    assert bind is not None
    path = Path(bind.path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with SocketNetwork().listen(bind):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert running({"TMPDIR": str(root)}) == [path]
    assert not path.exists()
    assert bind_for("", "1", {}) is None


def test_a_path_that_is_too_long_is_told(root: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 107"):
        bind_for(f"/{'x' * 120}", "1", {})


def test_a_directory_that_others_rule_is_not_used(root: Path) -> None:
    ours = root / f"wsloop-{ME}"
    ours.mkdir()
    ours.chmod(0o777)
    with pytest.raises(StartupError, match="others may write") as caught:
        bind_for(None, "1", {"TMPDIR": str(root)})
    assert caught.value.hint == f"chmod 700 {ours}"
    with pytest.raises(StartupError, match="not a directory of this user's"):
        bind_for(None, "1", {"XDG_RUNTIME_DIR": str(root)}, user_id=ME + 1)
    (root / "file").write_text("")
    with pytest.raises(StartupError, match="cannot make"):
        bind_for(None, "1", {"TMPDIR": str(root / "file")})
    ours.rmdir()
    ours.symlink_to(root)
    with pytest.raises(StartupError, match="not a directory"):
        bind_for(None, "1", {"TMPDIR": str(root)})


def test_what_no_daemon_answers_on_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_place, "SYSTEM_DIRECTORY", root / "run")
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(root))
    (root / "run").mkdir()
    (root / "run/ctl.sock").write_text("")
    with pytest.raises(ctl_client.GoneError, match="no daemon is running"):
        ctl_client.find(None)
    paths = [root / "run/ctl-1.sock", root / "run/ctl-2.sock"]
    listeners = [socket.socket(socket.AF_UNIX) for _ in paths]
    for listener, path in zip(listeners, paths, strict=True):
        listener.bind(str(path))
    listeners[0].listen()
    assert ctl_client.find(None).path == paths[0]
    listeners[1].listen()
    with pytest.raises(ctl_client.NotDoneError) as caught:
        ctl_client.find(None)
    assert str(paths[0]) in caught.value.hint
    for listener in listeners:
        listener.close()
