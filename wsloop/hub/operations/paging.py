"""One page of many names in order, chosen while they are looked at: never are all of them sorted at once."""

from __future__ import annotations


class Page:
    """The first `limit` names behind `cursor`, of all that are given to `add` in any order."""

    __slots__ = ("_bound", "_cursor", "_limit", "_names")

    def __init__(self, limit: int, cursor: str) -> None:
        self._limit = limit
        self._cursor = cursor
        self._names: list[str] = []
        # With it and what comes behind it the page is full already, and there is a next one.
        self._bound: str | None = None

    def wants(self, name: str) -> bool:
        """Tell whether a name could be on the page, before more is asked about it."""
        return name > self._cursor and (self._bound is None or name < self._bound)

    def add(self, name: str) -> None:
        """Take a name that `wants` has let through; none is given twice."""
        self._names.append(name)
        if len(self._names) > 2 * self._limit:
            self._cut()

    def take(self) -> tuple[list[str], str]:
        """Return the page, and the cursor of the next one, "" if this is the last."""
        self._cut()
        names = self._names[: self._limit]
        return names, names[-1] if self._bound is not None else ""

    def _cut(self) -> None:
        """Drop what is behind the page, but for one name that tells that there is more."""
        self._names.sort()
        if len(self._names) > self._limit:
            self._bound = self._names[self._limit]
            del self._names[self._limit :]
