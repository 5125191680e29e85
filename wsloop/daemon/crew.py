"""The processes of a daemon and their slots: who is there, who is silent, who is started again.

A slot is a place in the daemon: the hub's, or a worker's with its number. It is filled by one process
(`Child`) after the other. A child that drains leaves its slot at once, and the next one begins while it
still takes leave of its clients. A child that dies, or says nothing for too long and is killed, is
replaced after a pause (`respawn.py`).

Forking, killing and reaping are a port, `Processes`, so that all of this is tested in virtual time. Next:
`supervisor.py`, which decides when to begin and to stop.
"""

from __future__ import annotations

import functools
import logging
import signal
from typing import TYPE_CHECKING

from wsloop.daemon.channel import Ask, Beat, Failed, Keep
from wsloop.daemon.heartbeat import BEAT_EVERY_S
from wsloop.daemon.respawn import MOST_DEATHS, WITHIN_S, Deaths, Reasons
from wsloop.daemon.roles import Kind
from wsloop.daemon.slots import Child, Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.channel import Message
    from wsloop.daemon.slots import Patience, Processes
    from wsloop.loop.reactor import Reactor
    from wsloop.server.pulse import Jitter

log = logging.getLogger("wsloop.daemon")

TOLD_AFTER_S = 4.0
"""A silence that is told: three beats in a row are missing. With the hub process silent, clients are answered
by nobody from 5 s on, and /readyz says so without a reason: the log has it."""


