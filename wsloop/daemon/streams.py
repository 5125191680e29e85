"""Standard streams that were closed before the process began (`>&-`, some supervisors).

Python then has no `sys.stdout`, and the next descriptor that is opened gets number 1: what some
library prints would be written to a client.
"""

from __future__ import annotations

import io
import os
import sys

from wsloop.errors import UsageError


def open_missing() -> None:
    """Open /dev/null in the place of each standard stream that is closed; before anything else is."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # EBADF
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    # Made at the start for an open descriptor only, and left open to the end of the process.
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def take_any_bytes() -> None:
    """Let standard input be UTF-8 in every locale; what is none is for whoever gets it to judge."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")


def read_input() -> str:
    """Return all of standard input; raises UsageError if it cannot be read."""
    take_any_bytes()
    try:
        return sys.stdin.read()
    except OSError as error:  # EISDIR, EIO
        raise UsageError(f"cannot read standard input: {error.strerror}") from None
