"""The settings as rows: what each key is, for whoever prints, reads, documents or compares all of them.

Made from `settings.py`, so that nothing is listed twice: a row's meaning is the comment behind the key, its
kind the declared type. Knows no value but the defaults.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from typing import Annotated, Any, Literal

import msgspec

from wsloop.daemon.settings import Settings
from wsloop.hub.namespaces import Namespace


class Key(msgspec.Struct, frozen=True):
    """One key.

    `section` is its table in the file, "" for a table that stands for itself. `kind` is what a value is once
    it is read: str, int, float, bool, or tuple for a list. `unit` is the base unit ("s", "ms", "B") of a
    number that may have one, `choices` are all values there are, where that is few. `is_live`: a reload
    applies it. `is_secret`: its value is never shown; `is_url`: what of it may be secret is not. `word` may
    stand in the place of a number. `declared` is the type as it stands in the table, `expects` says in words
    what a text with a pattern must be like.
    """

    section: str
    name: str
    kind: type
    default: Any
    meaning: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    is_optional: bool = False
    is_live: bool = False
    is_secret: bool = False
    is_url: bool = False
    word: str = ""
    declared: Any = str
    expects: str = ""

    @property
    def path(self) -> str:
        """The dotted name, "ws.max_size"."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The variable of the environment that sets it; the name of a namespace stands there as it is."""
        table, dot, name = self.section.partition(".")
        return f"WSLOOP_{table.upper()}{f'__{name}' if dot else ''}__{self.name.upper()}"


@functools.cache
def sections() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each section by its name; those of namespaces are not among them."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    found = {name: struct_in(hints[name]) for name in Settings.__struct_fields__}
    return {name: kind for name, kind in found.items() if kind is not None and kind is not Namespace}


@functools.cache
def all_keys() -> tuple[Key, ...]:
    """Return all keys in the order of the table, but not the options of namespaces."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    return tuple(
        row
        for section, kind in sections().items()
        for row in keys_of(section, kind, is_live=bool(extras_of(hints[section]).get("live")))
    )


@functools.lru_cache(maxsize=1024)
def namespace_keys(section: str) -> tuple[Key, ...]:
    """Return the options of a namespace, whose table is `section`: "channels", "namespaces.chat"."""
    return tuple(msgspec.structs.replace(key, section=section) for key in _options())


@functools.cache
def _options() -> tuple[Key, ...]:
    """Return those of any namespace: to look them up takes a hundred times as long as to copy them."""
    return keys_of("", Namespace, is_live=True)


def keys_of(section: str, kind: type[msgspec.Struct], *, is_live: bool) -> tuple[Key, ...]:
    """Return the rows of one table; `is_live` tells that all of it is."""
    hints = typing.get_type_hints(kind, include_extras=True)
    meaning_of = meanings(kind)
    rows = []
    for field in msgspec.structs.fields(kind):
        declared, extra = hints[field.name], extras_of(hints[field.name])
        plain = _plain(declared)
        rows.append(
            Key(
                section,
                field.name,
                kind=_kind(plain),
                default=field.default,
                meaning=meaning_of.get(field.name, ""),
                unit=extra.get("unit", ""),
                choices=typing.get_args(plain) if typing.get_origin(plain) is Literal else (),
                is_optional=_is_optional(declared),
                is_live=is_live or "live" in extra,
                is_secret="secret" in extra,
                is_url="url" in extra,
                word=extra.get("word", ""),
                declared=declared,
                expects=extra.get("expects", ""),
            )
        )
    return tuple(rows)


def meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the comment behind each field of a struct."""
    body = re.search(
        rf"^class {kind.__name__}\b.*\n((?:[ \t].*\n|\n)*)", _source(kind.__module__), re.MULTILINE
    )
    assert body is not None
    return dict(re.findall(r"^    (\w+): .*?#\s*(.+)$", body[1], re.MULTILINE))


@functools.cache
def _source(module: str) -> str:
    """Return the text of a module: much sooner than that of each class, for which all would be parsed."""
    return inspect.getsource(sys.modules[module])


def struct_in(declared: object) -> type[msgspec.Struct] | None:
    """Return the struct that a field is declared as, in whatever wrapping; None for a field that is none."""
    plain = _plain(declared)
    return plain if isinstance(plain, type) and issubclass(plain, msgspec.Struct) else None


def extras_of(declared: object) -> dict[str, Any]:
    """Return what the `Meta.extra` in a declared type say, the outer ones and those of an optional's."""
    found: dict[str, Any] = {}
    if typing.get_origin(declared) is Annotated:
        inner, *metas = typing.get_args(declared)
        found |= extras_of(inner)
        for meta in metas:
            found |= getattr(meta, "extra", None) or {}
    elif _is_union(declared):
        for each in typing.get_args(declared):
            found |= extras_of(each)
    return found


def _plain(declared: object) -> object:
    """Return a declared type without what is wrapped around it: annotations, and the None of an optional."""
    if typing.get_origin(declared) is Annotated:
        return _plain(typing.get_args(declared)[0])
    if _is_union(declared):
        return _plain(next(each for each in typing.get_args(declared) if each is not type(None)))
    return declared


def _is_optional(declared: object) -> bool:
    if typing.get_origin(declared) is Annotated:
        return _is_optional(typing.get_args(declared)[0])
    return _is_union(declared) and type(None) in typing.get_args(declared)


def _is_union(declared: object) -> bool:
    return typing.get_origin(declared) in (typing.Union, types.UnionType)


def _kind(plain: object) -> type:
    if isinstance(plain, type):
        return plain
    return tuple if typing.get_origin(plain) is tuple else str
