"""How often something may be asked for: by one connection, by one user, from one address.

A limit is `count` things at once, and `count` in each `interval_s` on average: a token bucket, kept
as the one moment at which it will be full again (the "generic cell rate algorithm" of ATM), so a
bucket costs one float, and one that is full again need not be kept at all. Buckets of users and
addresses are shared by their connections; they live as long as they are not full.

Pure: `now_s` is an argument. Who asks, and what happens to whom is refused, is `dispatcher.py`'s.
"""

from __future__ import annotations

import enum

import msgspec

MAX_KEYS = 65_536
"""Users, and addresses, whose buckets are kept; some 300 bytes each. Of more, those who were idle
longest are forgotten first."""

SWEEP = 2
"""Idle keys looked for whenever a new one comes: more leave than come, at a fixed cost."""

REFUSALS_PER_MIN = 100
"""Refused commands of one connection before it is closed with 3013, and as many each minute after:
an SDK that is told 111 comes back after half a second or more, each time later."""


class Operation(enum.IntEnum):
    """What is counted. `TOTAL` counts every command; the others those that cost most."""

    TOTAL = 0
    CONNECT = 1
    SUBSCRIBE = 2
    PUBLISH = 3
    HISTORY = 4
    RPC = 5


class Rate(msgspec.Struct, frozen=True, gc=False):
    """`count` things at once, and in each `interval_s` on average. Both are more than 0."""

    count: int
    interval_s: float


Rates = tuple[Rate | None, ...]
"""One for each Operation, None where there is no limit."""

NO_RATES: Rates = (None,) * len(Operation)

_REFUSALS = Rate(REFUSALS_PER_MIN, 60.0)


class Buckets:
    """One bucket for each operation, of one connection, user or address."""

    __slots__ = ("_full_at_s",)

    def __init__(self) -> None:
        self._full_at_s = [0.0] * len(Operation)

    def has(self, operation: int, rate: Rate, now_s: float) -> bool:
        """Return whether a token is left."""
        each_s = rate.interval_s / rate.count
        # A hundredth of a token is forgiven: what rounding takes away.
        return self._full_at_s[operation] - now_s <= rate.interval_s - each_s * 0.99

    def take(self, operation: int, rate: Rate, now_s: float) -> None:
        """Take a token."""
        each_s = rate.interval_s / rate.count
        self._full_at_s[operation] = max(self._full_at_s[operation], now_s) + each_s

    def is_full(self, now_s: float) -> bool:
        """Return whether nothing would be lost with it."""
        return max(self._full_at_s) <= now_s


class Meter(Buckets):
    """The buckets of one connection, and of its refusals."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        super().__init__()
        self._refusals: Buckets | None = None

    def refuse(self, now_s: float) -> bool:
        """Count a refusal; return whether they were too many."""
        refusals = self._refusals
        if refusals is None:
            refusals = self._refusals = Buckets()
        if not refusals.has(0, _REFUSALS, now_s):
            return True
        refusals.take(0, _REFUSALS, now_s)
        return False


class RateLimits:
    """All limits of one hub. Arguments: those of a connection, of a user, of an address."""

    __slots__ = ("_client", "_hosts", "_ip", "_user", "_users")

    def __init__(self, client: Rates = NO_RATES, user: Rates = NO_RATES, ip: Rates = NO_RATES) -> None:
        self._client = client
        self._user = user
        self._ip = ip
        self._users = _Shared()
        self._hosts = _Shared()

    def follow(self, other: RateLimits) -> None:
        """Take over the limits of another; what users and addresses have used up stays used up."""
        self._client, self._user, self._ip = other._client, other._user, other._ip

    def __len__(self) -> int:
        """Return how many users and addresses are kept."""
        return len(self._users) + len(self._hosts)

    def admit(self, operation: Operation, now_s: float, meter: Meter, user: str, host: str) -> bool:
        """Return whether one more may pass, and count it if so; a refused one is counted nowhere.

        `user` "" is nobody, `host` "" an address that is not counted. Every command but connect is
        counted as TOTAL too.
        """
        wanted = (operation,) if operation <= Operation.CONNECT else (Operation.TOTAL, operation)
        scopes: list[tuple[Buckets, Rates]] = [(meter, self._client)]
        if user and self._user != NO_RATES:
            scopes.append((self._users.get(user, now_s), self._user))
        if host and self._ip != NO_RATES:
            scopes.append((self._hosts.get(host, now_s), self._ip))
        asked = [
            (buckets, each, rate)
            for buckets, rates in scopes
            for each in wanted
            if (rate := rates[each]) is not None
        ]
        if not all(buckets.has(each, rate, now_s) for buckets, each, rate in asked):
            return False
        for buckets, each, rate in asked:
            buckets.take(each, rate, now_s)
        return True

    def expire(self, now_s: float, limit: int) -> None:
        """Forget users and addresses whose buckets are full, looking at up to `limit` of each."""
        self._users.sweep(now_s, limit)
        self._hosts.sweep(now_s, limit)


class _Shared:
    """Buckets by name, the one used longest ago first."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, Buckets] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, name: str, now_s: float) -> Buckets:
        """Return the buckets of `name`, used now."""
        buckets = self._buckets.pop(name, None)
        if buckets is None:
            buckets = Buckets()
            self.sweep(now_s, SWEEP)
            if len(self._buckets) >= MAX_KEYS:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[name] = buckets
        return buckets

    def sweep(self, now_s: float, limit: int) -> None:
        """Forget full ones, until one that is not, or `limit`."""
        while self._buckets and limit:
            name = next(iter(self._buckets))
            if not self._buckets[name].is_full(now_s):
                return
            del self._buckets[name]
            limit -= 1
