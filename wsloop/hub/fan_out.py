"""The port through which a frame reaches many subscribers, and its simplest twin.

A channel decides who gets a frame; when the bytes leave is not its affair. The server's own
fan-out (`server/fan_out.py`) joins what one turn published and spreads a large channel
over several turns; `DirectFanOut` hands everything on at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Receiver(Protocol):
    """What takes shared frames: a connection."""

    def push(self, frames: bytes) -> None:
        """Send whole frames, shared with other receivers, behind all that was queued before.

        Never raises, whatever has become of the connection, and never calls back into the hub.
        """
        ...


class FanOut(Protocol):
    """Gives frames to receivers: to each in the order of the `send` calls that named it."""

    def send(self, receivers: Sequence[Receiver], frame: bytes) -> None:
        """Give `frame` to all of `receivers`, now or soon.

        The sequence must not change any more; the same object in successive calls lets the
        frames be joined.
        """
        ...

    def settle(self, receiver: Receiver) -> None:
        """Give `receiver` now what `send` has promised it: something else must come behind."""
        ...


class DirectFanOut(FanOut):
    """Everything at once; nothing is ever left to settle."""

    def send(self, receivers: Sequence[Receiver], frame: bytes) -> None:
        """See `FanOut.send`."""
        for receiver in receivers:
            receiver.push(frame)

    def settle(self, receiver: Receiver) -> None:
        """See `FanOut.settle`."""
