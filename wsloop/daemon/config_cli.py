"""`wsloop config` and `wsloop check-config`: what the settings are, and whether they are good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from wsloop.daemon import flags
from wsloop.errors import ConfigError, UsageError


@click.group()
def config() -> None:
    """Print all settings: as a file, as they are, as variables, as a schema."""


@config.command()
def default() -> None:
    """Print a file with every key, its default and its meaning."""
    from wsloop.daemon import printing  # noqa: PLC0415 - other commands do without

    click.echo(printing.default_file(), nl=False)


@config.command()
@click.option("--dev", is_flag=True, help="As `serve --dev` would have them.")
@flags.CONFIG
@flags.options
def show(dev: bool, path: Path | None, **given: Any) -> None:  # noqa: ANN401 - click hands over any type
    """Print the settings that `serve` would have with these flags, and where each comes from."""
    from wsloop.daemon import config as loading  # noqa: PLC0415 - other commands do without
    from wsloop.daemon import printing  # noqa: PLC0415

    for line in printing.shown(loading.read(loading.Sources(path, flags.tree(given), dev))):
        click.echo(line)


@config.command()
def env() -> None:
    """Print all variables of the environment that are read, with their defaults."""
    from wsloop.daemon import printing  # noqa: PLC0415 - other commands do without

    for line in printing.variables():
        click.echo(line)


@config.command()
def schema() -> None:
    """Print a JSON Schema of the file, for editors that complete and check TOML."""
    from wsloop.daemon import printing  # noqa: PLC0415 - other commands do without

    click.echo(json.dumps(printing.schema(), indent=2))


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@flags.CONFIG
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def check_config(file: Path | None, path: Path | None, strict: bool) -> None:
    """Say whether a file, with the environment as it is, can be served with: exit code 78 if not.

    Warnings are about what can be served with, but is hardly meant.
    """
    if path is None:
        path = file
    elif file is not None:
        raise UsageError("two files are named", "name one: wsloop check-config wsloop.toml")
    if path is None:
        raise UsageError("no file is named", "name it: wsloop check-config wsloop.toml")
    from wsloop.daemon import audit  # noqa: PLC0415 - other commands do without
    from wsloop.daemon import config as loading  # noqa: PLC0415

    warnings = audit.warnings(loading.read(loading.Sources(path)), path)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if warnings and strict:
        raise ConfigError(f"{path}: {len(warnings)} warning{'s' if len(warnings) > 1 else ''}, and --strict")
    click.echo(f"{path} is good" if not warnings else f"{path} can be used")
