"""The control socket that is listened on, may be missing, or is not wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import listening
from wsloop.daemon.settings import AdminSettings, ServerSettings, Settings
from wsloop.daemon.sockets import Sockets
from wsloop.errors import StartupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets(10)
    yield made
    made.close()


def settings(control: str | None) -> Settings:
    return Settings(server=ServerSettings(port=0, control=control), admin=AdminSettings(enabled=False))


def control_of(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith("  control")]


def test_an_empty_path_is_no_control_socket(sockets: Sockets) -> None:
    assert control_of(listening.listen(settings(""), sockets)) == []


def test_where_it_is_is_said(sockets: Sockets, tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    assert control_of(listening.listen(settings(path), sockets)) == [f"  control  {path}"]


def test_one_that_nobody_asked_for_may_be_missing(
    sockets: Sockets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wsloop").write_text("a file where the directory would be")
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (line,) = control_of(listening.listen(settings(None), sockets))
    assert line.startswith("  control  off: ")


def test_one_that_was_asked_for_must_be_there(sockets: Sockets, tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        listening.listen(settings(str(tmp_path / "no" / "such" / "place")), sockets)


@pytest.mark.parametrize("text", ["0.0.0.0:0", "fd://3"])
def test_in_development_nobody_else_is_let_in(text: str, sockets: Sockets) -> None:
    with pytest.raises(UsageError, match="--dev"):
        listening.binds(Settings(dev=True, server=ServerSettings(bind=(text,))), sockets)
