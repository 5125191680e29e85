"""The file that says which process the daemon is, for scripts that send it signals.

It is locked for as long as the daemon lives, and the kernel lets go of the lock when it ends, however it
ends: whether a file is stale is the lock's to tell, not the number's, which may be another process's
by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os

from wsloop.errors import StartupError

log = logging.getLogger("wsloop.daemon")

MODE = 0o644
MAX_BYTES = 64
"""More than a number and a line break is no pid file."""


class PidFile:
    """Claims the file `path` and locks it; `write` says who the daemon is.

    `held_fd` is the descriptor of a predecessor that holds the lock already; until `write` the file is the
    predecessor's. Raises StartupError if another
    daemon lives, if the path cannot be had, and for a file that is something else.
    """

    def __init__(self, path: str, held_fd: int = -1) -> None:
        self.path = os.path.abspath(path)
        self._fd = held_fd
        self._is_borrowed = held_fd >= 0
        try:
            while self._fd < 0:
                self._fd = self._try()
        except OSError as error:
            raise StartupError(
                f"cannot lock the pid file {path}: {error.strerror}",
                "choose a directory that the daemon may write to, such as /run/wsloop",
            ) from error

    def _try(self) -> int:
        """Return the locked descriptor; -1 if the file was removed meanwhile, by its last holder."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        try:
            said = self._lock(fd)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    if said:
                        log.warning("the pid file %s is stale: replaced", self.path)
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return -1

    def _lock(self, fd: int) -> bytes:
        """Lock the file, and return the number that it says, b"" for none."""
        said = os.pread(fd, MAX_BYTES, 0).strip()
        if said and not said.isdigit():
            raise StartupError(f"{self.path} exists and is no pid file", "choose another --pid-file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f"pid {said.decode()}" if said else "another process"
            raise StartupError(f"a daemon runs already ({who} holds {self.path})", "stop it first") from None
        return said

    def fileno(self) -> int:
        """Return the descriptor that holds the lock, which a successor inherits; -1 once it is given up."""
        return self._fd

    def inherit(self) -> None:
        """Take the file of a predecessor over: it is this daemon's to remove from now on."""
        self._is_borrowed = False

    def write(self, pid: int) -> None:
        """Say that the process `pid` is the daemon; a full disk is told in the log."""
        self.inherit()
        try:
            os.pwrite(self._fd, b"%d\n" % pid, 0)
            os.ftruncate(self._fd, len(b"%d\n" % pid))
        except OSError as error:  # ENOSPC, EDQUOT, EIO
            log.error("cannot write the pid file %s: %s", self.path, error.strerror)

    def abandon(self) -> None:
        """Leave the file to a successor, or to the parent of a forked process. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Remove the file and let go of the lock. Idempotent."""
        if self._is_borrowed:
            self.abandon()
        if self._fd >= 0:
            # FileNotFoundError: somebody tidied up. PermissionError: privileges were dropped.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                os.unlink(self.path)
            self.abandon()
