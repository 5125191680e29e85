"""What processes, and the kernel for their sockets, hold in memory (Linux).

The kernel's part is a difference between two readings of the whole machine: it is worth what the machine
is quiet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_BYTES = 4096
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `pss` shares pages that several processes have among them; `rss` counts them in each.

    `slab` is all that the kernel's allocator for small objects holds, sockets among them; `socket_buffers`
    what waits in TCP's queues; `sockets` how many TCP sockets there are, both ends of a loopback connection.
    """

    pss: int
    rss: int
    slab: int
    socket_buffers: int
    sockets: int


def read(pids: Sequence[int]) -> Memory:
    """Return what `pids` and the kernel hold now; a process that is gone holds nothing."""
    sockets, pages = _tcp(Path("/proc/net/sockstat").read_text("ascii"))
    return Memory(
        pss=sum(_rollup(pid, "Pss") for pid in pids),
        rss=sum(_rollup(pid, "Rss") for pid in pids),
        slab=_field(Path("/proc/meminfo").read_text("ascii"), "Slab"),
        socket_buffers=pages * PAGE_BYTES,
        sockets=sockets,
    )


def _rollup(pid: int, field: str) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return _field(text, field)


def _field(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * _KIB if found else 0


def _tcp(sockstat: str) -> tuple[int, int]:
    found = re.search(r"^TCP: inuse (\d+) .* mem (\d+)$", sockstat, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)
