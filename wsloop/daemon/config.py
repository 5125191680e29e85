"""From flags, environment and file to `Settings`: the first of them that has a key counts, then its default.

A mistake is a `ConfigError` that names the key and where it stands: file and line, or the variable. Flags
were judged on the command line; what they make contradict each other is told here. The keys themselves are
in `settings.py`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import addresses, environment, outside, texts
from wsloop.daemon.flag_names import FLAGS
from wsloop.daemon.places import place
from wsloop.daemon.settings import Settings
from wsloop.daemon.table import all_keys, namespace_keys, struct_in
from wsloop.errors import ConfigError, UsageError
from wsloop.hub.namespace_checks import client_mistake, name_mistake, namespace_mistake
from wsloop.hub.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wsloop.daemon.table import Key

__all__ = ["Loaded", "Settings", "Sources", "load", "read", "section_type"]

Tree = dict[str, Any]


class Sources(msgspec.Struct, frozen=True):
    """Where settings come from; read again at each reload.

    `path` is the file, None for none; `flags` are {section: {key: value}}; `environ` None: the process's.
    """

    path: Path | None = None
    flags: dict[str, dict[str, Any]] = {}
    dev: bool = False
    environ: Mapping[str, str] | None = None


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where each key that is not at its default came from, by its dotted name.

    An origin is "wsloop.toml:3", "$WSLOOP_WS__MAX_SIZE" or "--ws-max-size".
    """

    settings: Settings
    origins: dict[str, str]


def load(path: Path | None, overrides: dict[str, dict[str, Any]], *, dev: bool = False) -> Settings:
    """Return the settings from `path` (None: no file) and the environment, with `overrides` on top.

    `overrides` are flags, {section: {key: value}}. Raises as `read` does.
    """
    return read(Sources(path, overrides, dev)).settings


def read(sources: Sources) -> Loaded:
    """Return the settings that the sources make.

    Raises ConfigError: the file cannot be read or parsed, or a key or value is wrong. Raises
    UsageError: a flag is.
    """
    path, text = sources.path, _text(sources.path)
    tree = _parsed(text, path)
    _check(tree, text, path)
    origins = _places(tree, text, path)
    for variable in environment.read(os.environ if sources.environ is None else sources.environ):
        _table(tree, variable.key.section)[variable.key.name] = variable.value
        origins[variable.key.path] = f"${variable.name}"
    for section, values in sources.flags.items():
        tree.setdefault(section, {}).update(values)
        for name in values:
            origins[f"{section}.{name}"] = FLAGS.get(f"{section}.{name}", f"{section}.{name}")
    _check(tree, "", None)
    settings = msgspec.convert({**tree, "dev": sources.dev}, Settings)

    def where(table: str, key: str) -> str:
        found = origins.get(f"{table}.{key}")
        if found is None and path is not None:
            return place(path, text, table, key)
        return f"{found}: " if found else ""

    check_together(settings, where)
    addresses.check(settings.server, sources.flags.get("server", {}), where)
    return Loaded(settings, origins)


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}", "check the path given to -c") from None


