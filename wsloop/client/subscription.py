"""One channel that a messaging client wants: its state, its position, its token, its next attempt.

    UNSUBSCRIBED --SUBSCRIBE--> SUBSCRIBING --SUBSCRIBED--> SUBSCRIBED --LOST--> SUBSCRIBING ...

It outlives connections: when one is lost it goes back to SUBSCRIBING, and asks on the next one for all
since its position. Its owner, `messaging.py`, tells it of connections and pushes.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from wsloop.client.messages import (
    LOST,
    TIMEOUT,
    TOKEN_EXPIRED,
    CallError,
    ClientCode,
    Position,
    RefreshResult,
    SubscribeResult,
)
from wsloop.client.renewal import Renewal
from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.messages import Ended, Publication
    from wsloop.client.messaging import MessagingClient
    from wsloop.loop.wheel import Timer

    GetToken = Callable[[str, Callable[[str], object]], object]

RESUBSCRIBE_FROM = 2500
"""An unsubscribe push with this code or a higher one asks to subscribe anew; a lower one is final."""

STATE_INVALIDATED = 2502
"""Position and token count no more."""


class SubState(enum.Enum):
    """Where a subscription stands."""

    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBING = "subscribing"
    SUBSCRIBED = "subscribed"

    __hash__ = object.__hash__


class SubStep(enum.Enum):
    """What moves it on."""

    SUBSCRIBE = "subscribe"
    SUBSCRIBED = "subscribed"
    LOST = "lost"
    UNSUBSCRIBE = "unsubscribe"

    __hash__ = object.__hash__


SUB_TRANSITIONS: dict[SubState, dict[SubStep, SubState]] = {
    SubState.UNSUBSCRIBED: {SubStep.SUBSCRIBE: SubState.SUBSCRIBING},
    SubState.SUBSCRIBING: {
        SubStep.SUBSCRIBED: SubState.SUBSCRIBED,
        SubStep.UNSUBSCRIBE: SubState.UNSUBSCRIBED,
    },
    SubState.SUBSCRIBED: {
        SubStep.LOST: SubState.SUBSCRIBING,
        SubStep.UNSUBSCRIBE: SubState.UNSUBSCRIBED,
    },
}


@dataclass(frozen=True, slots=True)
class SubscribeOptions:
    """How to subscribe.

    `since`: recover from there at once; `data`: JSON for the server; `positioned`, `recoverable`,
    `join_leave`: asked for, where the namespace does not force them. `token`, or `get_token(channel,
    done)`, which calls `done` once, now or later, with a token, "" for no right.
    """

    since: Position | None = None
    data: bytes = b""
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    token: str = ""
    get_token: GetToken | None = None


DEFAULT_OPTIONS = SubscribeOptions()


class Subscription:
    """A channel of a client's; `state`, `channel`, `position` are for reading. Made by `subscribe`."""

    __slots__ = ("_attempt", "_client", "_failures", "_is_positioned", "_is_recoverable", "_options",
                 "_renewal", "_timer", "_token", "channel", "position", "state")  # fmt: skip

    def __init__(self, client: MessagingClient, channel: str, options: SubscribeOptions) -> None:
        self.state = SubState.UNSUBSCRIBED
        self.channel = channel
        self.position = options.since
        self._client = client
        self._options = options
        self._token = options.token
        self._is_recoverable = options.since is not None
        self._is_positioned = False
        self._failures = 0
        self._attempt = 0  # what answers an older one comes too late
        self._timer: Timer | None = None
        get_token = None if options.get_token is None else self._get_token
        self._renewal = Renewal(client, get_token, self._on_new_token)

    # -- what the client calls ---------------------------------------------------------------

    def subscribe(self) -> None:
        """Begin; raises StateError unless UNSUBSCRIBED."""
        self._step(SubStep.SUBSCRIBE)
        self._client.events.on_subscribing(self._client, self.channel, ClientCode.CALLED, "subscribe called")
        if self._client.is_connected:
            self.request()

    def request(self) -> None:
        """Ask for it on the client's connection, which is there; with a token if one is needed."""
        self._stop_timer()
        self._attempt += 1
        if self._options.get_token is not None and not self._token:
            self._options.get_token(self.channel, functools.partial(self._on_token, self._attempt))
        else:
            self._send()

    def on_lost(self, code: int, reason: str) -> None:
        """Wait for the next connection; the last one is gone."""
        self._stop_timer()
        self._attempt += 1
        if self.state is SubState.SUBSCRIBED:
            self._step(SubStep.LOST)
            self._client.events.on_subscribing(self._client, self.channel, code, reason)

    def on_unsubscribe(self, ended: Ended) -> None:
        """Take note that the server has ended it: for good, or to be subscribed to anew."""
        if ended.code < RESUBSCRIBE_FROM:
            self.end(ended.code, ended.reason)
            return
        if ended.code == STATE_INVALIDATED:
            self.position, self._token = None, ""
        if self.state is SubState.SUBSCRIBED:
            self.on_lost(ended.code, ended.reason)
            self.request()

    def on_publication(self, publication: Publication) -> None:
        """Hand a publication on, unless it was handed on before."""
        if publication.offset and self.position is not None:
            if self._is_positioned and publication.offset <= self.position.offset:
                return
            self.position = Position(publication.offset, self.position.epoch)
        self._client.events.on_publication(self._client, self.channel, publication)

    def end(self, code: int, reason: str) -> None:
        """Be UNSUBSCRIBED, and tell so; nothing if it is already."""
        if self.state is SubState.UNSUBSCRIBED:
            return
        self._stop_timer()
        self._attempt += 1
        self._step(SubStep.UNSUBSCRIBE)
        self._client.events.on_unsubscribed(self._client, self.channel, code, reason)

    # -- asking ------------------------------------------------------------------------------

    def _on_token(self, attempt: int, token: str) -> None:
        if (
            attempt != self._attempt
            or self.state is not SubState.SUBSCRIBING
            or not self._client.is_connected
        ):
            return
        if not token:
            self.end(ClientCode.UNAUTHORIZED, "unauthorized")
            return
        self._token = token
        self._send()

    def _send(self) -> None:
        options = self._options
        fields: dict[str, object] = {"channel": self.channel}
        if self._token:
            fields["token"] = self._token
        if options.data:
            fields["data"] = msgspec.Raw(options.data)
        for name in ("positioned", "recoverable", "join_leave"):
            if getattr(options, name):
                fields[name] = True
        if self._is_recoverable and self.position is not None:
            fields |= {"recover": True, "offset": self.position.offset, "epoch": self.position.epoch}
        self._client.call("subscribe", fields, functools.partial(self._on_reply, self._attempt))

    def _on_reply(self, attempt: int, outcome: SubscribeResult | CallError) -> None:
        if attempt != self._attempt or self.state is not SubState.SUBSCRIBING:
            return
        if isinstance(outcome, SubscribeResult):
            self._on_subscribed(outcome)
        elif outcome is LOST:
            return  # the client comes back, and asks again
        elif outcome is TIMEOUT:
            self._client.reconnect(ClientCode.SUBSCRIBE_TIMEOUT, "subscribe timeout")
        elif outcome.temporary or (outcome.code == TOKEN_EXPIRED and self._options.get_token is not None):
            if outcome.code == TOKEN_EXPIRED:
                self._token = ""
            self._timer = self._client.later(self._failures, self._retry)
            self._failures += 1
        else:
            self.end(outcome.code, outcome.message)

    def _retry(self) -> None:
        self._timer = None
        if self.state is SubState.SUBSCRIBING and self._client.is_connected:
            self.request()

    def _on_subscribed(self, result: SubscribeResult) -> None:
        self._failures = 0
        self._is_recoverable = result.recoverable
        self._is_positioned = result.positioned
        self.position = Position(result.offset, result.epoch) if result.positioned else None
        self._step(SubStep.SUBSCRIBED)
        self._renewal.arm(result.expires, result.ttl)
        self._client.events.on_subscribed(self._client, self.channel, result)
        for publication in result.publications:
            if self.state is SubState.SUBSCRIBED:
                self.on_publication(publication)

    # -- renewing the token --------------------------------------------------------------------

    def _get_token(self, done: Callable[[str], object]) -> None:
        assert self._options.get_token is not None, "else there is nothing to renew it with"
        self._options.get_token(self.channel, done)

    def _on_new_token(self, token: str) -> None:
        if not token:
            self._client.unsubscribe(self.channel, ClientCode.UNAUTHORIZED, "unauthorized")
            return
        self._token = token
        fields: dict[str, object] = {"channel": self.channel, "token": token}
        self._client.call("sub_refresh", fields, functools.partial(self._on_refreshed, self._attempt))

    def _on_refreshed(self, attempt: int, outcome: RefreshResult | CallError) -> None:
        if attempt == self._attempt and not self._renewal.settle(outcome):
            assert isinstance(outcome, CallError)
            self._client.unsubscribe(self.channel, outcome.code, outcome.message)

    def _stop_timer(self) -> None:
        self._renewal.stop()
        if self._timer is not None:
            self._client.dialer.reactor.cancel(self._timer)
            self._timer = None

    def _step(self, step: SubStep) -> None:
        try:
            self.state = SUB_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None
