"""`wsloop ctl record` and `wsloop replay`: what goes over a connection, kept in a file and shown again.

The daemon keeps what it records in memory until it is fetched; the file is this command's, written with the
rights of who runs it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from wsloop.daemon import units
from wsloop.daemon.ctl_cli import connection_of, ctl, daemon_options, find
from wsloop.daemon.tables import safe, show_json, spelled_bytes
from wsloop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.daemon.ctl_client import ControlClient

HINT = "give the file of wsloop ctl record"

FETCH_EVERY_S = 0.25
"""Between two looks at what was recorded: the daemon holds that much of it, and no more."""


def _amount(unit: str) -> Callable[[click.Context, click.Parameter, str], float]:
    """Return what reads an option that is a time or a size, with its unit or in the base unit."""

    def read(_context: click.Context, _option: click.Parameter, text: str) -> float:
        try:
            return units.parse(text, unit)
        except units.UnitError as error:
            raise click.BadParameter(str(error)) from None

    return read


@ctl.command()
@daemon_options
@click.argument("connection", metavar="[NODE/]ID", default="")
@click.option("--user", default="", help="Connections of this user.")
@click.option("--client", default="", help="The messaging client with this id.")
@click.option("--ip", "address", default="", help="Connections from this address.")
@click.option(
    "--seconds", metavar="TIME", callback=_amount("s"), default="60s", help="How long.  [default: 60s]"
)
@click.option(
    "--max-bytes",
    metavar="SIZE",
    callback=_amount("B"),
    default="1MiB",
    help="How much.  [default: 1MiB]",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file; it must not exist.")
@click.option("--keep-tokens", is_flag=True, help="Record tokens and other secrets as they are.")
def record(path: Path | None, as_json: bool, connection: str, out: Path, **asked: Any) -> None:  # noqa: ANN401 - click's
    """Record the bytes of connections, in and out, until the time is over or Ctrl+C.

    Those that are there from their next message on, those that come from their first byte. Tokens are blotted
    out. `wsloop replay` shows what is in the file.
    """
    if bool(connection) + bool(asked["user"] or asked["client"] or asked["address"]) != 1:
        raise UsageError("say whom to record", "give ID, or --user, --client, --ip")
    daemon = find(path)
    node, number = connection_of(connection)
    order = {
        "recording": secrets.token_hex(8),
        "redact": not asked.pop("keep_tokens"),
        "connection": number,
        "node": node,
        **asked,
    }
    told: dict[str, Any] = {"connections": 0}
    file = _create(out)
    try:
        with file:
            told = _record(daemon, order, file)
    finally:
        if not told["connections"]:
            out.unlink(missing_ok=True)
    if as_json:
        show_json(told)
    elif told["connections"]:
        size = spelled_bytes(told["bytes"])
        count = told["connections"]
        click.echo(f"{count} connection{'s' if count > 1 else ''}, {size} in {out}: {safe(told['over'])}")
    else:
        click.echo(f"nothing was recorded: {safe(told['over'])}")
    if not told["connections"]:
        sys.exit(1)


def _create(out: Path) -> BinaryIO:
    """Return a new file that only its owner reads; raises UsageError."""
    try:
        return os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise UsageError(f"{out} exists", "choose another name with --out") from None
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}", "choose another place with --out") from None


def _record(daemon: ControlClient, order: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    """Have the daemon record, and write what it gives; return what came of it."""
    import msgspec  # noqa: PLC0415 - other commands write no recording

    from wsloop import __version__  # noqa: PLC0415
    from wsloop.observe.tape import FORMAT, Head  # noqa: PLC0415

    began_s = round(time.time(), 6)
    begun = daemon.ask("record", **order)
    if not begun["processes"]:
        raise UsageError(f"there is no process {order['node']}", "wsloop ctl conns lists them")
    rule = {name: order[name] for name in ("user", "client", "address", "connection", "node") if order[name]}
    head = Head(FORMAT, __version__, began_s, order["redact"], rule)
    file.write(msgspec.json.encode(head) + b"\n")
    connections: set[str] = set()
    size = 0
    over = ""
    with _interrupts() as stop:
        click.echo("recording; Ctrl+C ends it", err=True)
        while not over:
            if not stop.is_set():
                time.sleep(FETCH_EVERY_S)
            found = daemon.ask("recorded", recording=order["recording"], stop=stop.is_set())
            for line in found["lines"]:
                size += len(line.get("data", "")) * 3 // 4
                connections.add(line["c"])
                file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            over = found.get("over", "")
            # Several processes have as much room each as all have together.
            if size >= order["max_bytes"]:
                stop.set()
    return {"connections": len(connections), "bytes": size, "over": over}


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl+C sets: an answer that is on its way must not get lost.

    A second one interrupts at once.
    """
    asked = threading.Event()

    def on_interrupt(_number: int, _frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--connection", default="", metavar="NODE/ID", help="Only this one of several.")
@click.option("--full", is_flag=True, help="Show long payloads whole.")
def replay(file: Path, connection: str, full: bool) -> None:
    """Show a recording of `wsloop ctl record`, frame by frame; no daemon is needed.

    `>` came from the client, `<` from the server; `=` is a message that took several frames or was
    compressed; `!` is what the protocol core objects to.
    """
    from wsloop.daemon.ctl_client import NotDoneError  # noqa: PLC0415 - other commands replay nothing
    from wsloop.observe import replay as replaying  # noqa: PLC0415
    from wsloop.observe import tape  # noqa: PLC0415

    try:
        with file.open("rb") as lines:
            found = tape.read(lines)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", "give the file of wsloop ctl record"
        ) from None
    except tape.TapeError as error:
        raise NotDoneError(f"{file}: {error}", HINT) from None
    chosen = {name: lines for name, lines in found.connections.items() if connection in ("", name)}
    if not chosen:
        known = ", ".join(found.connections) or "none"
        raise NotDoneError(f"{file}: there is no such connection in it", f"those in it: {safe(known)}")
    for recorded in chosen.values():
        shown_chars = 0 if full else replaying.SHOWN_CHARS
        for text in replaying.replayed(recorded, found.head.began, shown_chars):
            click.echo(safe(text))
