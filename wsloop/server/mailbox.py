"""What waits for a peer that does not keep up: whole messages, of which some may be dropped.

The workload: hardly ever needed, and then under pressure. A peer whose kernel buffer is full gets
one, and loses it when it has caught up; a channel that talks on may add to it a thousand times a
second, and each time the oldest has to go. So everything here is O(1) per message, taken over its
life: a message that is dropped leaves a hole in the queue, and the holes are swept when they are
half of it. Frames are shared with all other receivers and never copied.

What is in here is not on its way yet. `move` hands frames over to the outbox, a few at a time, and
puts a gap's flag in front of the next message of a channel that has lost some. A channel whose
client must miss nothing is *cut off* instead: all that waits of it goes, and nothing of it is taken
in any more until its subscription has been ended (`mend`).

Pure: the caller passes the time. `output.py` decides when; read it next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from wsloop.server.framing import frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.buffers.outbox import Outbox, Piece
    from wsloop.hub.fan_out import Lane, Packet
    from wsloop.hub.namespaces import SlowPolicy
    from wsloop.protocol.deflate import Compressor

MIN_HOLES = 16
"""Fewer are not worth a sweep."""


class Room(NamedTuple):
    """How much may wait: bytes, messages of lanes, none of those as old as `since_s`."""

    size_bytes: int
    messages: int
    since_s: float


class _Entry:
    """A frame that waits: `texts` of `lane`, or anything else with no lane. Gone: `frame` is None."""

    __slots__ = ("frame", "lane", "since_s", "texts")

    def __init__(self, frame: Piece, texts: Sequence[bytes], lane: Lane | None, since_s: float) -> None:
        self.frame: Piece | None = frame
        self.texts = texts
        self.lane = lane
        self.since_s = since_s


class Mailbox:
    """A queue of frames, in order, with a place for each policy's messages.

    Argument: `compressor`, for the few frames that are made here. Attributes, for reading only:
    `size`, bytes that wait; `firm_bytes`, those that cannot be dropped; `messages`, how many of
    lanes; `dropped`, how many were. `is_noted` belongs to the caller.
    """

    __slots__ = (
        "_compressor", "_cut", "_entries", "_gaps", "_holes", "_left", "_newest", "_of_policy", "dropped",
        "firm_bytes", "is_noted", "messages", "size",
    )  # fmt: skip

    def __init__(self, compressor: Compressor | None = None) -> None:
        self.size = self.firm_bytes = self.messages = self.dropped = 0
        self.is_noted = False
        self._compressor = compressor
        self._entries: deque[_Entry] = deque()
        self._holes = 0
        # The same entries, those with a lane, by what may become of them.
        self._of_policy: dict[SlowPolicy, deque[_Entry]] = {}
        self._newest: dict[Lane, _Entry] = {}
        self._gaps: dict[Lane, int] = {}
        self._cut: dict[Lane, None] = {}
        self._left: dict[Lane, None] = {}

    def __bool__(self) -> bool:
        """Return whether anything waits or is still to be told."""
        return bool(self._entries or self._gaps or self._cut)

    def oldest_s(self) -> float | None:
        """Return when the oldest message of a lane was queued; None if there is none."""
        return min((queue[0].since_s for queue in self._of_policy.values() if queue), default=None)

    def cut_lanes(self) -> list[Lane]:
        """Return the lanes that were cut off: their subscriptions have to be ended."""
        return list(self._cut)

    # -- in and out ------------------------------------------------------------------------

    def add(self, piece: Piece) -> None:
        """Queue bytes of no lane: they are never dropped."""
        self._entries.append(_Entry(piece, (), None, 0.0))
        self.size += len(piece)
        self.firm_bytes += len(piece)

    def add_packet(self, frame: Piece, packet: Packet, now_s: float) -> None:
        """Queue a packet, of which `frame` is the form for this peer; drop it if its lane is cut off."""
        lane, texts = packet.lane, packet.messages
        if lane in self._cut:
            self.dropped += len(texts)
            return
        if lane in self._left:
            del self._left[lane]
            if lane not in self._waiting():
                self._gaps.pop(lane, None)
        entry = _Entry(frame, texts, lane, now_s)
        self._entries.append(entry)
        self.size += len(frame)
        self.messages += len(texts)
        queue = self._of_policy.get(lane.policy)
        if queue is None:
            queue = self._of_policy[lane.policy] = deque()
        queue.append(entry)
        if lane.policy == "close":
            self.firm_bytes += len(frame)
        elif lane.policy == "conflate":
            self._newest[lane] = entry

    def move(self, outbox: Outbox, up_to_bytes: int) -> None:
        """Hand frames over, the oldest first, until `outbox` holds `up_to_bytes` or none is left."""
        entries = self._entries
        while entries and outbox.size < up_to_bytes:
            entry = entries.popleft()
            if entry.frame is None:
                self._holes -= 1
                continue
            lane, frame = entry.lane, entry.frame
            if lane is not None and lane in self._gaps:
                outbox.append(self._frame(lane.gap(self._gaps.pop(lane)), lane))
            outbox.append(frame)
            self._forget(entry)
            if lane is not None:
                _strip(self._of_policy[lane.policy])
        if not entries:
            for lane, count in self._gaps.items():
                if lane not in self._left:
                    outbox.append(self._frame(lane.gap(count), lane))
            self._gaps.clear()
            self._left.clear()

    def end(self) -> None:
        """Let what waits now be the last: a gap is told in front of a message of its lane, or not at all.

        Behind a close frame nothing may be sent (RFC 6455 section 5.5.1).
        """
        waiting = self._waiting()
        self._gaps = {lane: count for lane, count in self._gaps.items() if lane in waiting}

    def leave(self, channel: str) -> None:
        """Tell of a gap in a channel in front of messages of it that wait now, or not at all.

        Its receiver has left it. If it comes back it must not hear of what it had missed before.
        """
        lanes = [lane for lane in self._waiting() if lane.channel == channel]
        for lane in [lane for lane in self._gaps if lane.channel == channel and lane not in lanes]:
            del self._gaps[lane]
        self._left.update(dict.fromkeys(lanes))

    def _waiting(self) -> dict[Lane, None]:
        """Return the lanes of which messages wait."""
        return {
            entry.lane: None for entry in self._entries if entry.frame is not None and entry.lane is not None
        }

    # -- dropping ---------------------------------------------------------------------------

    def shed(self, room: Room, must_be_whole: Callable[[Lane], bool]) -> bool:
        """Drop what may be until the rest fits into `room`; return whether it does.

        First all but the newest message of each conflated lane, then the oldest of those that may
        go one by one. `must_be_whole` tells whether a lane's receiver must not miss any of it: it
        is cut off.
        """
        conflated = self._of_policy.get("conflate")
        if conflated and (self._exceeds(room) or conflated[0].since_s <= room.since_s):
            self._conflate(conflated, must_be_whole)
        oldest = self._of_policy.get("drop-oldest")
        while oldest and (self._exceeds(room) or oldest[0].since_s <= room.since_s):
            self._drop(oldest[0], must_be_whole)
            _strip(oldest)
        self._sweep()
        kept = self._of_policy.get("close")
        return not self._exceeds(room) and not (kept and kept[0].since_s <= room.since_s)

    def mend(self, lane: Lane) -> None:
        """Take messages of a lane in again that was cut off: its receiver knows."""
        self._cut.pop(lane, None)

    def _exceeds(self, room: Room) -> bool:
        return self.size > room.size_bytes or self.messages > room.messages

    def _conflate(self, queue: deque[_Entry], must_be_whole: Callable[[Lane], bool]) -> None:
        """Leave the newest message of each lane, and of a packet its last."""
        for entry in list(queue):
            lane = entry.lane
            if entry.frame is None or lane is None:
                continue
            if self._newest[lane] is not entry:
                self._drop(entry, must_be_whole)
            elif len(entry.texts) > 1:
                self._drop_all_but_last(entry, lane, must_be_whole)
        _strip(queue)
        self._of_policy["conflate"] = deque(entry for entry in queue if entry.frame is not None)

    def _drop_all_but_last(self, entry: _Entry, lane: Lane, must_be_whole: Callable[[Lane], bool]) -> None:
        if must_be_whole(lane):
            self._cut_off(lane)
            return
        assert entry.frame is not None
        last = entry.texts[-1:]
        frame = self._frame(last[0], lane)
        self._count_gap(lane, len(entry.texts) - 1)
        self.messages -= len(entry.texts) - 1
        self.size += len(frame) - len(entry.frame)
        entry.frame, entry.texts = frame, last

    def _drop(self, entry: _Entry, must_be_whole: Callable[[Lane], bool]) -> None:
        assert entry.lane is not None
        if must_be_whole(entry.lane):
            self._cut_off(entry.lane)
        else:
            self._forget(entry)
            self._holes += 1
            self._count_gap(entry.lane, len(entry.texts))

    def _count_gap(self, lane: Lane, count: int) -> None:
        self.dropped += count
        self._gaps[lane] = self._gaps.get(lane, 0) + count

    def _cut_off(self, lane: Lane) -> None:
        """Drop all that waits of a lane: its client will recover from where it stands."""
        self._cut[lane] = None
        self._gaps.pop(lane, None)
        for entry in self._of_policy[lane.policy]:
            if entry.lane is lane and entry.frame is not None:
                self.dropped += len(entry.texts)
                self._forget(entry)
                self._holes += 1

    def _forget(self, entry: _Entry) -> None:
        """Count an entry out: it was handed over, or is dropped."""
        assert entry.frame is not None
        length = len(entry.frame)
        self.size -= length
        self.messages -= len(entry.texts)
        if entry.lane is None or entry.lane.policy == "close":
            self.firm_bytes -= length
        elif self._newest.get(entry.lane) is entry:
            del self._newest[entry.lane]
        entry.frame = None

    def _sweep(self) -> None:
        if self._holes >= MIN_HOLES and self._holes * 2 > len(self._entries):
            self._entries = deque(entry for entry in self._entries if entry.frame is not None)
            self._holes = 0

    def _frame(self, message: bytes, lane: Lane) -> bytes:
        frame = frame_of((message,), lane.codec)
        return frame if self._compressor is None else self._compressor.recode(frame)


def _strip(queue: deque[_Entry]) -> None:
    """Take away what is gone from the front, so that the first is the oldest that waits."""
    while queue and queue[0].frame is None:
        queue.popleft()
