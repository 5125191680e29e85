"""Run a daemon: decide which processes it takes, and become the first of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wsloop.daemon import listening, serving
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
    if workers > 1:
        # Imported here: one process needs none of it.
        from wsloop.daemon import supervisor  # noqa: PLC0415

        return supervisor.run(settings, workers, sources)
    sockets = Sockets(settings.server.backlog)
    try:
        said = listening.listen(settings, sockets)
        return serving.serve(settings, _alone(sockets, said), sources)
    finally:
        sockets.close()


def _alone(sockets: Sockets, said: list[str]) -> Role:
    """Return the role of the only process, which owns the descriptors that are listened on."""
    binds = [FdBind(place.descriptors.pop()) for place in sockets.of(Purpose.CLIENTS)]
    admins = [FdBind(place.descriptors.pop()) for place in sockets.of(Purpose.ADMIN)]
    return Role(binds=tuple(binds), admin=admins[0] if admins else None, banner=tuple(said))


def worker_count(asked: int | str) -> int:
    """Return how many workers are asked for; "auto" is one for each core that this process may use."""
    if asked != "auto":
        return int(asked)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
