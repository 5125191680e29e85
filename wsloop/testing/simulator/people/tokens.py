"""Tokens of a world: the user and the second at which they end, in the clear. Nobody forges any here."""

from __future__ import annotations

from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, Verifier


def token(user: str, expire_at: int = 0) -> str:
    """Return a connection token; `expire_at` in Unix seconds, 0 for never."""
    return f"{user}/{expire_at}"


class OpenTokens(Verifier):
    """Reads what `token` wrote. Satisfies `Verifier`; what real tokens cost is no part of a simulation."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """See `Verifier.verify_connection`."""
        user, boundary, ends = token.partition("/")
        if not boundary or not ends.isdigit():
            raise InvalidTokenError("none of this world's")
        expire_at = int(ends)
        if 0 < expire_at <= unix_s:
            raise ExpiredTokenError("over")
        return Identity(user, expire_at=expire_at)

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        """See `Verifier.verify_subscription`."""
        identity = self.verify_connection(token, unix_s)
        return SubscriptionToken(identity.user, "", "", SubscriptionGrant(expire_at=identity.expire_at))
