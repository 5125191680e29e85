"""A token that runs out: got anew in time, for a connection and for a subscription alike."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from wsloop.client.messages import TOKEN_EXPIRED, CallError, RefreshResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.messaging import MessagingClient
    from wsloop.loop.wheel import Timer

    Got = Callable[[str], object]


class Renewal:
    """The timer of one token. `get_token(done)`, None: it is never renewed; `on_token` gets a new one.

    What comes after `stop` is dropped.
    """

    __slots__ = ("_client", "_get_token", "_on_token", "_round", "_timer")

    def __init__(
        self, client: MessagingClient, get_token: Callable[[Got], object] | None, on_token: Got
    ) -> None:
        self._client = client
        self._get_token = get_token
        self._on_token = on_token
        self._round = 0
        self._timer: Timer | None = None

    def arm(self, expires: bool, ttl_s: int) -> None:
        """Renew it in `ttl_s`, if it `expires` and can be renewed."""
        if expires and self._get_token is not None:
            self._timer = self._client.dialer.reactor.call_later(ttl_s, self._due)

    def settle(self, outcome: RefreshResult | CallError) -> bool:
        """Take the server's answer to the new token; return False if it is refused for good."""
        if isinstance(outcome, RefreshResult):
            self.arm(outcome.expires, outcome.ttl)
        elif outcome.temporary or outcome.code == TOKEN_EXPIRED:
            self._timer = self._client.later(0, self._due)
        else:
            return False
        return True

    def stop(self) -> None:
        """Renew no more, until it is armed again."""
        self._round += 1
        if self._timer is not None:
            self._client.dialer.reactor.cancel(self._timer)
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        assert self._get_token is not None, "what is never renewed has no timer"
        self._get_token(functools.partial(self._got, self._round))

    def _got(self, number: int, token: str) -> None:
        if number == self._round:
            self._on_token(token)
