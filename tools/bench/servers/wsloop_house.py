"""What `wsloop_bench.py` serves: the house of `wsloop serve --dev`, and a fan-out route.

`/echo` is the daemon's own route, with its limits. In the role "flood" an instrument measures how
long the loop stays away from its poll, and the page `/pauses` tells.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import time
from typing import TYPE_CHECKING

import msgspec

from tools.bench.servers.options import ready
from wsloop.daemon import compose
from wsloop.daemon.config import load
from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import kept
from wsloop.loop.instrument import Instrument, Phase
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.app import Response, Route
from wsloop.server.assembly import Options as HouseOptions
from wsloop.server.assembly import assemble
from wsloop.server.echo import EchoHandler
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from tools.bench.servers.options import Options
    from wsloop.protocol.events import Request
    from wsloop.server.connection import Connection
    from wsloop.server.fan_out import PacedFanOut

UNLIMITED = 10**9


class Subscribers:
    """All connections of the fan-out route, as a channel of the hub keeps them."""

    def __init__(self, fan_out: PacedFanOut) -> None:
        self._fan_out = fan_out
        self._members: dict[Connection, None] = {}
        self._receivers: tuple[Connection, ...] | None = ()

    def join(self, connection: Connection) -> None:
        """Add a subscriber."""
        self._members[connection] = None
        self._receivers = None

    def leave(self, connection: Connection) -> None:
        """Remove a subscriber."""
        self._members.pop(connection, None)
        self._receivers = None

    def __len__(self) -> int:
        return len(self._members)

    def publish(self, text: str, publisher: Connection) -> None:
        """Send `text` to all, and let a publisher that is too fast wait."""
        self.broadcast(text)
        self._fan_out.hold_if_behind(publisher)

    def broadcast(self, text: str) -> None:
        """Send `text` to all, as the server sends a publication: framed once, in portions, joined."""
        if self._receivers is None:
            self._receivers = tuple(self._members)
        self._fan_out.send(self._receivers, text.encode(), kept(JSON))


class FanoutHandler(EchoHandler):
    """One subscriber: what it sends goes to all, itself included."""

    __slots__ = ("_subscribers",)

    def __init__(self, connection: Connection, request: Request, subscribers: Subscribers) -> None:
        super().__init__(connection, request)
        self._subscribers = subscribers

    def on_open(self) -> None:
        """Join."""
        super().on_open()
        self._subscribers.join(self._connection)

    def on_text(self, data: str) -> None:
        """Publish."""
        self._subscribers.publish(data, self._connection)

    def on_closed(self, code: int, reason: str) -> None:
        """Leave."""
        super().on_closed(code, reason)
        self._subscribers.leave(self._connection)


class Pauses(Instrument):
    """Measures, per turn, the time from the poll's return to the next poll, in milliseconds."""

    def __init__(self) -> None:
        self._returned_s: float | None = None
        self._pauses_ms: list[float] = []

    def on_phase(self, phase: Phase) -> None:
        """Take the time at the beginning of the poll."""
        if phase is Phase.POLL and self._returned_s is not None:
            self._pauses_ms.append((time.perf_counter() - self._returned_s) * 1e3)

    def on_poll(self, timeout_s: float | None, ready: int) -> None:
        """Take the time at its end."""
        del timeout_s, ready
        self._returned_s = time.perf_counter()

    def page(self) -> Response:
        """Tell of the pauses since the last time this was asked."""
        pauses_ms = sorted(self._pauses_ms)
        self._pauses_ms.clear()
        figures = {"pauses": len(pauses_ms), "pause_p50_ms": 0.0, "pause_p99_ms": 0.0, "pause_max_ms": 0.0}
        if pauses_ms:
            for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                at = min(len(pauses_ms) - 1, int(len(pauses_ms) * part))
                figures[f"pause_{name}_ms"] = round(pauses_ms[at], 3)
        return Response(200, msgspec.json.encode(figures))


def house_options(options: Options) -> HouseOptions:
    """Return the daemon's own options, as `wsloop serve --dev` has them; pings unlimited if so wanted.

    But each message has a frame of its own, as the generator counts them and all peers send them.
    """
    compression = {"ws": {"per_message_deflate": "on" if options.deflate else "off"}}
    chosen = dataclasses.replace(compose.options(load(None, compression, dev=True)), messages_per_frame=1)
    if options.unlimited_pings:
        limits = dataclasses.replace(
            chosen.echo_limits, control_frames_per_s=UNLIMITED, control_burst=UNLIMITED
        )
        chosen = dataclasses.replace(chosen, echo_limits=limits)
    return chosen


def serve(options: Options) -> None:
    """Serve until the process is ended."""
    chosen = house_options(options)
    settings = load(None, {}, dev=True)
    house = assemble(compose.real_ports(settings, SocketpairWakeup()), chosen)
    app, pages = house.server.app, dict(house.server.app.pages)
    if options.role == "flood":
        pauses = Pauses()
        house.reactor.instrument = pauses
        pages["/pauses"] = pauses.page
    handler = functools.partial(FanoutHandler, subscribers=Subscribers(house.server.fan_out))
    fanout = Route(handler, chosen.echo_limits, deflate=chosen.echo_deflate)
    house.server.app = dataclasses.replace(app, routes={**app.routes, "/fanout": fanout}, pages=pages)
    bound = house.server.listen(TcpBind(options.host, options.port)).bind
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)  # as daemon/run.py has it
    ready(getattr(bound, "port", 0))
    house.reactor.run()
