"""The answers at `/metrics`, `/healthz`, `/livez` and `/readyz` of the admin listener.

`/livez` says that the loop turns: who asks and gets no answer restarts the process. `/readyz` says whether to
send clients here, and if not, why. `/healthz` is for an operator's eyes: alive, and what is wrong. The
last two speak JSON to who asks for it.

The numbers may be those of several processes, so `/metrics` asks for them and answers when they have come.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from wsloop.errors import HandshakeError
from wsloop.observe.exposition import CONTENT_TYPE, exposition
from wsloop.observe.ledger import Ledger
from wsloop.server.app import Response, Service
from wsloop.server.pages import NO_STORE, NOSNIFF, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.observe.snapshot import Snapshot
    from wsloop.protocol.events import Request
    from wsloop.server.app import Answered
    from wsloop.server.health import Health

    Gather = Callable[[Callable[[list[Snapshot]], object]], object]
    """Calls its argument once, now or later, with the numbers of all processes that answer in time."""

log = logging.getLogger("wsloop.observe")

JSON = (b"Content-Type", b"application/json")


class Readable(Service):
    """A service that is only read: GET and HEAD, no body."""

    def admit(self, request: Request) -> int:
        """See `Service.admit`; 405 for another method (RFC 9110 section 15.5.6)."""
        if request.method not in ("GET", "HEAD"):
            raise HandshakeError(405, "only GET and HEAD are answered here", ((b"Allow", b"GET, HEAD"),))
        return 0


class MetricsService(Readable):
    """`/metrics`. `gather` asks all processes for their numbers.

    `ledger` adds them up; `keep` is given what it would need to go on after the end of this process, each
    time before numbers are told.
    """

    def __init__(
        self, gather: Gather, ledger: Ledger | None = None, keep: Callable[[bytes], object] | None = None
    ) -> None:
        self._gather = gather
        self._ledger = ledger or Ledger()
        self._keep = keep

    def answer(self, request: Request, done: Answered) -> None:
        """See `Service.answer`; a fault of ours is a 500, which Prometheus shows."""

        def gathered(snapshots: list[Snapshot]) -> None:
            try:
                body = exposition(self._ledger.total(snapshots))
                if self._keep is not None:
                    self._keep(self._ledger.kept())
            except Exception:
                log.exception("internal error in /metrics")
                done(Response(500, b"internal error\n", (TEXT, NO_STORE, NOSNIFF)))
                return
            done(Response(200, body, ((b"Content-Type", CONTENT_TYPE), NO_STORE, NOSNIFF)))

        self._gather(gathered)


class HealthService(Readable):
    """`/healthz` and, with `is_probe`, `/readyz`, which is a 503 as long as `health` has a reason.

    Warnings stand below, each in a line that begins with "warning: ", and change no status.
    """

    def __init__(self, health: Health, *, is_probe: bool) -> None:
        self._health = health
        self._is_probe = is_probe

    def answer(self, request: Request, done: Answered) -> None:
        """See `Service.answer`."""
        reasons, warnings = self._health.reasons(), self._health.warnings()
        status = 503 if reasons and self._is_probe else 200
        if _wants_json(request):
            status_text = "not ready" if reasons else "ready"
            state = {"status": status_text, "reasons": reasons, "warnings": warnings}
            done(Response(status, msgspec.json.encode(state) + b"\n", (JSON, NO_STORE, NOSNIFF)))
            return
        well = "ready" if self._is_probe else "ok"
        first = "not ready" if self._is_probe else "ok, but not ready"
        lines = [f"{first}:", *reasons] if reasons else [well]
        lines += [f"warning: {warning}" for warning in warnings]
        done(Response(status, "\n".join([*lines, ""]).encode(), (TEXT, NO_STORE, NOSNIFF)))


def services(metrics: MetricsService, health: Health) -> Mapping[str, Service]:
    """Return what an admin listener serves, by path."""
    return {
        "/metrics": metrics,
        "/healthz": HealthService(health, is_probe=False),
        "/readyz": HealthService(health, is_probe=True),
    }


def _wants_json(request: Request) -> bool:
    if parse_qs(request.query).get("format") == ["json"]:
        return True
    accepted = (request.header(b"accept") or b"").decode("latin-1").lower()
    return any(part.partition(";")[0].strip() == "application/json" for part in accepted.split(","))