def _parsed(text: str, path: Path | None) -> Tree:
    """Return the file's tables; raises ConfigError for what is no TOML."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        line = re.search(r" \(at line (\d+), column \d+\)", message)
        if line:
            message = message.replace(line[0], "")
        elif "end of document" in message:
            line = re.fullmatch(r"(\d+)", str(len(text.splitlines()) or 1))
        where = f"{path}:{line[1]}" if line else f"{path}"
        raise ConfigError(f"{where}: {message}", "the file must be TOML; strings need quotes") from None
    if "dev" in tree:
        raise ConfigError(f"{path}: dev mode is switched on by the flag --dev only")
    return tree


def _places(tree: Tree, text: str, path: Path | None) -> dict[str, str]:
    """Return where each key of a file stands."""
    if path is None:
        return {}
    found = {}
    for section, values in _tables(tree):
        for name in values:
            found[f"{section}.{name}"] = place(path, text, section, name).removesuffix(": ")
    return found


def _tables(tree: Tree) -> list[tuple[str, Tree]]:
    """Return the dotted name of each table in a tree, and what is in it."""
    tables = [
        (name, values) for name, values in tree.items() if name != "namespaces" and isinstance(values, dict)
    ]
    spaces = tree.get("namespaces")
    for name, values in spaces.items() if isinstance(spaces, dict) else ():
        if isinstance(values, dict):
            tables.append((f"namespaces.{name}", values))
    return tables


def _table(tree: Tree, section: str) -> Tree:
    """Return the table `section` of a tree, made if it is not there."""
    kind, dot, name = section.partition(".")
    table: Tree = tree.setdefault(kind, {})
    return table.setdefault(name, {}) if dot else table


def _check(tree: Tree, text: str, path: Path | None) -> None:
    """Turn amounts into numbers; raise ConfigError for the first mistake, with its line in `text`."""
    for section, values in _tables(tree):
        _read_amounts(section, values, text, path)
    namespaces = tree.get("namespaces")
    # One by one, as a mistake inside a dict is told without the key that leads to it.
    for name, options in namespaces.items() if isinstance(namespaces, dict) else ():
        _convert(options, Namespace, text, path, f"namespaces.{name}")
    _convert(tree, Settings, text, path, "")


def _read_amounts(section: str, values: Tree, text: str, path: Path | None) -> None:
    """Replace times and sizes that are written with a unit by numbers; find texts that nothing takes."""
    for name, value in values.items():
        key = _key(f"{section}.{name}")
        if key is None:
            continue
        try:
            texts.check(value)
            values[name] = texts.in_base_unit(key, value)
        except ValueError as error:
            if path is None:
                raise UsageError(f"{key.path}: {error}", "see wsloop serve --help") from None
            raise ConfigError(f"{place(path, text, section, name)}{key.path}: {error}") from None


def _key(path: str) -> Key | None:
    """Return the key of a dotted name, None if there is none."""
    section, _, name = path.rpartition(".")
    is_namespace = section == "channels" or section.startswith("namespaces.")
    rows = namespace_keys(section) if is_namespace else all_keys()
    return next((key for key in rows if key.name == name and key.section == section), None)


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
        fault = f"{where}: {texts.reason(_key(where), reason)}"
        if path is None:
            raise UsageError(fault, "see wsloop serve --help") from None
        table, _, key = where.rpartition(".")
        raise ConfigError(place(path, text, table, key.partition("[")[0]) + fault) from None


def _joined(table: str, key: str) -> str:
    return f"{table}.{key}".strip(".")


def check_together(settings: Settings, where: outside.Place) -> None:
    """Raise ConfigError for settings that contradict each other; `where` tells the place of one."""
    if settings.ws.ping_timeout >= settings.ws.ping_interval:
        raise ConfigError(
            f"{where('ws', 'ping_timeout')}ws.ping_timeout must be less than ws.ping_interval",
            f"they are {settings.ws.ping_timeout:g} and {settings.ws.ping_interval:g} s",
        )
    if settings.admin.tls and not settings.tls.certfile:
        raise ConfigError(f"{where('admin', 'tls')}admin.tls is on without a certificate", "set tls.certfile")
    if settings.tls.keyfile and not settings.tls.certfile:
        fault = f"{where('tls', 'keyfile')}tls.keyfile is given without tls.certfile"
        raise ConfigError(fault, "a key needs its certificate")
    if settings.auth.mistake():
        raise ConfigError(
            where("auth", settings.auth.mistake().partition(":")[0][5:]) + settings.auth.mistake()
        )
    _check_namespaces(settings, where)
    outside.check(settings, where)


def _check_namespaces(settings: Settings, where: outside.Place) -> None:
    """Raise ConfigError for options of namespaces or of `[client]` that contradict each other."""
    namespaces = settings.all_namespaces()
    for name, options in namespaces.items():
        table = f"namespaces.{name}" if name else "channels"
        found = (name_mistake(name) if name else None) or namespace_mistake(options)
        if found is not None:
            break
    else:
        # Only now: a channel is looked up by rules that are right.
        table, found = "client", client_mistake(settings.client.hub_options(), namespaces)
    if found is not None:
        raise ConfigError(f"{where(table, found.key)}{_joined(table, found.key)}: {found.fault}", found.hint)


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
