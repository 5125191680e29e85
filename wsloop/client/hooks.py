"""The Hooks port over HTTP: what has happened, in batches, in order, at least once.

Every event goes into the spool first. A batch is POSTed as a JSON array when enough wait, or a moment
after the first; while it is under way no other is, so the order holds. Whatever is not a 2xx answer
is tried again, with the same events, after a time that doubles; so the receiver may see an event
twice, and tells by `Wsloop-Spool` (the spool's id) and `seq` what it has seen. If it is away for
longer than the spool has room, events are lost, which is counted, told in the log, and shows as a
gap in `seq`.

A channel that empties is told of only if it stays empty for a while: clients that come back at once
do not make it flap. `start` is the first event of a process: of what was connected before, nothing
more is heard.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from wsloop.client.breaker import backoff_s
from wsloop.client.endpoint import HEADERS, Complaints
from wsloop.client.tracing import state_of, trace_of
from wsloop.errors import HttpError
from wsloop.hub.backend import Hooks
from wsloop.protocol.http_client import HttpRequest
from wsloop.protocol.trace import trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.http import HttpClient
    from wsloop.client.pool import Call
    from wsloop.client.spool import Spool
    from wsloop.client.urls import Url
    from wsloop.hub.backend import Person
    from wsloop.loop.clock import WallClock
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer
    from wsloop.protocol.http_client import HttpResponse

log = logging.getLogger("wsloop.client")

EVENTS = ("disconnect", "unsubscribe", "occupied", "vacated")
"""What can be told."""

MAX_BATCH_BYTES = 262_144
"""Of a batch's body: what small receivers take, some 1,500 events."""


class HookEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One event; `time` in Unix milliseconds. What does not belong to its type is left out."""

    seq: int
    type: str
    time: int
    client: str = ""
    user: str | msgspec.UnsetType = msgspec.UNSET
    meta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    channel: str = ""
    code: int = 0
    reason: str = ""
    trace_id: str = ""
    tracestate: str = ""


@dataclass(frozen=True, slots=True)
class HookOptions:
    """How events are told.

    `events`: which of EVENTS. `batch_events`: at most so many in a POST. `batch_delay_s`: how long
    the first waits for others. `timeout_s` of a POST. `vacated_grace_s`: how long a channel must be
    empty. `retry_s`, `max_retry_s`: the first and the longest pause after a failure.
    """

    events: frozenset[str] = frozenset(EVENTS)
    batch_events: int = 100
    batch_delay_s: float = 0.1
    timeout_s: float = 5.0
    vacated_grace_s: float = 5.0
    retry_s: float = 0.5
    max_retry_s: float = 30.0


class HttpHooks(Hooks):
    """Tells `url` through `client` what happens, by way of `spool`.

    `delivered` counts the events that the receiver has taken, `failed_posts` the attempts that failed.
    """

    def __init__(
        self,
        reactor: Reactor,
        client: HttpClient,
        url: Url,
        spool: Spool,
        options: HookOptions,
        *,
        unix_s: WallClock,
        entropy: Callable[[int], bytes],
    ) -> None:
        client.prepare(url)
        self._reactor = reactor
        self._client = client
        self._url = url
        self._spool = spool
        self._options = options
        self._unix_s = unix_s
        self._entropy = entropy
        self._name = f"hooks at {url}"
        self._complaints = Complaints(self._name, lambda: reactor.now)
        self._emptied: dict[str, Timer] = {}
        self._call: Call | None = None
        self._under_way = 0  # events in the present POST
        self._failures = 0  # in a row
        self._timer: Timer | None = None  # of the next POST
        self._is_flush_asked = False
        self._has_dropped = False
        self.delivered = self.failed_posts = 0
        self._is_closed = False
        self._tells_channels = not options.events.isdisjoint({"occupied", "vacated"})
        self._add("start")

    @property
    def waiting(self) -> int:
        """How many events were not delivered yet."""
        return len(self._spool)

    @property
    def dropped(self) -> int:
        """How many events were lost for want of room."""
        return self._spool.dropped

    # -- what the hub tells ------------------------------------------------------------------

    def on_disconnect(self, person: Person, code: int, reason: str) -> None:
        """See `Hooks.on_disconnect`."""
        if "disconnect" in self._options.events:
            self._add("disconnect", person, code=code, reason=reason)

    def on_unsubscribe(self, person: Person, channel: str, code: int, reason: str) -> None:
        """See `Hooks.on_unsubscribe`."""
        if "unsubscribe" in self._options.events:
            self._add("unsubscribe", person, channel=channel, code=code, reason=reason)

    def on_channel_occupied(self, channel: str) -> None:
        """See `Hooks.on_channel_occupied`. One that was empty for a moment only has never been."""
        timer = self._emptied.pop(channel, None)
        if timer is not None:
            self._reactor.cancel(timer)
        elif "occupied" in self._options.events:
            self._add("occupied", channel=channel)

    def on_channel_vacated(self, channel: str) -> None:
        """See `Hooks.on_channel_vacated`. It is told after the grace, unless somebody comes."""
        if not self._tells_channels:
            return

        def told() -> None:
            del self._emptied[channel]
            self._tell_vacated(channel)

        if self._options.vacated_grace_s and not self._is_closed:
            self._emptied[channel] = self._reactor.call_later(self._options.vacated_grace_s, told)
        else:
            self._tell_vacated(channel)

    def close(self) -> None:
        """Put everything into the spool, and release it; nothing is delivered any more. Idempotent."""
        if self._is_closed:
            return
        for channel, timer in self._emptied.items():
            self._reactor.cancel(timer)
            self._tell_vacated(channel)
        self._emptied.clear()
        self._is_closed = True
        if self._timer is not None:
            self._reactor.cancel(self._timer)
        if self._call is not None:
            self._call.cancel()
        self._spool.close()

    # -- the spool ---------------------------------------------------------------------------

    def move(self, make: Callable[[], Spool]) -> bool:
        """Keep events in the spool that `make` returns from now on, those that wait included, numbered by it.

        Returns False, and changes nothing, while a batch is under way, or once closed. What `make` raises
        passes through, and changes nothing.
        """
        if self._call is not None or self._is_closed:
            return False
        spool, left = make(), self._spool
        _pour(left, spool)
        spool.dropped += left.dropped
        left.close()
        self._spool = spool
        spool.flush()
        if len(spool):
            self._plan(self._options.batch_delay_s)
        return True

    def take_in(self, orphan: Spool) -> bool:
        """Tell what waits in a spool whose process is gone, numbered by ours.

        Returns False, and changes nothing, if there is no room for it, or once closed.
        """
        if self._is_closed or not self._spool.has_room(orphan.waiting_bytes):
            return False
        _pour(orphan, self._spool)
        self._spool.flush()
        if len(self._spool):
            self._plan(self._options.batch_delay_s)
        return True

    def _tell_vacated(self, channel: str) -> None:
        if "vacated" in self._options.events:
            self._add("vacated", channel=channel)

    def _add(
        self, kind: str, person: Person | None = None, *, channel: str = "", code: int = 0, reason: str = ""
    ) -> None:
        if self._is_closed:
            return
        event = HookEvent(
            seq=self._spool.next_number,
            type=kind,
            time=int(self._unix_s() * 1000),
            client=person.client if person else "",
            user=person.user if person else msgspec.UNSET,
            meta=msgspec.Raw(person.meta) if person and person.meta else msgspec.UNSET,
            channel=channel,
            code=code,
            reason=reason,
            trace_id=trace_id(trace_of(person)) if person else "",
            tracestate=state_of(person) if person else "",
        )
        is_whole = self._spool.append(msgspec.json.encode(event), keep=self._under_way)
        if not is_whole and not self._has_dropped:
            log.error("%s: there is no room for more events, some are lost", self._name)
        self._has_dropped = not is_whole
        if not self._is_flush_asked:
            self._is_flush_asked = True
            self._reactor.request_flush(self._flush)
        self._plan(self._options.batch_delay_s)

    def _flush(self) -> None:
        """Write what the turn brought, in one go."""
        self._is_flush_asked = False
        if not self._is_closed:
            self._spool.flush()

    # -- delivery ----------------------------------------------------------------------------

    def _plan(self, delay_s: float) -> None:
        """Have a batch posted after `delay_s`, or at once if enough waits and nothing has failed."""
        if self._call is not None or self._is_closed:
            return
        is_full = len(self._spool) >= self._options.batch_events and not self._failures
        if is_full and self._timer is not None:
            self._reactor.cancel(self._timer)
            self._timer = None
        if self._timer is None:
            self._timer = self._reactor.call_later(0.0 if is_full else delay_s, self._post)

    def _post(self) -> None:
        self._timer = None
        if self._call is not None or self._is_closed:
            return
        events = self._spool.batch(self._options.batch_events, MAX_BATCH_BYTES)
        if not events:
            return
        self._under_way = len(events)
        body = b"[" + b",".join([event.payload for event in events]) + b"]"
        headers = (*HEADERS, ("Wsloop-Spool", self._spool.id.hex()))
        # The receiver must be ready for an event that comes twice anyway.
        request = HttpRequest("POST", self._url.target, self._url.host, headers, body, True)
        self._call = self._client.call(self._url, request, self._options.timeout_s, self._on_answer)
        if not self._under_way:
            self._call = None  # it was over before it was returned

    def _on_answer(self, outcome: HttpResponse | HttpError) -> None:
        count, self._under_way = self._under_way, 0
        self._call = None
        if isinstance(outcome, HttpError) or not 200 <= outcome.status < 300:
            self._on_failure(
                outcome.reason if isinstance(outcome, HttpError) else f"answered with status {outcome.status}"
            )
            return
        if self._failures:
            self._failures = 0
            log.info("%s: takes events again", self._name)
        self.delivered += count
        self._spool.delivered(count)
        self._spool.flush()
        if len(self._spool):
            self._plan(0.0)

    def _on_failure(self, reason: str) -> None:
        """Try again after a while."""
        self._complaints.add(reason)
        options, chance = self._options, int.from_bytes(self._entropy(2), "big") / 65_536
        delay_s = backoff_s(options.retry_s, options.max_retry_s, self._failures, chance)
        self._failures += 1
        self.failed_posts += 1
        self._plan(delay_s)


def _pour(left: Spool, spool: Spool) -> None:
    """Append what waits in one spool to another, which numbers it anew."""
    for event in left.batch(len(left), sys.maxsize):
        told = msgspec.json.decode(event.payload, type=HookEvent)
        spool.append(msgspec.json.encode(msgspec.structs.replace(told, seq=spool.next_number)))
