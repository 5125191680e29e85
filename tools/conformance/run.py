"""A real daemon, and the suite in a process of its own against it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from tests.system.daemon import Daemon
from tools.conformance.cases import DEFLATE_GROUPS, PLAIN_GROUPS
from tools.conformance.suite import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of cases 9.1.6 and 9.2.6."""
MOST_FRAGMENTS = 65_536
"""Of cases 9.3.1 and 9.4.1: 4 MiB in pieces of 64 bytes."""
PING_INTERVAL_S = 86_400
"""No pings: a case of Autobahn's that is still busy ends, and fails, with the first ping it gets."""

ALONE = ("9.", "12.", "13.")
"""Cases whose work is the load: with others beside them they would only measure each other."""
SIDE_BY_SIDE = 4
"""How many of the other cases run at once; most of their time they wait for nothing to happen."""


class SuiteError(Exception):
    """The suite did not finish in time, or not at all."""


def daemon() -> Daemon:
    """Return a daemon, not started yet, that compresses, and whose limits let the largest cases through."""
    return Daemon(
        "--ws-per-message-deflate=on",
        f"--ws-max-size={LARGEST_MESSAGE_BYTES}",
        f"--ws-max-fragments={MOST_FRAGMENTS}",
        f"--ws-ping-interval={PING_INTERVAL_S}",
    )


def all_cases(*, deflated: bool) -> list[str]:
    """Return the patterns of a whole run."""
    groups = (*PLAIN_GROUPS, *DEFLATE_GROUPS) if deflated else PLAIN_GROUPS
    return [f"{group.number}.*" for group in groups]


def play(url: str, cases: Sequence[str], *, deflated: bool, limit_s: float) -> list[Verdict]:
    """Play `cases` against `url`, side by side where that is harmless; raises SuiteError after `limit_s`."""
    alone = [case for case in cases if case.startswith(ALONE)]
    others = [case for case in cases if case not in alone]
    verdicts: list[Verdict] = []
    for some, concurrency in ((others, SIDE_BY_SIDE), (alone, 1)):
        if some:
            verdicts += _play(url, some, "deflated" if deflated else "plain", concurrency, limit_s)
    return verdicts


def _play(url: str, cases: Sequence[str], mode: str, concurrency: int, limit_s: float) -> list[Verdict]:
    command = [sys.executable, "-m", "tools.conformance.suite", url, mode, str(concurrency), *cases]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise SuiteError(f"the suite had not finished after {limit_s:g} s: {' '.join(cases)}") from None
    except subprocess.CalledProcessError as error:
        raise SuiteError(f"the suite failed with {error.returncode}:\n{error.stderr.decode()}") from None
    return msgspec.json.decode(done.stdout, type=list[Verdict])
