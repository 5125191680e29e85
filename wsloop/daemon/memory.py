"""How much memory this process may use, and uses: the `MemoryGauge` of a Linux machine.

Up to two kinds of ceilings hold at once: the operator's, `server.memory_limit`, to which the resident
memory of this process is compared, and those of its control groups, version 2 or 1, which count all of
their processes and the kernel's share (socket buffers). Whichever is nearer counts. Pages of files that
were not used lately count as free, as the kernel takes them first.

A ceiling of a control group is looked for in its parents too, and read anew each time: it can be changed
while the daemon runs. Where nothing can be read, there is no such ceiling.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wsloop.server.overload import REFUSE_UNTIL, Memory

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("wsloop.daemon")

PROC = Path("/proc/self")
CGROUPS = Path("/sys/fs/cgroup")

NO_LIMIT_BYTES = 1 << 60
"""Version 1 says "none" by the largest number of pages."""


class _Names(NamedTuple):
    """What the files of a control group are called."""

    limit: str
    used: str
    inactive: bytes


V2 = _Names("memory.max", "memory.current", b"inactive_file ")
V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", b"total_inactive_file ")


class ProcessMemory:
    """`limit_bytes` is the operator's ceiling for this process, None for none; it may be changed."""

    def __init__(self, limit_bytes: int | None, *, proc: Path = PROC, cgroups: Path = CGROUPS) -> None:
        self.limit_bytes = limit_bytes
        self._statm = proc / "statm"
        self._groups = list(_groups(proc / "cgroup", cgroups))

    @property
    def is_limited(self) -> bool:
        """Whether there is a ceiling, or a control group that may get one."""
        return self.limit_bytes is not None or bool(self._groups)

    def read(self) -> Memory | None:
        """See `MemoryGauge.read`."""
        found = [reading for group, names in self._groups if (reading := _read_group(group, names))]
        if self.limit_bytes is not None:
            found.append(Memory(resident_bytes(self._statm), self.limit_bytes))
        return max(found, key=lambda memory: memory.share, default=None)

    def give_back(self) -> None:
        """See `MemoryGauge.give_back`; only glibc can be asked."""
        # Imported here: it is hardly ever needed, and costs a megabyte.
        import ctypes  # noqa: PLC0415

        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def gauge(limit_bytes: int | None) -> ProcessMemory | None:
    """Return what measures this process, None where there is nothing to compare it to."""
    made = ProcessMemory(limit_bytes)
    try:
        resident_bytes()
    except OSError:  # ENOENT off Linux, EACCES in a hardened container
        if limit_bytes is not None:
            log.warning("server.memory_limit is not watched: /proc/self/statm cannot be read")
        made = ProcessMemory(None)
    return made if made.is_limited else None


def resident_bytes(statm: Path = PROC / "statm") -> int:
    """Return the resident memory of the process; raises OSError where that file is not."""
    return int(statm.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _groups(membership: Path, root: Path) -> Iterator[tuple[Path, _Names]]:
    """Yield the memory control groups of the process and their parents that are to be seen here."""
    roots: tuple[Path, ...]
    for line in _content(membership).decode(errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, roots = V2, (root, root / "unified")
        elif "memory" in controllers.split(","):
            names, roots = V1, (root / "memory",)
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mounted in roots:
            for length in range(len(parts), -1, -1):
                group = mounted.joinpath(*parts[:length])
                if (group / names.limit).exists():
                    yield group, names


def _read_group(group: Path, names: _Names) -> Memory | None:
    """Return what a control group uses of its ceiling, None if it has none."""
    limit, used = _content(group / names.limit).strip(), _content(group / names.used).strip()
    if not limit.isdigit() or not used.isdigit() or not 0 < int(limit) < NO_LIMIT_BYTES:
        return None
    memory = Memory(int(used), int(limit))
    if memory.share < REFUSE_UNTIL:  # the rest is looked at only where it could matter
        return memory
    for line in _content(group / "memory.stat").splitlines():
        if line.startswith(names.inactive):
            return Memory(max(0, memory.used_bytes - int(line.split()[1])), memory.limit_bytes)
    return memory


def _content(path: Path) -> bytes:
    """Return a file's bytes, b"" if it cannot be read: ENOENT, EACCES, ENODEV of a group that is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
