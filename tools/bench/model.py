"""What is measured, as data: a cell, what the generator saw in it, and where that belongs.

Pure: no process, no clock, no file. `summary.py` makes medians and ratios of it.
"""

from __future__ import annotations

import msgspec


class Cell(msgspec.Struct, frozen=True):
    """One load: so many connections, each with so many messages of so many bytes under way."""

    connections: int = 100
    size_bytes: int = 128
    inflight: int = 1
    binary: bool = False

    @property
    def title(self) -> str:
        """The cell in words, for a table's heading."""
        kind = "binary" if self.binary else "text"
        return f"echo, {self.connections} connections x {self.size_bytes} B {kind}, {self.inflight} in flight"


class Timing(msgspec.Struct, frozen=True):
    """How long one measurement takes: it ends at `seconds` or at `messages`, whichever is first."""

    warmup_s: float = 0.5
    seconds: float = 3.0
    messages: int = 100_000_000


class Latency(msgspec.Struct, frozen=True):
    """Microseconds from a message's send call to its last byte read, within the measured interval."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Errors(msgspec.Struct, frozen=True):
    """Whatever makes a measurement worthless; all must be 0."""

    wrong_echoes: int
    protocol: int
    lost: int
    unanswered: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.wrong_echoes + self.protocol + self.lost + self.unanswered


class GeneratorResult(msgspec.Struct, frozen=True):
    """The line of JSON that a load generator prints."""

    generator: str
    messages: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    latency_us: Latency
    errors: Errors
    unclean_closes: int
    first_error: str

    @property
    def per_second(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float:
        """CPU microseconds of the server per message; infinite if none came back."""
        return self.server_cpu_seconds * 1e6 / self.messages if self.messages else float("inf")

    @property
    def server_share(self) -> float:
        """The part of one core that the server used; over 1 if it has several threads."""
        return self.server_cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def generator_share(self) -> float:
        """The part of its core that the generator used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


class Measurement(msgspec.Struct, frozen=True):
    """One run of the generator against one server.

    `others_share` is the part that other processes had meanwhile of the server's core or of the
    generator's, whichever is larger: noise.
    """

    peer: str
    round: int
    result: GeneratorResult
    others_share: float = 0.0
