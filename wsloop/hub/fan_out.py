"""The port through which a message reaches many subscribers, and its simplest twin.

A channel decides who gets a message, encoded by its codec; when the bytes leave, and in what frames,
is not its affair. The server's own fan-out (`server/fan_out.py`) joins what one turn published and
spreads a large channel over several turns; `DirectFanOut` hands everything on at once.

A message travels in a `Lane`: what may be done with it where a receiver does not keep up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsloop.hub import replies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.codec import Codec
    from wsloop.hub.namespaces import SlowPolicy


class Lane:
    """A channel's way to receivers that speak one codec.

    With the policy "close" no message of it is ever dropped; a slow receiver's connection ends.
    Otherwise the oldest ones, or all but the newest, may be, and `gap` is what tells of it.
    """

    __slots__ = ("channel", "codec", "policy")

    def __init__(self, channel: str, policy: SlowPolicy, codec: Codec) -> None:
        self.channel = channel
        self.policy = policy
        self.codec = codec

    def gap(self, dropped: int) -> bytes:
        """Return the message that stands where `dropped` messages of the lane are missing."""
        return self.codec.encode(replies.gap_push(self.channel, dropped))


_KEPT: dict[Codec, Lane] = {}


def kept(codec: Codec) -> Lane:
    """Return the one lane of messages that are never dropped, of any channel."""
    lane = _KEPT.get(codec)
    if lane is None:
        lane = _KEPT[codec] = Lane("", "close", codec)
    return lane


class Packet:
    """Messages of one lane made ready for the wire, as one whole: it is sent, or dropped, as such."""

    __slots__ = ("data", "lane", "messages")

    def __init__(self, data: bytes, messages: Sequence[bytes], lane: Lane) -> None:
        self.data = data
        self.messages = messages
        self.lane = lane


class Receiver(Protocol):
    """What takes shared messages: a connection."""

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """Send `data`, shared with other receivers, behind all that was queued before.

        It is the data of all `packets`, joined. Never raises, whatever has become of the
        connection, and never calls back into the hub.
        """
        ...


class FanOut(Protocol):
    """Gives messages to receivers: to each in the order of the `send` calls that named it."""

    def send(self, receivers: Sequence[Receiver], message: bytes, lane: Lane) -> None:
        """Give `message`, encoded by the lane's codec, to all of `receivers`, now or soon.

        The sequence must not change any more; the same object in successive calls lets the
        messages be joined.
        """
        ...

    def settle(self, receiver: Receiver) -> None:
        """Give `receiver` now what `send` has promised it: something else must come behind."""
        ...


class DirectFanOut(FanOut):
    """Everything at once, each message by itself; nothing is ever left to settle."""

    def send(self, receivers: Sequence[Receiver], message: bytes, lane: Lane) -> None:
        """See `FanOut.send`."""
        packets = (Packet(message, (message,), lane),)
        for receiver in receivers:
            receiver.push(message, packets)

    def settle(self, receiver: Receiver) -> None:
        """See `FanOut.settle`."""
