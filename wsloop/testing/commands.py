"""Commands of the messaging protocol as plain values: what a client says on one line.

`subscribe("room", id=2)`: their repr is such a call. The protocol is described in the reference
(client protocol); these are lines of it, right and wrong, and share nothing with the hub's own decoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from wsloop.testing.wire import Shown

__all__ = [
    "Command",
    "Json",
    "Line",
    "command",
    "line",
]

Json = Mapping[str, object]


@dataclass(frozen=True, repr=False)
class Command(Shown):
    """One command: `method` with its `fields`, asked with `id` (0: none, so that there is no reply)."""

    method: str
    fields: tuple[tuple[str, object], ...] = ()
    id: int = 0

    def encode(self) -> str:
        """Return its line."""
        said: dict[str, object] = {"id": self.id} if self.id else {}
        return json.dumps({**said, self.method: dict(self.fields)}, separators=(",", ":"))

    def __repr__(self) -> str:
        told = [f"id={self.id}", *(f"{name}={value!r}" for name, value in self.fields)]
        return f"command({self.method!r}, {', '.join(told)})"


@dataclass(frozen=True, repr=False)
class Line(Shown):
    """A line as it is, which need not be a command, nor JSON."""

    said: str

    def encode(self) -> str:
        """Return it."""
        return self.said

    def __repr__(self) -> str:
        return f"line({self.said!r})"


def command(method: str, /, id: int = 0, **fields: object) -> Command:
    """Return a command."""
    return Command(method, tuple(fields.items()), id)


def line(said: str) -> Line:
    """Return a line as it is."""
    return Line(said)
