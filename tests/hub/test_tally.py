"""What a hub counts: tokens that are refused by their reason, and who replaces the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wsloop.hub.grants import Identity, SubscriptionToken
from wsloop.hub.tally import TOKEN_REFUSALS, CountedVerifier, HubTally
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, NotReadyError, Verifier
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.errors import WsloopError


class Strict(Verifier):
    """Refuses by the name of a reason; lets in everything else."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        self._judge(token)
        return Identity(token)

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        self._judge(token)
        raise AssertionError

    def _judge(self, token: str) -> None:
        for kind, name in TOKEN_REFUSALS.items():
            if token == name:
                raise kind() if kind is NotReadyError else kind("no")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(InvalidTokenError, "invalid"), (ExpiredTokenError, "expired"), (NotReadyError, "not_ready")],
)
def test_a_refusal_is_counted_by_its_reason_and_raised(kind: type[WsloopError], name: str) -> None:
    tally = HubTally()
    verifier = CountedVerifier(Strict(), tally)
    with pytest.raises(kind):
        verifier.verify_connection(name, 0.0)
    with pytest.raises(kind):
        verifier.verify_subscription(name, 0.0)
    assert tally.tokens == {**dict.fromkeys(TOKEN_REFUSALS.values(), 0), name: 2}


def test_who_is_let_in_is_not_counted() -> None:
    tally = HubTally()
    assert CountedVerifier(Strict(), tally).verify_connection("ann", 0.0).user == "ann"
    assert not any(tally.tokens.values())


def test_another_judge_goes_on_with_the_same_counts() -> None:
    with MemoryServer() as house:
        for _ in range(2):
            house.hub.verifier = Strict()
            with pytest.raises(InvalidTokenError):
                house.hub.verifier.verify_connection("invalid", 0.0)
        assert house.hub.tally.tokens["invalid"] == 2
