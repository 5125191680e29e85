"""Stand-ins for what decides: tokens that are what they say, a backend that answers when told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from wsloop.hub.backend import Backend, Hooks
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

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
    from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken


Found = TypeVar("Found")


class ScriptedVerifier(Verifier):
    """Knows the tokens it was given by name; "expired" has expired, any other is invalid."""

    def __init__(self) -> None:
        self.identities: dict[str, Identity] = {}
        self.subscriptions: dict[str, SubscriptionToken] = {}

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        return self._find(self.identities, token)

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        return self._find(self.subscriptions, token)

    def _find(self, known: dict[str, Found], token: str) -> Found:
        if token == "expired":
            raise ExpiredTokenError("it was good once")
        try:
            return known[token]
        except KeyError:
            raise InvalidTokenError("never seen") from None


class ScriptedBackend(Backend):
    """Keeps the questions; `answer` gives the oldest open one its answer."""

    def __init__(self) -> None:
        self.questions: list[Any] = []
        self._open: list[Callable[[Any], object]] = []

    def answer(self, answer: object) -> None:
        self._open.pop(0)(answer)

    def _ask(self, question: object, done: Callable[[Any], object]) -> None:
        self.questions.append(question)
        self._open.append(done)

    def connect(self, question: ConnectQuestion, done: Decided[Identity]) -> None:
        self._ask(question, done)

    def refresh(self, person: Person, done: Decided[Renewal]) -> None:
        self._ask(person, done)

    def subscribe(self, question: SubscribeQuestion, done: Decided[SubscriptionGrant]) -> None:
        self._ask(question, done)

    def publish(self, question: PublishQuestion, done: Decided[PublishVerdict]) -> None:
        self._ask(question, done)

    def sub_refresh(self, person: Person, channel: str, done: Decided[Renewal]) -> None:
        self._ask((person, channel), done)

    def rpc(self, question: RpcQuestion, done: Decided[bytes]) -> None:
        self._ask(question, done)

    def send(self, question: RpcQuestion) -> None:
        self.questions.append(question)


class RecordedHooks(Hooks):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_disconnect(self, person: Person, code: int, reason: str) -> None:
        self.heard.append(("disconnect", person.user, code))

    def on_unsubscribe(self, person: Person, channel: str, code: int, reason: str) -> None:
        self.heard.append(("unsubscribe", person.user, channel, code))

    def on_channel_occupied(self, channel: str) -> None:
        self.heard.append(("occupied", channel))

    def on_channel_vacated(self, channel: str) -> None:
        self.heard.append(("vacated", channel))
