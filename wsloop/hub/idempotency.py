"""The keys under which publications were appended, for as long as somebody may send them again.

A publisher that did not hear the answer sends the same key once more, and is told where its
publication already stands. What a key is unique for is its maker's affair (`Draft.key`); here it
is remembered per channel. Bounded twice, since keys come from clients: by the time in which a retry is
likely, and by number, of which the oldest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from wsloop.hub import codes

if TYPE_CHECKING:
    from wsloop.hub.broker import Appended
    from wsloop.hub.commands import PublishRequest

MAX_NAME = 64
"""Characters of `publish.idem` and of `publish.seq.sender`: a UUID has 36, and they are kept for minutes."""

MAX_NUMBER = 2**63 - 1
"""Of `publish.seq.n`. JSON's numbers have no end, and the decoder takes some of 4300 digits."""


class Keys:
    """Where each (channel, key) was appended.

    Arguments: `window_s`, seconds for which a key is remembered; `limit`, the most of them. `now_s`
    of all calls is monotonic: so the oldest key is the first to be forgotten.
    """

    __slots__ = ("_limit", "_places", "_window_s")

    def __init__(self, window_s: float, limit: int) -> None:
        self._window_s = window_s
        self._limit = limit
        # An OrderedDict: a dict's first item is slow to find where many before it were deleted.
        self._places: OrderedDict[tuple[str, str], tuple[float, Appended]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def find(self, channel: str, key: str, now_s: float) -> Appended | None:
        """Return where the key was appended, None if it was not within the window."""
        found = self._places.get((channel, key))
        return found[1] if found is not None and now_s < found[0] else None

    def remember(self, channel: str, key: str, appended: Appended, now_s: float) -> None:
        """Take note of a key that `find` does not find."""
        place = (channel, key)
        self._places.pop(place, None)  # one that has expired would keep its old turn
        self._places[place] = (now_s + self._window_s, appended)
        if len(self._places) > self._limit:
            self._places.popitem(last=False)

    def expire(self, now_s: float, limit: int) -> int:
        """Forget the keys whose window is over, at most `limit`; return how many that were."""
        forgotten = 0
        while self._places and forgotten < limit:
            deadline_s, _ = next(iter(self._places.values()))
            if now_s < deadline_s:
                break
            self._places.popitem(last=False)
            forgotten += 1
        return forgotten


def key_of(user: str, request: PublishRequest) -> str:
    """Return the draft's key for a client's publication, "" if it may be appended again.

    Unique for the user, whom each of its connections belongs to; so a retry on a new one is found. Raises
    ReplyError 107 for a name that is too long, a number below 1 or above MAX_NUMBER, or both kinds at once.
    """
    idem, seq = request.idem, request.seq
    if seq is None:
        if len(idem) > MAX_NAME:
            raise codes.ReplyError(codes.BAD_REQUEST)
        # The length stands for where the user's name ends; no two pairs make the same key.
        return f"idem {len(user)} {user} {idem}" if idem else ""
    if idem or not 0 < len(seq.sender) <= MAX_NAME or not 0 < seq.n <= MAX_NUMBER:
        raise codes.ReplyError(codes.BAD_REQUEST)
    return f"seq {len(user)} {user} {seq.n} {seq.sender}"
