"""wsloop as it serves, with a fan-out route added: the server that all others are compared with.

`--pure` keeps numpy and isal out, as on a machine that has neither. What is served is
`wsloop_house.py`'s.
"""

from __future__ import annotations

import signal
import sys

from tools.bench.servers.options import parse_options

ACCELERATORS = ("numpy", "isal")


def keep_out(modules: tuple[str, ...]) -> None:
    """Let every later import of these modules fail as if they were not installed."""
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]  # None: as documented for import


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    options = parse_options(__doc__)
    if options.pure:
        keep_out(ACCELERATORS)
    from tools.bench.servers.wsloop_house import serve  # behind keep_out, so not at the top

    serve(options)
