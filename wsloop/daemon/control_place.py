"""Where the control socket is: one answer for the daemon that makes it and for `wsloop ctl`, which looks.

`$RUNTIME_DIRECTORY/ctl.sock` under systemd, else `$XDG_RUNTIME_DIR/wsloop/ctl-PORT.sock`, else the same in
a directory of the user's below the one for temporary files. Whoever reaches the socket rules the
daemon, so that its directory is the owner's alone, and so is the file.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wsloop.errors import ConfigError, StartupError
from wsloop.transport.bind import UNIX_PATH_BYTES, UnixBind

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_MODE = 0o600
DIRECTORY_MODE = 0o700

SYSTEM_DIRECTORY = Path("/run/wsloop")
"""What `RuntimeDirectory=wsloop` makes: for an administrator, whose shell does not have the variable."""

FIXED_NAME = "ctl.sock"


def directories(environ: Mapping[str, str], user_id: int) -> list[Path]:
    """Return where control sockets of `user_id` may be, the first one is where a new one goes."""
    found = []
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        found.append(Path(runtime))
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session:
        found.append(Path(session) / "wsloop")
    found.append(Path(environ.get("TMPDIR") or tempfile.gettempdir()) / f"wsloop-{user_id}")
    return found


def default_path(name: str, environ: Mapping[str, str], user_id: int) -> Path:
    """Return where a daemon's control socket is; `name` tells it from others, mostly its port."""
    directory = directories(environ, user_id)[0]
    is_services_own = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] == str(directory)
    return directory / (FIXED_NAME if is_services_own else f"ctl-{name}.sock")


def bind_for(
    asked: str | None, name: str, environ: Mapping[str, str], user_id: int | None = None
) -> UnixBind | None:
    """Return where to listen, its directory made; None if `asked`, the setting, is "".

    Raises ConfigError for a path that is too long, StartupError for a directory that cannot be used.
    """
    if asked == "":
        return None
    user_id = os.getuid() if user_id is None else user_id
    path = Path(asked) if asked is not None else default_path(name, environ, user_id)
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise ConfigError(
            f"the control socket's path is longer than {UNIX_PATH_BYTES} bytes: {path}",
            "choose a shorter one with --control, or --control '' for none",
        )
    if asked is None:
        _make(path.parent, user_id)
    return UnixBind(str(path), SOCKET_MODE)


def _make(directory: Path, user_id: int) -> None:
    """Make the directory, the owner's alone; raises StartupError if it is somebody else's."""
    hint = "choose another place with --control, or --control '' for none"
    try:
        directory.mkdir(DIRECTORY_MODE, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise StartupError(f"cannot make {directory}: {error.strerror}", hint) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user_id:
        raise StartupError(f"{directory} is not a directory of this user's", hint)
    if found.st_mode & 0o022:
        raise StartupError(f"others may write to {directory}", f"chmod 700 {directory}")


def running(environ: Mapping[str, str], user_id: int | None = None) -> list[Path]:
    """Return the control sockets there are, of this user's daemons and the system's; some may be stale."""
    user_id = os.getuid() if user_id is None else user_id
    found: list[Path] = []
    for directory in [*directories(environ, user_id), SYSTEM_DIRECTORY]:
        try:
            paths = sorted(directory.glob("ctl*.sock"))
        except OSError:  # EACCES: not ours to look into
            continue
        found += [path for path in paths if path not in found]
    return found
