"""From files and flags to `Settings`: defaults, then the TOML file, then the flags.

An unknown key or a wrong type is a `ConfigError` that names the file, the line and, where one is near, the
right key. The keys themselves are in `settings.py`.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import addresses, outside
from wsloop.daemon.places import place
from wsloop.daemon.settings import Settings
from wsloop.daemon.table import struct_in
from wsloop.errors import ConfigError, UsageError
from wsloop.hub.namespace_checks import client_mistake, name_mistake, namespace_mistake
from wsloop.hub.namespaces import Namespace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Settings", "load", "section_type"]


def load(path: Path | None, overrides: dict[str, dict[str, Any]], *, dev: bool = False) -> Settings:
    """Return the settings from `path` (None: no file), with `overrides` ({section: {key: value}}) on top.

    Raises ConfigError: the file cannot be read or parsed, or a key or value is wrong. Raises
    UsageError: a value in `overrides` is.
    """
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", "the file must be TOML; strings need quotes") from None
    if "dev" in tree:
        raise ConfigError(f"{path}: dev mode is switched on by the flag --dev only")
    _check(tree, text, path)
    for section, values in overrides.items():
        tree.setdefault(section, {}).update(values)
    _check(tree, "", None)
    settings = msgspec.convert({**tree, "dev": dev}, Settings)
    if settings.ws.ping_timeout >= settings.ws.ping_interval:
        raise ConfigError(
            "ws.ping_timeout must be less than ws.ping_interval",
            f"they are {settings.ws.ping_timeout:g} and {settings.ws.ping_interval:g} s",
        )
    if settings.admin.tls and not settings.tls.certfile:
        raise ConfigError("admin.tls is on without a certificate", "set tls.certfile")
    if settings.tls.keyfile and not settings.tls.certfile:
        raise ConfigError("tls.keyfile is given without tls.certfile", "a key needs its certificate")
    if settings.auth.mistake():
        raise ConfigError(settings.auth.mistake())
    _check_namespaces(settings, text, path)
    outside.check(settings, functools.partial(place, path, text) if path is not None else None)
    addresses.check(settings.server, overrides.get("server", {}))
    return settings


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}", "check the path given to -c") from None


def _check(tree: dict[str, Any], text: str, path: Path | None) -> None:
    """Raise ConfigError for the first mistake of `tree`, with its line in `text`."""
    namespaces = tree.get("namespaces")
    # One by one, as a mistake inside a dict is told without the key that leads to it.
    for name, options in namespaces.items() if isinstance(namespaces, dict) else ():
        _convert(options, Namespace, text, path, f"namespaces.{name}")
    _convert(tree, Settings, text, path, "")


def _convert(tree: object, kind: type, text: str, path: Path | None, above: str) -> None:
    """Raise ConfigError if `tree`, the table `above`, is not of a kind; UsageError without a file."""
    try:
        msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        unknown = re.search(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
        if unknown and path is not None:
            key, table = unknown[1], _joined(above, unknown[2] or "")
            hint = _did_you_mean(key, table)
            raise ConfigError(f"{place(path, text, table, key)}unknown key {key!r}", hint) from None
        found = re.search(r"(.*) - at `\$\.?([^`]*)`", message)
        reason, where = (found[1], _joined(above, found[2])) if found else (message, above)
        fault = f"{where}: {reason[0].lower()}{reason[1:]}"
        if path is None:
            raise UsageError(fault, "see wsloop serve --help") from None
        table, _, key = where.rpartition(".")
        raise ConfigError(place(path, text, table, key.partition("[")[0]) + fault) from None


def _joined(table: str, key: str) -> str:
    return f"{table}.{key}".strip(".")


def _check_namespaces(settings: Settings, text: str, path: Path | None) -> None:
    """Raise ConfigError for options of namespaces or of `[client]` that contradict each other."""
    namespaces = settings.all_namespaces()
    found = client_mistake(settings.client.hub_options(), namespaces)
    table = "client"
    for name, options in namespaces.items():
        mistake = (name_mistake(name) if name else None) or namespace_mistake(options)
        if mistake is not None:
            found, table = mistake, f"namespaces.{name}" if name else "channels"
            break
    if found is not None:
        where = place(path, text, table, found.key) if path is not None else ""
        raise ConfigError(f"{where}{_joined(table, found.key)}: {found.fault}", found.hint)


def _did_you_mean(key: str, table: str) -> str:
    in_namespace = table.startswith("namespaces.")
    kind: type[msgspec.Struct] = Namespace if in_namespace else Settings
    for name in () if in_namespace else filter(None, table.split(".")):
        kind = section_type(next(field.type for field in msgspec.structs.fields(kind) if field.name == name))
    known = [field.name for field in msgspec.structs.fields(kind) if field.name != "dev"]
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def section_type(declared: Any) -> type[msgspec.Struct]:  # noqa: ANN401 - of a field: anything
    """Return the struct that a section is declared as, whether it may be absent, or change live, or not."""
    kind = struct_in(declared)
    assert kind is not None
    return kind
