"""`python -m wsloop.testing.judge URL`. Exit code 0: nothing found; 1: something; 3: no echo server."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

try:
    from wsloop.testing.judge.search import search
    from wsloop.testing.strategies.conversing import groups
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    sys.stderr.write("error: the judge needs hypothesis\nhint: pip install 'wsloop[testing]'\n")
    sys.exit(3)

from wsloop.testing.judge.conversation import LENIENT, LEVELS, MUST, SHOULD, Conversation
from wsloop.testing.judge.player import PATIENCE_S, Player, dial, parse_address
from wsloop.testing.judge.report import group_line, legend, report
from wsloop.testing.requests import usual_request
from wsloop.testing.wire import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.judge.player import Address
    from wsloop.testing.judge.search import Case

COUNT = 200
"""Conversations in one group; each shape of fault is then met several times."""

GROUP_S = 120.0
"""For one group: a usual server needs a few seconds, one that is silent where it should close many waits."""

FOUND, NOT_STARTED = 1, 3
SWITCHING_PROTOCOLS = 101
_ASKED = {MUST: (MUST,), SHOULD: (MUST, SHOULD), LENIENT: (MUST, SHOULD, LENIENT)}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option("--count", type=click.IntRange(1), default=COUNT, help=f"Conversations a group.  [{COUNT}]")
@click.option("--seed", type=int, default=0, help="The same seed draws the same conversations.  [0]")
@click.option(
    "--only", multiple=True, metavar="GROUP", help="One group, by its name; may be repeated.  [all]"
)
@click.option(
    "--level", type=click.Choice(list(LEVELS)), default=LENIENT, help="The mildest told.  [lenient]"
)
@click.option(
    "--patience",
    type=click.FloatRange(0.05),
    default=PATIENCE_S,
    help=f"Seconds for an answer.  [{PATIENCE_S}]",
)
@click.option(
    "--seconds", type=click.FloatRange(1), default=GROUP_S, help=f"Most for one group.  [{GROUP_S:.0f}]"
)
def main(
    *, url: str, count: int, seed: int, only: tuple[str, ...], level: str, patience: float, seconds: float
) -> None:
    """Have conversations with the echo server at URL, and report the shortest that goes wrong."""
    try:
        address = parse_address(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    drawn = groups(address.authority, address.target)
    unknown = set(only).difference(drawn)
    if unknown:
        raise click.UsageError(f"no group {unknown.pop()!r}: there are {', '.join(drawn)}")
    player, known = Player(lambda: dial(address, patience), patience), set[str]()
    _begin(player, address)
    cases: list[Case] = []
    for name, conversations in drawn.items():
        if only and name not in only:
            continue
        before, is_over = player.played, _alarm(seconds)
        try:
            found = search(player.play, conversations, known, count=count, seed=seed, is_over=is_over)
        except OSError as error:
            _give_up(f"{address.authority} does not answer: {error}", "is the server running?")
        shown = [case for case in found if case.finding.level in _ASKED[level]]
        click.echo(group_line(name, player.played - before, len(shown), is_cut=is_over()))
        cases += shown
    click.echo(f"permessage-deflate was agreed to {player.agreed} times")
    if cases:
        click.echo(f"{report(cases)}\n\n{legend(cases)}")
        sys.exit(FOUND)


def _alarm(duration_s: float) -> Callable[[], bool]:
    """Return what tells whether so much time has passed since now."""
    end_s = time.monotonic() + duration_s
    return lambda: time.monotonic() >= end_s


def _begin(player: Player, address: Address) -> None:
    """Say hello, plainly; nobody can be judged who does not send that back."""
    request = usual_request(address.authority, address.target)
    try:
        heard = player.play(Conversation((text("hello"),), request=request))
    except OSError as error:
        _give_up(f"{address.authority} does not answer: {error}", "is the server running?")
    status = heard.answer.status
    if status != SWITCHING_PROTOCOLS:
        how = f"is answered with {status}" if status else "is not answered"
        _give_up(f"a plain handshake {how}", f"is there an echo server at {address.target}?")
    if not heard.heard.messages and heard.heard.fault is None:
        _give_up("a plain message does not come back", f"is it an echo server that is at {address.target}?")


def _give_up(message: str, hint: str) -> NoReturn:
    click.echo(f"error: {message}\nhint: {hint}", err=True)
    sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(prog_name="python -m wsloop.testing.judge")
