"""`wsloop token new` and `wsloop token check`: tokens by hand, with the keys of the configuration."""

from __future__ import annotations

import json
import secrets
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from wsloop.daemon import units
from wsloop.daemon.flags import CONFIG
from wsloop.errors import StartupError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.daemon.settings import Settings


class TokenError(StartupError):
    """The token that was to be checked is not good."""

    exit_code = 1


@click.group()
def token() -> None:
    """Make and check tokens (JWT) with the keys of the configuration."""


@token.command()
@CONFIG
@click.option("--user", default="", help="Whose it is (`sub`); nobody's if not given.")
@click.option("--exp", default="1h", metavar="TIME", help="90, 30m, 1h, 7d; 0: never.  [default: 1h]")
@click.option("--channel", default="", help="For a subscription to this channel.")
@click.option("--client", default="", help="Only for the client of this id; with --channel.")
@click.option("--info", metavar="JSON", help="What others see of the client.")
def new(path: Path | None, user: str, exp: str, channel: str, client: str, info: str | None) -> None:
    """Print a token signed with the HMAC secret."""
    if client and not channel:
        raise UsageError("--client is for subscription tokens", "give --channel too")
    now_s = int(time.time())
    claims: dict[str, Any] = {"sub": user, "iat": now_s, "jti": secrets.token_hex(8)}
    lasts_s = _seconds(exp)
    if lasts_s:
        claims["exp"] = now_s + lasts_s
    claims |= {name: value for name, value in (("channel", channel), ("client", client)) if value}
    if info is not None:
        claims["info"] = _parsed(info)
    settings = _settings(path)
    from wsloop.daemon.tokens import sign  # noqa: PLC0415 - PyJWT takes its time

    click.echo(sign(settings, claims))


@token.command()
@CONFIG
@click.argument("text", metavar="TOKEN")
def check(path: Path | None, text: str) -> None:
    """Say whether a token is good, and what it grants; `-` reads it from standard input."""
    if text == "-":
        text = sys.stdin.readline().strip()
    settings = _settings(path)
    from wsloop.daemon.tokens import build, describe  # noqa: PLC0415 - PyJWT takes its time

    fault, kind, grants = describe(build(settings).verifier, text, time.time())
    if fault:
        raise TokenError(f"the token is not good: {fault}", "keys at a jwks_url are not fetched here")
    click.echo(f"a good {kind} token")
    for name, value in grants.items():
        click.echo(f"  {name:12} {value}")


def _settings(path: Path | None) -> Settings:
    from wsloop.daemon import config  # noqa: PLC0415 - as in `serve`

    return config.load(path, {})


def _seconds(text: str) -> int:
    try:
        return int(units.duration(text))
    except units.UnitError:
        raise UsageError(f"--exp: {text!r} is no time", "such as 90, 30m, 1h or 7d") from None


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("--info is not JSON", """such as '{"name":"Ann"}'""") from None
