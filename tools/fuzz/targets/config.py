"""What an operator writes: settings, or a ConfigError that can be printed.

The first byte chooses: `f` a file, `e` variables, one a line, `k` SECTION.KEY=TEXT as on the command line,
`a` an amount, `u` an address of any kind, `c` a certificate's dates, in base64. Settings that were read are
shown as `wsloop config show` does, and what is shown is read again to the same settings.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, cast

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, promise, promise_reason
from wsloop.client.urls import parse_url, parse_ws_url
from wsloop.daemon import printing, texts, units, validity
from wsloop.daemon.config import Sources, read
from wsloop.daemon.table import all_keys
from wsloop.errors import ConfigError, StartupError, UsageError
from wsloop.transport.bind import TcpBind, parse_bind

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.daemon.config import Loaded

KEYS = {key.path: key for key in all_keys()}
MAX_PORT = 65535
MOST_SPELT = 1e15
"""Settings end far below; the digits of a larger amount are more than `units.py` reads."""


class Text:
    """A file that is only text."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_text(self, encoding: str) -> str:
        """Return it, or raise as a file does."""
        return self._data.decode(encoding)

    def __str__(self) -> str:
        return "wsloop.toml"


def one_input(data: bytes) -> None:
    """See the module."""
    judge = {b"f": _file, b"e": _environment}.get(data[:1])
    if judge is not None:
        judge(data[1:])
        return
    by_text = {b"k": _key, b"a": _amount, b"u": _address, b"c": _certificate}.get(data[:1])
    if by_text is not None:
        by_text(data[1:].decode("utf-8", "replace"))


def _file(data: bytes) -> None:
    loaded = _loaded(Sources(cast("Path", Text(data)), environ={}))
    if loaded is None:
        return
    for key, value in printing.present(loaded.settings):
        promise(not isinstance(value, float) or math.isfinite(value), f"{key.path} is {value}")
        promise("\0" not in str(value), f"{key.path} has a NUL in it")
    shown = "\n".join(printing.shown(loaded))
    if printing.MASKED in shown:
        return
    again = _loaded(Sources(cast("Path", Text(shown.encode())), environ={}))
    promise(again is not None, f"what is shown cannot be read:\n{shown}")
    assert again is not None
    agree(_settings_shown(again), _settings_shown(loaded), "what is shown means something else")


def _settings_shown(loaded: Loaded) -> list[str]:
    """Return what is shown of the settings, without where they come from."""
    return [f"{key.path} = {printing.spelt(key, value)}" for key, value in printing.present(loaded.settings)]


def _environment(data: bytes) -> None:
    pairs = (line.partition(b"=") for line in data.split(b"\n"))
    environ = {name.decode("latin-1"): value.decode("utf-8", "surrogateescape") for name, _, value in pairs}
    _loaded(Sources(None, environ=environ))


def _loaded(sources: Sources) -> Loaded | None:
    """Return what the sources make, None for a mistake; its text has to be fit to be printed."""
    try:
        return read(sources)
    except (ConfigError, UsageError) as error:
        _check(error)
        return None


def _check(error: StartupError) -> None:
    promise(bool(error.message), "an error without a message")
    error.message.encode()
    error.hint.encode()


def _key(text: str) -> None:
    path, _, value = text.partition("=")
    key = KEYS.get(path)
    if key is None:
        return
    try:
        texts.read(key, value)
    except ValueError as error:
        promise_reason(error)
        promise(not (key.is_secret and len(value) > 7 and value in str(error)), "a secret is shown")


def _amount(text: str) -> None:
    for unit in ("s", "ms", "B"):
        try:
            value = units.parse(text, unit)
        except units.UnitError:
            continue
        promise(value >= 0 and math.isfinite(value), f"an amount of {value}")
        if value > MOST_SPELT:
            continue
        again = units.parse(units.spell(value, unit), unit)
        promise(math.isclose(again, value, rel_tol=1e-12, abs_tol=1e-9), f"{value} is spelt as {again}")


def _address(text: str) -> None:
    try:
        bind = parse_bind(text)
        promise(not isinstance(bind, TcpBind) or 0 <= bind.port <= MAX_PORT, f"port {bind}")
    except ConfigError as error:
        _check(error)
    for parse in (parse_url, parse_ws_url):
        try:
            address = parse(text, "/path").origin.address
            promise(not isinstance(address, TcpBind) or 0 < address.port <= MAX_PORT, f"port {address}")
        except (ConfigError, UsageError) as error:
            _check(error)


