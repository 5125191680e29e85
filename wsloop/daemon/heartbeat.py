"""A worker's end of the line to the supervisor: beats go up, orders come down.

The beat is sent by the loop itself, by a timer: as long as it comes, the turn goes around. A process
that is stopped, or stuck in a handler, is silent, and replaced (`crew.py`). If the supervisor is gone,
nobody would ever replace or end this process, so it ends by itself, gently.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from wsloop.daemon import process
from wsloop.daemon.channel import (
    Answer,
    Ask,
    Beat,
    Channel,
    Drain,
    Failed,
    HandOver,
    Keep,
    Leave,
    Listen,
    Resized,
    Stopping,
    encode,
)
from wsloop.daemon.retiring import retire
from wsloop.daemon.steward import Steward
from wsloop.transport.bind import FdBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.channel import Message
    from wsloop.daemon.steward import Done
    from wsloop.server.assembly import House
    from wsloop.transport.listener import Listener

log = logging.getLogger("wsloop.daemon")

UP_EVERY_S = 0.05
"""Until the process is up, and for as long as it is not again: somebody waits for it."""

MAX_REASON = 1024
"""Characters of what a process says about itself; all there are at once take some 200."""

MAX_KEPT_BYTES = 1024 * 1024
"""Enough for the counters of 500 workers."""

BEAT_EVERY_S = 1.0
"""Ten of them fit into the silence that a worker is killed for."""


class Beats(Steward):
    """Says how the house is, from `attach` on, now and every second, on the descriptor `fd`, which it owns.

    `drain` is called when the supervisor says so, or is gone.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._asked: dict[int, Done] = {}
        self._numbers = 0
        self._is_up = self._is_stopping = self._is_attached = False
        self._house: House
        self._drain: Callable[[], object]
        self._resize: Callable[[int], object]
        self._channel: Channel
        self._listeners: dict[int, Listener]

    def attach(self, house: House, drain: Callable[[], object], resize: Callable[[int], object]) -> None:
        """See `Steward.attach`."""
        self._house, self._drain, self._resize = house, drain, resize
        self._is_attached = True
        self._listeners = {listener.fileno(): listener for listener in house.server.listeners}
        line = socket.socket(fileno=self._fd)
        self._channel = Channel(house.reactor, line, self._on_message, self._on_end)
        self._beat()

    def fail(self, reason: str) -> bool:
        """Say why the process ends before it was attached; return whether there is somebody who hears it."""
        if self._is_attached:
            return False
        line = socket.socket(fileno=self._fd)
        try:
            line.sendall(encode(Failed(reason[:MAX_REASON])))
        except OSError:  # EPIPE: the supervisor is gone
            return False
        finally:
            line.detach()
        return True

    def restart(self, done: Done) -> None:
        """See `Steward.restart`: the supervisor is asked."""
        self.ask("restart", "", done)

    def add_workers(self, count: int, done: Done) -> None:
        """See `Steward.add_workers`."""
        self.ask("add_workers", str(count), done)

    def stopping(self) -> None:
        """See `Steward.stopping`: the supervisor is told at once, and fills the slot anew."""
        self._is_stopping = True
        self._say()

    def _say(self) -> None:
        server = self._house.server
        health = self._house.health
        reasons = health.own_reasons()
        self._is_up = health.is_up()
        self._channel.send(
            Beat(
                connections=server.clients,
                is_draining=self._is_stopping,
                draining_left=server.clients if self._is_stopping else 0,
                is_up=self._is_up,
                is_ready=not reasons,
                rss=process.usage().rss,
                reason="; ".join(reasons)[:MAX_REASON],
                warning="; ".join(health.own_warnings())[:MAX_REASON],
            )
        )

    def ask(self, what: str, argument: str, done: Done) -> None:
        """Ask the supervisor (`crew_steering.Helm`), once attached; `done` is given its answer."""
        self._numbers += 1
        self._asked[self._numbers] = done
        self._channel.send(Ask(self._numbers, what, argument))

    def keep(self, left: bytes) -> None:
        """Leave something with the supervisor for the next process in this place.

        Not while it does not read, nor more than a message holds: then what was left before stays.
        """
        if not self._channel.is_stuck and len(left) <= MAX_KEPT_BYTES:
            self._channel.send(Keep(left))

    def _beat(self) -> None:
        try:
            if not self._channel.is_stuck:
                self._say()
        finally:  # a fault is logged by the reactor, and the next beat comes
            pause_s = BEAT_EVERY_S if self._is_up or self._is_stopping else UP_EVERY_S
            self._house.reactor.call_later(pause_s, self._beat)

    def _on_end(self) -> None:
        log.warning("the supervisor is gone: ending")
        self._drain()

    def _on_message(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Listen) and self._is_stopping:
            # Whoever takes this place listens there: it was forked with them.
            for descriptor in descriptors:
                os.close(descriptor)
        elif isinstance(message, Listen):
            for key, descriptor in zip(message.keys, descriptors, strict=True):
                self._listeners[key] = self._house.server.listen(FdBind(descriptor))
        elif isinstance(message, Leave):
            for key in message.keys:
                if key in self._listeners:  # not if it came while this process drained
                    self._listeners.pop(key).close()
        elif isinstance(message, HandOver):
            retire(self._house.server, self._drain if message.drains else _nothing)
        elif isinstance(message, Drain):
            self._drain()
        elif isinstance(message, Resized):
            self._resize(message.workers)
        elif isinstance(message, Stopping):
            self.is_daemon_stopping = True
        elif isinstance(message, Answer):
            done = self._asked.pop(message.number, None)
            if done is not None:
                done(message.is_done, message.text)


def _nothing() -> None:
    """Do nothing: the hub process serves the workers until it is told to drain."""
