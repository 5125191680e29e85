"""A client's life as one table.

    WAITING --connect--> CONNECTING --granted--> CONNECTED
    all three --a disconnect is asked for--> CLOSING --the transport is gone--> CLOSED

A connect that was refused leaves the client CONNECTING: nothing else is heard of it, and the
transport's deadline for a client that does not get connected ends it.
"""

from __future__ import annotations

from enum import Enum

from wsloop.errors import StateError


class ClientState(Enum):
    """Where a client stands. Only `connected` takes commands other than connect."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSING = "closing"
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code


TRANSITIONS = {
    ClientState.WAITING: {ClientState.CONNECTING, ClientState.CLOSING, ClientState.CLOSED},
    ClientState.CONNECTING: {ClientState.CONNECTED, ClientState.CLOSING, ClientState.CLOSED},
    ClientState.CONNECTED: {ClientState.CLOSING, ClientState.CLOSED},
    ClientState.CLOSING: {ClientState.CLOSED},
    ClientState.CLOSED: set(),
}
"""Pairs not listed are illegal."""

OPEN_STATES = frozenset({ClientState.WAITING, ClientState.CONNECTING, ClientState.CONNECTED})


def step(state: ClientState, new: ClientState) -> ClientState:
    """Return the new state; raises StateError for a pair that is not in TRANSITIONS."""
    if new not in TRANSITIONS[state]:
        raise StateError(f"client cannot go from {state.value} to {new.value}")
    return new