class Crew:
    """Keeps the slots filled, from `fill` to `dismiss`.

    `deaths` counts those who ended without being told to; `kept` is what the hub process has left for the
    next one.
    `on_change` is called when a child came up, left or died; `on_failure` with a line about one that
    could not start, unless the same was said lately; `on_give_up` when too many died;
    `on_ask` with a child that asks for something, `on_drain` with one that drains without having been told
    by us: its slot is to be filled anew, under another number, since two of one name would be taken for one.
    """

    def __init__(
        self,
        reactor: Reactor,
        processes: Processes,
        jitter: Jitter,
        *,
        patience: Patience,
        on_change: Callable[[], object],
        on_failure: Callable[[str], object],
        on_give_up: Callable[[], object],
        on_ask: Callable[[Child, Ask], object],
        on_drain: Callable[[Child], object],
    ) -> None:
        self.slots: list[Slot] = []
        self.children: dict[int, Child] = {}
        self.deaths = 0
        self.kept = b""
        self._reactor = reactor
        self._processes = processes
        self._jitter = jitter
        self._patience = patience
        self._on_change = on_change
        self._on_failure = on_failure
        self._on_give_up = on_give_up
        self._on_ask = on_ask
        self._on_drain = on_drain
        self._recent = Deaths()
        self._reasons = Reasons()
        self._is_dismissed = False
        self._looked_s = reactor.now
        self._timer = reactor.call_later(BEAT_EVERY_S, self._look)

    # -- slots -----------------------------------------------------------------------------

    def fill(self, slot: Slot) -> None:
        """Add a slot, and start a process for it."""
        self.slots.append(slot)
        self._start(slot)

    def renumber(self, slot: Slot, number: int) -> None:
        """Put a slot with another number in the place of one whose process drains."""
        self.slots.remove(slot)
        fresh = Slot(slot.kind, number, backoff=slot.backoff)
        self.slots.append(fresh)
        lived_s = self._reactor.now - slot.child.began_s if slot.child is not None else 0.0
        slot.child = None
        self._start_later(fresh, lived_s)

    def free_number(self) -> int:
        """Return the lowest number that no worker has, not even one that drains."""
        taken = {slot.number for slot in self.workers()}
        taken.update(child.slot.number for child in self.of(Kind.WORKER))
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def vacate(self, slot: Slot) -> None:
        """Take a slot away; its process drains."""
        self.slots.remove(slot)
        self._cancel(slot)
        if slot.child is not None:
            self._leave(slot.child)

    def workers(self) -> list[Slot]:
        """Return the slots of workers, by their numbers."""
        return sorted((slot for slot in self.slots if slot.kind is Kind.WORKER), key=lambda slot: slot.number)

    def is_up(self) -> bool:
        """Return whether every slot is filled by a child that serves."""
        return all(slot.child is not None and slot.child.is_up for slot in self.slots)

    # -- ending ----------------------------------------------------------------------------

    def dismiss(self) -> None:
        """Start nobody any more; who is there is told by `signal`."""
        self._is_dismissed = True
        for slot in self.slots:
            self._cancel(slot)

    def signal(self, number: int, kind: Kind | None = None) -> None:
        """Send a signal to all, or all of one kind."""
        for child in list(self.children.values()):
            if kind is None or child.slot.kind is kind:
                self._processes.kill(child.pid, number)

    def notify(self, number: int) -> None:
        """Send a signal that a child understands once its loop turns; who has just begun gets it then."""
        for child in self.children.values():
            if child.beat is not None:
                self._processes.kill(child.pid, number)
            else:
                child.owed.add(number)

    def say(self, number: int, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Say something to the worker in a slot; one that is empty is filled by a child that knows it."""
        for slot in self.workers():
            if slot.number == number and slot.child is not None:
                slot.child.line.send(message, descriptors)

    def of(self, kind: Kind) -> list[Child]:
        """Return the processes of one kind, those that drain included."""
        return [child for child in self.children.values() if child.slot.kind is kind]

    def leave_to_child(self) -> None:
        """Close the lines in a forked process; the reactor and the processes are its parent's."""
        for child in self.children.values():
            child.line.detach()

    def close(self) -> None:
        """Close all lines; the processes are left to themselves."""
        self._reactor.cancel(self._timer)
        self.dismiss()
        for child in self.children.values():
            child.line.close()

    # -- births and deaths -------------------------------------------------------------------

    def _start(self, slot: Slot) -> None:
        slot.timer = None
        child = Child(slot, self._reactor.now, self._reactor.now)
        try:
            child.pid, child.line = self._processes.start(slot, functools.partial(self._on_message, child))
        except OSError as error:  # EAGAIN, ENOMEM: fork(2); EMFILE: the line
            log.error("%s cannot be started: %s", slot.name, error.strerror)
            self._start_later(slot, 0.0)
            return
        slot.child = self.children[child.pid] = child

    def _start_later(self, slot: Slot, lived_s: float) -> float:
        """Try again after a pause, and return that; give up instead if too many died."""
        pause_s = slot.backoff.next_s(lived_s, self._jitter.draw())
        slot.timer = self._reactor.call_later(pause_s, functools.partial(self._start, slot))
        return pause_s

    def reap(self) -> None:
        """Take note of the processes that have ended."""
        for pid, code in self._processes.reap(list(self.children)):
            self._bury(self.children.pop(pid), code)
            self._on_change()

    def _bury(self, child: Child, code: int) -> None:
        child.is_gone = True
        child.line.finish()
        slot = child.slot
        is_drained = slot.child is not child
        end = _end_of(code) + self._tell_failure(child)
        if not is_drained:
            slot.child = None
        if is_drained or self._is_dismissed:
            said = end if code or not is_drained else "has left"
            log.log(logging.WARNING if code else logging.INFO, "%s %s", child, said)
            return
        if code:
            self.deaths += 1
            slot.deaths += 1
            why = self._why_to_give_up(child, code)
            if why:
                log.error("%s %s", child, end)
                log.error("%s: giving up", why)
                self._on_give_up()
                return
        pause_s = self._start_later(slot, self._reactor.now - child.began_s)
        log.warning("%s %s; respawn in %.1f s", child, end, pause_s)

    def _tell_failure(self, child: Child) -> str:
        """Tell why a child could not start; of what was told before return how often it has happened."""
        if not child.failure:
            return ""
        times = self._reasons.add(child.failure, self._reactor.now)
        if times > 1:
            return f" for the same reason ({times} times)"
        self._on_failure(f"{child.slot.name}: {child.failure}")
        return ""

    def _why_to_give_up(self, child: Child, code: int) -> str:
        """Count a death; return why it was one too many, "" if it was not.

        Who never gets as far as serving may take so long for each attempt that few fit into the time.
        """
        slot = child.slot
        slot.failed_starts = slot.failed_starts + 1 if child.beat is None else 0
        is_own_fault = code != -signal.SIGKILL or child.is_hung
        if is_own_fault and self._recent.add(self._reactor.now):
            return f"{MOST_DEATHS} processes died within {WITHIN_S:g} s"
        if slot.failed_starts >= MOST_DEATHS:
            return f"{slot.name} died {slot.failed_starts} times at its start"
        return ""

    def tell_all(self, message: Message) -> None:
        """Say something to every process."""
        for child in self.children.values():
            child.line.send(message)

    def tell_hub(self, message: Message) -> None:
        """Say something to the hub process, if there is one."""
        for child in self.of(Kind.HUB):
            child.line.send(message)

    def _leave(self, child: Child) -> None:
        """Let a child drain, apart from its slot."""
        child.slot.child = None
        self._processes.kill(child.pid, signal.SIGTERM)

    def _cancel(self, slot: Slot) -> None:
        if slot.timer is not None:
            self._reactor.cancel(slot.timer)
            slot.timer = None

    # -- beats -------------------------------------------------------------------------------

    def _on_message(self, child: Child, message: Message, _descriptors: list[int]) -> None:
        if isinstance(message, Failed):
            child.failure = message.reason
        elif isinstance(message, Keep):
            self.kept = message.left
        elif child.is_gone:
            return  # nobody waits for an answer, and its number may be another's by now
        elif isinstance(message, Ask):
            self._on_ask(child, message)
        elif isinstance(message, Beat):
            self._on_beat(child, message)

    def _on_beat(self, child: Child, beat: Beat) -> None:
        was_up = child.is_up
        if child.is_missed:
            child.is_missed = False
            log.info("%s is heard of again, after %.0f s", child, self._reactor.now - child.heard_s)
        child.beat, child.heard_s = beat, self._reactor.now
        while child.owed:
            self._processes.kill(child.pid, child.owed.pop())
        if child.is_up and not was_up:
            self._on_change()
        if beat.is_draining and child.slot.child is child and not self._is_dismissed:
            self._on_drain(child)

    def _look(self) -> None:
        """Tell who is silent, and kill who has been for too long, once a second."""
        now_s = self._reactor.now
        away_s = now_s - self._looked_s
        self._looked_s = now_s
        self._reactor.rearm(self._timer, now_s + BEAT_EVERY_S)
        for child in list(self.children.values()):
            if away_s > 3 * BEAT_EVERY_S:
                # This process was stopped itself: what it did not hear meanwhile means nothing.
                child.heard_s = now_s
            silent_s, patience_s = now_s - child.heard_s, self._patience.with_child(child)
            if silent_s > TOLD_AFTER_S and child.beat is not None and not child.is_missed:
                child.is_missed = True
                log.warning(
                    "%s has been silent for %.0f s; at %.0f s it is killed", child, silent_s, patience_s
                )
            if silent_s > patience_s:
                log.error("%s has been silent for %.0f s: killed", child, silent_s)
                child.heard_s = now_s
                child.is_hung = True
                self._processes.kill(child.pid, signal.SIGKILL)


def _end_of(code: int) -> str:
    """Return what an exit code tells: how a process ended."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit status {code}" if code else "ended"
