"""A spool's bytes in memory, with a disk's misfortunes: full, torn, powered off."""

from __future__ import annotations

import errno
import os


class MemorySpoolStore:
    """A `wsloop.client.spool.SpoolStore`.

    `data` is what a process that starts now would read. While `is_full` every write takes half of
    what it is given, and fails. `synced` is what a loss of power leaves.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = self.synced = data
        self.is_full = False
        self.writes = self.syncs = 0

    def load(self) -> bytes:
        """See `SpoolStore.load`."""
        return self.data

    def append(self, data: bytes) -> None:
        """See `SpoolStore.append`."""
        self.writes += 1
        if self.is_full:
            self.data += data[: len(data) // 2]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.data += data

    def replace(self, data: bytes) -> None:
        """See `SpoolStore.replace`."""
        self.writes += 1
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.data = data

    def sync(self) -> None:
        """See `SpoolStore.sync`: done at once."""
        self.syncs += 1
        self.synced = self.data

    def close(self) -> None:
        """See `SpoolStore.close`."""
        self.synced = self.data
