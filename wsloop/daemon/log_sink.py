"""Where lines go: a descriptor, and what happens when it takes none.

A full disk, a pipe whose reader is gone, a reader that reads no more: each costs the lines that come
meanwhile and nothing else. They are counted, and the first line that can be written again has one
before it that tells how many were lost. A line that was written in part is ended first.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_MODE = 0o640
"""Of a file that is made: the owner writes, the group reads; addresses and users are nobody else's."""

PIECE_BYTES = 4096
"""PIPE_BUF on Linux: what a pipe that is said to be writable takes without a wait."""


class Sink:
    """Writes to the descriptor `fd`, or to the file `path` if one is given, which it owns.

    `may_block`: whether a write may wait for a reader; if not, what does not fit at once is lost.
    Raises ConfigError if the file cannot be opened, unless it is open in `before`, another sink: then
    that goes on here too, and `complaint` tells why. Used by one thread at a time.
    """

    def __init__(self, fd: int, path: str = "", *, may_block: bool, before: Sink | None = None) -> None:
        self._path = path
        self._given_fd = fd
        self.complaint = ""
        self.fault = ""
        """Why the last line was not taken, "" if it was, or if its reader had no room."""
        try:
            self._fd = open_file(path) if path else fd
        except ConfigError as error:
            if before is None or before._path != path:
                raise
            self._fd = os.dup(before._fd)
            self.complaint = error.message
        self._may_block = may_block
        self._is_torn = False
        self.lost = 0
        """Lines that could not be written, since the start."""

    def write(self, line: bytes) -> bool:
        """Write a line, its end included; return whether all of it was taken."""
        data = memoryview(b"\n" + line if self._is_torn else line)
        size = len(data)
        self.fault = ""
        try:
            while data:
                if not self._may_block and not self._is_writable():
                    break
                data = data[os.write(self._fd, data if self._may_block else data[:PIECE_BYTES]) :]
        except BlockingIOError:  # EAGAIN of a descriptor that does not block
            pass
        except OSError as error:  # ENOSPC, EDQUOT, EIO, EPIPE
            self.fault = error.strerror or str(error)
        if not data:
            self._is_torn = False
            return True
        if len(data) != size:
            self._is_torn = True
        self.lost += 1
        return False

    def _is_writable(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return any(events & select.POLLOUT for _, events in poll.poll(0))

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return os.isatty(self._fd)

    def reopen(self, path: str | None = None) -> bool:
        """Open the file again, or another one, or go back to the descriptor (""); return whether that is new.

        Raises ConfigError, and goes on as before, if it fails.
        """
        path = self._path if path is None else path
        if not path and not self._path:
            return False
        fd = open_file(path) if path else self._given_fd
        if self._path:
            os.close(self._fd)
        self._fd, self._path, self._is_torn = fd, path, False
        return True

    def close(self) -> None:
        """Close the file, if it is one."""
        if self._path:
            self._path = ""
            os.close(self._fd)


class Teller:
    """Tells in the sink itself how many lines were lost, as soon as it takes any.

    `notice` makes the line from their number. `count` returns how many were lost in all, wherever.
    """

    def __init__(self, sink: Sink, count: Callable[[], int], notice: Callable[[int], bytes]) -> None:
        self._sink = sink
        self._count = count
        self._notice = notice
        self._told = 0

    def write(self, line: bytes) -> None:
        """Write a line, after a notice if lines before it were lost."""
        self.tell()
        self._sink.write(line)

    @property
    def untold(self) -> int:
        """How many lines were lost of which the log does not tell yet."""
        return self._count() - self._told

    def tell(self) -> None:
        """Write the notice, if there is something to tell."""
        untold = self.untold
        if untold:
            before = self._sink.lost
            if self._sink.write(self._notice(untold)):
                self._told += untold
            else:
                self._sink.lost = before  # no line of anybody's


def check_file(path: str) -> None:
    """Raise ConfigError if `path` cannot be opened; a file that is not there is made."""
    os.close(open_file(path))


def open_file(path: str) -> int:
    """Open `path` for lines at its end, making it if need be, and return the descriptor.

    Several processes may have it open: each line is one write at the end. Raises ConfigError.
    """
    try:
        # Not to wait for the reader of a pipe; ENXIO if there is none.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, FILE_MODE)
        os.set_blocking(fd, True)
    except OSError as error:
        hint = "its directory must exist, and the daemon's user may write there"
        raise ConfigError(f"cannot open log.file {path}: {error.strerror}", hint) from None
    return fd
