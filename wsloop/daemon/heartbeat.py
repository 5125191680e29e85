"""A worker's end of the line to the supervisor: beats go up, orders come down.

The beat is sent by the loop itself, by a timer: as long as it comes, the turn goes around. A process
that is stopped, or stuck in a handler, is silent, and replaced (`crew.py`). If the supervisor is gone,
nobody would ever replace or end this process, so it ends by itself, gently.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from wsloop.daemon import process
from wsloop.daemon.channel import Answer, Ask, Beat, Channel, Drain, Leave, Listen
from wsloop.transport.bind import FdBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.channel import Message
    from wsloop.server.assembly import House

log = logging.getLogger("wsloop.daemon")

BEAT_EVERY_S = 1.0
"""Ten of them fit into the silence that a worker is killed for."""


class Beats:
    """Says how `house` is, now and every second, on the descriptor `fd`, which it owns.

    `drain` is called when the supervisor says so, or is gone.
    """

    def __init__(self, house: House, fd: int, drain: Callable[[], object]) -> None:
        self._house = house
        self._reactor = house.reactor
        self._drain = drain
        self._asked: dict[int, Callable[[bool, str], object]] = {}
        self._numbers = 0
        self._listeners = {listener.fileno(): listener for listener in house.server.listeners}
        self._channel = Channel(self._reactor, socket.socket(fileno=fd), self._on_message, self._on_end)
        self._timer = self._reactor.call_later(0.0, self._beat)

    def now(self) -> None:
        """Send a beat at once: something has changed that the supervisor waits for."""
        server = self._house.server
        self._channel.send(
            Beat(
                connections=server.clients,
                is_draining=server.draining,
                draining_left=server.clients if server.draining else 0,
                is_ready=not self._house.health.reasons(),
                rss=process.usage().rss,
            )
        )

    def ask(self, what: str, argument: str, done: Callable[[bool, str], object]) -> None:
        """Ask the supervisor for something; `done` is given whether it was done, and one line about it."""
        self._numbers += 1
        self._asked[self._numbers] = done
        self._channel.send(Ask(self._numbers, what, argument))

    def close(self) -> None:
        """Say no more. Idempotent."""
        self._reactor.cancel(self._timer)
        self._channel.close()

    def _beat(self) -> None:
        try:
            if not self._channel.is_stuck:
                self.now()
        finally:  # a fault is logged by the reactor, and the next beat comes
            self._reactor.rearm(self._timer, self._reactor.now + BEAT_EVERY_S)

    def _on_end(self) -> None:
        log.warning("the supervisor is gone: ending")
        self._drain()

    def _on_message(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Listen):
            for key, descriptor in zip(message.keys, descriptors, strict=True):
                self._listeners[key] = self._house.server.listen(FdBind(descriptor))
        elif isinstance(message, Leave):
            for key in message.keys:
                self._listeners.pop(key).close()
        elif isinstance(message, Drain):
            self._drain()
        elif isinstance(message, Answer):
            done = self._asked.pop(message.number, None)
            if done is not None:
                done(message.is_done, message.text)