def _certificate(text: str) -> None:
    try:
        validity.dates(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    except ValueError:  # of any kind: whoever asks tells that the dates cannot be read
        return


SECTIONS = {

    "server": (
        "port = 8765", 'bind = ["127.0.0.1:1", "unix:/run/a"]', 'bind = [":1"]', 'bind = ["a:1", "a:1"]',
        'allowed_origins = ["https://a.example"]', 'allowed_origins = ["HTTPS://A.example/x"]',
        'forwarded_allow_ips = ["10.0.0.0/8", "unix"]', 'forwarded_allow_ips = ["*"]', "proxy_headers = true",
        'memory_limit = "64MiB"', 'control = "/run/c"', 'workers = "auto"', "workers = 0",
    ),
    "ws": ('ping_interval = "30s"', "ping_timeout = 99.5", 'max_size = "1MB"', "max_size = nan"),
    "client": ("allow_anonymous = true", 'personal_namespace = "chat"', 'broadcast_channel = "all"'),
    "limits": ('publish = "60/1s"', 'publish = "many"'),
    "channels": ("presence = true", "subscribe_proxy = true", "history_size = -1"),
    "namespaces.chat": (
        "history_size = 10", 'history_ttl_s = "1m"', 'channel_regex = "[a-z]+"', 'channel_regex = "["',
        "force_recovery = true", 'slow_policy = "conflate"', "publish_proxy = true",
    ),
    'namespaces."a b"': ("presence = 1",),
    "proxy": (
        'connect = "http://localhost:3000/c"', 'headers = ["cookie"]', 'headers = ["Host"]', 'refresh = "x"',
    ),
    "hooks": ('events = ["disconnect"]', 'url = "https://[::1]/h"'),
    "admin": ('api_key = "12345678"', "tls = true"), "tls": ('certfile = "a.pem"', 'keyfile = "k"'),
    "auth": ('hmac_secret = "s"', 'algorithms = ["HS256"]'), "log": ('level = "info"', 'level = "loud"'),
}  # fmt: skip
LINES = ("unknown = 1", "port", "[[server]]", "x = {a = 1, b = [1, 2", "dev = true", "[server]", "[nowhere]")
VALUES = (
    "1", "0", "true", "30s", "64KiB", "a,b", '["a", "b"]', "auto", "inf", "nan", "-1", "1e9", "60/1s",
    "\u00e9", "1.5 h",
)  # fmt: skip
ADDRESSES = (
    "127.0.0.1:80", "[::1]:8765", "unix:/a", "fd://3", "http://a:80/x?y",
    "https://[::1]/", "http://unix:/a:/b", "wss://h", "http://a:0655350/", ":1",
)  # fmt: skip


def inputs() -> st.SearchStrategy[bytes]:
    """Draw lines of files in some order, variables, and texts of all kinds."""
    value = st.sampled_from(VALUES)
    written = st.builds(lambda path, text: f"{path}={text}", st.sampled_from(sorted(KEYS)), value)
    names = [key.variable for key in KEYS.values()]
    variable = st.sampled_from(
        (*names, "WSLOOP_CHANNELS__PRESENCE", "WSLOOP_NAMESPACES__chat__HISTORY_SIZE", "WSLOOP_X")
    )
    variables = st.lists(st.builds(lambda name, text: f"{name}={text}", variable, value), max_size=5).map(
        "\n".join
    )
    table = st.sampled_from(sorted(SECTIONS)).flatmap(_table)
    file = st.lists(table | table | st.sampled_from(LINES), max_size=5).map("\n".join)
    amount = st.builds(
        lambda number, unit: f"{number}{unit}",
        st.sampled_from(("1", "1.5", "0", "0.000001", "9" * 18)),
        st.sampled_from(("", "s", " ms", "m", "h", "d", "KiB", "gb", "B")),
    )
    dates = st.binary(min_size=13, max_size=15).map(
        lambda der: base64.b64encode(CERTIFICATE[:4] + der + CERTIFICATE[4:]).decode()
    )
    texts_of = {
        "f": file,
        "e": variables,
        "k": written,
        "a": amount,
        "u": st.sampled_from(ADDRESSES),
        "c": dates,
    }
    return st.one_of([_behind(kind, each) for kind, each in texts_of.items()])


def _table(name: str) -> st.SearchStrategy[str]:
    """Draw a section of a file with some lines that belong there."""
    lines = st.lists(st.sampled_from(SECTIONS[name]), max_size=3, unique=True)
    return lines.map(lambda each: "\n".join((f"[{name}]", *each)))


def _behind(kind: str, drawn: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Draw the same as bytes, behind the letter that chooses its kind."""
    return drawn.map(lambda text: (kind + text).encode())


CERTIFICATE = bytes.fromhex("3040303e020101300030003022") + b"\x17\x0d250101000000Z\x18\x0f20990101000000Z"
"""The beginning of one in DER, up to its two dates."""
