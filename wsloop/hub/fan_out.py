"""The port through which a line reaches many subscribers, and its simplest twin.

A channel decides who gets a line; when the bytes leave, and in what frames, is not its affair. The
server's own fan-out (`server/fan_out.py`) joins what one turn published and spreads a large
channel over several turns; `DirectFanOut` hands everything on at once.

A line travels in a `Lane`: what may be done with it where a receiver does not keep up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from wsloop.hub import replies

if TYPE_CHECKING:
    from collections.abc import Sequence

SlowPolicy = Literal["close", "drop-oldest", "conflate"]
"""What becomes of the lines that a receiver does not take in time: see `Namespace.slow_policy`."""


class Lane:
    """A channel's way to its receivers: lines of one lane stand and fall together.

    With the policy "close" none of them is ever dropped; the receiver's connection ends. Otherwise
    the channel's oldest lines, or all but the newest, may be, and `gap` is what tells of it.
    """

    __slots__ = ("channel", "policy")

    def __init__(self, channel: str, policy: SlowPolicy) -> None:
        self.channel = channel
        self.policy = policy

    def gap(self, dropped: int) -> bytes:
        """Return the line that stands where `dropped` lines of the lane are missing."""
        return replies.gap_push(self.channel, dropped)


KEPT = Lane("", "close")
"""For lines that are never dropped, of any channel."""


class Packet:
    """Lines of one lane made ready for the wire, as one whole: it is sent, or dropped, as such."""

    __slots__ = ("data", "lane", "lines")

    def __init__(self, data: bytes, lines: Sequence[bytes], lane: Lane) -> None:
        self.data = data
        self.lines = lines
        self.lane = lane


class Receiver(Protocol):
    """What takes shared lines: a connection."""

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """Send `data`, shared with other receivers, behind all that was queued before.

        It is the data of all `packets`, joined. Never raises, whatever has become of the
        connection, and never calls back into the hub.
        """
        ...


class FanOut(Protocol):
    """Gives lines to receivers: to each in the order of the `send` calls that named it."""

    def send(self, receivers: Sequence[Receiver], line: bytes, lane: Lane) -> None:
        """Give `line` to all of `receivers`, now or soon.

        The sequence must not change any more; the same object in successive calls lets the
        lines be joined.
        """
        ...

    def settle(self, receiver: Receiver) -> None:
        """Give `receiver` now what `send` has promised it: something else must come behind."""
        ...


class DirectFanOut(FanOut):
    """Everything at once, each line by itself; nothing is ever left to settle."""

    def send(self, receivers: Sequence[Receiver], line: bytes, lane: Lane) -> None:
        """See `FanOut.send`."""
        packets = (Packet(line, (line,), lane),)
        for receiver in receivers:
            receiver.push(line, packets)

    def settle(self, receiver: Receiver) -> None:
        """See `FanOut.settle`."""
