"""What this process uses: for the operator's `info` and for `/metrics`, asked seldom."""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from wsloop.hub.operations.results import Process

_STARTED_S = time.monotonic()


def usage() -> Process:
    """Return the share of one core since the start, in percent, and the resident memory in bytes."""
    elapsed_s = max(time.monotonic() - _STARTED_S, 0.001)
    return Process(cpu=round(100 * time.process_time() / elapsed_s, 2), rss=_resident_bytes())


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process uses: memory, CPU time in user and system mode, open descriptors and how many may be."""

    resident_bytes: int
    cpu_s: float
    descriptors: int
    max_descriptors: int


def resources() -> Resources:
    """Return what this process uses now."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Resources(_resident_bytes(), time.process_time(), _descriptors(), most)


def _descriptors() -> int:
    """Return how many descriptors are open: Linux 6.2 tells at once, others list them; 0 if unknown."""
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:  # ENOENT off Linux, EACCES in a hardened container
        return 0


def _resident_bytes() -> int:
    """Return the resident memory; where there is no /proc, the most that it has been."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # ENOENT off Linux, EACCES in a hardened container
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * os.sysconf("SC_PAGE_SIZE")
