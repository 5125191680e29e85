"""Who holds a TCP port: for the one error every operator meets first.

Reads Linux's /proc; elsewhere, or without the right to look, the answer is simply "unknown". So it is on a
machine where there is too much to read: the error must not wait for a courtesy.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"

MOST_SOCKETS = 10_000
"""Rows read of each of the kernel's tables, some 3 us each. It lists those that listen before all others."""

MOST_PER_PROCESS = 1_024
"""Descriptors looked at of one process, the lowest: a server listens before its clients come."""

MOST_DESCRIPTORS = 50_000
"""Descriptors looked at in all, some 2 us each: 0.1 s."""


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Return "pid 4121, nginx" for the process that listens on TCP `port`, or "" if unknown."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    targets = {f"socket:[{inode}]" for inode in inodes}
    for directory, link in islice(_descriptors(proc), MOST_DESCRIPTORS):
        try:
            if os.readlink(link) in targets:
                return f"pid {directory.name}, {_name(directory)}"
        except OSError:  # ENOENT: it was closed meanwhile; EACCES: another user's process
            continue
    return ""


def _descriptors(proc: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the lowest descriptors of each process, with its directory, by the number of the process."""
    for directory in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            with os.scandir(directory / "fd") as links:
                numbers = sorted(int(link.name) for link in islice(links, MOST_PER_PROCESS))
        except OSError:  # ENOENT: it ended meanwhile; EACCES: another user's process
            continue
        for number in numbers:
            yield directory, directory / "fd" / str(number)


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            with (proc / "net" / table).open(encoding="ascii") as lines:
                rows = [line.split() for line in islice(lines, 1, MOST_SOCKETS + 1)]
        except OSError:  # ENOENT off Linux or without IPv6, EACCES in a hardened container
            continue
        for fields in rows:
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _name(directory: Path) -> str:
    try:
        name = (directory / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # ENOENT: it ended meanwhile
        name = "?"
    return "".join(char if char.isprintable() else "?" for char in name)
