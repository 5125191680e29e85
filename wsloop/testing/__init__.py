"""Public tools for tests: a server and clients in memory, virtual time, contract suites.

`Server` and `TestClient` are for people who test their applications and clients; what they are made of is
in the modules of this folder. Importing the package costs nothing: names are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.app_client import CommandRefused as CommandRefused
    from wsloop.testing.app_client import TestClient as TestClient
    from wsloop.testing.app_server import Server as Server
    from wsloop.testing.app_server import VirtualClock as VirtualClock
    from wsloop.testing.app_socket import ConnectionClosed as ConnectionClosed
    from wsloop.testing.app_socket import TestSocket as TestSocket
    from wsloop.testing.app_socket import UpgradeRefused as UpgradeRefused
    from wsloop.testing.network import NetworkFaults as NetworkFaults

__all__ = [
    "CommandRefused",
    "ConnectionClosed",
    "NetworkFaults",
    "Server",
    "TestClient",
    "TestSocket",
    "UpgradeRefused",
    "VirtualClock",
]

_PLACES = {
    "CommandRefused": "app_client",
    "ConnectionClosed": "app_socket",
    "NetworkFaults": "network",
    "Server": "app_server",
    "TestClient": "app_client",
    "TestSocket": "app_socket",
    "UpgradeRefused": "app_socket",
    "VirtualClock": "app_server",
}
"""Which module has a name."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
