"""What is done about a peer that does not take what it is sent.

Three things may pile up, and each has its own answer.

- What the peer has asked for: over a mark it is not read any more, so that it asks no more; if it
  then takes less than a mark's worth in a window, it is closed.
- What others tell it in channels of the policy "close": the same, and over the limit of bytes,
  messages or age it is closed at once, without what waits.
- What others tell it in channels of the other policies: over the limit some of it is dropped.
  It does not count for the mark: such a peer is still read, and found dead by its missing pong.

A client that must miss nothing of a channel has its subscription ended instead, so that it
recovers; that is told to its `member` in phase 7, when nobody is up the stack.

Part of `Connection`; read `output.py` before and `mailbox.py` with it.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from wsloop.loop.poller import WRITE
from wsloop.protocol.frames import frame_ends
from wsloop.server.framing import rest_of_frame
from wsloop.server.lifecycle import State
from wsloop.server.mailbox import Mailbox, Room
from wsloop.server.output import Output
from wsloop.server.pressure import Pressure
from wsloop.server.story import fields
from wsloop.transport.base import FLUSH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wsloop.hub.fan_out import Packet

log = logging.getLogger("wsloop.server")

AGE_STEP_S = 1.0
"""How often the age of what waits is looked at, at most: messages grow too old one by one."""


class Slowness(Output):
    """The part of a connection that only slow peers have to do with."""

    __slots__ = ()

    def hold(self) -> bool:
        """Do not read until `resume`: the peer is ahead of what can be done. False if it is held."""
        if self._held or self.state not in (State.HANDSHAKING, State.OPEN):
            return False
        self._held = True
        self._watch()
        return True

    def resume(self) -> None:
        """Read again."""
        self._held = False
        if self.state is not State.CLOSED:
            self._watch()
            self.go_on_later()

    # -- what others tell it ---------------------------------------------------------------

    def _push_behind(self, data: bytes, packets: Sequence[Packet]) -> None:
        """Queue shared frames behind what waits: in the mailbox, if the kernel is known to be full."""
        self._seal()
        if self.state is not State.OPEN or not self._has_room():
            return
        if self._compressor:
            data = self._compressor.shared_frames(data)
        if self._mailbox is None and not self._interest & WRITE:
            self._queue(data)
            return
        if self._cork:
            self._queue_cork()
        self._box(data, packets, 0)
        if not self._outbox.size:
            self.flush_later()

    def _keep_rest(self, data: bytes, packets: Sequence[Packet], sent_bytes: int) -> None:
        """Keep what the kernel has not taken: the frame it stopped in is on its way, the rest may wait."""
        if sent_bytes != len(data):
            self._box(data, packets, sent_bytes)
        self._after_write(sent_bytes)

    def _box(self, data: bytes, packets: Sequence[Packet], sent_bytes: int) -> None:
        """Queue the frames of `data` behind its first `sent_bytes`, message by message."""
        outbox, now_s = self._outbox, self._server.reactor.now
        for frame, packet in _apart(data, packets):
            if sent_bytes >= len(frame):
                sent_bytes -= len(frame)
            elif not outbox.size and not self._mailbox:
                outbox.append(frame)
                outbox.advance(sent_bytes)
                sent_bytes = 0
            else:
                if self._mailbox is None:
                    self._mailbox = Mailbox(self._compressor)
                    self._wake_by(now_s + (self._server.outbox.age_s or math.inf))
                before = self._mailbox.dropped
                self._mailbox.add_packet(frame, packet, now_s)
                self._note_dropped(self._mailbox.dropped - before)
        if self._mailbox is not None:
            self._warn_at_half(self._mailbox)
            if self._pressure is None:
                self._judge_pressure(0)
                self._watch()

    def _refill(self, mailbox: Mailbox) -> int:
        """Hand over to the outbox, and to the kernel while it takes it, a flush's worth at most.

        Returns how many bytes the kernel took. Little is on its way at a time: the rest can be dropped.
        """
        outbox, up_to_bytes = self._outbox, self._server.outbox.low_bytes // 4
        taken_bytes = 0
        while mailbox.size and not outbox.size and taken_bytes < FLUSH_BYTES:
            mailbox.move(outbox, max(1, up_to_bytes))
            before = outbox.size
            self._transport.flush(outbox)
            taken_bytes += before - outbox.size
        mailbox.move(outbox, 1)
        if not mailbox and self._mailbox is mailbox:
            self._mailbox = None
        return taken_bytes

    # -- limits ----------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait for the peer here; the kernel may have more."""
        return self._outbox.size + (self._mailbox.size if self._mailbox is not None else 0)

    @property
    def queued_messages(self) -> int:
        """How many messages of others wait for it, besides what is on its way."""
        return self._mailbox.messages if self._mailbox is not None else 0

    def behind_since_s(self) -> float | None:
        """Return since when something waits, None if nothing does.

        The oldest message in the mailbox, or the time at which the kernel was found full.
        """
        if not self.queued_bytes:
            return None
        oldest_s = self._mailbox.oldest_s() if self._mailbox is not None else None
        return self._full_since_s if oldest_s is None else oldest_s

    def _make_room(self) -> bool:
        """See `_has_room`: ask the kernel, then drop what may be, then close."""
        if self._fits():
            return True
        self._flush()
        if self.state is not State.OPEN:
            return False
        return self._fits() or self._relieve()

    def _fits(self) -> bool:
        return (
            self.queued_bytes <= self._send_limit_bytes
            and self.queued_messages <= self._server.outbox.hard_messages
        )

    def _relieve(self) -> bool:
        """Drop what may be dropped; close the peer as slow, and return False, if that is not enough."""
        mailbox, member, marks = self._mailbox, self.member, self._server.outbox
        if mailbox is not None and member is not None:
            # What is owed to a long answer in front is not the fault of what waits behind it.
            has_age = marks.age_s and not self._reply_bytes
            since_s = self._server.reactor.now - marks.age_s if has_age else -math.inf
            room = Room(self._send_limit_bytes - self._outbox.size, marks.hard_messages, since_s)
            before = mailbox.dropped
            fits = mailbox.shed(room, member.must_be_whole)
            self._note_dropped(mailbox.dropped - before)
            if mailbox.cut_lanes():
                self._server.reactor.call_soon(self._tell_cut)
            if fits:
                return True
        self._slow()
        return False

    def shed(self) -> bool:
        """Close the peer as slow because memory is short; False if it is on its way out already."""
        if self.state is State.OPEN:
            self._slow()
        elif self.state is State.HANDSHAKING:
            self.lose("shed", abort=True)
        else:
            return False
        return True

    def _slow(self) -> None:
        """Close the peer, and send it no more of what waits than the frame that is partly out."""
        assert self._handler is not None
        queued_bytes = self.queued_bytes
        log.info("%s is slow, %d bytes queued", self.peer, queued_bytes, extra=fields(self))
        self._server.slow.closed_total += 1
        self._mailbox = self._lines = None
        if self._cork:
            self._cork = []
        self._outbox.keep(rest_of_frame(*self._outbox.begun()))
        self.close(self._handler.slow_code, f"slow q={queued_bytes}")

    def _warn_at_half(self, mailbox: Mailbox) -> None:
        """Say once, until the peer has caught up, that it is half-way to its limit."""
        queued_bytes, marks = self.queued_bytes, self._server.outbox
        half = queued_bytes * 2 > self._send_limit_bytes or mailbox.messages * 2 > marks.hard_messages
        if half and not mailbox.is_noted:
            mailbox.is_noted = True
            self._server.slow.warned_total += 1
            log.warning(
                "%s falls behind, %d bytes and %d messages queued",
                self.peer, queued_bytes, mailbox.messages, extra=fields(self),
            )  # fmt: skip

    def _note_dropped(self, count: int) -> None:
        self.dropped += count
        self._server.slow.dropped_total += count

    def leave(self, channel: str) -> None:
        """Tell of no gap in a channel any more but in front of its messages that wait."""
        if self._mailbox is not None:
            self._mailbox.leave(channel)

    # -- phase 7: subscriptions that have missed something ---------------------------------------

    def _tell_cut(self) -> None:
        """Have the subscriptions ended of which messages were dropped that must not be missed."""
        mailbox, member = self._mailbox, self.member
        if mailbox is None or member is None or self.state is not State.OPEN:
            return
        try:
            for lane in mailbox.cut_lanes():
                self._server.slow.cut_total += 1
                member.on_cut(lane)
                mailbox.mend(lane)
            self.flush_later()
        except Exception as error:
            self._on_error(error)

    # -- time ----------------------------------------------------------------------------------

    def _wake_by(self, deadline_s: float) -> None:
        """Have the timer fire by then; to be called too early costs less than to be moved."""
        if deadline_s < self._timer.deadline_s:
            self._server.reactor.rearm(self._timer, deadline_s)

    def _judge_pressure(self, taken_bytes: int) -> None:
        """Stop reading from a peer that does not read; start again when it has caught up."""
        server, pressure = self._server, self._pressure
        if pressure is not None:
            pressure.note_taken(taken_bytes)
            if not self._is_high():
                self._pressure = None
                self._was_heard = True
                self.go_on_later()
        elif self._is_high() and self.state in (State.HANDSHAKING, State.OPEN):
            self._pressure = pressure = Pressure(server.reactor.now)
            self._wake_by(pressure.window_ends_s(server.deadlines.stall_s))

    @property
    def is_behind(self) -> bool:
        """Whether so much of what cannot be dropped waits that no more is to be done for the peer."""
        return self._is_high()

    def _is_high(self) -> bool:
        """Whether so much of what cannot be dropped waits that the peer is not to ask for more."""
        if self._mailbox is None:
            return self._outbox.is_high
        firm_bytes, marks = self._outbox.size + self._mailbox.firm_bytes, self._server.outbox
        return firm_bytes >= marks.high_bytes or (self._pressure is not None and firm_bytes > marks.low_bytes)

    def _tend_pressure(self) -> float:
        """Close a peer that has stalled; return when to look again."""
        if self._pressure is None:
            return math.inf
        server = self._server
        stall_s = server.deadlines.stall_s
        if self._pressure.is_stalled(server.reactor.now, stall_s, server.outbox.high_bytes):
            self._slow()
        return self._pressure.window_ends_s(stall_s)

    def _tend_age(self) -> float:
        """Let go of what has waited too long, or of who takes so long; return when to look again."""
        now_s = self._server.reactor.now
        due_s = self._age_due_s()
        if due_s > now_s:
            return due_s
        self._relieve()
        return max(self._age_due_s(), now_s + AGE_STEP_S)

    def _age_due_s(self) -> float:
        """Return when the oldest message is too old; never, if there is none or it may be of any age."""
        age_s, mailbox = self._server.outbox.age_s, self._mailbox
        oldest_s = mailbox.oldest_s() if mailbox is not None and self.state is State.OPEN else None
        return math.inf if not age_s or oldest_s is None else oldest_s + age_s


def _apart(data: bytes, packets: Sequence[Packet]) -> Iterator[tuple[bytes, Packet]]:
    """Yield the frames that `data` consists of, each with its packet: a packet is one frame.

    Compressed data is shorter than the packets' own; of the same length, it is the same.
    """
    if len(packets) == 1:
        yield data, packets[0]
    elif sum(len(packet.data) for packet in packets) == len(data):
        for packet in packets:
            yield packet.data, packet
    else:
        start = 0
        for end, packet in zip(frame_ends(data), packets, strict=True):
            yield data[start:end], packet
            start = end
