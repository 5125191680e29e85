"""Waking a loop that sleeps in poll, from a thread or a signal handler.

The loop cannot look at a queue while the kernel has it. So there is a socket pair: the loop
watches one end like any other descriptor; whoever wants it to wake writes a byte into the
other. A full pipe means that the loop has been told already, so a failed write is no loss.

A socket pair, not a pipe, because `signal.set_wakeup_fd` wants non-blocking sends everywhere,
and select(2) on some systems takes sockets only.
"""

from __future__ import annotations

import socket
from typing import Protocol

DRAIN_BYTES = 4096
"""Read at once; what is left keeps the descriptor ready and is read in the next turn."""


class WakeupPort(Protocol):
    """Something the loop can watch that others can make ready."""

    def fileno(self) -> int:
        """Return the descriptor that the loop watches for READ."""
        ...

    def notify(self) -> None:
        """Make it ready; callable from any thread, and from a signal handler; never blocks."""
        ...

    def drain(self) -> None:
        """Make it not ready again; called by the loop."""
        ...

    def close(self) -> None:
        """Release it; a `notify` that comes later does nothing."""
        ...


class SocketpairWakeup:
    """A `WakeupPort` whose write end also serves `signal.set_wakeup_fd`."""

    __slots__ = ("_reader", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """See `WakeupPort.fileno`."""
        return self._reader.fileno()

    def write_fileno(self) -> int:
        """Return the end that `signal.set_wakeup_fd` may write into."""
        return self._writer.fileno()

    def notify(self) -> None:
        """See `WakeupPort.notify`."""
        try:
            self._writer.send(b"\0")
        except OSError:
            # EAGAIN: full, so the loop has been told. EBADF: closed meanwhile by the loop's thread.
            return

    def drain(self) -> None:
        """See `WakeupPort.drain`."""
        try:
            self._reader.recv(DRAIN_BYTES)
        except BlockingIOError:  # EAGAIN: a spurious readiness
            return

    def close(self) -> None:
        """See `WakeupPort.close`. Idempotent."""
        self._reader.close()
        self._writer.close()
