"""How the rooms become a server: hub, broker, routes and pages on any set of ports.

`daemon/compose.py` calls this with the machine's clock, poller, sockets and entropy, and
`testing/server.py` with virtual ones; what they run is the same. Read it to see what is
connected to what.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from wsloop import __version__
from wsloop.hub.codec import JSON
from wsloop.hub.hub import EXPIRE_BATCH, Hub
from wsloop.hub.memory_broker import BrokerLimits, MemoryBroker
from wsloop.hub.namespaces import Namespaces, dev_namespaces
from wsloop.hub.operations.core import Operations
from wsloop.hub.operations.results import Process, SlowConnection
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence
from wsloop.loop.clock import unix_time
from wsloop.loop.lag import TurnWatch
from wsloop.loop.reactor import Reactor
from wsloop.protocol.limits import Limits
from wsloop.server import api, pages
from wsloop.server.app import App, Page, Route
from wsloop.server.auth import TokenGate, UpgradeAuth
from wsloop.server.echo import EchoHandler
from wsloop.server.fan_out import BACKLOG_SENDS, SENDS_PER_TURN, PacedFanOut
from wsloop.server.forwarded import Proxies
from wsloop.server.framing import MESSAGES_PER_FRAME
from wsloop.server.health import Health
from wsloop.server.lifecycle import Deadlines
from wsloop.server.messaging import MessagingHandler
from wsloop.server.overload import Overload
from wsloop.server.peers import ServerPeers
from wsloop.server.server import OutboxMarks, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.hub.backend import Backend, Hooks
    from wsloop.hub.broker import Broker
    from wsloop.hub.codec import Codec
    from wsloop.hub.namespaces import Namespace
    from wsloop.hub.presence import Presence
    from wsloop.hub.rate_limits import RateLimits
    from wsloop.hub.verifier import Verifier
    from wsloop.loop.clock import Clock, WallClock
    from wsloop.loop.histogram import Histogram
    from wsloop.loop.poller import Poller
    from wsloop.loop.wakeup import WakeupPort
    from wsloop.protocol.deflate import DeflateOptions
    from wsloop.server.overload import MemoryGauge
    from wsloop.transport.bind import Network
    from wsloop.transport.certificates import Certificates

SWEEP_EVERY_S = 1.0
"""How often the broker forgets what has expired."""

CONNECTION_PATH = "/connection/websocket"
"""Where the official SDKs look (Centrifugo client protocol)."""


def _no_usage() -> Process:
    """Return zeros: nobody measures a process that is not one."""
    return Process(cpu=0.0, rss=0)


def _no_traffic(_fd: int) -> tuple[int, int]:
    """Return zeros: nobody counts a virtual socket's bytes."""
    return 0, 0


@dataclass(frozen=True, slots=True)
class Ports:
    """What comes from outside: time, readiness, sockets, entropy, a way to be woken, what is used.

    `traffic` tells how many bytes the socket with a descriptor has received and sent; `memory` None: it is
    not watched.
    """

    clock: Clock
    poller: Poller
    network: Network
    entropy: Callable[[int], bytes]
    unix_s: WallClock = unix_time
    wakeup: WakeupPort | None = None
    process: Callable[[], Process] = _no_usage
    traffic: Callable[[int], tuple[int, int]] = _no_traffic
    memory: MemoryGauge | None = None


class Outside(Protocol):
    """The operator's own application: who decides, if anybody does, and who is told."""

    @property
    def backend(self) -> Backend | None:
        """Whom the hub asks."""
        ...

    @property
    def hooks(self) -> Hooks | None:
        """Whom the hub tells."""
        ...

    def numbers(self) -> Mapping[str, float | Mapping[str, float | Histogram]]:
        """Return what it counts, by the names of metrics (`wsloop/observe/metrics.py`) and their labels."""
        ...

    def close(self) -> None:
        """Complete what is asked, keep what was not told, release everything. Before the reactor's."""
        ...


class Domain(Protocol):
    """The messaging domain that a hub is part of: a broker and a presence, its own or those of a cluster."""

    @property
    def broker(self) -> Broker:
        """Where publications are ordered and kept; used by this hub alone."""
        ...

    @property
    def presence(self) -> Presence:
        """Who is in each channel, on all hubs."""
        ...

    def limit_history(self, memory_bytes: int) -> None:
        """Keep no more of the past than this from now on; no effect where another process keeps it."""
        ...

    def join(self, operations: Operations) -> None:
        """Take part, once the hub is there: `operations` is what others may ask of it."""
        ...

    def close(self) -> None:
        """Leave; nothing is asked of broker or presence afterwards."""
        ...


