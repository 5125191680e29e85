"""A key set that is fetched: at the start, and again and again, never because of a token.

Whoever sends tokens cannot make the server ask anybody anything. A set that cannot be had, or read, changes
nothing: the keys stay as they were, and it is tried again sooner. Times have jitter, so that many
servers that started together do not ask together.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.errors import ConfigError, HttpError
from wsloop.hub import jwks
from wsloop.protocol.http_client import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.client.http import HttpClient
    from wsloop.client.urls import Url
    from wsloop.hub.token_keys import Keys
    from wsloop.loop.reactor import Reactor
    from wsloop.protocol.http_client import HttpResponse

log = logging.getLogger("wsloop.client")

TIMEOUT_S = 10.0
"""For one fetch, names and TLS included; nobody waits for it."""

RETRY_S = 5.0
"""After a failure; doubled each time, up to the interval."""

JITTER = 0.2
"""The part of a delay that is left to chance, less or more by half of it."""

OK = 200


class KeySetFetcher:
    """Keeps `keys` as the set at `url` says. Made ready by `start`, ended by `stop`.

    Arguments: `interval_s` between fetches; `allowed`, the algorithms the operator allows; `entropy(n)`
    returns n random bytes.
    """

    def __init__(
        self,
        reactor: Reactor,
        client: HttpClient,
        url: Url,
        keys: Keys,
        *,
        interval_s: float,
        entropy: Callable[[int], bytes],
        allowed: Iterable[str] = (),
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._url = url
        self._keys = keys
        self._interval_s = interval_s
        self._entropy = entropy
        self._allowed = frozenset(allowed)
        self._failures = 0
        self._has_stopped = False

    def start(self) -> None:
        """Fetch now; until the set has come, tokens that need it are told to come again."""
        self._keys.is_awaited = True
        self._fetch()

    def stop(self) -> None:
        """Fetch no more. Idempotent."""
        self._has_stopped = True

    def _fetch(self) -> None:
        if self._has_stopped:
            return
        headers = (("accept", "application/json"),)
        request = HttpRequest("GET", self._url.target, self._url.host, headers, b"", is_idempotent=True)
        self._client.call(self._url, request, TIMEOUT_S, self._on_answer)

    def _on_answer(self, answer: HttpResponse | HttpError) -> None:
        fault = self._take(answer)
        if fault:
            delay_s = min(self._interval_s, RETRY_S * 2.0 ** min(self._failures, 16))
            self._failures += 1
            if not self._has_stopped:
                log.warning("key set %s: %s; the keys stay as they were", self._url, fault)
        else:
            self._failures, delay_s = 0, self._interval_s
        chance = int.from_bytes(self._entropy(4), "big") / 2**32
        self._reactor.call_later(delay_s * (1 + JITTER * (chance - 0.5)), self._fetch)

    def _take(self, answer: HttpResponse | HttpError) -> str:
        """Take the keys from an answer; return what is wrong with it, "" if nothing is."""
        if isinstance(answer, HttpError):
            return str(answer)
        if answer.status != OK:
            return f"status {answer.status}"
        try:
            found = jwks.parse(answer.body, self._allowed)
        except ConfigError as error:
            return error.message
        self._keys.replace_fetched(found)
        return ""
