"""The control socket's service: what `wsloop ctl` asks, `POST /ctl/METHOD` with JSON in, JSON out.

HTTP/1.1 on a Unix socket, by our own server. There is no key: the right to reach the socket is the right
to rule the daemon, so its file is the owner's alone, and the kernel is asked who has connected besides
(SO_PEERCRED). Answers are `{"result": ...}` or `{"error": {"message", "hint"}}`.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop import __version__
from wsloop.daemon.steering import SteeringError
from wsloop.errors import HandshakeError
from wsloop.hub import codes
from wsloop.hub.operations import table
from wsloop.hub.operations.requests import MAX_PAGE
from wsloop.hub.operations.results import InfoResult, PeersResult
from wsloop.server.app import App, Response, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.steering import Steering, Told, WorkerRow
    from wsloop.hub.operations.results import Result
    from wsloop.protocol.events import Request
    from wsloop.server.app import Answered
    from wsloop.server.assembly import House
    from wsloop.transport.base import Transport
    from wsloop.transport.bind import Bind

    Done = Callable[[object], object]

log = logging.getLogger("wsloop.daemon")

PREFIX = "/ctl/"

BODY_BYTES = 1024 * 1024
"""A request's body: room for the largest message that `publish` may bring."""

HEADERS = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))

PEER_CREDENTIALS = struct.Struct("3i")
"""Linux, `struct ucred`: process, user, group."""

ROOT = 0


class Listing(msgspec.Struct, frozen=True):
    """What `conns` takes: filters, an order, and a page counted from 1."""

    user: str = ""
    channel: str = ""
    address: str = ""
    sort: str = "age"
    page: int = 1
    per_page: int = 50


