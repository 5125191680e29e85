"""The pytest plugin: fixtures for tests of applications and clients.

pytest loads it by itself wherever wsloop is installed, so it imports nothing until a test asks for a
fixture, and then starts no thread and opens no socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.testing.app_client import TestClient
    from wsloop.testing.app_server import Server, VirtualClock


@pytest.fixture
def ws_options() -> dict[str, Any]:
    """Give the arguments of the `Server` that `ws_server` is; define it yourself to give others."""
    return {}


@pytest.fixture
def ws_server(ws_options: dict[str, Any]) -> Iterator[Server]:
    """Run a wsloop server in memory, on virtual time."""
    from wsloop.testing.app_server import Server  # noqa: PLC0415 - only where a test asks for it

    with Server(**ws_options) as server:
        yield server


@pytest.fixture
def ws_client(ws_server: Server) -> TestClient:
    """Connect an anonymous messaging client to `ws_server`."""
    return ws_server.client()


@pytest.fixture
def virtual_clock(ws_server: Server) -> VirtualClock:
    """Give the time of `ws_server`: `now()`, `sleep(seconds)`."""
    return ws_server.clock
