"""A connection's life as one table, with a deadline in each state.

    ACCEPTING --BEGIN--> HANDSHAKING --UPGRADE--> OPEN
                              |                    |
                              +------ FINISH ------+--> CLOSING
    every state but CLOSED --LOSE--> CLOSED

ACCEPTING ends as soon as the loop knows the connection. In HANDSHAKING the peer speaks HTTP,
perhaps several requests of it, and TLS before that: one deadline for both. In CLOSING the last
bytes are written, the peer's are read and thrown away. What is not in the table is a bug and
raises `StateError`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wsloop.errors import StateError


class State(enum.Enum):
    """Where a connection stands."""

    ACCEPTING = "accepting"
    HANDSHAKING = "handshaking"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code: three times the cost of a table's look-up


class Step(enum.Enum):
    """What moves it on."""

    BEGIN = "begin"
    UPGRADE = "upgrade"
    FINISH = "finish"
    LOSE = "lose"

    __hash__ = object.__hash__


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.ACCEPTING, Step.BEGIN): State.HANDSHAKING,
    (State.ACCEPTING, Step.LOSE): State.CLOSED,
    (State.HANDSHAKING, Step.UPGRADE): State.OPEN,
    (State.HANDSHAKING, Step.FINISH): State.CLOSING,
    (State.HANDSHAKING, Step.LOSE): State.CLOSED,
    (State.OPEN, Step.FINISH): State.CLOSING,
    (State.OPEN, Step.LOSE): State.CLOSED,
    (State.CLOSING, Step.LOSE): State.CLOSED,
}


def step(state: State, taken: Step) -> State:
    """Return the state that follows `state`; raises StateError if the pair is not in the table."""
    try:
        return TRANSITIONS[state, taken]
    except KeyError:
        raise StateError(f"{taken.value} is illegal while {state.value}") from None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may stay in each state, in seconds.

    OPEN has no end of its own: the heartbeat (`ping_interval_s`, `pong_timeout_s`) decides
    whether the peer is alive, and `stall_s` whether it still reads. CLOSED is final.
    """

    handshake_s: float = 10.0
    """From accept to the end of the request's head, TLS included (slowloris). nginx: 60, Go: none."""
    first_message_s: float = 10.0
    """A messaging client must send `connect` within this time, else 3502 (Centrifugo: the same)."""
    ping_interval_s: float = 25.0
    """Silence before the peer is asked for a sign of life; below the 30-60 s at which NATs forget."""
    pong_timeout_s: float = 10.0
    """How long the answer may take; must be below the interval."""
    stall_s: float = 10.0
    """How long a peer may leave its outbox over the soft mark without reading a mark's worth."""
    frame_s: float = 60.0
    """From the first bytes of a frame that waits to be whole (up to 32 KiB) to its last, else 1008: a
    peer must not hold a receive buffer by dripping. 550 bytes a second are enough."""
    close_s: float = 5.0
    """For the peer's half of the close handshake, and for our last bytes (RFC 6455 section 7.1.1)."""

    def __post_init__(self) -> None:
        """Raise ValueError for a deadline that is not positive, or a pong later than the next ping."""
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0 s")
        if self.pong_timeout_s >= self.ping_interval_s:
            raise ValueError("pong_timeout_s must be less than ping_interval_s")

    def of(self, state: State) -> float | None:
        """Return the seconds allowed in `state`, counted from its start; None if it has no end."""
        field = DEADLINE_OF_STATE[state]
        return None if field is None else getattr(self, field)


DEADLINE_OF_STATE: dict[State, str | None] = {
    State.ACCEPTING: "handshake_s",
    State.HANDSHAKING: "handshake_s",
    State.OPEN: "ping_interval_s",
    State.CLOSING: "close_s",
    State.CLOSED: None,
}
"""Which deadline runs in which state; in OPEN it begins anew with every ping."""
