"""`make fuzz`: `python -m tools.fuzz [TARGET ...] [--seconds 60]`, and what else is done with targets.

A broken rule ends it with code 1, after the input was saved and the command named that replays it. The
target `differential` is another kind: properties of the tests on random bytes, without an end.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench.options import at_least
from tools.fuzz import campaign
from tools.fuzz.bounds import bounded
from tools.fuzz.table import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.fuzz.table import Target

DIFFERENTIAL = "differential"


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for; return the exit code."""
    if DIFFERENTIAL in arguments:
        from tools.fuzz import differential  # it brings all of the protocol's tests

        return differential.main([each for each in arguments if each != DIFFERENTIAL])
    options = _options(arguments)
    targets = [TARGETS[name] for name in options.targets or TARGETS]
    if options.replay:
        return _replay(targets, options.replay)
    if options.seeds:
        return _seeds(targets)
    if not campaign.HAS_ATHERIS:
        print("atheris is missing: pip install -e '.[fuzz]' (Linux on x86-64)", file=sys.stderr)
        return 2
    if options.minimise:
        return _minimise(targets)
    return _run(targets, options.seconds)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz",
        description=__doc__,
        epilog="targets: " + "; ".join(f"{each.name}: {each.about}" for each in TARGETS.values()),
    )
    names = [*TARGETS, DIFFERENTIAL]
    parser.add_argument(
        "targets", nargs="*", choices=[*names, []], metavar="TARGET", help="[all but the last]"
    )
    parser.add_argument("--seconds", type=at_least(1), default=60, help="for each target [60]")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="run a target on these inputs")
    parser.add_argument("--minimise", action="store_true", help="make the corpus of what was found")
    parser.add_argument(
        "--seeds", action="store_true", help="draw inputs by the target's strategy to begin with"
    )
    return parser.parse_args(arguments)


def _run(targets: Sequence[Target], seconds: int) -> int:
    """Drive each target; stop at the first that breaks the rule."""
    for target in targets:
        print(f"-- {target.name}: {target.about}, for {seconds} s", file=sys.stderr)
        crash = campaign.run(target, seconds)
        if crash is not None:
            print(
                f"{target.name} broke the rule. To replay it:\n    {replaying(target, crash)}",
                file=sys.stderr,
            )
            return 1
    return 0


def replaying(target: Target, path: Path) -> str:
    """Return the command that runs a target on one input."""
    return f"python -m tools.fuzz {target.name} --replay {path}"


def _replay(targets: Sequence[Target], paths: Sequence[Path]) -> int:
    """Run the one target on each input, within bounds; what it raises gets out."""
    if len(targets) != 1:
        print("say which target the inputs are for", file=sys.stderr)
        return 2
    one_input = bounded(targets[0].load().one_input)
    for path in paths:
        one_input(path.read_bytes())
        print(f"{path}: nothing found")
    return 0


def _seeds(targets: Sequence[Target]) -> int:
    from tools.fuzz import seeds  # it brings hypothesis

    for target in targets:
        print(f"{target.name}: {campaign.keep(target.found, seeds.of(target))} inputs drawn")
    return 0


def _minimise(targets: Sequence[Target]) -> int:
    for target in targets:
        print(f"{target.name}: {campaign.minimise(target)} inputs kept")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