class OwnDomain:
    """A domain of one process: everything is at hand. Satisfies `Domain`."""

    def __init__(self, broker: MemoryBroker, presence: Presence) -> None:
        self.broker = broker
        self.presence = presence

    def limit_history(self, memory_bytes: int) -> None:
        """See `Domain.limit_history`."""
        self.broker.limit_memory(memory_bytes)

    def join(self, operations: Operations) -> None:
        """Nobody else asks."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator decides.

    `dev` adds the page, `/echo` and anonymous clients; with `certificates` TCP ports speak TLS. `namespaces`
    None: dev mode's, or none at all. Of `hub` the version and the interval of pings are set here.
    `api_key` is what callers of the server API must show, "" for nothing; None: there is no API.
    `node_name` is what the API calls this process. `codecs`: what messaging clients may speak, the first
    one without asking for it.
    `verifier` judges tokens (None: none is good), and with `auth` those in upgrade requests too;
    `rate_limits` of what clients ask for (None: none).
    `sends_per_turn` and `backlog_sends` are those of the fan-out.
    Turns that last `slow_turn_s` or longer are counted and logged; 0: turns are not measured.
    `proxies`: whose word on their clients counts.
    `domain` makes the messaging domain; None: `own_domain`, whose broker has the limits `broker`.
    `outside` makes the operator's application; the headers of upgrade requests named by
    `forwarded_headers`, in lower case, are shown to it.
    """

    dev: bool = False
    deadlines: Deadlines = field(default_factory=Deadlines)
    outbox: OutboxMarks = field(default_factory=OutboxMarks)
    messages_per_frame: int = MESSAGES_PER_FRAME
    batch_delay_s: float = 0.0
    sends_per_turn: int = SENDS_PER_TURN
    backlog_sends: int = BACKLOG_SENDS
    echo_limits: Limits = field(default_factory=Limits)
    messaging_limits: Limits = field(default_factory=lambda: Limits(message_bytes=64 * 1024))
    echo_deflate: DeflateOptions | None = None
    messaging_deflate: DeflateOptions | None = None
    max_connections: int = 10_000
    max_per_host: int = 0
    max_accepts_per_s: float = 0
    backlog: int = 1024
    allowed_origins: frozenset[str] = frozenset()
    loopback_only: bool = False
    certificates: Certificates | None = None
    proxies: Proxies = field(default_factory=Proxies)
    namespaces: Mapping[str, Namespace] | None = None
    hub: HubOptions = field(default_factory=HubOptions)
    broker: BrokerLimits = field(default_factory=BrokerLimits)
    codecs: tuple[Codec, ...] = (JSON,)
    api_key: str | None = None
    node_name: str = "wsloop"
    verifier: Verifier | None = None
    auth: UpgradeAuth | None = None
    rate_limits: RateLimits | None = None
    outside: Callable[[Reactor, Ports], Outside] | None = None
    forwarded_headers: frozenset[str] = frozenset()
    domain: Callable[[Reactor, Ports], Domain] | None = None
    slow_turn_s: float = 0.0


@dataclass(frozen=True, slots=True)
class House:
    """What `assemble` put together; the caller runs the reactor, and closes both it and the server.

    `admin` is what to serve on an admin listener, `api` the server API there, `operations` what it does
    on this hub,
    `health` what the server says of itself. `outside`, if there is one, is closed after the
    server, which tells it of the last disconnects; `domain` after that. `lag` and `overload`: who watches
    the turns and the memory, if somebody does.
    """

    reactor: Reactor
    server: Server
    hub: Hub
    admin: App
    api: api.Api
    operations: Operations
    health: Health
    domain: Domain
    outside: Outside | None = None
    lag: TurnWatch | None = None
    overload: Overload | None = None


