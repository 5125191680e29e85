"""A client's life as one table.

    WAITING --CONNECT--> CONNECTING --GRANT--> CONNECTED
    all three --DISCONNECT--> CLOSING --GONE--> CLOSED

CONNECT is the command, GRANT its favourable answer, DISCONNECT the hub's wish that the transport be
closed, GONE that it is. A connect that was refused leaves the client CONNECTING: nothing else is
heard of it, and the transport's deadline for a client that does not get connected ends it.
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


class ClientStep(Enum):
    """What moves it on."""

    CONNECT = "connect"
    GRANT = "grant"
    DISCONNECT = "disconnect"
    GONE = "gone"

    __hash__ = object.__hash__


CLIENT_TRANSITIONS: dict[ClientState, dict[ClientStep, ClientState]] = {
    ClientState.WAITING: {
        ClientStep.CONNECT: ClientState.CONNECTING,
        ClientStep.DISCONNECT: ClientState.CLOSING,
        ClientStep.GONE: ClientState.CLOSED,
    },
    ClientState.CONNECTING: {
        ClientStep.GRANT: ClientState.CONNECTED,
        ClientStep.DISCONNECT: ClientState.CLOSING,
        ClientStep.GONE: ClientState.CLOSED,
    },
    ClientState.CONNECTED: {
        ClientStep.DISCONNECT: ClientState.CLOSING,
        ClientStep.GONE: ClientState.CLOSED,
    },
    ClientState.CLOSING: {ClientStep.GONE: ClientState.CLOSED},
    ClientState.CLOSED: {},
}
"""A step that is not listed is illegal."""

OPEN_STATES = frozenset({ClientState.WAITING, ClientState.CONNECTING, ClientState.CONNECTED})


def step(state: ClientState, taken: ClientStep) -> ClientState:
    """Return the state that follows; raises StateError for a step that is not in the table."""
    try:
        return CLIENT_TRANSITIONS[state][taken]
    except KeyError:
        raise StateError(f"{taken.value} is illegal for a client that is {state.value}") from None
