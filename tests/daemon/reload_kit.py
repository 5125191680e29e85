"""A server in memory whose settings come from variables, and can be changed while it runs."""

from __future__ import annotations

import functools
import ssl
import time
from typing import TYPE_CHECKING, Any

from tests.hub.token_kit import sign
from tests.transport.tls_kit import client_context
from wsloop.daemon import compose
from wsloop.daemon.config import Sources, read
from wsloop.daemon.reload import Outcome, Reloading
from wsloop.hub.verifier import InvalidTokenError, Verifier
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.server.app import Route
    from wsloop.transport.certificates import Certificates


class Reloadable(MemoryServer):
    """A server with the settings of `variables`; `change` sets others, and reloads."""

    def __init__(self, **variables: str) -> None:
        self.environ = dict(variables)
        self.sources = Sources(environ=self.environ)
        settings = read(self.sources).settings
        tokens = compose.tokens(settings)
        super().__init__(options=compose.options(settings, tokens))
        self.reloading = Reloading(self.sources, settings, self.house, tokens)

    def change(self, **variables: str) -> Outcome:
        self.environ.update(variables)
        return self.reloading.run()

    def fingerprint(self) -> dict[str, Any]:
        """Return all by which the server goes."""
        server, hub, broker = self.server, self.hub, self.house.domain.broker
        admission: Any = server._admission
        bucket = admission._bucket
        rates: Any = hub.rate_limits
        return {
            "hub": hub.options,
            "namespaces": {name: rules.options for name, rules in hub.namespaces._rules.items()},
            "patterns": sorted(hub.namespaces._pattern_rules),
            "tokens": verdicts(hub.verifier),
            "rates": None if rates is None else (rates._client, rates._user, rates._ip),
            "deadlines": server.deadlines,
            "outbox": server.outbox,
            "frames": (server.messages_per_frame, server.fan_out.messages_per_frame, server.fan_out._delay_s),
            "admission": (admission._max_connections, admission._per_host, getattr(bucket, "_rate_per_s", 0)),
            "origins": server.app.allowed_origins,
            "routes": {path: shape(route) for path, route in server.app.routes.items()},
            "api": self.house.api.key,
            "certificate": serial(server.certificates),
            "history": getattr(broker, "_limits"),  # noqa: B009 - of the memory broker
            "window": self.reloading.settings.server.timeout_graceful_shutdown,
        }


def shape(route: Route) -> tuple[object, ...]:
    gate: Any = route.gate
    return route.limits, route.deflate, gate and gate._auth, route.subprotocols


@functools.cache
def samples() -> list[str]:
    now_s = int(time.time())
    later = {"sub": "ann", "exp": now_s + 3600}
    return [
        sign(later),
        sign(later, "HS512"),
        sign({**later, "aud": "us"}),
        sign({**later, "iss": "me"}),
        sign(later, "RS256"),
        sign(later, "ES256"),
        sign(later, "EdDSA"),
        sign(later, "ES384", header={"kid": "P-384"}),
    ]


def verdicts(verifier: Verifier) -> list[bool]:
    """Return which of some tokens are good."""
    found = []
    for token in samples():
        try:
            verifier.verify_connection(token, time.time())
        except InvalidTokenError:
            found.append(False)
        else:
            found.append(True)
    return found


def serial(certificates: Certificates | None) -> bytes | None:
    """Return the certificate that is shown to a new client."""
    if certificates is None:
        return None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(to_client, to_server, server_hostname="localhost")
    server = certificates.engine(to_server, to_client)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert(binary_form=True)
