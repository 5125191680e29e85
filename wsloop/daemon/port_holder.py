"""Who holds a TCP port: for the one error every operator meets first.

Reads Linux's /proc; elsewhere, or without the right to look, the answer is simply "unknown".
"""

from __future__ import annotations

import os
from pathlib import Path

_LISTEN = "0A"


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Return "pid 4121, nginx" for the process that listens on TCP `port`, or "" if unknown."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    targets = {f"socket:[{inode}]" for inode in inodes}
    for directory in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        if _holds(directory, targets):
            return f"pid {directory.name}, {_name(directory)}"
    return ""


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # ENOENT off Linux or without IPv6, EACCES in a hardened container
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(directory: Path, targets: set[str]) -> bool:
    try:
        return any(os.readlink(link) in targets for link in (directory / "fd").iterdir())
    except OSError:  # ENOENT: it ended meanwhile; EACCES: another user's process
        return False


def _name(directory: Path) -> str:
    try:
        name = (directory / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # ENOENT: it ended meanwhile
        name = "?"
    return "".join(char if char.isprintable() else "?" for char in name)
