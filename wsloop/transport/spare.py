"""One descriptor held in reserve, for the moment when there is no other.

Without it a listener that runs out of descriptors cannot even accept a client to refuse it:
the client waits, the listening socket stays readable, and a level-triggered loop spins.
`listener.py` tells what is done with it.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

EXHAUSTED_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""accept(2) lacks a descriptor (of the process, of the machine) or memory; the client still waits."""


class Spare(Protocol):
    """One descriptor held in reserve."""

    def release(self) -> None:
        """Give the descriptor up, so that the next call that needs one succeeds. Idempotent."""
        ...

    def take(self) -> bool:
        """Hold a descriptor again, if one is free; return whether one is held now."""
        ...


class DescriptorSpare:
    """A `Spare` of the real descriptor table: /dev/null, held open."""

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        self._fd = -1

    def release(self) -> None:
        """Close the spare descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def take(self) -> bool:
        """Open it again; False while the table is full (EMFILE, ENFILE)."""
        if self._fd < 0:
            try:
                self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno not in EXHAUSTED_ERRNOS:
                    raise
        return self._fd >= 0
