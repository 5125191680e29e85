"""HTTP requests over pooled keep-alive connections, on the server's own reactor.

A call is completed exactly once, with a response (of any status) or an `HttpError`; its time, from
the moment it is made, bounds everything: waiting for a connection, the name, connecting, TLS, the
answer. No redirect is followed, no cookie kept, no proxy used, no compression asked for.

Read `pool.py` for what happens to a call, `endpoint.py` for who makes many of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.client.pool import HttpLimits, Pool

if TYPE_CHECKING:
    import ssl

    from wsloop.client.names import Names
    from wsloop.client.pool import Call, Completed
    from wsloop.client.urls import Origin, Url
    from wsloop.loop.reactor import Reactor
    from wsloop.protocol.http_client import HttpRequest
    from wsloop.transport.bind import Network


class HttpClient:
    """Asks any number of origins, each within `limits`.

    Calls in different lines, by whatever names, are limited apart and share no connection: a crowd in one
    keeps nobody in another waiting.
    `ca_file`: PEM certificates that https origins are checked against, "" for the system's.
    """

    def __init__(
        self,
        reactor: Reactor,
        network: Network,
        names: Names,
        limits: HttpLimits | None = None,
        *,
        ca_file: str = "",
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._names = names
        self._limits = limits or HttpLimits()
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._pools: dict[tuple[Origin, str], Pool] = {}
        self._is_closed = False

    def prepare(self, url: Url, line: str = "") -> None:
        """Make ready what calls to `url` need; raises ConfigError if `ca_file` cannot be used."""
        self._pool(url.origin, line)

    def call(self, url: Url, request: HttpRequest, timeout_s: float, done: Completed, line: str = "") -> Call:
        """Send `request` to the origin of `url`; `done` gets a response or an HttpError.

        Within `timeout_s`, exactly once, later or before this returns, unless the call is
        cancelled. What `done` raises is logged.
        """
        return self._pool(url.origin, line).add(request, timeout_s, done)

    def close(self) -> None:
        """Fail every call, later ones too, with "shutting down"; drop every connection. Idempotent."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()

    def _pool(self, origin: Origin, line: str) -> Pool:
        pool = self._pools.get((origin, line))
        if pool is None:
            pool = self._pools[origin, line] = Pool(
                origin,
                reactor=self._reactor,
                network=self._network,
                names=self._names,
                limits=self._limits,
                context=self._trust() if origin.is_secure else None,
            )
            if self._is_closed:
                pool.close()
        return pool

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            # Imported here: who asks plain endpoints only need not load OpenSSL.
            from wsloop.transport.tls_side import client_context  # noqa: PLC0415

            self._context = client_context(self._ca_file)
        return self._context
