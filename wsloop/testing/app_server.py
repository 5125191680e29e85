"""A whole server for tests of applications and clients: in memory, on virtual time, no thread, no sleep.

What runs is the real server, or several workers and their hub process; what is virtual are clock, sockets
and entropy (`server.py`, `cluster.py`). One seed is one history.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import msgspec

from wsloop.client.application import Application, ProxyOptions
from wsloop.client.backend import QUESTIONS
from wsloop.client.urls import parse_url
from wsloop.cluster.desk import API, Desk, Survey
from wsloop.hub import codes
from wsloop.hub.grants import Identity
from wsloop.hub.namespaces import dev_namespaces
from wsloop.hub.operations import table
from wsloop.hub.verifier import InvalidTokenError, NoTokens
from wsloop.server.app import Route
from wsloop.server.assembly import Options
from wsloop.testing.app_client import CommandRefused, TestClient
from wsloop.testing.app_socket import LOCALHOST, PATIENCE_S, TestSocket
from wsloop.testing.client import MemoryClient
from wsloop.testing.cluster import MemoryCluster
from wsloop.testing.http_backend import Answer, MemoryHttpBackend
from wsloop.testing.machine import Machine
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.hub.namespaces import Namespace
    from wsloop.protocol.events import Request
    from wsloop.server.app import Handler
    from wsloop.server.connection import Connection
    from wsloop.testing.clock import FakeClock
    from wsloop.testing.http_backend import ReceivedRequest
    from wsloop.testing.memory_socket import MemorySocket
    from wsloop.testing.network import NetworkFaults

    MakeHandler = Callable[[Connection, Request], Handler]
    Answers = Mapping[str, Callable[[Any], object]]

AnyClient = TypeVar("AnyClient", bound=MemoryClient)

SETTLE_S = 0.005
"""Virtual seconds in which all arrives that is under way on a network without delays."""

TOKEN_PREFIX = "test-token-of:"

APPLICATION = TcpBind("127.0.0.1", 3000)
"""Where the application is asked; nobody sees it."""

ASKED_BY_NAMESPACE = ("subscribe", "publish", "sub_refresh")
"""Questions that each namespace has an option for."""


class TestTokens(NoTokens):
    """Takes a client for whomever its test token names. Satisfies `Verifier`; grants no subscription."""

    __test__: ClassVar = False  # pytest: it is no test

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """See `Verifier.verify_connection`."""
        if not token.startswith(TOKEN_PREFIX):
            raise InvalidTokenError("not a test's token")
        return Identity(token.removeprefix(TOKEN_PREFIX))


class VirtualClock:
    """The time of a `Server`: it stands still but for what the test waits for."""

    def __init__(self, clock: FakeClock, run_for: Callable[[float], object]) -> None:
        self._clock = clock
        self._run_for = run_for

    def now(self) -> float:
        """Return the virtual time in seconds; differences of it have a meaning."""
        return self._clock.now()

    def unix_s(self) -> float:
        """Return the virtual time as Unix seconds."""
        return self._clock.unix_s()

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` virtual seconds pass: everything happens that is due in them."""
        self._run_for(duration_s)


