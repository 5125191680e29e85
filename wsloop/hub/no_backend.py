"""The Backend of a server that has none: every question is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes
from wsloop.hub.backend import Backend, Refused

if TYPE_CHECKING:
    from wsloop.hub.backend import (
        ConnectQuestion,
        Decided,
        Person,
        PublishQuestion,
        PublishVerdict,
        Renewal,
        RpcQuestion,
        SubscribeQuestion,
    )
    from wsloop.hub.grants import Identity, SubscriptionGrant

REFUSED = Refused(codes.NOT_AVAILABLE)


class NoBackend(Backend):
    """Answers 108 at once. The options do not let it be asked; this is for those who set them wrongly."""

    def connect(self, question: ConnectQuestion, done: Decided[Identity]) -> None:
        """See `Backend.connect`."""
        done(REFUSED)

    def refresh(self, person: Person, done: Decided[Renewal]) -> None:
        """See `Backend.refresh`."""
        done(REFUSED)

    def subscribe(self, question: SubscribeQuestion, done: Decided[SubscriptionGrant]) -> None:
        """See `Backend.subscribe`."""
        done(REFUSED)

    def publish(self, question: PublishQuestion, done: Decided[PublishVerdict]) -> None:
        """See `Backend.publish`."""
        done(REFUSED)

    def sub_refresh(self, person: Person, channel: str, done: Decided[Renewal]) -> None:
        """See `Backend.sub_refresh`."""
        done(REFUSED)

    def rpc(self, question: RpcQuestion, done: Decided[bytes]) -> None:
        """See `Backend.rpc`."""
        done(REFUSED)

    def send(self, question: RpcQuestion) -> None:
        """See `Backend.send`."""
