"""Variables of the environment: `WSLOOP_SECTION__KEY` sets a key, and goes before the file.

An option of a namespace is `WSLOOP_NAMESPACES__NAME__OPTION`, the name written as it is; of the default
namespace `WSLOOP_CHANNELS__OPTION`. An empty variable is one that is not set. A variable that begins with
`WSLOOP_` and is none of these is a mistake, but for those below.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import texts
from wsloop.daemon.table import all_keys, namespace_keys
from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wsloop.daemon.table import Key

PREFIX = "WSLOOP_"

KEY_PASSWORD = "WSLOOP_TLS__KEY_PASSWORD"
"""Of an encrypted private key. In no file and on no command line, where others could read it."""

NO_SETTINGS = {
    KEY_PASSWORD: "password of tls.keyfile, if that is encrypted; in no file",
    "WSLOOP_TOKEN": "the token that wsloop pub, sub and chat show",
}
"""Variables that are read elsewhere, with their meaning."""

WORKERS = "WEB_CONCURRENCY"
"""What hosting platforms tell every server about processes; the daemon's own variable goes before it."""

OWN_WORKERS = "WSLOOP_SERVER__WORKERS"

_KUBERNETES = re.compile(
    r"WSLOOP(_\w+)?_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes tells every pod about a service that is called wsloop."""


class Variable(msgspec.Struct, frozen=True):
    """A variable that sets a key to a value."""

    name: str
    key: Key
    value: Any


def read(environ: Mapping[str, str]) -> Iterator[Variable]:
    """Yield what the environment sets; raises ConfigError for an unknown variable or a wrong value."""
    known = {key.variable: key for key in all_keys()}
    if environ.get(WORKERS):
        yield Variable(WORKERS, known[OWN_WORKERS], _value(WORKERS, known[OWN_WORKERS], environ[WORKERS]))
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith(PREFIX) or name in NO_SETTINGS or not text:
            continue
        key = known.get(name) or _namespace_key(name)
        if key is None and _is_kubernetes(name, text):
            continue
        if key is None:
            raise ConfigError(f"${name}: there is no such setting", _did_you_mean(name, known))
        yield Variable(name, key, _value(name, key, text))


def _value(name: str, key: Key, text: str) -> Any:  # noqa: ANN401 - of the key's kind
    """Return what a variable says; what is wrong with a secret is told without what is in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"${name} is not UTF-8 text", "base64 or hex is a safe way to write it") from None
    try:
        return texts.read(key, text)
    except ValueError as error:
        hint = "a line break at its end counts too" if text.endswith("\n") else ""
        raise ConfigError(f"${name}: {error}", hint) from None


def _namespace_key(name: str) -> Key | None:
    table, _, option = name.removeprefix(PREFIX).rpartition("__")
    kind, _, namespace = table.partition("__")
    section = f"namespaces.{namespace}" if kind == "NAMESPACES" and namespace else kind.lower()
    if kind not in ("NAMESPACES", "CHANNELS") or (kind == "NAMESPACES") is not bool(namespace):
        return None
    return next((key for key in namespace_keys(section) if key.name.upper() == option), None)


def _is_kubernetes(name: str, text: str) -> bool:
    found = _KUBERNETES.fullmatch(name)
    return found is not None and (name != "WSLOOP_PORT" or "://" in text)


def _did_you_mean(name: str, known: Mapping[str, Key]) -> str:
    rest = name.removeprefix(PREFIX)
    table, _, _ = rest.rpartition("__")
    if table.startswith("NAMESPACES__"):
        beside = namespace_keys(table.replace("NAMESPACES__", "namespaces.", 1))
    else:
        beside, rest = namespace_keys("channels"), rest.upper()
    # Without what all of them begin with, which would make any two alike.
    names = [each.removeprefix(PREFIX) for each in (*known, *NO_SETTINGS, *(key.variable for key in beside))]
    near = difflib.get_close_matches(rest, names, n=1) or [
        each for each in names if each.endswith(f"__{rest}")
    ]
    return f"did you mean {PREFIX}{near[0]}?" if near else "wsloop config env lists those there are"
