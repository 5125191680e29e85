"""The command line. Errors are `error: ...` and `hint: ...`, with the exit code that fits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from wsloop import __version__
from wsloop.daemon import config_cli, ctl_cli, flags, looking_cli, streams, talk_cli, token_cli
from wsloop.daemon.flags import CONFIG
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\b
  wsloop serve --dev                 a chat to try, on this machine only
  wsloop serve -c wsloop.toml        as a service
"""


@click.group(invoke_without_command=True, epilog="Documentation: docs/ in the source tree.")
@click.version_option(__version__, "-V", "--version", message="wsloop %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Serve WebSocket messaging from one hand-written event loop."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


cli.help = f"{EXAMPLES}\n\n{cli.help}"


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"wsloop {__version__}")


cli.add_command(token_cli.token)
cli.add_command(ctl_cli.ctl)
for command in (talk_cli.pub, talk_cli.sub, talk_cli.chat, looking_cli.health, looking_cli.doctor):
    cli.add_command(command)
cli.add_command(looking_cli.completion)
cli.add_command(config_cli.config)
cli.add_command(config_cli.check_config)


# A flag that is not given leaves what the environment or the file says.
@cli.command()
@click.option("--dev", is_flag=True, help="Development: page, /echo, anonymous clients; loopback only.")
@CONFIG
@flags.options
def serve(dev: bool, path: Path | None, **given: Any) -> None:  # noqa: ANN401 - click hands over any type
    """Start the daemon and run it until TERM or INT."""
    # Imported here: `wsloop --help` need not load the house.
    from wsloop.daemon import config, run  # noqa: PLC0415

    sources = config.Sources(path, flags.tree(given), dev)
    loaded = config.read(sources)
    sys.exit(run.run(loaded.settings, sources))


def main() -> NoReturn:
    """Run the command; print an expected failure as two lines and exit with its code."""
    streams.open_missing()
    try:
        cli(prog_name="wsloop", standalone_mode=False)
    except StartupError as error:
        _fail(error.message, error.hint, error.exit_code)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context is not None else "wsloop"
        _fail(error.format_message(), f"see {command} --help", error.exit_code)
    except click.Abort:
        sys.exit(130)
    sys.exit(0)


def _fail(message: str, hint: str, exit_code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(exit_code)
