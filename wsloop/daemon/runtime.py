"""A private directory for the sockets between the processes of one daemon, for as long as it runs."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING

from wsloop.errors import StartupError
from wsloop.transport.bind import SocketNetwork, UnixBind
from wsloop.transport.path_lock import PathLock

if TYPE_CHECKING:
    from collections.abc import Mapping

MODE = 0o700
"""The owner alone: who could reach the sockets in it could speak as a worker."""

LINK = "link"

VARIABLES = ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "TMPDIR")
"""Where such things belong: systemd's for the service, the user's session's, then what is for anything.
The first that can be used is; `FALLBACK` comes last. A session's that is another user's, or gone, is common:
`su` and cron(8) leave the variable as it was."""

FALLBACK = "/tmp"

_OURS = re.compile(r"wsloop-[0-9]+-[0-9a-f]{8}")

STALE_AFTER_S = 60.0
"""A younger directory may be one whose socket is just about to be made."""


def sweep(above: str, now_s: float) -> None:
    """Remove the directories in `above` whose daemons were killed: nobody holds the lock in them any more."""
    for name in filter(_OURS.fullmatch, os.listdir(above)):
        path = os.path.join(above, name)
        # EPERM, EACCES: another user's; EAGAIN: it is in use; ENOENT: somebody was quicker.
        with contextlib.suppress(OSError):
            if now_s - os.stat(path).st_mtime > STALE_AFTER_S:
                lock = PathLock(os.path.join(path, LINK))
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(path, LINK))
                lock.release(remove=True)
                os.rmdir(path)


class Runtime:
    """The directory, with the listening socket `link` in it, on which the hub process answers workers.

    The socket is opened by the first process, and held, so that a new hub process goes on where the last
    one ended. Raises StartupError.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        faults = []
        named = [environ[name].partition(":")[0] for name in VARIABLES if environ.get(name)]
        for above in dict.fromkeys([*named, FALLBACK]):
            try:
                self._make(above)
                return
            except StartupError as error:
                faults.append(error.message)
        hint = "workers need one: set TMPDIR to a directory that the daemon may write to, with a short name"
        raise StartupError(faults[0], hint)

    def _make(self, above: str) -> None:
        """Make directory and socket below `above`; raises StartupError, and leaves nothing."""
        with contextlib.suppress(OSError):  # EACCES, ENOENT: told below
            sweep(above, time.time())
        self._path = os.path.join(above, f"wsloop-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            os.mkdir(self._path, MODE)
        except OSError as error:
            raise StartupError(f"cannot make the directory {self._path}: {error.strerror}") from error
        self.link_path = os.path.join(self._path, LINK)
        try:
            self._link = SocketNetwork().listen(UnixBind(self.link_path))
        except StartupError:
            self._remove()
            raise

    def link_fileno(self) -> int:
        """Return the descriptor of the listening socket."""
        return self._link.fileno()

    def close_copy(self) -> None:
        """Close the socket in a forked process that does not answer on it."""
        self._link.close()

    def close(self) -> None:
        """Close the socket and remove the directory."""
        self._link.close()
        self._remove()

    def _remove(self) -> None:
        # ENOENT: somebody tidied up; ENOTEMPTY: put something in it.
        with contextlib.suppress(OSError):
            os.rmdir(self._path)
