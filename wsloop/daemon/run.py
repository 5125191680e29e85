"""Run a daemon: decide which processes it takes, and become the first of them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from wsloop.daemon import inheritance, listening, logs
from wsloop.daemon.first_process import FirstProcess
from wsloop.daemon.roles import Role
from wsloop.daemon.sockets import Purpose, Sockets
from wsloop.transport.bind import FdBind

if TYPE_CHECKING:
    from wsloop.daemon.config import Sources
    from wsloop.daemon.settings import Settings


def run(settings: Settings, sources: Sources) -> int:
    """Run a daemon to its end and return the exit code; raises StartupError if it cannot start.

    `sources` are where the settings come from, read again at a reload.
    """
    workers = worker_count(settings.server.workers)
    with contextlib.ExitStack() as stack:
        process = "supervisor" if workers > 1 else logs.ALONE
        stack.callback(logs.start_direct(settings.log, dev=settings.dev, process=process))
        left = inheritance.take(os.environ, os.getpid())
        sockets = Sockets(settings.server.backlog, left.places())
        stack.callback(sockets.close)
        first = FirstProcess(settings, sources, sockets, left, os.environ)
        stack.callback(first.close)
        said = listening.listen(settings, sockets, workers)
        if workers > 1:
            # Imported here: one process needs none of it.
            from wsloop.daemon import supervisor  # noqa: PLC0415

            return supervisor.run(first, workers, said)
        from wsloop.daemon import serving  # noqa: PLC0415 - behind the listening, see banner.py

        return serving.serve(settings, _alone(sockets, first, said), sources)


def _alone(sockets: Sockets, first: FirstProcess, said: list[str]) -> Role:
    """Return the role of the only process, whose server owns the descriptors from now on."""
    binds = [FdBind(each) for place in sockets.of(Purpose.CLIENTS) for each in place.descriptors]
    return Role(
        binds=tuple(binds),
        admin=sockets.bind_for(Purpose.ADMIN),
        control=sockets.bind_for(Purpose.CONTROL),
        banner=tuple(said),
        steward=first,
        is_successor=first.is_successor,
    )


def worker_count(asked: int | str) -> int:
    """Return how many workers are asked for; "auto" is one for each core that this process may use."""
    if asked != "auto":
        return int(asked)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
