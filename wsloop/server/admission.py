"""Who may connect: three limits, judged from an address and a count, before anything is made.

A new connection costs a system call to accept and some 40 us to upgrade, over TLS a millisecond.
When a network comes back, all its clients come at once, and a worker that takes them all serves
nobody: those who are open wait while those who connect time out and try again. So there is a
number that is open at most, one for each address, and a number of new ones per second.

Pure: takes the time, reads no clock, sends nothing. Next: `refusing.py`, which tells those who
are not let in.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BURST_S = 2.0
"""How many seconds' worth of new connections may come at once. Clients that lost their connection
together first retry within a second or so: a group of that size is let in as it comes, and so is
one more wave. At 200 a second these are 400, 20 to 40 ms of work for a worker without TLS."""


_NOT_COUNTED = frozenset({"unix", "::1", "?"})


class Refusal(enum.Enum):
    """Why a connection is not let in; the text is what its peer is told."""

    FULL = "too many connections"
    HOST = "too many connections from your address"
    RATE = "too many new connections"
    MEMORY = "the server is short of memory"


class TokenBucket:
    """Lets `rate_per_s` things a second through on average, and up to `burst` of them at once.

    Both are more than 0. Never holds more than `burst` tokens; each thing takes one.
    """

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._tokens = burst
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Return whether one more may pass at `now_s`; a time before the last one is taken for it."""
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0:
            self._at_s = now_s
            self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Admission:
    """The three limits. `per_host` and `rate_per_s` may be 0: then there is no such limit.

    Connections are counted by the keys that `key_of` makes of their peers' addresses; "" stands
    for a peer that is not counted.
    """

    __slots__ = ("_bucket", "_counts", "_max_connections", "_per_host")

    def __init__(self, max_connections: int, per_host: int, rate_per_s: float, now_s: float) -> None:
        self._counts: dict[str, int] = {}
        self.follow(max_connections, per_host, rate_per_s, now_s, ())

    def follow(
        self, max_connections: int, per_host: int, rate_per_s: float, now_s: float, keys: Iterable[str]
    ) -> None:
        """Judge by other limits from now on; `keys` are those of all who are in and counted.

        Who is in already stays, even if they are too many now.
        """
        self._max_connections = max_connections
        self._per_host = per_host
        self._counts.clear()
        for key in keys:
            self.enter(key)
        self._bucket: TokenBucket | None = None
        if rate_per_s:
            self._bucket = TokenBucket(rate_per_s, max(1.0, rate_per_s * BURST_S), now_s)

    def judge(self, key: str, connections: int, now_s: float) -> Refusal | None:
        """Return why a peer may not connect while `connections` are open; None if it may.

        The rate is asked last: who is refused for another reason takes nobody's turn.
        """
        if not self.has_room(connections):
            return Refusal.FULL
        if not self.has_room_for(key):
            return Refusal.HOST
        if self._bucket is not None and not self._bucket.take(now_s):
            return Refusal.RATE
        return None

    def has_room(self, connections: int) -> bool:
        """Tell whether one more may be open beside `connections`."""
        return connections < self._max_connections

    def has_room_for(self, key: str) -> bool:
        """Tell whether the address that `key` stands for may have one more connection."""
        return not key or not self._per_host or self._counts.get(key, 0) < self._per_host

    def enter(self, key: str) -> None:
        """Count a connection that was let in; `leave` must follow."""
        if key and self._per_host:
            self._counts[key] = self._counts.get(key, 0) + 1

    def leave(self, key: str) -> None:
        """Take a counted connection away."""
        if key and self._per_host:
            left = self._counts[key] - 1
            if left:
                self._counts[key] = left
            else:
                del self._counts[key]


def key_of(host: str) -> str:
    """Return what a peer is counted by; `host` is its `Transport.peer_host`.

    Not counted are Unix sockets and the loopback: behind them is this machine's own software,
    often a proxy that carries everybody else. An IPv6 client has a network of 2^64 addresses to
    choose from (RFC 6177), so it is the network that counts.
    """
    if host.startswith("127.") or host in _NOT_COUNTED:
        return ""
    if ":" not in host:
        return host
    return ipaddress.IPv6Address(host.partition("%")[0]).packed[:8].hex()
