"""What one input may cost, in time and in memory, while a target is driven.

Measured in this process's own time, so that a busy machine is no finding, and by the growth of its memory
at its largest, which costs two system calls. Tests use what is exact instead: `wsloop` is followed call by
call.
"""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    OneInput = Callable[[bytes], None]

CPU_S = 1.0
"""Of one input. A few KiB are a few milliseconds; what is instrumented takes three times as long."""

GROWTH_BYTES = 64 * 1024 * 1024
"""Of the process by one input. The largest thing that one may be made to hold is a message of 1 MiB, a few
times over."""

CALLS = 60_000
"""Of functions, for an input of no length: what it takes to compile a pattern, or to set up a hub."""

CALLS_PER_BYTE = 250
"""And for each of its bytes; five times what three sessions need that are given single bytes."""

PEAK_BYTES = 8 * 1024 * 1024
"""Of what one input has allocated at any time; ten times what the largest recording needs."""

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class TooMuchError(AssertionError):
    """An input cost more than any may."""


def bounded(one_input: OneInput) -> OneInput:
    """Return the target with a watch on its time and memory; it raises TooMuchError.

    What seems too slow is done again: the first time may have been the garbage collector's.
    """

    def run(data: bytes) -> None:
        grown = _largest_bytes()
        took_s = _seconds(one_input, data)
        if took_s > CPU_S:
            took_s = min(took_s, _seconds(one_input, data))
        if took_s > CPU_S:
            raise TooMuchError(f"{took_s:.1f} s for {len(data)} bytes")
        grown = _largest_bytes() - grown
        if grown > GROWTH_BYTES:
            raise TooMuchError(f"{grown:,} bytes of memory for {len(data)}")

    return run


def _seconds(one_input: OneInput, data: bytes) -> float:
    began_s = time.process_time()
    one_input(data)
    return time.process_time() - began_s


def _largest_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def check_exactly(one_input: OneInput, data: bytes) -> None:
    """Run the target; raise TooMuchError if it called or allocated too much. The same on every machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    tracemalloc.start()
    sys.setprofile(count)
    try:
        one_input(data)
    finally:
        sys.setprofile(before)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if calls > CALLS + CALLS_PER_BYTE * len(data):
        raise TooMuchError(f"{calls:,} calls for {len(data)} bytes")
    if peak_bytes > PEAK_BYTES:
        raise TooMuchError(f"{peak_bytes:,} bytes of memory for {len(data)}")