class Control(Service):
    """The service below `/ctl/` of a house; `steering` is asked for what is about the whole daemon."""

    def __init__(self, house: House, steering: Steering) -> None:
        self._house = house
        self._steering = steering
        self._started_s = house.reactor.now
        self._methods: dict[str, Callable[[bytes, Done], None]] = {
            "stats": self._stats,
            "conns": self._conns,
            "kick": self._kick,
            "publish": self._publish,
            "record": self._record,
            "recorded": self._recorded,
            "drain": self._drain,
            "progress": self._progress,
            "reload": self._reload,
            "restart": self._restart,
            "workers": self._workers,
            "health": self._health,
        }

    def admit(self, request: Request) -> int:
        """See `Service.admit`."""
        if request.path.removeprefix(PREFIX) not in self._methods:
            raise HandshakeError(404, "there is no such command")
        if request.method != "POST":
            raise HandshakeError(405, "commands are sent with POST", ((b"Allow", b"POST"),))
        return BODY_BYTES

    def answer(self, request: Request, done: Answered) -> None:
        """See `Service.answer`."""
        name = request.path.removeprefix(PREFIX)

        def finished(outcome: object) -> None:
            if isinstance(outcome, codes.Code):
                outcome = SteeringError(outcome.message)
            if isinstance(outcome, SteeringError):
                told: object = {"error": {"message": outcome.message, "hint": outcome.hint}}
            else:
                told = {"result": outcome}
            done(Response(200, msgspec.json.encode(told), HEADERS))

        try:
            self._methods[name](request.body or b"{}", finished)
        except (msgspec.DecodeError, UnicodeDecodeError, table.NotJsonError, RecursionError) as error:
            finished(SteeringError(f"{name}: {error}"))

    # -- what is asked of the clients' processes ---------------------------------------------

    def _stats(self, _body: bytes, done: Done) -> None:
        def told(outcome: Result | codes.Code) -> None:
            if not isinstance(outcome, InfoResult):
                done(outcome)
                return
            left, of = self._steering.progress()
            done(
                {
                    "version": __version__,
                    "pid": self._steering.pid(),
                    "uptime": int(self._house.reactor.now - self._started_s),
                    "reasons": self._house.health.reasons(),
                    "warnings": self._house.health.warnings(),
                    "draining": {"left": left, "of": of} if of else None,
                    "nodes": sorted(outcome.nodes, key=lambda node: node.name),
                }
            )

        table.call(self._house.operations, "info", b"{}", told)

    def _conns(self, body: bytes, done: Done) -> None:
        asked = msgspec.json.decode(body, type=Listing)
        if asked.page < 1 or not 1 <= asked.per_page <= MAX_PAGE // asked.page:
            done(SteeringError(f"only the first {MAX_PAGE:,} connections can be listed", "use a filter"))
            return
        end = asked.page * asked.per_page
        params = {"user": asked.user, "channel": asked.channel, "address": asked.address, "sort": asked.sort}

        def told(outcome: Result | codes.Code) -> None:
            if isinstance(outcome, PeersResult):
                page = outcome.connections[end - asked.per_page : end]
                done({"connections": page, "total": outcome.total, "page": asked.page})
            else:
                done(outcome)

        table.call(self._house.operations, "peers", msgspec.json.encode({**params, "limit": end}), told)

    def _kick(self, body: bytes, done: Done) -> None:
        if self._is_clear(body, done):
            table.call(self._house.operations, "kick", body, done)

    def _is_clear(self, body: bytes, done: Done) -> bool:
        """Tell whether a request that may name a connection by its number names one only; else refuse it."""
        asked = msgspec.json.decode(body, type=dict[str, Any])
        if not asked.get("connection") or asked.get("node") or not self._house.operations.everywhere:
            return True
        done(
            SteeringError(
                "several processes have a connection of this number", "write NODE/NUMBER, as conns does"
            )
        )
        return False

    def _record(self, body: bytes, done: Done) -> None:
        if self._is_clear(body, done):
            table.call(self._house.operations, "record", body, done)

    def _recorded(self, body: bytes, done: Done) -> None:
        table.call(self._house.operations, "recorded", body, done)

    def _publish(self, body: bytes, done: Done) -> None:
        table.call(self._house.operations, "publish", body, done)

    # -- what is asked of the daemon -----------------------------------------------------------

    def _drain(self, _body: bytes, done: Done) -> None:
        log.info("asked to drain by wsloop ctl")
        self._steering.drain(_lines(done))

    def _progress(self, _body: bytes, done: Done) -> None:
        left, of = self._steering.progress()
        done({"pid": self._steering.pid(), "left": left, "of": of})

    def _reload(self, _body: bytes, done: Done) -> None:
        self._steering.reload(_lines(done))

    def _restart(self, _body: bytes, done: Done) -> None:
        log.info("asked to restart by wsloop ctl")
        self._steering.restart(_lines(done))

    def _workers(self, _body: bytes, done: Done) -> None:
        def told(rows: list[WorkerRow]) -> None:
            done({"workers": rows})

        self._steering.workers(told)

    def _health(self, _body: bytes, done: Done) -> None:
        health = self._house.health
        done({"reasons": health.reasons(), "warnings": health.warnings()})


def listen(bind: Bind, house: House, steering: Steering) -> None:
    """Serve the control socket; raises StartupError."""
    house.server.listen_admin(bind, app(house, steering), admits=may_steer)


def app(house: House, steering: Steering) -> App:
    """Return what is served on the control socket."""
    return App({}, {}, services={PREFIX: Control(house, steering)})


def may_steer(transport: Transport) -> bool:
    """Tell whether the peer is the daemon's own user, or root; where nobody can tell, let it in."""
    user_id = peer_user(transport.fileno())
    if user_id is None or user_id in (os.geteuid(), ROOT):
        return True
    log.warning("a process of user %d may not use the control socket", user_id)
    return False


def peer_user(fd: int) -> int | None:
    """Return whose process is at the other end of a Unix socket; None where the kernel does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    finally:
        sock.detach()
    user_id: int = PEER_CREDENTIALS.unpack(told)[1]
    return user_id


def _lines(done: Done) -> Told:
    """Return a completion that wraps lines for the operator."""

    def told(outcome: list[str] | SteeringError) -> None:
        done(outcome if isinstance(outcome, SteeringError) else {"lines": outcome})

    return told
