"""What a hub counts for its operator: refusals, and what was published here. Only grows; nobody resets.

`Hub.statistics` has the numbers that the hub needs itself.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wsloop.hub.rate_limits import Operation
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, NotReadyError, Verifier

if TYPE_CHECKING:
    from wsloop.errors import WsloopError
    from wsloop.hub.grants import Identity, SubscriptionToken


TOKEN_REFUSALS: dict[type[WsloopError], str] = {
    InvalidTokenError: "invalid",
    ExpiredTokenError: "expired",
    NotReadyError: "not_ready",
}
"""Why a token is refused: it is not good, its time has passed, or the keys have not been fetched yet."""


class HubTally:
    """The counters of one hub.

    `published` are publications asked for here, by clients and the API, before anybody knows whether they
    are appended. `errors` are error replies by their code; codes of a backend's own are among them.
    `rate_limited` are commands and upgrades refused by a rate limit, by their `Operation`. `tokens`
    are tokens refused, by the names in TOKEN_REFUSALS.
    """

    __slots__ = ("errors", "published", "rate_limited", "tokens")

    def __init__(self) -> None:
        self.published = 0
        self.errors: Counter[int] = Counter()
        self.rate_limited = [0] * len(Operation)
        self.tokens: dict[str, int] = dict.fromkeys(TOKEN_REFUSALS.values(), 0)


class CountedVerifier(Verifier):
    """Has `judge` say what a token is, and counts in `tally` those that it refuses."""

    __slots__ = ("_tally", "judge")

    def __init__(self, judge: Verifier, tally: HubTally) -> None:
        self.judge = judge
        self._tally = tally

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """See `Verifier.verify_connection`."""
        try:
            return self.judge.verify_connection(token, unix_s)
        except (InvalidTokenError, ExpiredTokenError, NotReadyError) as refusal:
            self._tally.tokens[TOKEN_REFUSALS[type(refusal)]] += 1
            raise

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        """See `Verifier.verify_subscription`."""
        try:
            return self.judge.verify_subscription(token, unix_s)
        except (InvalidTokenError, ExpiredTokenError, NotReadyError) as refusal:
            self._tally.tokens[TOKEN_REFUSALS[type(refusal)]] += 1
            raise
