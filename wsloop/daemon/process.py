"""What this process uses: for the operator's `info`, asked seldom."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

from wsloop.hub.operations.results import Process

_STARTED_S = time.monotonic()


def usage() -> Process:
    """Return the share of one core since the start, in percent, and the resident memory in bytes."""
    elapsed_s = max(time.monotonic() - _STARTED_S, 0.001)
    return Process(cpu=round(100 * time.process_time() / elapsed_s, 2), rss=_resident_bytes())


def _resident_bytes() -> int:
    """Return the resident memory; where there is no /proc, the most that it has been."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # ENOENT off Linux, EACCES in a hardened container
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * os.sysconf("SC_PAGE_SIZE")
