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

    def __init__(self, path: str, held_fd: int = -1) -> None:
        """Lock `path`; with `held_fd`, a predecessor's descriptor, it is locked already."""
        self._lock_path = os.path.abspath(path) + ".lock"
        self._fd = held_fd
        while self._fd < 0:
            self._fd = self._try()

    def fileno(self) -> int:
        """Return the descriptor that holds the lock; -1 once it is released."""
        return self._fd

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


class PathClaim:
    """The right of one process to a Unix socket's `path`: its lock, and the duty to remove the file.

    The file is removed only in the process that claimed it, so that a forked copy leaves it alone, and
    only while it is still `inode`, not that of a successor.
    """

    __slots__ = ("_inode", "_lock", "_owner_pid", "path")

    def __init__(self, path: str, lock: PathLock) -> None:
        self.path = os.path.abspath(path)
        self._lock = lock
        self._inode = 0
        self._owner_pid = os.getpid()

    def bound(self) -> None:
        """Take note that the path is a socket of this process now. Raises OSError if it is not there."""
        self._inode = os.stat(self.path).st_ino

    def lock_fileno(self) -> int:
        """Return the descriptor of the lock, which a successor inherits; -1 once it is released."""
        return self._lock.fileno()

    def abandon(self) -> None:
        """Leave path and lock to a successor, who has inherited the lock's descriptor. Idempotent."""
        self._inode = 0
        self._lock.release(remove=False)

    def close(self) -> None:
        """Remove the path and let go of the lock. Idempotent."""
        inode, self._inode = self._inode, 0
        is_owner = os.getpid() == self._owner_pid
        if inode and is_owner:
            # FileNotFoundError: somebody tidied up. PermissionError: the privileges that bound it
            # were dropped; a stale path is removed at the next start.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if os.stat(self.path).st_ino == inode:
                    os.unlink(self.path)
        self._lock.release(remove=is_owner)
