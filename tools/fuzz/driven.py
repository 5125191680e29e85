"""The process in which atheris drives one target: `python -m tools.fuzz.driven NAME [libFuzzer's options]`.

It does not return: libFuzzer ends the process, with a code other than 0 if the rule was broken. Started by
`campaign.py`, which knows the options.
"""

from __future__ import annotations

import sys

import atheris

from tools.fuzz.bounds import bounded
from tools.fuzz.table import TARGETS

FOLLOWED = ["wsloop", "wsproto", "h11", "jwt", "messagepack"]
"""What an input is to get into. Libraries written in C cannot be followed."""

NOT_FOLLOWED = ["wsloop.testing"]
"""What judges, and must not reward an input."""


def main(arguments: list[str]) -> None:
    """Drive a target; see the module."""
    program, name, *options = arguments
    with atheris.instrument_imports(include=FOLLOWED, exclude=NOT_FOLLOWED):
        target = TARGETS[name].load()
    atheris.Setup([program, *options], bounded(target.one_input))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
