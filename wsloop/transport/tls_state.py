"""A TLS stream's life as one table (RFC 8446, RFC 5246).

    AWAITING_HELLO --HELLO--> HANDSHAKING --DONE--> OPEN

From OPEN each direction ends by itself, with a close_notify or, against the rules, without one.
A handshake that fails ends in REFUSED: our last words (an alert, or a line of HTTP) are on
their way, and what the peer still says is dropped. A fault later on ends in FAILED, and nothing
is said any more but the alert. What is not in the table is a bug and raises `StateError`.

A step that changes nothing is in the table too: it says that the engine may ask for this here.
`SSLWantReadError` is an ordinary answer to a read, and to a write only before the handshake is
done: afterwards no engine asks for it unless it renegotiates, which is switched off. Output that
a read makes (`SSLWantWriteError`, over a socket) is a key update's answer, a ticket or an alert.
"""

from __future__ import annotations

import enum

from wsloop.errors import StateError


class TlsState(enum.Enum):
    """Where a TLS stream stands."""

    AWAITING_HELLO = "awaiting hello"
    HANDSHAKING = "handshaking"
    OPEN = "open"
    PEER_ENDED = "peer ended"
    WE_ENDED = "we ended"
    BOTH_ENDED = "both ended"
    REFUSED = "refused"
    FAILED = "failed"
    RELEASED = "released"


class TlsStep(enum.Enum):
    """What moves it on."""

    HELLO = "hello"
    READ_WANTS_INPUT = "read wants input"
    READ_MAKES_OUTPUT = "read makes output"
    WRITE_WANTS_INPUT = "write wants input"
    DONE = "handshake done"
    NOTIFY_SENT = "notify sent"
    NOTIFY_RECEIVED = "notify received"
    CUT_OFF = "cut off"
    FAULT = "fault"
    RELEASE = "release"


TLS_TRANSITIONS: dict[TlsState, dict[TlsStep, TlsState]] = {
    TlsState.AWAITING_HELLO: {
        TlsStep.WRITE_WANTS_INPUT: TlsState.AWAITING_HELLO,
        TlsStep.HELLO: TlsState.HANDSHAKING,
        TlsStep.FAULT: TlsState.REFUSED,
        TlsStep.CUT_OFF: TlsState.BOTH_ENDED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.HANDSHAKING: {
        TlsStep.READ_WANTS_INPUT: TlsState.HANDSHAKING,
        TlsStep.READ_MAKES_OUTPUT: TlsState.HANDSHAKING,
        TlsStep.WRITE_WANTS_INPUT: TlsState.HANDSHAKING,
        TlsStep.DONE: TlsState.OPEN,
        TlsStep.FAULT: TlsState.REFUSED,
        TlsStep.CUT_OFF: TlsState.BOTH_ENDED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.OPEN: {
        TlsStep.READ_WANTS_INPUT: TlsState.OPEN,
        TlsStep.READ_MAKES_OUTPUT: TlsState.OPEN,
        TlsStep.WRITE_WANTS_INPUT: TlsState.FAILED,
        TlsStep.NOTIFY_SENT: TlsState.WE_ENDED,
        TlsStep.NOTIFY_RECEIVED: TlsState.PEER_ENDED,
        TlsStep.CUT_OFF: TlsState.PEER_ENDED,
        TlsStep.FAULT: TlsState.FAILED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.PEER_ENDED: {
        TlsStep.WRITE_WANTS_INPUT: TlsState.FAILED,
        TlsStep.NOTIFY_SENT: TlsState.BOTH_ENDED,
        TlsStep.FAULT: TlsState.FAILED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.WE_ENDED: {
        TlsStep.READ_WANTS_INPUT: TlsState.WE_ENDED,
        TlsStep.READ_MAKES_OUTPUT: TlsState.WE_ENDED,
        TlsStep.NOTIFY_RECEIVED: TlsState.BOTH_ENDED,
        TlsStep.CUT_OFF: TlsState.BOTH_ENDED,
        TlsStep.FAULT: TlsState.FAILED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.BOTH_ENDED: {TlsStep.RELEASE: TlsState.RELEASED},
    TlsState.REFUSED: {
        TlsStep.CUT_OFF: TlsState.BOTH_ENDED,
        TlsStep.RELEASE: TlsState.RELEASED,
    },
    TlsState.FAILED: {TlsStep.RELEASE: TlsState.RELEASED},
    TlsState.RELEASED: {},
}

DECRYPTING = frozenset({TlsState.OPEN, TlsState.WE_ENDED})
"""Plaintext may still come."""

ENCRYPTING = frozenset({TlsState.OPEN, TlsState.PEER_ENDED})
"""Plaintext may be written."""

SHAKING = frozenset({TlsState.AWAITING_HELLO, TlsState.HANDSHAKING})
"""Plaintext may neither come nor go yet."""


def tls_step(state: TlsState, taken: TlsStep) -> TlsState:
    """Return the state that follows `state`; raises StateError if the pair is not in the table."""
    try:
        return TLS_TRANSITIONS[state][taken]
    except KeyError:
        raise StateError(f"{taken.value} is illegal while {state.value}") from None


ENDED = frozenset({TlsState.PEER_ENDED, TlsState.BOTH_ENDED, TlsState.FAILED, TlsState.RELEASED})
"""Nothing is read any more. A refused peer is: its bytes are dropped until it has closed."""
