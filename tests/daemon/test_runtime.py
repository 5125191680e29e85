from __future__ import annotations

import os
import socket
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import runtime
from wsloop.daemon.runtime import Runtime, sweep
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path


def made_in(above: Path) -> list[str]:
    return [each.name for each in above.iterdir()]


def test_the_directory_is_private_holds_a_listening_socket_and_goes_with_the_daemon(tmp_path: Path) -> None:
    place = Runtime({"RUNTIME_DIRECTORY": str(tmp_path), "TMPDIR": "/nowhere"})
    (name,) = made_in(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(place.link_path)
    assert os.fstat(place.link_fileno())
    place.close()
    assert made_in(tmp_path) == []


def test_the_first_place_that_can_be_used_is_and_nothing_lies_about_in_the_others(tmp_path: Path) -> None:
    above = tmp_path / ("x" * 100)
    above.mkdir()
    short = tempfile.mkdtemp(prefix="wl")
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "gone"), "XDG_RUNTIME_DIR": str(above), "TMPDIR": short}
    place = Runtime(environ)
    assert place.link_path.startswith(short)
    place.close()
    os.rmdir(short)
    assert made_in(above) == []


def test_where_none_can_be_used_the_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "FALLBACK", str(tmp_path / "gone"))
    with pytest.raises(StartupError, match=f"cannot make the directory {tmp_path}/lost/") as caught:
        Runtime({"TMPDIR": str(tmp_path / "lost")})
    assert "TMPDIR" in caught.value.hint
    above = tmp_path / ("x" * 100)
    above.mkdir()
    with pytest.raises(StartupError, match="too long"):
        Runtime({"TMPDIR": str(above)})
    assert made_in(above) == []


def test_what_a_killed_daemon_left_is_swept_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "STALE_AFTER_S", -1.0)
    killed = tmp_path / "wsloop-12-0123abcd"
    killed.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(killed / "link"))
    (killed / "link.lock").touch()
    others = tmp_path / "wsloop-notes"
    others.mkdir()
    alive = Runtime({"TMPDIR": str(tmp_path)})
    assert not killed.exists()
    assert others.exists()
    sweep(str(tmp_path), 2e9)
    assert os.path.exists(alive.link_path)
    alive.close()


def test_a_directory_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    young = tmp_path / "wsloop-12-0123abcd"
    young.mkdir()
    sweep(str(tmp_path), young.stat().st_mtime + 1)
    assert young.exists()
