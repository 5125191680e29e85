"""The command line. Errors are `error: ...` and `hint: ...`, with the exit code that fits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from wsloop import __version__
from wsloop.daemon import streams, token_cli
from wsloop.daemon.bounds import MAX_COUNT, MAX_SECONDS
from wsloop.errors import ConfigError, StartupError, UsageError
from wsloop.transport.bind import parse_bind

COUNT = click.IntRange(1, MAX_COUNT)
COUNT_OR_NONE = click.IntRange(0, MAX_COUNT)
SECONDS = click.FloatRange(0, MAX_SECONDS, min_open=True)

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


# Option names are uvicorn's where it has them. A flag that is not given leaves the file's value.
@cli.command()
@click.option("--dev", is_flag=True, help="Development: page, /echo, anonymous clients; loopback only.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path, dir_okay=False), help="TOML file.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 = any free one.  [default: 8765]")
@click.option("-b", "--bind", multiple=True, help="host:port, unix:PATH or fd://N; repeatable.")
@click.option("--uds", metavar="PATH", help="Listen on a Unix socket; short for --bind unix:PATH.")
@click.option("--fd", type=int, metavar="N", help="Listen on an inherited socket; short for --bind fd://N.")
@click.option("--backlog", type=COUNT, help="Connections queued before accept.  [default: 1024]")
@click.option("--limit-concurrency", type=COUNT, help="Connections at once; more get 503.")
@click.option(
    "--limit-per-ip", type=COUNT_OR_NONE, help="Connections from one address; 0: any.  [default: 100]"
)
@click.option("--limit-accept-rate", type=COUNT_OR_NONE, help="New ones per second; 0: any.  [default: 200]")
@click.option("--ws-max-size", type=COUNT, metavar="BYTES", help="Largest message.")
@click.option("--ws-max-fragments", type=COUNT, help="Most frames in a message.")
@click.option("--ws-ping-interval", type=SECONDS, metavar="S", help="Seconds between pings.  [default: 25]")
@click.option("--ws-ping-timeout", type=SECONDS, metavar="S", help="Seconds for the answer.  [default: 10]")
@click.option("--ws-send-limit", type=COUNT, metavar="BYTES", help="Most queued for one peer.")
@click.option(
    "--ws-per-message-deflate", type=click.Choice(["off", "on", "auto"]), help="Compression.  [default: auto]"
)
@click.option("--ssl-certfile", metavar="PATH", help="Certificate chain in PEM; TCP ports then speak TLS.")
@click.option("--ssl-keyfile", metavar="PATH", help="Its private key, if that is in a file of its own.")
@click.option("--admin/--no-admin", default=None, help="Health and the server API, for your own software.")
@click.option("--admin-host", help="Address to listen on for that.  [default: 127.0.0.1]")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="Its port; 0 = any.  [default: 8766]")
@click.option("--timeout-graceful-shutdown", type=SECONDS, metavar="S", help="Drain window.  [default: 30]")
@click.option("--poller", type=click.Choice(["auto", "epoll", "kqueue", "poll", "select"]), help="Back end.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level.")
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]), help="How a log line looks.")
@click.option("--log-file", metavar="PATH", help="Where they go; USR1 reopens it.  [default: standard error]")
@click.option("--access-log/--no-access-log", default=None, help="A line for each answer and each end.")
def serve(dev: bool, path: Path | None, **flags: Any) -> None:  # noqa: ANN401 - click hands over any type
    """Start the daemon and run it until TERM or INT."""
    # Imported here: `wsloop --help` need not load the house.
    from wsloop.daemon import config, run  # noqa: PLC0415

    settings = config.load(path, _overrides(flags), dev=dev)
    sys.exit(run.run(settings))


_SECTION_OF = {
    "ws_max_size": ("ws", "max_size"),
    "ws_max_fragments": ("ws", "max_fragments"),
    "ws_ping_interval": ("ws", "ping_interval"),
    "ws_ping_timeout": ("ws", "ping_timeout"),
    "ws_send_limit": ("ws", "send_limit"),
    "ws_per_message_deflate": ("ws", "per_message_deflate"),
    "ssl_certfile": ("tls", "certfile"),
    "ssl_keyfile": ("tls", "keyfile"),
    "admin": ("admin", "enabled"),
    "admin_host": ("admin", "host"),
    "admin_port": ("admin", "port"),
    "log_level": ("log", "level"),
    "log_format": ("log", "format"),
    "log_file": ("log", "file"),
    "access_log": ("log", "access"),
}


def _check_binds(binds: list[str]) -> None:
    """Raise UsageError for a flag that is no address; in the file it would be a ConfigError."""
    for text in binds:
        try:
            parse_bind(text)
        except ConfigError as error:
            raise UsageError(error.message, error.hint) from None


def _overrides(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the flags that were given, as {section: {key: value}}."""
    uds, fd = flags.pop("uds"), flags.pop("fd")
    binds = list(flags.pop("bind"))
    if uds is not None:
        binds.append(f"unix:{uds}")
    if fd is not None:
        binds.append(f"fd://{fd}")
    _check_binds(binds)
    tree: dict[str, dict[str, Any]] = {}
    for flag, value in {**flags, "bind": binds or None}.items():
        if value is not None:
            section, key = _SECTION_OF.get(flag, ("server", flag))
            tree.setdefault(section, {})[key] = value
    return tree


def main() -> NoReturn:
    """Run the command; print an expected failure as two lines and exit with its code."""
    streams.open_missing()
    try:
        cli(standalone_mode=False)
    except StartupError as error:
        _fail(error.message, error.hint, error.exit_code)
    except click.NoSuchOption as error:
        _fail(error.format_message(), "see wsloop serve --help", error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), "see wsloop --help", error.exit_code)
    except click.Abort:
        sys.exit(130)
    sys.exit(0)


def _fail(message: str, hint: str, exit_code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(exit_code)
