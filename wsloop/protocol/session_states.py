"""How far a session has come, as a literal table: what is not in it is a bug and raises.

RFC 6455 sections 5.5.1 and 7. Drawn in `docs/internals/connection.md`. Next: `session.py`.
"""

from __future__ import annotations

from enum import Enum


class SessionState(Enum):
    """How far the closing handshake (RFC 6455 section 7) has come."""

    OPEN = "open"
    """Frames go both ways."""
    CLOSE_SENT = "close sent"
    """The peer's close frame is awaited; what else arrives is checked, then dropped."""
    CLOSE_RECEIVED = "close received"
    """Our answer is due, behind what the caller still has to say; no more input is looked at."""
    FAILING = "failing"
    """The peer broke a rule; our close frame is due, behind the answers to what came before."""
    FAILED = "failed"
    """The peer was told so; received bytes are dropped unseen."""
    CLOSED = "closed"
    """Both close frames have passed, or the input has ended."""

    __hash__ = object.__hash__  # Enum's own is Python code: three times the cost of a table's look-up


class SessionStep(Enum):
    """What can happen to a session."""

    SEND = "send"
    """Any frame but a close: a message, or a ping of the caller's."""
    SEND_CLOSE = "send close"
    RECEIVE_CLOSE = "receive close"
    FAIL = "fail"
    """A received frame broke a rule of the protocol, or a limit."""
    END = "end of input"

    __hash__ = object.__hash__


SESSION_TRANSITIONS: dict[SessionState, dict[SessionStep, SessionState]] = {
    SessionState.OPEN: {
        SessionStep.SEND: SessionState.OPEN,
        SessionStep.SEND_CLOSE: SessionState.CLOSE_SENT,
        SessionStep.RECEIVE_CLOSE: SessionState.CLOSE_RECEIVED,
        SessionStep.FAIL: SessionState.FAILING,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.CLOSE_RECEIVED: {
        SessionStep.SEND: SessionState.CLOSE_RECEIVED,
        SessionStep.SEND_CLOSE: SessionState.CLOSED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.FAILING: {
        SessionStep.SEND: SessionState.FAILING,
        SessionStep.SEND_CLOSE: SessionState.FAILED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.CLOSE_SENT: {
        SessionStep.RECEIVE_CLOSE: SessionState.CLOSED,
        SessionStep.FAIL: SessionState.FAILED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.FAILED: {SessionStep.END: SessionState.CLOSED},
    SessionState.CLOSED: {SessionStep.END: SessionState.CLOSED},
}
"""Anything not in the table raises StateError. Between a received close, or a fault, and our close
frame lies a state of its own: one read may bring messages and the close, and the caller answers
the messages first (RFC 6455 section 5.5.1 allows the delay)."""
