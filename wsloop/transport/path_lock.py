"""A lock that keeps a Unix socket's path to one daemon.

Who finds a socket file must find out whether somebody listens on it, remove it and bind his own:
three steps, between which another daemon can do the same, and one of the two then listens where
nobody can connect. So a daemon that wants a path first locks the file beside it, and keeps the
lock for as long as it listens. The kernel lets go of it when the process ends, however it ends.

Binding under another name and renaming would not do: the last of two would win, unseen by the
first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

LOCK_MODE = 0o600
"""For the owner alone: who may open the file may hold the lock, and so keep the daemon from starting."""


class PathLock:
    """Holds the lock file of `path`, which is `path` with ".lock" behind it.

    Raises BlockingIOError if another holds it, OSError if the file cannot be opened.
    """

    __slots__ = ("_fd", "_lock_path")

    def __init__(self, path: str) -> None:
        self._lock_path = os.path.abspath(path) + ".lock"
        self._fd = -1
        while self._fd < 0:
            self._fd = self._try()

    def _try(self) -> int:
        """Return the locked descriptor; -1 if the file was removed meanwhile, by its last holder."""
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, LOCK_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(self._lock_path)):
                    return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        return -1

    def release(self, *, remove: bool) -> None:
        """Let go of the lock, and `remove` its file; a forked copy must leave it. Idempotent."""
        if self._fd < 0:
            return
        if remove:
            # FileNotFoundError: somebody tidied up. PermissionError: privileges were dropped.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                os.unlink(self._lock_path)
        os.close(self._fd)
        self._fd = -1
