"""The flags of `wsloop serve` that set a key, made from `flag_names.py` and the settings.

`--uds` and `--fd` are short for a `--bind` each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsloop.daemon import texts, units
from wsloop.daemon.flag_names import FLAGS
from wsloop.daemon.table import all_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.table import Key

SHORT = {"--bind": "-b", "--workers": "-w"}

CONFIG = click.option(
    "-c", "--config", "path", type=click.Path(path_type=Path, dir_okay=False), help="TOML file."
)
"""For every command that needs the settings."""

Command = TypeVar("Command", bound="Callable[..., Any]")


class Setting(click.ParamType[Any]):
    """Reads a flag's text as the setting that it is for."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Return the value in the setting's terms; fails as click's own types do."""
        if not isinstance(value, str):
            return value
        try:
            return texts.read(self.key, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def options(command: Command) -> Command:
    """Give a click command all flags that set a key; they are what `tree` takes."""
    for option in reversed(_options()):
        command = option(command)
    return command


def tree(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the flags that were given, as {section: {key: value}}."""
    uds, fd = given.pop("uds"), given.pop("fd")
    binds = [*given.pop(_parameter("server.bind"))]
    if uds is not None:
        binds.append(f"unix:{uds}")
    if fd is not None:
        binds.append(f"fd://{fd}")
    found: dict[str, dict[str, Any]] = {}
    for path in FLAGS:
        value = tuple(binds) if path == "server.bind" else _joined(given[_parameter(path)])
        if value not in (None, ()):
            section, _, name = path.partition(".")
            found.setdefault(section, {})[name] = value
    return found


def _joined(value: object) -> object:
    """Return the lists of a repeatable flag as one; any other flag's value as it is."""
    return tuple(each for part in value for each in part) if isinstance(value, tuple) else value


def _options() -> list[Callable[[Command], Command]]:
    keys = {key.path: key for key in all_keys()}
    made = [_option(keys[path], flag) for path, flag in FLAGS.items()]
    uds = click.option("--uds", metavar="PATH", help="Listen on a Unix socket; short for --bind unix:PATH.")
    fd = click.option(
        "--fd", type=int, metavar="N", help="Listen on an inherited socket; short for --bind fd://N."
    )
    place = list(FLAGS).index("server.bind") + 1
    return [*made[:place], uds, fd, *made[place:]]


def _option(key: Key, flag: str) -> Callable[[Command], Command]:
    help_text = _help(key)
    parameter = _parameter(key.path)
    if key.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", parameter, default=None, help=help_text)
    names = [flag, SHORT[flag]] if flag in SHORT else [flag]
    if key.kind is tuple:
        # A path may have a comma in it; elsewhere commas part one from the next.
        kind = None if key.path == "server.bind" else Setting(key)
        many = f"{help_text} Repeatable."
        return click.option(*names, parameter, multiple=True, type=kind, metavar="TEXT", help=many)
    if key.choices:
        return click.option(*names, parameter, type=click.Choice(key.choices), help=help_text)
    return click.option(*names, parameter, type=Setting(key), metavar=_metavar(key), help=help_text)


def _parameter(path: str) -> str:
    return path.replace(".", "_")


def _metavar(key: Key) -> str:
    if key.unit:
        return "SIZE" if key.unit == "B" else "TIME"
    return {int: "N", float: "N"}.get(key.kind, "TEXT")


def _help(key: Key) -> str:
    text = f"{key.meaning[0].upper()}{key.meaning[1:]}."
    if key.kind is bool or key.default in (None, (), ""):
        return text
    default = units.spell(key.default, key.unit) if key.unit else key.default
    return f"{text}  [default: {default}]"
