"""One URL that is asked again and again: JSON there, JSON back, and a breaker between.

What counts against the endpoint is what says that nobody is there: no connection, no answer in time,
an answer that is not HTTP, or a gateway's 502, 503 or 504. Another status, or JSON that makes no
sense, fails the call alone: somebody answers, and what one client asks must not close the way for
the others. Neither does a call count that was never made, since too many were.

Failures are told in the log once a second, with how many there were; nothing of a request is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop import __version__
from wsloop.client.breaker import Breaker, BreakerRules, BreakerState
from wsloop.errors import HttpError
from wsloop.loop.histogram import Histogram
from wsloop.protocol.http_client import HttpRequest
from wsloop.protocol.trace import SPAN_BYTES, traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.http import HttpClient
    from wsloop.client.urls import Url
    from wsloop.protocol.http_client import HttpResponse

    Posted = Callable[[bytes | HttpError], object]
    Headers = tuple[tuple[str, str], ...]

log = logging.getLogger("wsloop.client")

GATEWAY_STATUSES = frozenset({502, 503, 504})
"""RFC 9110 section 15.6: somebody in front of the backend says that it is not there."""

COMPLAIN_EVERY_S = 1.0
"""At most one line of log in this time, for each endpoint."""

HEADERS: Headers = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("User-Agent", f"wsloop/{__version__}"),
)

CIRCUIT_OPEN = HttpError("not asked, it failed too often just now", was_tried=False)
SHUTTING_DOWN = "shutting down"


class Complaints:
    """Tells of failures of one thing: the first at once, then one line a second with their number."""

    __slots__ = ("_name", "_now", "_since_s", "_untold")

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._name = name
        self._now = now
        self._since_s = float("-inf")
        self._untold = 0

    def add(self, reason: str) -> None:
        """Take note of a failure; `reason` holds nothing of a peer's."""
        self._untold += 1
        now_s = self._now()
        if now_s - self._since_s >= COMPLAIN_EVERY_S:
            more = f" (and {self._untold - 1} more since the last)" if self._untold > 1 else ""
            log.warning("%s: %s%s", self._name, reason, more)
            self._since_s, self._untold = now_s, 0


class Endpoint:
    """A URL for one kind of question.

    Arguments: `name`, for the log, and of its own line of calls; `timeout_s` of each call; `now` and
    `entropy`, which are ports; `rules` of the breaker. Raises ConfigError if the origin's certificates
    cannot be checked.

    `duration` has how long the calls took that were made; `failures` counts all that failed, with those that
    were never made.
    """

    def __init__(
        self,
        client: HttpClient,
        url: Url,
        *,
        name: str,
        timeout_s: float,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        rules: BreakerRules,
    ) -> None:
        client.prepare(url, name)
        self._line = name
        self._client = client
        self._url = url
        self._name = f"{name} at {url}"
        self._timeout_s = timeout_s
        self._now = now
        self._entropy = entropy
        self._breaker = Breaker(rules)
        self._complaints = Complaints(self._name, now)
        self.duration = Histogram()
        self.failures = 0

    @property
    def state(self) -> BreakerState:
        """Whether calls are let through."""
        return self._breaker.state

    def post(
        self,
        body: bytes,
        done: Posted,
        *,
        headers: Headers = (),
        trace: str = "",
        may_repeat: bool = False,
    ) -> None:
        """Post `body`, JSON; `done` gets the body of a 2xx answer, or an HttpError, exactly once.

        `trace` is what the request is part of (`protocol/trace.py`), "" for nothing. `may_repeat` says that
        asking twice does no harm.
        """
        ticket = self._breaker.admit(self._now())
        if ticket is None:
            self._fail(CIRCUIT_OPEN.reason)
            done(CIRCUIT_OPEN)
            return
        url, began_s = self._url, self._now()
        if trace:
            headers = (*headers, ("traceparent", traceparent(trace, self._entropy(SPAN_BYTES))))
        request = HttpRequest("POST", url.target, url.host, (*HEADERS, *headers), body, may_repeat)

        def completed(outcome: HttpResponse | HttpError) -> None:
            self.duration.observe(self._now() - began_s)
            done(self._judge(ticket, outcome))

        self._client.call(url, request, self._timeout_s, completed, self._line)

    def complain(self, reason: str) -> None:
        """Count, and note in the log, that an answer made no sense."""
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self._complaints.add(reason)

    def _judge(self, ticket: int, outcome: HttpResponse | HttpError) -> bytes | HttpError:
        if isinstance(outcome, HttpError):
            if outcome.was_tried:
                self._report(ticket, is_ok=False)
            else:
                self._breaker.give_back(ticket)
            if outcome.reason != SHUTTING_DOWN:
                self._fail(outcome.reason)
            return outcome
        self._report(ticket, is_ok=outcome.status not in GATEWAY_STATUSES)
        if 200 <= outcome.status < 300:
            return outcome.body
        error = HttpError(f"answered with status {outcome.status}")
        self._fail(error.reason)
        return error

    def _report(self, ticket: int, *, is_ok: bool) -> None:
        chance = int.from_bytes(self._entropy(2), "big") / 65_536
        if self._breaker.report(ticket, is_ok, self._now(), chance):
            if self._breaker.state is BreakerState.OPEN:
                log.warning("%s: failed too often, left alone for a while", self._name)
            else:
                log.info("%s: answers again", self._name)
