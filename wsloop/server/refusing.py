"""Telling a peer that it may not connect, for as little as that can be done.

The answer to a refused peer is a constant: one `send`, and an end of our direction. No request
is read, no object of a connection is made, nothing is registered with the loop.

What remains is when to close. Closing a socket on which unread bytes wait, or to which some come
later, makes the kernel send a reset, which can destroy the answer on its way; and the peer's
request is just about to come. So the socket lingers: it is kept for a second, read once, and
closed then. At most `LINGERING_MAX` linger; in a storm the oldest gives way to the newest.

Next: `admission.py`, which decides; `server.py`, which asks it.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError, TransportError
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits
from wsloop.server.admission import Refusal

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")

LINGER_S = 1.0
"""How long a refused peer's socket is kept: several round trips on nearly any network. nginx
lingers for 5 s at most, and reads meanwhile."""

LINGERING_MAX = 32
"""Sockets kept at a time. They fit into the descriptors that connections never get."""

REQUEST_BYTES = 65536
"""Read before the close. A request is smaller; who has sent more is reset."""

LOG_EVERY_S = 10.0
"""One line in this time, with counts: a storm must not fill the disk."""

RETRY_AFTER_S = 5
RETRY_AFTER = (b"Retry-After", b"%d" % RETRY_AFTER_S)

STATUS = {Refusal.FULL: 503, Refusal.HOST: 429, Refusal.RATE: 503, Refusal.MEMORY: 503}
"""RFC 9110 section 15.6.4, RFC 6585 section 4."""

ANSWERS = {
    refusal: Handshake(Limits()).refuse(HandshakeError(STATUS[refusal], refusal.value, (RETRY_AFTER,)))
    for refusal in Refusal
}
"""Made once, by the code that answers everybody else."""


class Refuser:
    """Answers and closes the transports it is given; counts them in `totals`."""

    def __init__(self, reactor: Reactor) -> None:
        self.totals: Counter[Refusal] = Counter()
        self._reactor = reactor
        self._lingering: deque[tuple[float, Transport]] = deque()
        self._is_waking = False
        self._unlogged: Counter[Refusal] = Counter()
        self._is_quiet = False

    def refuse(self, transport: Transport, refusal: Refusal) -> None:
        """Tell the peer why it is not served, and see to the end of `transport`.

        Over TLS it is told nothing: the answer would cost the handshake that is to be saved.
        """
        self.note(refusal)
        if transport.is_secure:
            transport.close()
            return
        answer = ANSWERS[refusal]
        try:
            if transport.write(answer) != len(answer):
                transport.abort()
                return
            transport.shutdown_write()
        except TransportError:
            transport.abort()
            return
        self._linger(transport)

    def close(self) -> None:
        """End all that linger."""
        while self._lingering:
            self._end_oldest()

    def _linger(self, transport: Transport) -> None:
        if len(self._lingering) >= LINGERING_MAX:
            self._end_oldest()
        self._lingering.append((self._reactor.now + LINGER_S, transport))
        if not self._is_waking:
            self._is_waking = True
            self._reactor.call_later(LINGER_S, self._on_time)

    def _on_time(self) -> None:
        """End those whose time is over; come back for the next."""
        now = self._reactor.now
        while self._lingering and self._lingering[0][0] <= now:
            self._end_oldest()
        self._is_waking = bool(self._lingering)
        if self._is_waking:
            self._reactor.call_later(self._lingering[0][0] - now, self._on_time)

    def _end_oldest(self) -> None:
        _, transport = self._lingering.popleft()
        with contextlib.suppress(TransportError):  # the peer has reset the stream: it ends all the same
            transport.read(REQUEST_BYTES)
        transport.close()

    def note(self, refusal: Refusal) -> None:
        """Count, and log: the first at once, what comes within ten seconds in one line after them."""
        self.totals[refusal] += 1
        self._unlogged[refusal] += 1
        if not self._is_quiet:
            self._log()

    def _log(self) -> None:
        self._is_quiet = bool(self._unlogged)
        if self._is_quiet:
            counts = ", ".join(f"{refusal.value}: {count}" for refusal, count in self._unlogged.items())
            log.warning("refused %d (%s)", self._unlogged.total(), counts)
            self._unlogged.clear()
            self._reactor.call_later(LOG_EVERY_S, self._log)
