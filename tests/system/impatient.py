"""`wsloop serve` with less patience, and a signal that restarts it, for tests that cannot wait.

    python -m tests.system.impatient serve ...

A worker's silence ends it after $IMPATIENT_S seconds, 1.5 by default, and a drain is late after one second.
The signal `RESTART` hands over to a new daemon, as `wsloop ctl restart` does.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from wsloop.daemon import cli, supervisor
from wsloop.daemon.first_process import FirstProcess
from wsloop.daemon.slots import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor

RESTART = signal.SIGRTMIN

_begin = FirstProcess.begin


def _begin_and_listen(
    self: FirstProcess, reactor: Reactor, leave: Callable[[], object], status: str = "serving"
) -> None:
    """Begin, and restart when the signal comes; what became of it is told on standard error."""

    def told(is_done: bool, text: str) -> None:
        sys.stderr.write(f"restart {'done' if is_done else 'failed'}: {text}\n")

    def restart(_number: int, _frame: object) -> None:
        reactor.call_soon_threadsafe(lambda: self.restart(told))

    signal.signal(RESTART, restart)
    _begin(self, reactor, leave, status)


if __name__ == "__main__":
    silence_s = float(os.environ.get("IMPATIENT_S", "1.5"))
    supervisor.PATIENCE = Patience(worker_s=silence_s, hub_s=2 * silence_s)
    supervisor.GRACE_S = 1.0
    FirstProcess.begin = _begin_and_listen  # type: ignore[method-assign] # a hook of the tests alone
    cli.main()
