"""The first process of a daemon with several workers: holds sockets, forks, watches, and nothing else.

It serves nobody, so that nothing a client does can hurt it; and what it does not do need not be
restarted. It runs on the same reactor as the processes that serve. docs/internals/processes.md tells who
forks whom, what each holds, and what happens when each of them dies.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import logging
import os
import shutil
import signal
import socket
import tempfile
from typing import TYPE_CHECKING

from wsloop.daemon import admin, children, compose, serving, supervisor_log
from wsloop.daemon.channel import Answer, Channel
from wsloop.daemon.crew import Crew, Patience, Slot, ended
from wsloop.daemon.deal import Deal
from wsloop.daemon.roles import Kind, Role
from wsloop.daemon.signals import SignalHandling
from wsloop.daemon.sockets import Purpose, Sockets
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.pulse import Jitter
from wsloop.transport.bind import FdBind, SocketNetwork, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.daemon.channel import Ask, Message
    from wsloop.daemon.config import Settings
    from wsloop.daemon.crew import Child
    from wsloop.daemon.sockets import Place
    from wsloop.transport.bind import Bind

log = logging.getLogger("wsloop.daemon")

PATIENCE = Patience()

GRACE_S = 5.0
"""Beyond the drain's window, in which a worker ends by itself: then it is killed."""

STOP_NOW_S = 2.0
"""For processes that are told to stop now, to say so and to end."""

HUB_STOP_S = 5.0
"""For the hub process, which ends when the workers have."""
