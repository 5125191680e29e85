"""`python -m wsloop.testing.simulator`: run the simulator from a shell."""

from __future__ import annotations

import sys

import click

from wsloop.testing.simulator.run import MIXED, simulate
from wsloop.testing.simulator.world import SHAPES


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--steps", default=100_000, show_default=True)
@click.option("--shape", type=click.Choice([*SHAPES, MIXED]), default=MIXED, show_default=True)
@click.option("--history", default=0)
@click.option("--log", is_flag=True)
def main(seed: int, steps: int, shape: str, history: int, *, log: bool) -> None:
    """Simulate."""
    outcome = simulate(seed, steps, shape=shape, history=history, log=click.echo if log else None)
    click.echo(outcome)
    sys.exit(1 if outcome.violation else 0)


if __name__ == "__main__":
    main()
