"""The Verifier port: whether a token is what it says, and what it grants.

The hub hands in the token and the time; it never looks into one itself. No claim reaches the hub
before the signature holds. The form for JWT is `tokens.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsloop.errors import WsloopError
from wsloop.hub import codes

if TYPE_CHECKING:
    from wsloop.hub.grants import Identity, SubscriptionToken


class InvalidTokenError(WsloopError):
    """Not a token of ours, or one that was taken back. The message, for the log, holds nothing of it."""

    peer_fault = True


class ExpiredTokenError(WsloopError):
    """A token of ours whose time has passed: the client may get another."""

    peer_fault = True


class NotReadyError(codes.ReplyError):
    """The keys are still on their way: nothing can be said of the token yet (error 100, temporary)."""

    def __init__(self) -> None:
        super().__init__(codes.INTERNAL_ERROR)


class Verifier(Protocol):
    """Judges tokens; keeps no state about clients and does no I/O.

    Where keys are fetched, both methods raise NotReadyError until they have come for the first time.
    """

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """Return whom a connection token names; raises InvalidTokenError or ExpiredTokenError."""
        ...

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        """Return what a subscription token grants; raises InvalidTokenError or ExpiredTokenError.

        Whose it is and for which channel is left to the caller to compare.
        """
        ...


class NoTokens(Verifier):
    """Every token is invalid: no key is configured."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """See `Verifier.verify_connection`."""
        raise InvalidTokenError("no key is configured")

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        """See `Verifier.verify_subscription`."""
        raise InvalidTokenError("no key is configured")
