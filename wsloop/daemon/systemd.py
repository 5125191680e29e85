"""What systemd says to a service and wants to hear from it: sockets that it opened, and notifications.

sd_listen_fds(3) and sd_notify(3) as they are documented, without their library. A service that was not
started by systemd has none of the variables, and then nothing here does anything.
"""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

from wsloop.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

log = logging.getLogger("wsloop.daemon")

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

MOST_DESCRIPTORS = 1_000
"""A larger LISTEN_FDS is no number of sockets."""

OF_ONE_PROCESS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "WATCHDOG_PID")
"""Variables that speak to the process that systemd started, and not to one that takes its place."""


def take_activated(environ: MutableMapping[str, str], pid: int) -> list[tuple[str, int]]:
    """Return the name and the descriptor of each socket that was opened for the process `pid`.

    The variables are removed: they would mean nothing to a process that is started from this one.
    Raises StartupError if they are no numbers.
    """
    told = {name: environ.pop(name, "") for name in OF_ONE_PROCESS[:4]}
    if told["LISTEN_PID"] != str(pid):
        return []
    count = told["LISTEN_FDS"]
    if not (count.isascii() and count.isdigit() and int(count) <= MOST_DESCRIPTORS):
        raise StartupError(f"LISTEN_FDS is {count!r}, not a number of sockets", "it is systemd's to set")
    names = told["LISTEN_FDNAMES"].split(":")
    return [
        (names[index] if index < len(names) else "", FIRST_DESCRIPTOR + index) for index in range(int(count))
    ]


class Notifier:
    """Tells systemd, on the socket that $NOTIFY_SOCKET names, how the service is; else does nothing."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract namespace
            self._address = "\0" + self._address[1:]
        self._told: set[str] = set()
        self.watchdog_s = _watchdog_s(environ, pid) if self._address else 0.0
        """Within so many seconds systemd wants to hear that the loop turns; 0: it does not."""

    @property
    def is_heard(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self._address)

    def mute(self) -> None:
        """Say nothing any more: another process is the service now."""
        self._address, self.watchdog_s = "", 0.0

    def ready(self, status: str) -> None:
        """Tell that the service serves, after a start or a reload."""
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that the configuration is read again; `ready` tells the end of it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the service drains."""
        self.send("STOPPING=1", "STATUS=draining")

    def send(self, *assignments: str) -> None:
        """Send what sd_notify(3) lists; what cannot be sent is lost, and each reason logged once."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto("\n".join(assignments).encode(), self._address)
            except OSError as error:  # ENOENT, ECONNREFUSED: nobody is there; EAGAIN: its queue is full
                reason = error.strerror or str(error)
                if reason not in self._told:
                    self._told.add(reason)
                    log.warning("cannot notify systemd: %s", reason)


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float:
    text = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not (text.isascii() and text.isdigit()):
        return 0.0
    return int(text) / 1e6
