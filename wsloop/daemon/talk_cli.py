"""`wsloop pub`, `sub` and `chat`: a messaging client for people and for pipes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.talking import Talk

Command = TypeVar("Command", bound="Callable[..., Any]")

DEMO_CHANNEL = "chat:lobby"
"""The room that the page of `serve --dev` opens."""


def server_options(command: Command) -> Command:
    """Give a command the options that say who this is and whom it trusts."""
    options = (
        click.option("--ca-file", default="", metavar="PATH", help="Who may sign a server's certificate."),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File with the token; read again whenever one is needed.",
        ),
        click.option(
            "--token",
            envvar="WSLOOP_TOKEN",
            default="",
            help="The token (JWT). Others can see it in the list of processes: $WSLOOP_TOKEN is safer.",
        ),
    )
    for option in options:
        command = option(command)
    return command


def _run(talk: Talk) -> None:
    sys.exit(talk.run())


@click.command()
@click.argument("url")
@click.argument("channel")
@click.argument("data", default="-")
@click.option("--text", is_flag=True, help="DATA, or each line, is text, not JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print what the server answers.")
@server_options
def pub(url: str, channel: str, data: str, text: bool, as_json: bool, **who: Any) -> None:  # noqa: ANN401 - click's
    """Publish DATA, which is JSON, to a channel; `-` publishes each line of standard input.

    Each publication is made once, however often the connection is lost.
    """
    from wsloop.daemon import publisher  # noqa: PLC0415 - other commands need no client

    _run(publisher.Publisher(url, channel, data, is_text=text, as_json=as_json, **who))


@click.command()
@click.argument("url")
@click.argument("channels", metavar="CHANNEL...", nargs=-1, required=True)
@click.option("--recover", is_flag=True, help="After a lost connection, print what was missed.")
@click.option("--history", type=click.IntRange(0), default=0, metavar="N", help="Begin with the last N.")
@click.option("--json", "as_json", is_flag=True, help="Print whole publications as JSON, one a line.")
@server_options
def sub(
    url: str,
    channels: tuple[str, ...],
    recover: bool,
    history: int,
    as_json: bool,
    **who: Any,  # noqa: ANN401 - click's
) -> None:
    """Print what is published to channels, one a line, until Ctrl+C."""
    from wsloop.daemon import subscriber  # noqa: PLC0415 - other commands need no client

    _run(subscriber.Subscriber(url, channels, recovers=recover, history=history, as_json=as_json, **who))


@click.command()
@click.argument("url")
@click.argument("channel", default=DEMO_CHANNEL)
@click.option("--name", default=lambda: os.environ.get("USER", ""), help="What others see.  [default: $USER]")
@server_options
def chat(url: str, channel: str, name: str, **who: Any) -> None:  # noqa: ANN401 - click's
    """Talk in a channel: lines of standard input are said, and what others say is printed.

    `/who` tells who is there. Ctrl+D or Ctrl+C ends it.
    """
    from wsloop.daemon import chatting  # noqa: PLC0415 - other commands need no client

    _run(chatting.Chat(url, channel, name, **who))