def assemble(ports: Ports, options: Options) -> House:
    """Return a whole server on `ports`, listening nowhere yet."""
    reactor = Reactor(ports.clock, ports.poller, wakeup=ports.wakeup)

    def now() -> float:
        return reactor.now

    fan_out = PacedFanOut(
        reactor,
        options.sends_per_turn,
        options.backlog_sends,
        messages_per_frame=options.messages_per_frame,
        delay_s=options.batch_delay_s,
    )
    health = Health()
    outside = options.outside(reactor, ports) if options.outside is not None else None
    make_domain = options.domain or functools.partial(own_domain, limits=options.broker)
    domain = make_domain(reactor, ports)
    hub = Hub(
        domain.broker,
        domain.presence,
        namespaces=namespaces(options),
        options=hub_options(options),
        now=now,
        unix_s=ports.unix_s,
        entropy=ports.entropy,
        fan_out=fan_out,
        verifier=options.verifier,
        rate_limits=options.rate_limits,
        backend=outside.backend if outside is not None else None,
        hooks=outside.hooks if outside is not None else None,
    )
    server = Server(
        reactor,
        ports.network,
        public_app(options, hub, fan_out, health),
        entropy=ports.entropy,
        deadlines=options.deadlines,
        outbox=options.outbox,
        fan_out=fan_out,
        max_connections=options.max_connections,
        max_per_host=options.max_per_host,
        max_accepts_per_s=options.max_accepts_per_s,
        backlog=options.backlog,
        certificates=options.certificates,
        proxies=options.proxies,
    )
    _sweep(reactor, hub)
    operations = Operations(
        hub,
        later=server.turn.go_on_later,
        uid=ports.entropy(8).hex(),
        name=options.node_name,
        process=ports.process,
        slowest=lambda count: [SlowConnection(**asdict(peer)) for peer in server.slowest(count)],
        peers=ServerPeers(server, hub, ports.traffic, ports.unix_s),
    )
    health.add(lambda: "draining" if server.draining else "")
    overload = Overload(reactor, server, ports.memory) if ports.memory is not None else None
    if overload is not None:
        health.add(overload.reason)
    domain.join(operations)
    lag = TurnWatch(reactor, ports.clock, options.slow_turn_s) if options.slow_turn_s else None
    service = api.Api(operations, options.api_key)
    admin = _admin_app(options, service)
    return House(reactor, server, hub, admin, service, operations, health, domain, outside, lag, overload)


def own_domain(reactor: Reactor, ports: Ports, limits: BrokerLimits) -> OwnDomain:
    """Return the domain of a server alone: its broker counts on the reactor's clock, which nobody sets."""
    return OwnDomain(MemoryBroker(lambda: reactor.now, ports.entropy, limits), MemoryPresence())


def namespaces(options: Options) -> Namespaces:
    """Return the namespaces that the options come to."""
    if options.namespaces is not None:
        return Namespaces(options.namespaces)
    return Namespaces(dev_namespaces() if options.dev else {})


def hub_options(options: Options) -> HubOptions:
    """Return what holds for the hub's clients."""
    return msgspec.structs.replace(
        options.hub,
        version=__version__,
        allow_anonymous=options.dev or options.hub.allow_anonymous,
        anonymous_info=options.dev or options.hub.anonymous_info,
        ping_interval_s=max(1, round(options.deadlines.ping_interval_s)),
    )


def public_app(options: Options, hub: Hub, fan_out: PacedFanOut, health: Health) -> App:
    """Return what is served: messaging always; the page and /echo in dev mode only."""
    messaging = functools.partial(
        MessagingHandler,
        hub=hub,
        fan_out=fan_out,
        stale_after_s=options.deadlines.first_message_s,
        codecs=options.codecs,
        forwarded=frozenset(name.encode() for name in options.forwarded_headers),
    )
    subprotocols = frozenset(codec.name for codec in options.codecs)
    routes = {
        CONNECTION_PATH: Route(
            messaging,
            options.messaging_limits,
            subprotocols,
            options.messaging_deflate,
            None if options.auth is None else TokenGate(hub, options.auth, messaging),
        )
    }
    alive = pages.text_page("ok\n")
    site = {"/healthz": alive, "/livez": alive, "/readyz": pages.readiness_page(health)}
    if options.dev:
        routes["/echo"] = Route(EchoHandler, options.echo_limits, deflate=options.echo_deflate)
        site["/"] = pages.dev_page()
    else:
        text = f"wsloop {__version__}\n\nWebSocket: {CONNECTION_PATH}\nhealth: /healthz /livez /readyz\n"
        site["/"] = pages.text_page(text)
    return App(routes, site, options.allowed_origins, options.loopback_only, lets_own_origin=options.dev)


def _admin_app(options: Options, service: api.Api) -> App:
    """Return what the operator's software is served."""
    text = f"wsloop {__version__}\n\nhealth: /healthz /livez /readyz\nmetrics: /metrics\n"
    closed = pages.text_page(text)
    offering = pages.text_page(f"{text}server API: POST {api.PREFIX}METHOD\n")
    alive = pages.text_page("ok\n")
    site: dict[str, Page] = {
        "/healthz": alive,
        "/livez": alive,
        "/": lambda: closed() if service.key is None else offering(),
    }
    return App({}, site, loopback_only=options.loopback_only, services={api.PREFIX: service})


def _sweep(reactor: Reactor, hub: Hub) -> None:
    """Let the broker forget what has expired, for as long as the reactor runs; much of it in steps."""

    def sweep() -> None:
        delay_s = SWEEP_EVERY_S
        try:
            if hub.expire(reactor.now) >= EXPIRE_BATCH:
                delay_s = 0.0
        finally:  # a fault is logged by the reactor, and expiry goes on
            reactor.call_later(delay_s, sweep)

    reactor.call_later(SWEEP_EVERY_S, sweep)
