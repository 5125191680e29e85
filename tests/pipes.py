"""A pipe that takes nothing more: what a standard stream is that somebody has stopped reading."""

from __future__ import annotations

import contextlib
import os


def full_pipe() -> tuple[int, int]:
    """Return the reading and the writing end of a full pipe. The caller closes both."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)
    return reader, writer
