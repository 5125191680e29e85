"""What was taken back before its time: blocked users, revoked tokens, a user's tokens up to a moment.

Asked when a client connects, renews its connection, or shows a subscription token. Kept in memory
only, at most MAX_ENTRIES of each kind, each until a time of its own: a restart forgets them, so the
issuer of tokens has to know as well. All times are Unix seconds. What becomes of the connections
that are open already is `blocking.py`'s.
"""

from __future__ import annotations

import contextlib
import enum
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.grants import Identity, SubscriptionToken

MAX_ENTRIES = 100_000
"""Of each kind; some 200 bytes each. Who has to block more people than that has another problem."""

MAX_NAME_BYTES = 255
"""Of a user or a token id that is noted, in characters; the length of a channel's name."""

FOREVER = 0.0
"""As an end: never."""

Value = TypeVar("Value")


class RevocationError(WsloopError):
    """It cannot be noted: there are MAX_ENTRIES already, or the name is empty or too long."""

    peer_fault = True


class Refusal(enum.Enum):
    """Why a right that is good otherwise does not count."""

    BLOCKED = "the user is blocked"
    REVOKED = "the token is revoked"


class RevocationList(msgspec.Struct, frozen=True, array_like=True):
    """All that is noted, for another process: name -> end, of invalidated users -> (moment, end)."""

    blocked: dict[str, float]
    revoked: dict[str, float]
    invalidated: dict[str, tuple[float, float]]


class Revocations:
    """The three lists. Changes raise RevocationError if they cannot be noted."""

    __slots__ = ("_blocked", "_invalidated", "_revoked")

    def __init__(self) -> None:
        self._blocked: _Notes[None] = _Notes()
        self._revoked: _Notes[None] = _Notes()
        self._invalidated: _Notes[float] = _Notes()

    def __len__(self) -> int:
        return len(self._blocked) + len(self._revoked) + len(self._invalidated)

    def block_user(self, user: str, until_s: float, unix_s: float) -> None:
        """Let nobody in as `user` until `until_s`, or FOREVER."""
        self._blocked.put(user, None, until_s, unix_s)

    def unblock_user(self, user: str) -> None:
        """Let a user in again; no effect on one who is not blocked."""
        self._blocked.remove(user)

    def revoke_token(self, token_id: str, until_s: float, unix_s: float) -> None:
        """Take tokens with this `jti` for invalid until `until_s` (when they have expired), or FOREVER."""
        self._revoked.put(token_id, None, until_s, unix_s)

    def invalidate_user_tokens(
        self, user: str, issued_before_s: float, until_s: float, unix_s: float
    ) -> None:
        """Take the user's tokens with an earlier `iat`, or none, for invalid until `until_s`, or FOREVER.

        What holds already is never lessened: of two calls the later moment and the later end count.
        """
        held = self._invalidated.get(user, unix_s)
        if held is not None:
            issued_before_s = max(issued_before_s, held[0])
            until_s = _later(until_s, held[1])
        self._invalidated.put(user, issued_before_s, until_s, unix_s)

    def refusal(self, right: Identity | SubscriptionToken, unix_s: float) -> Refusal | None:
        """Return why a right does not count, None if it does.

        Whoever gave it: a user is blocked for the backend's answers too.
        """
        if right.user and self._blocked.get(right.user, unix_s) is not None:
            return Refusal.BLOCKED
        if right.token_id and self._revoked.get(right.token_id, unix_s) is not None:
            return Refusal.REVOKED
        if getattr(right, "from_backend", False):
            return None
        invalidated = self._invalidated.get(right.user, unix_s)
        if invalidated is not None and right.issued_at < invalidated[0]:
            return Refusal.REVOKED
        return None

    def snapshot(self) -> RevocationList:
        """Return all that is noted."""
        return RevocationList(
            {name: end for name, (_, end) in self._blocked.items()},
            {name: end for name, (_, end) in self._revoked.items()},
            dict(self._invalidated.items()),
        )

    def replace(self, noted: RevocationList, unix_s: float) -> None:
        """Note what `noted` says, and nothing else."""
        self._blocked, self._revoked, self._invalidated = _Notes(), _Notes(), _Notes()
        for user, end in noted.blocked.items():
            self._blocked.put(user, None, end, unix_s)
        for token_id, end in noted.revoked.items():
            self._revoked.put(token_id, None, end, unix_s)
        for user, (moment, end) in noted.invalidated.items():
            self._invalidated.put(user, moment, end, unix_s)

    def add(self, noted: RevocationList, unix_s: float) -> bool:
        """Note what `noted` says beside what is noted, and return whether anything was new.

        Of two ends the later counts. What does not fit any more is left out.
        """
        before = self.snapshot()
        with contextlib.suppress(RevocationError):
            for notes, told in ((self._blocked, noted.blocked), (self._revoked, noted.revoked)):
                for name, end in told.items():
                    held = notes.get(name, unix_s)
                    notes.put(name, None, end if held is None else _later(end, held[1]), unix_s)
            for user, (moment, end) in noted.invalidated.items():
                self.invalidate_user_tokens(user, moment, end, unix_s)
        return self.snapshot() != before

    def expire(self, unix_s: float) -> None:
        """Forget what has ended; cheap when nothing has."""
        for notes in (self._blocked, self._revoked, self._invalidated):
            notes.expire(unix_s)


def _later(one_s: float, other_s: float) -> float:
    """Return the later of two ends."""
    return FOREVER if FOREVER in (one_s, other_s) else max(one_s, other_s)


class _Notes(Generic[Value]):
    """name -> value until a time. A heap of ends, in which replaced and removed notes stay until theirs."""

    __slots__ = ("_ends", "_notes")

    def __init__(self) -> None:
        self._notes: dict[str, tuple[Value, float]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._notes)

    def items(self) -> Iterable[tuple[str, tuple[Value, float]]]:
        """Return the names with what holds for them."""
        return self._notes.items()

    def put(self, name: str, value: Value, until_s: float, unix_s: float) -> None:
        """Note, or replace, what holds for `name`."""
        if not 0 < len(name) <= MAX_NAME_BYTES:
            raise RevocationError(f"a name of 1 to {MAX_NAME_BYTES} characters is needed")
        self.expire(unix_s)
        if name not in self._notes and len(self._notes) >= MAX_ENTRIES:
            raise RevocationError(f"there are {MAX_ENTRIES} already")
        self._notes[name] = (value, until_s)
        if until_s != FOREVER:
            heappush(self._ends, (until_s, name))
            if len(self._ends) > 2 * len(self._notes) + 64:
                self._ends = [(end, each) for each, (_, end) in self._notes.items() if end != FOREVER]
                heapify(self._ends)

    def get(self, name: str, unix_s: float) -> tuple[Value, float] | None:
        """Return the value and its end, None if nothing holds at `unix_s`."""
        if not self._notes:
            return None
        found = self._notes.get(name)
        return found if found is not None and (found[1] == FOREVER or unix_s < found[1]) else None

    def remove(self, name: str) -> None:
        """Let nothing hold for `name`."""
        self._notes.pop(name, None)

    def expire(self, unix_s: float) -> None:
        """Forget what has ended."""
        while self._ends and self._ends[0][0] <= unix_s:
            end, name = heappop(self._ends)
            found = self._notes.get(name)
            if found is not None and found[1] == end:
                del self._notes[name]
