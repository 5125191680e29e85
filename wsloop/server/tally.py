"""What a server counts while it works: plain numbers, which only grow, for whoever wants to show them.

The workload: an echo takes some ten microseconds, so that a counter of a library's, half a microsecond
each, would be a quarter of it. These are slots: an addition takes 30 ns, there are four to a message, and one
addition stands for all receivers of a fan-out. What other objects know already is not counted again.

Next: `wsloop/observe/`, which collects the numbers of all rooms.
"""

from __future__ import annotations

from collections import Counter

from wsloop.loop.histogram import Histogram

STATUS_CLASSES = 6
"""HTTP's status classes are 1 to 5; a list by class has a place too many, at 0."""


class Tally:
    """The counters of one server. Whoever does a thing counts it; nobody resets.

    Bytes are those that transports took or gave, inside of TLS. Messages received are WebSocket messages
    with data; sent, the frames of data that were sent or queued, but for the fan-out's, which counts its own.
    `responses` are HTTP answers by the class of their status, upgrades included: `responses[1]`. `closes` are
    WebSockets that ended, by the code that was said first, 1006 if none was. `handshake` has the time from
    accept to upgrade.
    """

    __slots__ = (
        "bytes_received", "bytes_sent", "closes", "compressed", "handshake", "messages_received",
        "messages_sent", "opened", "responses",
    )  # fmt: skip

    def __init__(self) -> None:
        self.bytes_received = self.bytes_sent = 0
        self.messages_received = self.messages_sent = 0
        self.opened = self.compressed = 0
        self.responses = [0] * STATUS_CLASSES
        self.closes: Counter[int] = Counter()
        self.handshake = Histogram()

    def note_open(self, handshake_s: float, *, is_compressed: bool) -> None:
        """Count a connection that has become a WebSocket, so long after it was accepted."""
        self.opened += 1
        self.compressed += is_compressed
        self.handshake.observe(handshake_s)
