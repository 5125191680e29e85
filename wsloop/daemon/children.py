"""Forking a process that serves, and what must be put right in it first.

A forked process is a copy of the supervisor: its memory is shared until it is written to, so all that
children need is imported before, and the collector is told to leave it alone. What must not be shared:
signal handlers, the poller, the lines to the other children and the sockets of other slots. No thread may
run while a process forks, because the copy would have its locks and not the thread.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, NoReturn

from wsloop.daemon.log_sink import Sink
from wsloop.daemon.logs import STDERR
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
NOTICES = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""A child begins with the default for orders, and ignores notices until it knows what they mean: by
default they would end it. INT is ignored too: from a terminal it reaches all processes, and only the
supervisor decides what it means."""


def fork(serve: Callable[[socket.socket], int], name: str) -> tuple[int, socket.socket]:
    """Fork a process that calls `serve` and ends with what that returns; return its pid and the line to it.

    `serve` is given the other end of the line. Whatever it raises is one line on standard error.
    """
    assert threading.active_count() == 1, "a fork would copy the locks of a thread, but not the thread"
    ours, theirs = socket.socketpair()
    numbers = (*ORDERS, *NOTICES)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        pid = os.fork()
        if not pid:
            _become(serve, name, ours, theirs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return pid, ours


def _become(
    serve: Callable[[socket.socket], int], name: str, ours: socket.socket, theirs: socket.socket
) -> NoReturn:
    """Be the child, to the end."""
    code = 1
    try:
        ours.close()
        signal.set_wakeup_fd(-1)
        for number in ORDERS:
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, *NOTICES):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*ORDERS, *NOTICES))
        code = serve(theirs)
    except BaseException as error:
        code = error.exit_code if isinstance(error, StartupError) else 1
        complain(f"{name}: {reason_of(error)}")
    finally:
        _end(code)


def reason_of(error: BaseException) -> str:
    """Return in one line what was raised and, if nobody meant to, where."""
    if isinstance(error, StartupError):
        return error.message.replace("\n", " ")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}".replace("\n", " ")


def complain(line: str) -> None:
    """Write that a process could not start, in one line, to standard error.

    Lost where nobody takes it: a supervisor must neither wait for a reader nor fail for want of one.
    """
    Sink(STDERR, may_block=False).write(f"error: {line}\n".encode(errors="backslashreplace"))


def _end(code: int) -> NoReturn:
    """End without what the interpreter would do at exit: it is the supervisor's to do."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # EPIPE, ENOSPC; closed
            continue
    os._exit(code)
