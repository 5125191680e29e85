"""Who a client is, by its upgrade request: judged while it still speaks HTTP, before a WebSocket exists.

A token may come in `Authorization: Bearer`, in a cookie, or in the query, as the operator decides. Who shows
none where one is required, or one that is not good, is answered in plain HTTP and costs no more
than the request: 401, 403 for a blocked user, 429 for an address that tries too often, 503 while the keys
are not there yet. The connect command of who is let in needs no token any more.

No token is ever logged, and the request's target is not either. Cookies go with requests of any page: it is
the check of the origin (`pages.py`), made before this one, that keeps foreign pages out.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Protocol

from wsloop.errors import HandshakeError
from wsloop.hub.rate_limits import Meter, Operation
from wsloop.hub.revocations import Refusal
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, NotReadyError
from wsloop.server.admission import key_of
from wsloop.server.refusing import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.grants import Identity
    from wsloop.hub.hub import Hub
    from wsloop.protocol.events import Request
    from wsloop.server.app import Handler, Route

SCHEME = b"bearer"
"""RFC 6750 section 2.1; names of schemes do not depend on case (RFC 9110 section 11.1)."""


@dataclasses.dataclass(frozen=True, slots=True)
class UpgradeAuth:
    """Where tokens are looked for: `bearer`, a `cookie` and a `query` parameter by name, "" for nowhere.

    `required` turns away who has none; otherwise the connect command may bring one.
    """

    bearer: bool = False
    cookie: str = ""
    query: str = ""
    required: bool = False

    def token(self, request: Request) -> str:
        """Return the token that a request shows, "" if it shows none; the first place that has one counts."""
        return (
            (_bearer(request) if self.bearer else "")
            or (_cookie(request, self.cookie) if self.cookie else "")
            or (_parameter(request, self.query) if self.query else "")
        )


class Gate(Protocol):
    """Stands before a route."""

    def open(self, route: Route, request: Request, peer_host: str) -> Route:
        """Return the route for who may pass; raises HandshakeError for who may not."""
        ...


class TokenGate(Gate):
    """Passes who shows a good token.

    `make_handler` is the route's own, which takes an `identity` besides.
    """

    def __init__(self, hub: Hub, auth: UpgradeAuth, make_handler: Callable[..., Handler]) -> None:
        self._hub = hub
        self._auth = auth
        self._make_handler = make_handler

    def open(self, route: Route, request: Request, peer_host: str) -> Route:
        """See `Gate.open`."""
        token = self._auth.token(request)
        if not token and not self._auth.required:
            return route
        self._count(peer_host)
        if not token:
            raise _unauthorized("a token is required")
        identity = self._judge(token)
        make_handler = functools.partial(self._make_handler, identity=identity)
        return dataclasses.replace(route, make_handler=make_handler)

    def _count(self, peer_host: str) -> None:
        limits = self._hub.rate_limits
        if limits is None:
            return
        if not limits.admit(Operation.CONNECT, self._hub.now(), Meter(), "", key_of(peer_host)):
            self._hub.tally.rate_limited[Operation.CONNECT] += 1
            raise HandshakeError(429, "too many connects from your address", (RETRY_AFTER,))

    def _judge(self, token: str) -> Identity:
        hub = self._hub
        unix_s = hub.unix_s()
        try:
            identity = hub.verifier.verify_connection(token, unix_s)
        except ExpiredTokenError:
            raise _unauthorized("the token has expired", b"invalid_token") from None
        except InvalidTokenError:
            raise _unauthorized("the token is not valid", b"invalid_token") from None
        except NotReadyError:
            raise HandshakeError(503, "the keys for tokens are not here yet", (RETRY_AFTER,)) from None
        refusal = hub.revocations.refusal(identity, unix_s)
        if refusal is Refusal.BLOCKED:
            raise HandshakeError(403, "the user is blocked")
        if refusal is Refusal.REVOKED:
            raise _unauthorized("the token was revoked", b"invalid_token")
        if 0 < identity.expire_at <= unix_s:
            raise _unauthorized("the right that the token gives has ended", b"invalid_token")
        return identity


def _unauthorized(reason: str, error: bytes = b"") -> HandshakeError:
    """Return a 401 with its challenge (RFC 9110 section 15.5.2, RFC 6750 section 3)."""
    challenge = b'Bearer realm="wsloop"' + (b', error="%b"' % error if error else b"")
    return HandshakeError(401, reason, ((b"WWW-Authenticate", challenge),))


def _bearer(request: Request) -> str:
    scheme, _, token = (request.header(b"authorization") or b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == SCHEME else ""


def _cookie(request: Request, name: str) -> str:
    """Return a cookie's value (RFC 6265 section 5.4), without the quotes it may stand in."""
    header = (request.header(b"cookie") or b"").decode("latin-1")
    for pair in header.split(";"):
        key, _, value = pair.strip(" \t").partition("=")
        if key == name:
            return value.removeprefix('"').removesuffix('"')
    return ""


def _parameter(request: Request, name: str) -> str:
    """Return a parameter of the query as it stands there: no byte of a token needs an escape."""
    for pair in request.query.split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return value
    return ""
