"""A worker's end of the line to the supervisor: beats go up, orders come down.

The beat is sent by the loop itself, by a timer: as long as it comes, the turn goes around. A process
that is stopped, or stuck in a handler, is silent, and replaced (`crew.py`). If the supervisor is gone,
nobody would ever replace or end this process, so it ends by itself, gently.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from wsloop.daemon.channel import Answer, Ask, Beat, Channel, Leave, Listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.channel import Message
    from wsloop.loop.reactor import Reactor

log = logging.getLogger("wsloop.daemon")

BEAT_EVERY_S = 1.0
"""Ten of them fit into the silence that a worker is killed for."""


class Beats:
    """Says what `snapshot` returns, now and every second, on the descriptor `fd`, which it owns.

    `on_orphaned` is called once, when the supervisor is gone. `on_listen` is given the key and the
    descriptor of a socket to listen on, and `on_leave` the key of one to leave.
    """

    def __init__(
        self,
        reactor: Reactor,
        fd: int,
        snapshot: Callable[[], Beat],
        on_orphaned: Callable[[], object],
        *,
        on_listen: Callable[[int, int], object],
        on_leave: Callable[[int], object],
    ) -> None:
        self._reactor = reactor
        self._snapshot = snapshot
        self._on_listen = on_listen
        self._on_leave = on_leave
        self._asked: dict[int, Callable[[bool, str], object]] = {}
        self._numbers = 0
        self._channel = Channel(reactor, socket.socket(fileno=fd), self._on_message, on_orphaned)
        self._timer = reactor.call_later(0.0, self._beat)

    def now(self) -> None:
        """Send a beat at once: something has changed that the supervisor waits for."""
        self._channel.send(self._snapshot())

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

    def _on_message(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Listen):
            for key, descriptor in zip(message.keys, descriptors, strict=True):
                self._on_listen(key, descriptor)
        elif isinstance(message, Leave):
            for key in message.keys:
                self._on_leave(key)
        elif isinstance(message, Answer):
            done = self._asked.pop(message.number, None)
            if done is not None:
                done(message.is_done, message.text)
