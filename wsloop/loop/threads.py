"""One helper thread for calls that block and cannot be had otherwise: getaddrinfo, fsync.

The loop hands over a job and is told its result by `call_soon_threadsafe`, in phase 7 of a turn. The
thread starts with the first job, so a server that needs none has none, and it is a daemon thread:
a name server that never answers does not keep the process from ending. The queue is bounded; a job
that finds it full is refused at once, since one that waits behind sixty-four others is late anyway.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor

MAX_JOBS = 64
"""Most jobs that wait. Names are cached and files synced once a second: a handful is usual."""

Result = TypeVar("Result")


class Helper(Protocol):
    """Runs what blocks elsewhere."""

    def run(self, job: Callable[[], Result], done: Callable[[Result | Exception], object]) -> bool:
        """Run `job` off the loop; `done` gets its result, or the exception it raised, on the loop.

        Returns False, and calls neither, when too many jobs wait.
        """
        ...

    def close(self) -> None:
        """Take no more jobs, and tell nobody of those under way. Does not wait. Idempotent."""
        ...


class HelperThread:
    """A `Helper` with one thread; every method is called on the loop's thread."""

    def __init__(self, reactor: Reactor, max_jobs: int = MAX_JOBS) -> None:
        self._reactor = reactor
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(max_jobs)
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def run(self, job: Callable[[], Result], done: Callable[[Result | Exception], object]) -> bool:
        """See `Helper.run`."""
        if self._is_closed:
            return False

        def work() -> None:
            try:
                result: Result | Exception = job()
            except Exception as error:  # whatever it is belongs to who asked
                result = error
            self._reactor.call_soon_threadsafe(lambda: self._tell(done, result))

        try:
            self._jobs.put_nowait(work)
        except queue.Full:
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wsloop-helper", daemon=True)
            self._thread.start()
        return True

    def close(self) -> None:
        """See `Helper.close`."""
        if not self._is_closed:
            self._is_closed = True
            if self._thread is not None:
                # If it is full, the thread looks at the flag after the present job.
                with contextlib.suppress(queue.Full):
                    self._jobs.put_nowait(None)

    def _work(self) -> None:
        while not self._is_closed:
            job = self._jobs.get()
            if job is None:
                return
            job()

    def _tell(self, done: Callable[[Result | Exception], object], result: Result | Exception) -> None:
        if not self._is_closed:
            done(result)
