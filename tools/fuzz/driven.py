"""The process in which atheris drives one target: `python -m tools.fuzz.driven PROGRAM NAME [options]`.

Options are libFuzzer's. It does not return: libFuzzer ends the process, with a code other than 0 if the
rule was broken. `PROGRAM` is what libFuzzer starts with other options where it needs a process more.
Started by `campaign.py`, which knows the options.
"""

from __future__ import annotations

import sys

import atheris

from tools.fuzz.bounds import bounded
from tools.fuzz.table import TARGETS

FOLLOWED = [
    *(
        f"wsloop.{room}"
        for room in ("buffers", "client", "cluster", "daemon", "hub", "observe", "protocol", "server")
    ),
    "wsproto",
    "h11",
    "jwt",
]
"""What an input is to get into: neither libraries written in C, which cannot be followed, nor what judges
(`wsloop.testing`), which must not reward an input."""


def main(arguments: list[str]) -> None:
    """Drive a target; see the module."""
    _, program, name, *options = arguments
    with atheris.instrument_imports(include=FOLLOWED):
        target = TARGETS[name].load()
    atheris.Setup([program, *options], bounded(target.one_input))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
