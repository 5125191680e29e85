"""`wsloop ctl`: ask a running daemon, and steer it. Each command is one method of `control.py`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsloop.daemon import streams
from wsloop.daemon.tables import safe, show, show_json, spelled_bytes, spelled_seconds
from wsloop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.ctl_client import ControlClient

PROGRESS_EVERY_S = 0.5
"""Between two looks at how far a drain is."""

Command = TypeVar("Command", bound="Callable[..., Any]")


def daemon_options(command: Command) -> Command:
    """Give a command the options that say which daemon is asked and how the answer is printed."""
    options = (
        click.option(
            "--control",
            "path",
            type=click.Path(path_type=Path),
            help="The daemon's control socket; default: the only daemon there is.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )
    for option in options:
        command = option(command)
    return command


def find(path: Path | None) -> ControlClient:
    """Return the daemon that is asked; raises NotDoneError."""
    from wsloop.daemon import ctl_client  # noqa: PLC0415 - other commands need no HTTP

    return ctl_client.find(path)


def connection_of(text: str) -> tuple[str, int]:
    """Return node and number of a connection as `conns` shows it, "" and 0 for none; raises UsageError."""
    node, _, number = text.rpartition("/")
    if text and not (number.isascii() and number.isdigit() and int(number) < 2**62):
        raise UsageError(f"{text!r} is no connection", "wsloop ctl conns lists them; or use --user, --client")
    return node, int(number or 0)


@click.group()
def ctl() -> None:
    """Ask a running daemon on this machine, and steer it."""


@ctl.command()
@daemon_options
def stats(path: Path | None, as_json: bool) -> None:
    """Show what the daemon holds and whether it is ready."""
    found = find(path).ask("stats")
    if as_json:
        show_json(found)
        return
    reasons = "; ".join(found["reasons"]) or "ready"
    click.echo(
        f"wsloop {found['version']}, pid {found['pid']}, up {spelled_seconds(found['uptime'])}: {reasons}"
    )
    for warning in found["warnings"]:
        click.echo(f"warning: {safe(warning)}")
    if found["draining"]:
        click.echo(_progress_line(found["draining"]))
    show(
        ("node", "clients", "users", "subscriptions", "channels", "cpu %", "memory"),
        [
            (
                node["name"],
                node["num_clients"],
                node["num_users"],
                node["num_subs"],
                node["num_channels"],
                node["process"]["cpu"],
                spelled_bytes(node["process"]["rss"]),
            )
            for node in found["nodes"]
        ],
    )


@ctl.command()
@daemon_options
@click.option("--user", default="", help="Only this user's.")
@click.option("--channel", default="", help="Only subscribers of this channel.")
@click.option("--ip", "address", default="", help="Only from this address.")
@click.option(
    "--sort", type=click.Choice(["age", "bytes", "outbox"]), default="age", help="What comes first: the most."
)
@click.option("--page", type=click.IntRange(1), default=1, help="Which page.  [default: 1]")
@click.option("--per-page", type=click.IntRange(1, 1000), default=50, help="Rows on a page.  [default: 50]")
def conns(path: Path | None, as_json: bool, **asked: object) -> None:
    """List connections: the oldest first, or those with most traffic or most waiting."""
    found = find(path).ask("conns", **asked)
    if as_json:
        show_json(found)
        return
    show(
        ("id", "user", "client", "address", "state", "age", "received", "sent", "waiting", "channels"),
        [
            (
                f"{row['node']}/{row['connection']}",
                row["user"] or "-",
                row["client"] or "-",
                row["address"],
                row["state"],
                spelled_seconds(row["age_s"]),
                spelled_bytes(row["received_bytes"]),
                spelled_bytes(row["sent_bytes"]),
                spelled_bytes(row["queued_bytes"]),
                row["channels"],
            )
            for row in found["connections"]
        ],
    )
    click.echo(f"{len(found['connections'])} of {found['total']:,}, page {found['page']}")


@ctl.command()
@daemon_options
@click.argument("connection", metavar="[NODE/]ID", default="")
@click.option("--user", default="", help="All connections of this user.")
@click.option("--client", default="", help="The messaging client with this id.")
@click.option("--code", type=click.IntRange(3000, 4999), default=3503, help="Close code.  [default: 3503]")
@click.option("--reason", default="force disconnect", help="What the client is told.")
def kick(path: Path | None, as_json: bool, connection: str, **asked: Any) -> None:  # noqa: ANN401 - click's
    """Close connections: one by its id, as `ctl conns` shows it, or those of a user or client.

    Clients that follow the protocol do not come back after codes 3500 to 3999 and 4500 to 4999.
    """
    if bool(connection) + bool(asked["user"]) + bool(asked["client"]) != 1:
        raise UsageError("say whom to close", "give one of ID, --user and --client")
    node, number = connection_of(connection)
    found = find(path).ask("kick", **asked, connection=number, node=node)
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['closed']} closed")
    if not found["closed"]:
        sys.exit(1)


@ctl.command()
@daemon_options
@click.argument("channel")
@click.argument("data")
@click.option("--text", "is_text", is_flag=True, help="DATA is text, not JSON.")
def publish(path: Path | None, as_json: bool, channel: str, data: str, is_text: bool) -> None:
    """Publish DATA, which is JSON, to a channel; `-` reads it from standard input."""
    from wsloop.daemon.payloads import (  # noqa: PLC0415 - other commands publish nothing
        as_json_payload,
        as_text_payload,
    )

    if data == "-":
        data = streams.read_input()
    payload = as_text_payload(data) if is_text else as_json_payload(data)
    found = find(path).ask("publish", channel=channel, data=payload)
    if as_json:
        show_json(found)
    else:
        click.echo(f"published, offset {found['offset']}" if found["epoch"] else "published")


@ctl.command()
@daemon_options
@click.option("--wait", is_flag=True, help="Tell how far it is, and return when everybody is gone.")
def drain(path: Path | None, as_json: bool, wait: bool) -> None:
    """Accept no more clients, take leave of those there are, and end the daemon."""
    daemon = find(path)
    found = daemon.ask("drain")
    if as_json and not wait:
        show_json(found)
    elif not wait:
        click.echo("draining")
    else:
        _watch(daemon, as_json)


def _watch(daemon: ControlClient, as_json: bool) -> None:
    """Print how far a drain is whenever that changes, until the daemon has gone."""
    from wsloop.daemon.ctl_client import GoneError, NotDoneError  # noqa: PLC0415 - loaded with the client

    last = None
    while True:
        try:
            found = daemon.ask("progress")
        except GoneError:
            if not daemon.is_there():
                break
            found = last
        if found is not None and last is not None and found["pid"] != last["pid"]:
            raise NotDoneError("another process answers by now", "see wsloop ctl stats, and the log")
        if found is not None and found != last:
            if as_json:
                show_json(found)
            else:
                click.echo(_progress_line(found))
            last = found
        time.sleep(PROGRESS_EVERY_S)
    if not as_json:
        click.echo("drained")


def _progress_line(found: dict[str, int]) -> str:
    return f"draining {found['left']:,} of {found['of']:,}"


def _lines(method: str, otherwise: str) -> Callable[..., None]:
    """Return what asks for a method that answers with lines."""

    def command(path: Path | None, as_json: bool) -> None:
        found = find(path).ask(method)
        if as_json:
            show_json(found)
            return
        for line in found["lines"] or [otherwise]:
            click.echo(safe(line))

    return command


@ctl.command()
@daemon_options
def reload(path: Path | None, as_json: bool) -> None:
    """Have the daemon read its configuration and certificates again; print what has changed."""
    _lines("reload", "nothing has changed")(path, as_json)


@ctl.command()
@daemon_options
def restart(path: Path | None, as_json: bool) -> None:
    """Start the daemon anew on the same listening sockets, so that no client finds the door shut."""
    _lines("restart", "restarted")(path, as_json)


@ctl.command()
@daemon_options
def workers(path: Path | None, as_json: bool) -> None:
    """Show the processes that hold connections."""
    found = find(path).ask("workers")
    if as_json:
        show_json(found)
        return
    show(
        ("name", "pid", "state", "connections", "last beat", "deaths"),
        [
            (
                row["name"],
                row["pid"],
                row["state"],
                row["connections"],
                spelled_seconds(row["beat_age_s"]),
                row["deaths"],
            )
            for row in found["workers"]
        ],
    )
