"""What was appended where: the truth that acknowledgements, pushes and recoveries are compared with.

A tap at the broker feeds it (`checkers/taps.py`), so it knows what a store has done, not what it says it did.
It forgets nothing: of a stream that the broker has trimmed or lost, every text still stands here. What is
published is made for being told apart: `user.number.submission`, so that the same message sent twice
(the same user and number) can be told from its repetition (another submission).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.model.scene import Scene


class Place(NamedTuple):
    """A place in a stream; ("", 0) in a channel that keeps none."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"offset {self.offset} of epoch {self.epoch or 'none'}"


class Text(NamedTuple):
    """What a payload says of itself: the `number`-th message of `user`, sent for the `submission`-th time.

    Submissions are counted per user over all of its messages.
    """

    user: str
    number: int
    submission: int

    def __str__(self) -> str:
        return f"message {self.number} of {self.user}, submission {self.submission}"

    def encode(self, padding: int = 0) -> bytes:
        """Return the payload, a JSON string, with so many bytes behind it."""
        return b'"%b.%d.%d.%b"' % (self.user.encode(), self.number, self.submission, b"x" * padding)

    @classmethod
    def decode(cls, payload: bytes) -> Text:
        """Read what `encode` wrote."""
        user, number, submission, _ = payload.split(b".", 3)
        return cls(user[1:].decode(), int(number), int(submission))


SHOWN_BYTES = 30
"""Of a payload, in a sentence."""


def shown(payload: bytes) -> str:
    """Return a payload for a sentence, without most of its padding."""
    more = "..." if len(payload) > SHOWN_BYTES else ""
    return payload[:SHOWN_BYTES].decode(errors="replace") + more


NOWHERE = Place("", 0)


class Life:
    """One life of a stream: `texts[k - 1]` is the payload at offset k, appended at `times_s[k - 1]`.

    `said[k - 1]` is the same, read.
    """

    __slots__ = ("epoch", "number", "said", "texts", "times_s")

    def __init__(self, epoch: str, number: int) -> None:
        self.epoch = epoch
        self.number = number
        self.texts: list[bytes] = []
        self.said: list[Text] = []
        self.times_s: list[float] = []

    @property
    def top(self) -> int:
        """The offset of the last publication, 0 if there is none."""
        return len(self.texts)

    def at(self, offset: int) -> bytes | None:
        """Return the payload at an offset, None if nothing was ever there."""
        return self.texts[offset - 1] if 0 < offset <= len(self.texts) else None


class Rules(NamedTuple):
    """What a channel keeps: `size` publications for `ttl_s`, its position for `meta_ttl_s` more without use.

    `is_lossy`: who reads slowly and does not count may lose some, and is told how many. `most_recovered`:
    publications that a subscribe reply holds at most; the default is the client protocol's.
    """

    size: int = 0
    ttl_s: float = 0.0
    meta_ttl_s: float = 3600.0
    is_cache: bool = False
    is_lossy: bool = False
    most_recovered: int = 300


class Book:
    """One channel: all lives of its stream, oldest first, and where each message stands.

    `unnumbered` are the payloads of a channel that keeps no history, in the order in which they were handed
    out, and `turn_of` the place of each in it. `excuses`: how often somebody has had the history removed,
    or the store was lost, since the last life began. `evicted_s`: when publications last had to leave
    before their time. `first`: when and where each message with a key was appended; `last_submission`: of
    each connection.
    """

    __slots__ = (
        "current", "evicted_s", "excuses", "first", "last_submission", "lives", "name", "rules", "turn_of",
        "unnumbered",
    )  # fmt: skip

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self.rules = rules
        self.lives: dict[str, Life] = {}
        self.current: Life | None = None
        self.unnumbered: list[bytes] = []
        self.turn_of: dict[bytes, int] = {}
        self.first: dict[tuple[str, int], tuple[float, str, int]] = {}
        self.last_submission: dict[str, int] = {}
        self.excuses = 1
        self.evicted_s = float("-inf")

    def life(self, epoch: str) -> Life | None:
        """Return a life by its epoch, None while nothing was appended in it."""
        return self.lives.get(epoch)

    @property
    def top(self) -> Place:
        """Where the last publication was appended, ("", 0) before that."""
        return NOWHERE if self.current is None else Place(self.current.epoch, self.current.top)

    def between(self, first: Place, last: Place) -> int:
        """Return how many publications stand between two, of one life or of two."""
        count = last.offset - first.offset - 1
        begun = False
        for life in self.lives.values():
            begun = begun or life.epoch == first.epoch
            if life.epoch == last.epoch:
                break
            if begun:
                count += life.top
        return count

    def append(self, life: Life, payload: bytes, text: Text, now_s: float) -> None:
        """Take note of what was appended to a life."""
        life.texts.append(payload)
        life.said.append(text)
        life.times_s.append(now_s)

    def begin(self, epoch: str) -> Life:
        """Begin another life."""
        life = self.current = self.lives[epoch] = Life(epoch, len(self.lives))
        return life


class Ledger:
    """The books of all channels; `rules_of(channel)` tells what each keeps."""

    __slots__ = ("_rules_of", "books", "scene", "window_s")

    def __init__(self, scene: Scene, rules_of: Callable[[str], Rules], window_s: float = 300.0) -> None:
        self.scene = scene
        self.books: dict[str, Book] = {}
        self.window_s = window_s
        self._rules_of = rules_of

    def book(self, channel: str) -> Book:
        """Return a channel's book, begun if need be."""
        book = self.books.get(channel)
        if book is None:
            book = self.books[channel] = Book(channel, self._rules_of(channel))
        return book

    def excuse(self, channel: str) -> None:
        """Take note that a channel's stream may begin anew: somebody had it removed."""
        self.book(channel).excuses += 1

    def excuse_all(self) -> None:
        """Take note that the store was lost: every stream may begin anew, and every key be forgotten."""
        for book in self.books.values():
            book.excuses += 1
            book.first.clear()
