"""The acceptor: from a listening socket to transports, without ever spinning.

One readiness accepts until EAGAIN or until the budget is spent, so that a storm of new clients
does not hold up the old ones. What the kernel can answer to accept(2) falls into five kinds:

- a connection: wrapped in a transport and handed to `on_accept`, which owns it;
- EAGAIN: the queue is empty;
- the connection failed while it waited (ECONNABORTED and its like): ignored. If nothing else
  comes for a whole budget, it is not the connections that fail: accepting pauses, see below;
- no descriptor left (EMFILE, ENFILE, and out of memory). The connection stays queued and the
  socket stays readable, so a level-triggered loop would come back 427,000 times a second.
  Instead a spare descriptor, held for this moment, is given up: with it the waiting clients are
  accepted and reset, which tells them at once. Then accepting pauses, 10 ms at first, twice as
  long each time up to 1 s, and one line is logged in 10 s;
- any other errno: nobody foresaw it. It is treated like the last kind, not raised: the reactor
  forgets a handler that raises, and nobody could connect again.

On Linux accept(2) looks for a free descriptor before it looks at the queue: EMFILE may come
with nobody waiting. If the spare descriptor then finds the queue empty, nothing can spin, and
nothing pauses.

Must not know who may connect or how many: `on_accept` refuses by answering and closing. Read
`bind.py` for where the sockets come from.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wsloop.loop.poller import READ
from wsloop.transport.bind import (
    AddressInUseError,
    Bind,
    FdBind,
    Network,
    SocketNetwork,
    TcpBind,
    UnixBind,
    local_bind,
    parse_bind,
)
from wsloop.transport.spare import DescriptorSpare, Spare
from wsloop.transport.tcp import TcpTransport, accepted, describe_peer, switch_nagle_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.transport.base import SocketAddress, SocketLike, Transport

__all__ = [
    "AddressInUseError", "Bind", "DescriptorSpare", "FdBind", "Listener", "ListenerStatistics",
    "Network", "SocketNetwork", "Spare", "TcpBind", "UnixBind", "local_bind", "parse_bind",
]  # fmt: skip

logger = logging.getLogger("wsloop.transport")

ACCEPT_BUDGET = 64
"""Connections accepted per readiness: some 2 ms of work, the longest a turn should be held up."""

PAUSE_FIRST_S = 0.01
PAUSE_MAX_S = 1.0
"""The pause after running out of descriptors: short enough that a freed one is used soon, and
doubling, so that a lasting shortage costs one accept a second (asyncio pauses 1 s from the first)."""

LOG_EVERY_S = 10.0
"""At most one line about lost connections in this time; the counters count them all."""

ABORTED_ERRNOS: frozenset[int] = frozenset(
    {
        errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT,
        errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT,
        getattr(errno, "ENONET", errno.ECONNABORTED),  # Linux only
    }
)  # fmt: skip
"""That one connection failed while queued (accept(2), "Error handling"; EPERM is a firewall's): next."""

INHERITS_OPTIONS = sys.platform == "linux"
"""Whether an accepted socket has its listener's TCP_NODELAY: one system call less for each."""

TimerHandle: TypeAlias = Any
"""What `call_later` returns, to be handed to `cancel` and not looked into."""


class AcceptLoop(Protocol):
    """The part of the reactor that a listener uses."""

    @property
    def now(self) -> float:
        """The time of this turn, in seconds."""
        ...

    def register(self, fd: int, interest: int, handler: Callable[[int], object], /) -> None:
        """Call `handler` when `fd` is ready."""
        ...

    def set_interest(self, fd: int, interest: int, /) -> None:
        """Change what is waited for; 0 parks the descriptor."""
        ...

    def unregister(self, fd: int, /) -> None:
        """Forget `fd`."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], object], /) -> TimerHandle:
        """Call `callback` once, and return the timer."""
        ...

    def cancel(self, timer: TimerHandle, /) -> None:
        """Make sure that the timer does not fire."""
        ...


@dataclass(frozen=True, slots=True)
class ListenerStatistics:
    """A snapshot.

    Connections `accepted`, `shed` with a reset for want of a descriptor, and `aborted` while
    they waited; how often accepting had to back off; whether it is paused now, for any reason.
    """

    accepted: int
    shed: int
    aborted: int
    back_offs: int
    paused: bool


class Listener:
    """Accepts connections on `sock`, which it owns, and registers it with `reactor` at once.

    `on_accept` receives each new `Transport`, non-blocking and close-on-exec, and owns it; if it
    raises, the transport is reset, the exception logged, and accepting goes on. `accept_budget`
    is the most connections per readiness. `spare` is None for a real spare descriptor.
    `make_transport` makes a transport of an accepted socket and the peer's address: TLS, or plain.
    """

    def __init__(
        self,
        reactor: AcceptLoop,
        sock: SocketLike,
        on_accept: Callable[[Transport], object],
        accept_budget: int = ACCEPT_BUDGET,
        *,
        spare: Spare | None = None,
        make_transport: Callable[[SocketLike, SocketAddress], Transport] = accepted,
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._on_accept = on_accept
        self._accept_budget = accept_budget
        self._make_transport = make_transport
        self._spare: Spare = DescriptorSpare() if spare is None else spare
        self.bind = local_bind(sock)
        switch_nagle_off(sock)
        self._accepted = self._shed = self._aborted = self._back_offs = 0
        self._paused = self._closed = False
        self._pause_s = PAUSE_FIRST_S
        self._back_off_timer: TimerHandle = None
        self._quiet_until_s = float("-inf")
        self._spare.take()
        reactor.register(sock.fileno(), READ, self._on_ready)

    def fileno(self) -> int:
        """Return the listening socket's descriptor."""
        return self._sock.fileno()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed; what it has counted stays."""
        return self._closed

    def pause(self) -> None:
        """Stop accepting; clients wait in the kernel's backlog. Idempotent."""
        self._paused = True
        self._update_interest()

    def resume(self) -> None:
        """Accept again after `pause`; a back-off that is under way goes on. Idempotent."""
        self._paused = False
        self._update_interest()

    def close(self) -> None:
        """Stop listening and release all descriptors; who waits in the backlog is reset. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._back_off_timer is not None:
            self._reactor.cancel(self._back_off_timer)
            self._back_off_timer = None
        with contextlib.suppress(KeyError):  # the reactor forgot it: a fault in here was logged
            self._reactor.unregister(self._sock.fileno())
        self._sock.close()
        self._spare.release()

    def statistics(self) -> ListenerStatistics:
        """Return a frozen snapshot."""
        return ListenerStatistics(
            accepted=self._accepted,
            shed=self._shed,
            aborted=self._aborted,
            back_offs=self._back_offs,
            paused=self._paused or self._closed or self._back_off_timer is not None,
        )

    def _on_ready(self, _events: int) -> None:
        """Accept what waits, within the budget."""
        aborted = 0
        for _ in range(self._accept_budget):
            # A handler called below may have paused or closed this listener.
            if self._paused or self._closed:
                return
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:  # EAGAIN: the queue is empty
                break
            except OSError as error:
                if error.errno not in ABORTED_ERRNOS:
                    self._on_exhausted(error)
                    return
                self._aborted += 1
                aborted += 1
                if aborted == self._accept_budget:
                    self._back_off(error)
                    return
                continue
            self._hand_over(sock, address)
        self._pause_s = PAUSE_FIRST_S

    def _hand_over(self, sock: SocketLike, address: SocketAddress) -> None:
        """Give a new connection to `on_accept`."""
        transport: Transport | None = None
        try:
            # accept(2) does not pass O_NONBLOCK on under Linux; Python has set close-on-exec.
            sock.setblocking(False)
            if not INHERITS_OPTIONS:
                switch_nagle_off(sock)
            transport = self._make_transport(sock, address)
            self._accepted += 1
            self._on_accept(transport)
        except Exception:
            if transport is None:
                sock.close()
            else:
                transport.abort()
            logger.exception("a new connection from %s was dropped", describe_peer(sock, address))

    def _on_exhausted(self, error: OSError) -> None:
        """Reset the clients that wait, and pause unless it is certain that nobody waited."""
        shed, is_empty = self._shed_waiting()
        self._shed += shed
        has_spare = self._spare.take()
        if has_spare and is_empty and not shed:
            self._pause_s = PAUSE_FIRST_S
            return
        self._back_off(error)

    def _shed_waiting(self) -> tuple[int, bool]:
        """With the spare descriptor, accept and reset who waits, within the budget.

        Returns how many, and whether nobody is left.
        """
        self._spare.release()
        for shed in range(self._accept_budget):
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:  # EAGAIN: all are told
                return shed, True
            except OSError:
                # Exhausted again: another thread took the spare, or the machine, not the process, is
                # short. One that died in the queue ends the batch as well.
                return shed, False
            TcpTransport(sock, address, is_prompt=True).abort()
        return self._accept_budget, False

    def _back_off(self, error: OSError) -> None:
        """Pause, longer each time, and say so from time to time."""
        self._back_offs += 1
        if self._reactor.now >= self._quiet_until_s:
            self._quiet_until_s = self._reactor.now + LOG_EVERY_S
            logger.warning(
                "cannot accept on %s: %s; %d clients reset so far, pausing %d ms%s",
                self.bind, errno.errorcode.get(error.errno or 0, error), self._shed, self._pause_s * 1000,
                " (raise ulimit -n)" if error.errno == errno.EMFILE else "",
            )  # fmt: skip
        self._back_off_timer = self._reactor.call_later(self._pause_s, self._on_back_off_over)
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)
        self._update_interest()

    def _on_back_off_over(self) -> None:
        """Try again after a pause."""
        self._back_off_timer = None
        self._spare.take()
        self._update_interest()

    def _update_interest(self) -> None:
        """Wait for clients unless something says not to."""
        if not self._closed:
            waits = self._paused or self._back_off_timer is not None
            self._reactor.set_interest(self._sock.fileno(), 0 if waits else READ)
