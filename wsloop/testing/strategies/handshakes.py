"""Opening handshakes: right ones as different clients may write them, and ones that break one rule."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from wsloop.testing.heads import DEFECTS, NOISE, damaged
from wsloop.testing.requests import SAMPLE_KEY, UpgradeRequest, usual_request

_EXTRA: tuple[tuple[str, str], ...] = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    ("Cookie", "session=a%20b; theme=dark"),
    ("X-Empty", ""),
    ("Sec-WebSocket-Extensions", "x-unknown; a=1"),
)
_VERSIONS = ("8", "0", "12", "14", "", "13, 8", "thirteen")
_KEYS = (SAMPLE_KEY[:-1], "", "AAAA", SAMPLE_KEY + "AAAA", "?" * 24, "x" * 24)


def _keys() -> st.SearchStrategy[str]:
    nonce = st.binary(min_size=16, max_size=16).map(lambda data: base64.b64encode(data).decode())
    return st.just(SAMPLE_KEY) | nonce


@st.composite
def handshakes(draw: st.DrawFn, host: str = "localhost", target: str = "/") -> UpgradeRequest:
    """Draw requests that a server must accept: names in any case, any order, tokens among others.

    `host` and `target` are those of the server that is asked.
    """
    usual = dict(usual_request(host, target, draw(_keys())).headers)
    usual["Upgrade"] = draw(st.sampled_from(("websocket", "WebSocket", "WEBSOCKET")))
    usual["Connection"] = draw(
        st.sampled_from(("Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,keep-alive"))
    )
    headers = [*usual.items(), *draw(st.lists(st.sampled_from(_EXTRA), max_size=3, unique=True))]
    if draw(st.booleans()):
        headers = draw(st.permutations(headers))
    case = draw(st.sampled_from(("usual", "lower", "upper")))
    return UpgradeRequest(
        f"GET {target} HTTP/1.1", tuple((_cased(name, case), value) for name, value in headers)
    )


def _cased(name: str, case: str) -> str:
    return name.lower() if case == "lower" else name.upper() if case == "upper" else name


@st.composite
def broken_handshakes(draw: st.DrawFn, host: str = "localhost", target: str = "/") -> UpgradeRequest:
    """Draw requests that a server must not accept: each breaks one rule, named in `wrong`."""
    usual = usual_request(host, target)
    name, values, rule = draw(st.sampled_from(_breaches()))
    value = draw(st.sampled_from(values))
    if name == "method":
        return UpgradeRequest(f"{value} {target} HTTP/1.1", usual.headers, rule)
    if name == "version":
        return UpgradeRequest(f"GET {target} HTTP/{value}", usual.headers, rule)
    kept = tuple(each for each in usual.headers if each[0] != name)
    return UpgradeRequest(usual.line, kept if value is None else (*kept, (name, value)), rule)


def _breaches() -> tuple[tuple[str, tuple[str | None, ...], str], ...]:
    """Return (what, its wrong values, the rule of RFC 6455 section 4.2.1) for all that servers share."""
    return (
        ("method", ("POST", "PUT", "OPTIONS"), "the method is not GET"),
        ("version", ("1.0",), "HTTP is older than 1.1"),
        ("Host", (None,), "there is no Host"),
        ("Upgrade", (None, "h2c", "websockets"), "Upgrade does not name websocket"),
        ("Connection", (None, "keep-alive", "close"), "Connection does not name Upgrade"),
        ("Sec-WebSocket-Key", (None, *_KEYS), "the key is not 16 bytes in base64"),
        ("Sec-WebSocket-Version", (None, *_VERSIONS), "the version is not 13"),
    )


def request_heads() -> st.SearchStrategy[bytes]:
    """Draw bytes of requests that are right, unusual, or wrong in a few places, down to single bytes."""
    return st.builds(
        damaged,
        st.lists(st.tuples(st.sampled_from(DEFECTS), st.integers(0, 7)), max_size=3),
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2), st.sampled_from(NOISE)), max_size=1),
    )
