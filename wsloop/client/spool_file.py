"""A spool's bytes in a file.

`append` is one write(2) into the page cache, some 10 us for what one turn brings: that is done on the
loop. It survives the process, kill -9 included. What survives a loss of power is what fsync(2) has
written; that takes milliseconds, so the helper thread does it, at most once a second. Replacing the
file (a temporary one, then rename(2), which is atomic) is on the loop as well, since it is rare: 7 ms
if 4 MiB of events wait, the default's most, and 0.1 ms if none does.

One process at a time: a lock file beside it keeps others away.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from wsloop.transport.path_lock import PathLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.threads import Helper

SYNC_EVERY_S = 1.0
"""At most so often is the disk asked to write: an fsync costs it a rotation or a flash block."""

READ_BYTES = 1024 * 1024
"""Read at once, at start."""

FILE_MODE = 0o600
"""Users' names are in it."""


def orphans(family: str, own: str, before_unix_s: float) -> list[str]:
    """Return the spools of a daemon's processes, but for `own`, that nothing was written to since a moment.

    `family` is the name in the settings: a process alone has it as it is, each of several its own behind a
    dot. Whether a process still has one, its lock tells. Raises OSError if the directory cannot be read.
    """
    above, name = os.path.split(os.path.abspath(family))
    ours = re.compile(re.escape(name) + r"(\.hub|\.worker-[0-9]+)?")
    paths = [os.path.join(above, each) for each in sorted(os.listdir(above)) if ours.fullmatch(each)]
    found = [path for path in paths if path != os.path.abspath(own)]
    return [path for path in found if os.stat(path).st_mtime < before_unix_s]


class FileStore:
    """A `SpoolStore` at `path`. `helper` runs fsync; `call_later` arranges one that is put off.

    Raises BlockingIOError if another process has the
    spool, OSError if the lock or the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        helper: Helper,
        call_later: Callable[[float, Callable[[], object]], object],
    ) -> None:
        self._path = path
        self._helper = helper
        self._call_later = call_later
        self._is_sync_due = False
        self._lock = PathLock(path)
        self._fd = -1
        try:
            self._fd = self._open(path, os.O_APPEND)
        except OSError:
            self._lock.release(remove=True)
            raise

    def load(self) -> bytes:
        """See `SpoolStore.load`."""
        data = bytearray()
        while piece := os.pread(self._fd, READ_BYTES, len(data)):
            data += piece
        return bytes(data)

    def append(self, data: bytes) -> None:
        """See `SpoolStore.append`. Part of `data` may be there when it raises."""
        _write_all(self._fd, data)

    def replace(self, data: bytes) -> None:
        """See `SpoolStore.replace`."""
        temporary = self._path + ".new"
        fd = self._open(temporary, os.O_TRUNC | os.O_APPEND)
        try:
            _write_all(fd, data)
            os.rename(temporary, self._path)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        os.close(self._fd)
        self._fd = fd

    def sync(self) -> None:
        """See `SpoolStore.sync`; what comes within a second shares one."""
        if not self._is_sync_due:
            self._is_sync_due = True
            self._call_later(SYNC_EVERY_S, self._sync_now)

    def _sync_now(self) -> None:
        self._is_sync_due = False
        if self._fd < 0:
            return
        fd = os.dup(self._fd)  # the thread's own: ours may be replaced meanwhile

        def sync() -> None:
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

        if not self._helper.run(sync, _ignore):
            os.close(fd)

    def close(self) -> None:
        """See `SpoolStore.close`. Waits for the disk: the loop turns no more."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # EIO, ENOSPC: it was told when it was written
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._lock.release(remove=True)

    def remove(self) -> None:
        """Remove the file, whose events are elsewhere now; `close` it afterwards."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, FILE_MODE)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _ignore(_result: object) -> None:
    """Take the end of an fsync: if it failed, the disk is failing, and the next write tells."""
