"""The connections that exist, by number.

Insertion order is accept order, so that a walk over it is the same in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.server.connection import Connection


class Registry:
    """Every connection from accept until its transport is closed."""

    __slots__ = ("_connections", "_next_id")

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._connections)

    def next_id(self) -> int:
        """Return a number that no connection of this process had before."""
        number = self._next_id
        self._next_id += 1
        return number

    def add(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._connections[connection.id] = connection

    def remove(self, connection: Connection) -> bool:
        """Forget a connection; return whether it was known: its construction may have failed."""
        return self._connections.pop(connection.id, None) is not None

    def snapshot(self) -> list[Connection]:
        """Return the present connections as a list that does not change while it is walked."""
        return list(self._connections.values())
