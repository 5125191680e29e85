"""Plain HTTP answers beside WebSocket on the same port.

Decides what a request is answered with; how the bytes of an answer look is `protocol/`'s.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
import re
from importlib import resources
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError
from wsloop.protocol.upgrade import upgrade_required
from wsloop.server.app import App, Page, Response, Route

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.app import Service
    from wsloop.server.health import Health

TEXT = (b"Content-Type", b"text/plain; charset=utf-8")
NO_STORE = (b"Cache-Control", b"no-store")
NOSNIFF = (b"X-Content-Type-Options", b"nosniff")


def text_page(body: str) -> Page:
    """Return a page that always answers 200 with `body` as plain text."""
    response = Response(200, body.encode(), (TEXT, NO_STORE, NOSNIFF))
    return lambda: response


def readiness_page(health: Health) -> Page:
    """Return the page that tells a load balancer, and whoever else asks, whether to send clients here.

    One word of why not, and no more: the reasons themselves are for the operator's eyes.
    """
    ready = Response(200, b"ready\n", (TEXT, NO_STORE, NOSNIFF))

    def page() -> Response:
        reasons = health.reasons()
        if not reasons:
            return ready
        words = {reason.partition(":")[0] for reason in reasons}
        why = next((word for word in ("draining", "overloaded") if word in words), "unavailable")
        return Response(503, f"not ready: {why}\n".encode(), (TEXT, NO_STORE, NOSNIFF))

    return page


def dev_page() -> Page:
    """Return the chat page, with a policy that lets it run exactly its own script and style."""
    html = resources.files("wsloop.server").joinpath("page.html").read_text(encoding="utf-8")
    headers = (
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"Content-Security-Policy", content_security_policy(html).encode()),
        (b"Referrer-Policy", b"no-referrer"),
        NO_STORE,
        NOSNIFF,
    )
    response = Response(200, html.encode(), headers)
    return lambda: response


def content_security_policy(html: str) -> str:
    """Return a Content-Security-Policy by hashes of the inline script and style of `html`."""
    script = _hashes(html, "script")
    style = _hashes(html, "style")
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(html: str, tag: str) -> str:
    found = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def service_of(app: App, request: Request) -> Service | None:
    """Return the service whose path is the request's, or below whose prefix it is."""
    path = request.path
    return app.services.get(path) or app.services.get(path[: path.find("/", 1) + 1])


def wanted_bytes(app: App, peer_host: str, is_secure: bool, request: Request) -> int:
    """Return how many bytes of a request's body are wanted; raises HandshakeError to refuse the request.

    A service is asked only about requests that no page of somebody else's has made.
    """
    service = service_of(app, request)
    if service is None:
        return 0
    _check_host(app, request, peer_host)
    _check_origin(app, request, is_secure=is_secure)
    return service.admit(request)


def answer(app: App, request: Request, peer_host: str) -> Response:
    """Return the plain answer to a request that is no upgrade.

    Raises HandshakeError: 426 on a WebSocket path, 404 where nothing is, 405 for a method
    that is neither GET nor HEAD (RFC 9110 section 15.5.6, with Allow).
    """
    _check_host(app, request, peer_host)
    if request.path in app.routes:
        raise upgrade_required()
    page = app.pages.get(request.path)
    if page is None:
        raise HandshakeError(404, "nothing is here; try / or /healthz")
    if request.method not in ("GET", "HEAD"):
        raise HandshakeError(405, "only GET and HEAD are answered here", ((b"Allow", b"GET, HEAD"),))
    return page()


def route(app: App, request: Request, peer_host: str, *, is_secure: bool = False) -> Route:
    """Return the route an upgrade request asks for; `is_secure` tells that it came over TLS.

    Raises HandshakeError: 404 for a path without a WebSocket, 403 for a foreign origin.
    """
    found = app.routes.get(request.path)
    if found is None:
        raise HandshakeError(404, "no WebSocket is here; try /connection/websocket")
    _check_host(app, request, peer_host)
    _check_origin(app, request, is_secure=is_secure)
    return found


def agree(route: Route, request: Request) -> str | None:
    """Return the subprotocol to be spoken (RFC 6455 section 4.2.2): the first offered one that is known.

    None where none was offered, or the path has none. Raises HandshakeError 400 for a client that offers
    none but unknown ones: a browser would fail the connection, others could only be closed at once.
    """
    offered, known = request.subprotocols, route.subprotocols
    if not offered or not known:
        return None
    for name in offered:
        if name in known:
            return name
    spoken = " and ".join(sorted(known))
    raise HandshakeError(400, f"no subprotocol in common: {spoken} is spoken here, or offer none")


def _check_host(app: App, request: Request, peer_host: str) -> None:
    """Raise HandshakeError 421 for a name that is not this machine's own, where only that is served.

    On a Unix socket, which no web page can reach, Host means nothing.
    """
    if not app.loopback_only or peer_host == "unix":
        return
    if not _is_own_name(request.header(b"host") or b"localhost"):
        raise HandshakeError(421, "development mode answers to localhost, 127.0.0.1 and [::1] only")


@functools.lru_cache(maxsize=64)
def _is_own_name(host: bytes) -> bool:
    """Tell whether a Host header names the loopback; remembered, for it takes 10 us to find out."""
    name = re.sub(r":\d*$", "", host.decode("latin-1").lower()).strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_origin(app: App, request: Request, *, is_secure: bool) -> None:
    """Let in the listed origins and, if the app does, the page's own (RFC 6455 section 10.2).

    Clients that are no browsers send no Origin, and need no protection from other pages. Over
    TLS a page that came by http:// is foreign: anybody on its way could have written it. Without
    TLS both schemes pass, since a proxy in front may speak https:// for us.
    """
    origin = request.header(b"origin")
    if origin is None or origin.decode("latin-1") in app.allowed_origins:
        return
    if not app.lets_own_origin:
        raise _foreign()
    scheme, separator, authority = origin.partition(b"://")
    host = request.header(b"host") or b""
    is_own_scheme = scheme.lower() == b"https" or not is_secure
    if not separator or not is_own_scheme or authority.lower() != host.lower():
        raise _foreign()


def _foreign() -> HandshakeError:
    return HandshakeError(403, "this origin may not connect; the operator can list it in allowed_origins")
