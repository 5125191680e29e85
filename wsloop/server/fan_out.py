"""One message to many connections: encoded once, sent in portions, joined where several wait.

The workload: most publications are few to a channel at a time, some channels are large, and
now and then somebody publishes a burst. Three things follow.

- In phase 1 every receiver gets the same bytes object in one `send`; nothing is queued for a
  peer whose kernel buffer takes it.
- What was published to the same receivers within one turn is joined once, into frames of up to
  sixteen messages, and leaves in one `send` per receiver: sixteen cost hardly more than one. For
  channels that talk often and a little, messages may wait some milliseconds for one another.
- A portion of sends, then the loop goes round: a publication to 100,000 does not keep the
  others waiting for half a second. Publications made meanwhile wait in order, and are joined.

Publishers that are faster than this are held: not read until the backlog is small again. So
the backlog is bounded by what the connections can publish in one turn.

`python -m tools.bench.run --only fanout` measures it. Satisfies the hub's port `FanOut`.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from wsloop.hub.fan_out import FanOut, Packet, Receiver
from wsloop.server.framing import MESSAGES_PER_FRAME, frame_of, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wsloop.hub.fan_out import Lane
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer
    from wsloop.server.connection import Connection

SENDS_PER_TURN = 256
"""Receivers served per turn: some 1.5 ms, nearly all of it in the kernel."""

BACKLOG_SENDS = 4096
"""With more sends than this to come, whoever publishes is held: about 25 ms of work."""


class _Job:
    """Messages for the same receivers, of which the first `done` have them."""

    __slots__ = ("_data", "_packets", "began_s", "done", "messages", "receivers", "settled")

    def __init__(self, receivers: Sequence[Receiver], message: bytes, lane: Lane, began_s: float) -> None:
        self.began_s = began_s
        self.receivers = receivers
        self.messages = [(message, lane)]
        self.done = 0
        # Receivers that had theirs before their turn; None while there is none, as nearly always.
        self.settled: set[int] | None = None
        self._data = b""
        self._packets: Sequence[Packet] = ()

    def pack(self, per_frame: int) -> tuple[bytes, Sequence[Packet]]:
        """Return all messages in frames, as one object, and the frames it consists of.

        Both are shared by all receivers. To be called when no message is added any more.
        """
        if not self._data:
            if len(self.messages) == 1:  # nearly always
                ((message, lane),) = self.messages
                packets: Sequence[Packet] = (Packet(frame_of((message,), lane.codec), (message,), lane),)
            else:
                packets = tuple(_packets(self.messages, per_frame))
            self._data = packets[0].data if len(packets) == 1 else b"".join([each.data for each in packets])
            self._packets = packets
        return self._data, self._packets


def _packets(messages: Sequence[tuple[bytes, Lane]], per_frame: int) -> Iterable[Packet]:
    """Yield frames of neighbours in one lane."""
    for lane, of_lane in groupby(messages, key=itemgetter(1)):
        for part in grouped([message for message, _ in of_lane], per_frame):
            yield Packet(frame_of(part, lane.codec), part, lane)


class PacedFanOut(FanOut):
    """The fan-out of a server's connections.

    `sends_per_turn` bounds what one turn sends. `messages_per_frame` are joined at most; 1: none.
    `delay_s` is how long the first message waits for others to join it; 0: until the turn's end.

    `sent_total` counts frames given to receivers. `ended` collects, for whoever measures how long all this
    takes and empties it every turn, when each message began its way that has just ended; None: nobody does.
    """

    __slots__ = (
        "_backlog_sends", "_delay_s", "_held", "_is_due", "_jobs", "_pending_sends", "_reactor",
        "_sends_per_turn", "_timer", "ended", "messages_per_frame", "sent_total",
    )  # fmt: skip

    def __init__(
        self,
        reactor: Reactor,
        sends_per_turn: int = SENDS_PER_TURN,
        backlog_sends: int = BACKLOG_SENDS,
        *,
        messages_per_frame: int = MESSAGES_PER_FRAME,
        delay_s: float = 0.0,
    ) -> None:
        self.messages_per_frame = messages_per_frame
        self.sent_total = 0
        self.ended: list[float] | None = None
        self._reactor = reactor
        self._delay_s = delay_s
        self._timer: Timer | None = None
        self._sends_per_turn = sends_per_turn
        self._backlog_sends = backlog_sends
        self._jobs: deque[_Job] = deque()
        self._pending_sends = 0
        self._is_due = False
        self._held: list[Connection] = []

    def follow(self, messages_per_frame: int, delay_s: float) -> None:
        """Join messages otherwise from now on."""
        self.messages_per_frame = messages_per_frame
        self._delay_s = delay_s

    def send(self, receivers: Sequence[Receiver], message: bytes, lane: Lane) -> None:
        """See `FanOut.send`; the frames leave in phase 1 of the next turn, or of those that follow."""
        if not receivers:
            return
        jobs = self._jobs
        last = jobs[-1] if jobs else None
        if last is not None and last.receivers is receivers and not last.done and last.settled is None:
            last.messages.append((message, lane))
            if self._timer is not None and len(last.messages) >= self.messages_per_frame:
                self._run_soon()
        else:
            jobs.append(_Job(receivers, message, lane, self._reactor.now))
            self._pending_sends += len(receivers)
        if not self._is_due:
            self._is_due = True
            if self._delay_s:
                self._timer = self._reactor.call_later(self._delay_s, self._run_soon)
            else:
                self._reactor.request_flush(self._run)

    def _run_soon(self) -> None:
        """Wait no longer: a frame is full, or the delay is over."""
        if self._timer is not None:
            self._reactor.cancel(self._timer)
            self._timer = None
            self._reactor.request_flush(self._run)

    def settle(self, receiver: Receiver) -> None:
        """See `FanOut.settle`. Costs a search of what waits; nothing, if nothing does."""
        for job in self._jobs:
            try:
                index = job.receivers.index(receiver, job.done)
            except ValueError:
                continue
            if job.settled is None:
                job.settled = set()
            if index not in job.settled:
                job.settled.add(index)
                receiver.push(*job.pack(self.messages_per_frame))

    @property
    def pending_sends(self) -> int:
        """How many sends wait for their portion."""
        return self._pending_sends

    def hold_if_behind(self, connection: Connection) -> None:
        """Let a connection that has just published wait, if there is a backlog."""
        if self._pending_sends > self._backlog_sends and connection.hold():
            self._held.append(connection)

    def finish(self) -> None:
        """Serve all that waits, however long it takes: the connections are about to be closed."""
        while self._jobs:
            self._serve(self._jobs[0], len(self._jobs[0].receivers))

    def _run(self) -> None:
        """Phase 1: serve one portion; the rest in the next turn, which does not sleep."""
        budget = self._sends_per_turn
        while self._jobs and budget > 0:
            budget -= self._serve(self._jobs[0], budget)
        self._is_due = bool(self._jobs)
        if self._is_due:
            self._reactor.request_flush(self._run)
        if self._held and self._pending_sends <= self._backlog_sends // 2:
            held, self._held = self._held, []
            for connection in held:
                connection.resume()

    def _serve(self, job: _Job, budget: int) -> int:
        """Give the job's messages to at most `budget` receivers; return how many."""
        data, packets = job.pack(self.messages_per_frame)
        begin, end = job.done, min(job.done + budget, len(job.receivers))
        # Set before anything is sent: what is published meanwhile belongs into a job of its own.
        job.done = end
        if job.settled is None:
            for receiver in job.receivers[begin:end]:
                receiver.push(data, packets)
        else:
            for index in range(begin, end):
                if index not in job.settled:
                    job.receivers[index].push(data, packets)
        self.sent_total += (end - begin) * len(packets)
        if end == len(job.receivers):
            self._jobs.popleft()
            if self.ended is not None:
                self.ended.append(job.began_s)
        self._pending_sends -= end - begin
        return end - begin