class Server:
    """A server in development mode: `/echo` echoes; anybody may do anything, unless `namespaces` are given.

    Arguments: `routes`, more WebSocket paths, each with a `Route` or with what makes its handlers;
    `options` of the server; `namespaces` of channels, in place of all those of development mode; `answers`,
    functions in place of the operator's own application (`[proxy]`), by what they are asked ("connect",
    "rpc", "subscribe" ...): each gets the question's JSON and returns the answer's; `seed` of all chance;
    `faults` of the network; `workers`, how many processes hold connections; `raises_faults`, whether what
    went wrong in the server (a handler that raises is answered with 1011, and logged) is raised when it is
    closed; of several servers at a time each raises what went wrong in any.

    `clock` is its time. As a context manager it is closed at the end. Raises ValueError without a worker.
    """

    def __init__(
        self,
        routes: Mapping[str, Route | MakeHandler] | None = None,
        *,
        options: Options | None = None,
        namespaces: Mapping[str, Namespace] | None = None,
        answers: Answers | None = None,
        seed: int = 0,
        faults: NetworkFaults | None = None,
        workers: int = 1,
        raises_faults: bool = True,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        options = _options(options or Options(dev=True), namespaces, answers or {})
        self._cluster: MemoryCluster | None = None
        if workers == 1:
            # On a machine of its own, time stops exactly where somebody stops waiting.
            machine = Machine(seed, faults=faults)
            self._first = MemoryServer(seed, options=options, machine=machine)
            self._workers = [self._first]
        else:
            self._cluster = _cluster(workers, seed, faults, options)
            machine = self._cluster.machine
            self._first, self._workers = self._cluster.hub, list(self._cluster.workers.values())
        self.run_until, self.run_for = machine.run_until, machine.run_for
        self.clock = VirtualClock(machine.clock, machine.run_for)
        made = {
            path: route if isinstance(route, Route) else Route(route)
            for path, route in (routes or {}).items()
        }
        for worker in self._workers:
            app = worker.server.app
            worker.server.app = replace(app, routes={**app.routes, **made})
        self._application = (
            MemoryHttpBackend(
                self._first.reactor, self._first.network, APPLICATION, functools.partial(_answer, answers)
            )
            if answers
            else None
        )
        self._faults = _Faults() if raises_faults else None  # hears the log until `close`

    # -- who comes -------------------------------------------------------------------------

    def client(self, user: str = "", **options: Any) -> TestClient:  # noqa: ANN401 - they are TestClient's
        """Return a messaging client, connected; arguments as those of `TestClient`."""
        return TestClient(self, user, **options)

    def websocket(self, path: str = "/echo", **options: Any) -> TestSocket:  # noqa: ANN401 - they are TestSocket's
        """Return an open WebSocket; arguments as those of `TestSocket`."""
        return TestSocket(self, path, **options)

    def socket(self, *, worker: int = 0, source_host: str = LOCALHOST) -> MemorySocket:
        """Return a connected, non-blocking socket, for clients that bring their own protocol code.

        It has `recv`, `send` and the like; what was sent arrives when time passes. The caller closes it.
        Raises ValueError if there is no such worker.
        """
        at = self._worker(worker).address
        return self._first.network.connect(at, source_host)

    def dial(self, kind: type[AnyClient], *, worker: int = 0, source_host: str = LOCALHOST) -> AnyClient:
        """Return a client of a `kind` from `client.py`, connected, that has not said a word yet."""
        return self._worker(worker).dial(kind, source_host=source_host)

    def _worker(self, number: int) -> MemoryServer:
        if not 0 <= number < len(self._workers):
            raise ValueError(f"there is no worker {number}: they are 0 to {len(self._workers) - 1}")
        return self._workers[number]

    def token(self, user: str) -> str:
        """Return a token that names `user`; for servers that were given no verifier in `options`."""
        return TOKEN_PREFIX + user

    # -- what the operator's own software asks ---------------------------------------------------

    def api(self, method: str, **params: object) -> dict[str, Any]:
        """Carry out a method of the server API; return its result. Raises CommandRefused."""
        outcomes: list[object] = []
        table.call(self._first.house.operations, method, msgspec.json.encode(params), outcomes.append)
        self.run_until(lambda: outcomes, within_s=PATIENCE_S)
        if isinstance(outcomes[0], codes.Code):
            raise CommandRefused(outcomes[0].code, outcomes[0].message)
        result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(outcomes[0]))
        return result

    def publish(self, channel: str, data: object, **options: object) -> dict[str, Any]:
        """Publish as the operator's own software does; `options` are the method's other fields."""
        return self.api("publish", channel=channel, data=data, **options)

    # -- time --------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything arrive that is under way; with delays in `faults` use `clock.sleep` instead."""
        self.run_for(SETTLE_S)

    # -- the end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Drop everybody and end.

        Raises the first fault of the server's, see the class, and AssertionError if a socket was left open,
        such as `socket()`'s.
        """
        self._end()
        if self._faults is not None and self._faults.first is not None:
            raise self._faults.first
        left = self._first.network.open_descriptors()
        assert not left, f"left open: {left}"

    def _end(self) -> None:
        try:
            if self._application is not None:
                self._application.close()
            if self._cluster is not None:
                self._cluster.close()
            else:
                self._first.close()
        finally:
            if self._faults is not None:
                self._faults.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self._end()  # a test that fails half-way leaves sockets open; what it says comes first


class _Faults(logging.Handler):
    """Hears from now on which exceptions the program logs as a fault, and keeps the `first`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first: BaseException | None = None
        self._log = logging.getLogger("wsloop")
        self._log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        if self.first is None and record.exc_info:
            self.first = record.exc_info[1]

    def leave(self) -> None:
        """Hear no more. Idempotent."""
        self._log.removeHandler(self)


def _options(options: Options, namespaces: Mapping[str, Namespace] | None, answers: Answers) -> Options:
    """Return the options with test tokens, these namespaces, and the application asked what it answers."""
    if unknown := sorted(set(answers) - set(QUESTIONS)):
        raise ValueError(f"nobody asks {unknown[0]!r}; questions are {', '.join(QUESTIONS)}")
    if options.verifier is None:
        options = replace(options, verifier=TestTokens())
    if namespaces is None:
        namespaces = options.namespaces if options.namespaces is not None else dev_namespaces()
    if not answers:
        return replace(options, namespaces=namespaces)
    asked = {f"{name}_proxy": True for name in answers if name in ASKED_BY_NAMESPACE}
    namespaces = {name: msgspec.structs.replace(each, **asked) for name, each in namespaces.items()}
    switches = {f"{name}_proxy": True for name in answers if name not in ASKED_BY_NAMESPACE}
    urls = {name: parse_url(f"http://{APPLICATION.host}:{APPLICATION.port}/{name}", name) for name in answers}
    return replace(
        options,
        namespaces=namespaces,
        hub=msgspec.structs.replace(options.hub, **switches),
        outside=functools.partial(Application, proxy=ProxyOptions(urls), tell=None),
    )


def _cluster(workers: int, seed: int, faults: NetworkFaults | None, options: Options) -> MemoryCluster:
    """Return a hub process and its workers; what the API asks about connections, the workers are asked."""
    cluster = MemoryCluster(workers, seed, faults=faults, options=options)
    cluster.hub.house.operations.everywhere = Survey(cluster.hub_domain.service)
    for slot, worker in cluster.workers.items():
        desk = Desk()
        desk.add(API, functools.partial(table.answer, worker.house.operations))
        cluster.domain(slot).link.handler = desk
    return cluster


def _answer(answers: Answers, request: ReceivedRequest) -> Answer:
    """Let a function of the test's answer; what it returns is sent as JSON, an `Answer` as it is."""
    told = answers[request.target.removeprefix("/")](request.json())
    return told if isinstance(told, Answer) else Answer(told)
