"""What this process uses: for the operator's `info` and for `/metrics`, asked seldom."""

from __future__ import annotations

import os
import resource
import socket
import struct
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


TCP_INFO_BYTES = 136
TCP_INFO_COUNTS = struct.Struct("QQ")
TCP_INFO_COUNTS_AT = 120
"""Linux, `struct tcp_info`: `tcpi_bytes_acked`, `tcpi_bytes_received` (since 4.1)."""


def traffic(fd: int) -> tuple[int, int]:
    """Return how many bytes a socket has received, and sent so that its peer has them, by TCP's own count.

    Zeros for what is no TCP socket, or where the kernel does not count: an open connection has no
    counter of ours, which would cost every message a little.
    """
    if fd < 0 or sys.platform != "linux":
        return 0, 0
    # Family and type as they may be: nothing depends on them, and to ask the kernel takes two calls.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except OSError:  # EOPNOTSUPP: a Unix socket
        return 0, 0
    finally:
        sock.detach()
    if len(told) < TCP_INFO_BYTES:
        return 0, 0
    acked, received = TCP_INFO_COUNTS.unpack_from(told, TCP_INFO_COUNTS_AT)
    return received, acked


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
