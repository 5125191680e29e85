"""Which clients a user has: asked by the operator's calls, never by the hot path.

Nearly every user has one client, so a user costs one entry of a dict, and only those with several
a dict of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.hub.client import Client


class Users:
    """user -> clients. Anonymous clients (user "") are not in it: they are nobody's."""

    __slots__ = ("_clients",)

    def __init__(self) -> None:
        self._clients: dict[str, Client | dict[str, Client]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client) -> None:
        """Note a client under its user."""
        user = client.user
        if not user:
            return
        found = self._clients.get(user)
        if found is None:
            self._clients[user] = client
        elif isinstance(found, dict):
            found[client.id] = client
        else:
            self._clients[user] = {found.id: found, client.id: client}

    def remove(self, client: Client) -> None:
        """Forget a client; no effect if it is not in."""
        found = self._clients.get(client.user)
        if found is client:
            del self._clients[client.user]
        elif isinstance(found, dict):
            found.pop(client.id, None)
            if not found:
                del self._clients[client.user]

    def of(self, user: str) -> list[Client]:
        """Return the user's clients, in the order in which they connected."""
        found = self._clients.get(user)
        if found is None:
            return []
        return list(found.values()) if isinstance(found, dict) else [found]
