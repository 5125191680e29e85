"""All settings in print: as a file with the defaults, as they are now, as variables, as a JSON Schema.

What is printed as a file can be read as one, and changes nothing. Secrets are never printed.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.urls import masked
from wsloop.daemon import units
from wsloop.daemon.environment import NO_SETTINGS
from wsloop.daemon.settings import Settings
from wsloop.daemon.table import all_keys, namespace_keys, sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.daemon.config import Loaded
    from wsloop.daemon.table import Key

MASKED = "***"
"""Stands for a secret: a key, a password in a URL, a value in its query."""

EMPTY = (None, "", ())

HEADER = """\
# The settings of wsloop, each with its default. A line that begins with # is one that is not set.
# Times may have a unit: ms, s, m, h or d. Sizes: B, kB, MB, GB, KiB, MiB or GiB.
"""

AT_NAMESPACES = """\
# The options of channels whose names have no namespace; a namespace's own are in [namespaces.NAME].
# [channels]"""

UNIT_PATTERNS = {"B": r"^ *[0-9.]+ ?([kKmMgG]?[bB]|[kKmMgG][iI][bB])? *$"}
TIME_PATTERN = r"^ *[0-9.]+ ?(ms|s|m|h|d)? *$"


def spelt(key: Key, value: Any) -> str:  # noqa: ANN401 - of the key's kind
    """Return a value as TOML has it, in units where it may have one; "" for a value that is not set."""
    if value is None:
        return ""
    if key.is_secret and value:
        return json.dumps(MASKED)
    if key.is_url:
        return _text(masked(value, MASKED))
    if isinstance(value, bool):
        return str(value).lower()
    if key.unit:
        return f'"{units.spell(value, key.unit)}"'
    if key.kind is tuple:
        return f"[{', '.join(_text(each) for each in value)}]"
    return _text(value) if isinstance(value, str) else repr(value)


def default_file() -> str:
    """Return a file with all keys at their defaults, and with what they mean."""
    parts = [HEADER]
    described: set[type[msgspec.Struct]] = set()
    for name, kind in sections().items():
        about = inspect.cleandoc(kind.__doc__ or "").partition(": ")[2]
        if kind in described:
            parts.append(f"# The keys of the section above, for this purpose only.\n# [{name}]\n")
            continue
        described.add(kind)
        lines = [f"# {about[0].upper()}{about[1:]}", f"[{name}]"]
        lines += [_line(key) for key in all_keys() if key.section == name]
        parts.append("\n".join([*lines, ""]))
    options = [f"# {_line(key)}" for key in namespace_keys("channels")]
    parts.append("\n".join([AT_NAMESPACES, *options, ""]))
    return "\n".join(parts)


def _line(key: Key) -> str:
    if key.default is None:
        return f"# {key.name} =  # {key.meaning}"
    return f"{key.name} = {spelt(key, key.default)}  # {key.meaning}"


def shown(loaded: Loaded) -> Iterator[str]:
    """Yield a line for each key: its value now, and where that came from."""
    for key, value in present(loaded.settings):
        origin = loaded.origins.get(key.path, "default")
        text = spelt(key, value)
        line = f"{_dotted(key)} = {text}" if text else f"# {_dotted(key)} is not set"
        yield f"{line:<48}  # {origin}"


def present(settings: Settings) -> Iterator[tuple[Key, Any]]:
    """Yield all keys with their values; of namespaces those that are there, and not at their defaults."""
    for key in all_keys():
        section = getattr(settings, key.section)
        if section is not None:
            yield key, getattr(section, key.name)
    for name, options in settings.all_namespaces().items():
        for key in namespace_keys(f"namespaces.{name}" if name else "channels"):
            value = getattr(options, key.name)
            if value != key.default:
                yield key, value


def variables() -> Iterator[str]:
    """Yield the lines of an environment file with all variables, each set to its default."""
    for key in all_keys():
        default = "" if key.default in EMPTY or _may_be_absent(key) else _plain(key)
        yield f"# {key.path}: {key.meaning}"
        yield f"{key.variable}={default}"
    for name, meaning in NO_SETTINGS.items():
        yield f"# {meaning}"
        yield f"{name}="
    yield "# Options of channels: WSLOOP_CHANNELS__OPTION; of a namespace: WSLOOP_NAMESPACES__NAME__OPTION"


def _may_be_absent(key: Key) -> bool:
    """Whether the key's section means something by being there: a variable with a default would add it."""
    return getattr(Settings(), key.section) is None


def _plain(key: Key) -> str:
    """Return a default as a variable has it."""
    if key.kind is tuple:
        return ",".join(key.default)
    text = spelt(key, key.default)
    return text.strip('"') if text.startswith('"') else text


def schema() -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) of the file, for editors."""
    (made,), components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    components = json.loads(json.dumps(components))
    components["Settings"]["properties"].pop("dev")
    for name, kind in sections().items():
        rows = [key for key in all_keys() if key.section == name]
        _describe(components[kind.__name__]["properties"], rows)
    _describe(components["Namespace"]["properties"], list(namespace_keys("channels")))
    text = json.dumps(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "$defs": components}
    )
    found: dict[str, Any] = json.loads(text.replace(r"\\Z", "$"))
    return found


def _describe(properties: dict[str, Any], rows: list[Key]) -> None:
    """Add what each key means, and that amounts may have a unit."""
    for key in rows:
        found = properties[key.name]
        if key.unit:
            accepted = {"type": "string", "pattern": UNIT_PATTERNS.get(key.unit, TIME_PATTERN)}
            default = found.pop("default")
            found = properties[key.name] = {"anyOf": [found, accepted], "default": default}
            meaning = (
                f"{key.meaning} (a plain number: {key.unit}; units: {', '.join(units.units_of(key.unit))})"
            )
        else:
            meaning = key.meaning
        found["description"] = meaning


def _text(value: str) -> str:
    """Return a TOML string; bytes of a file's name that are no UTF-8 are shown as escapes."""
    readable = value.encode("utf-8", "backslashreplace").decode()
    return json.dumps(readable, ensure_ascii=False).replace("\x7f", r"\u007F")


def _dotted(key: Key) -> str:
    """Return a key as TOML writes it in one line."""
    section, dot, name = key.section.partition(".")
    if dot and not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        name = json.dumps(name)
    return f"{section}{dot}{name}.{key.name}"
