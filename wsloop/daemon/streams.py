"""Standard streams that were closed before the process began (`>&-`, some supervisors).

Python then has no `sys.stdout`, and the next descriptor that is opened gets number 1: what some
library prints would be written to a client.
"""

from __future__ import annotations

import os
import sys


def open_missing() -> None:
    """Open /dev/null in the place of each standard stream that is closed; before anything else is."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # EBADF
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    # Made at the start for an open descriptor only, and left open to the end of the process.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
