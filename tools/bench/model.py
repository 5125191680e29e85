"""What is measured, as data: a cell, what the generator saw in it, and where that belongs.

Pure: no process, no clock, no file. `cells.py` lists the cells, `summary.py` makes medians and ratios.
"""

from __future__ import annotations

import math

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind of load: what makes it, where, and what an operation is.

    `program` is the generator (`load/<program>.c`), `path` the route it asks for, `unit` what one
    operation is called, `units` several. `cost` is the figure, smaller is better, by which servers
    are compared: "cpu" is CPU microseconds of the server per operation, "p99_ms" a latency, any
    other name is one of the generator's own figures. `saturates` says that one side must be busy all
    the time: if neither is, something else had the machine.
    """

    name: str
    program: str
    unit: str
    units: str
    path: str = "/echo"
    cost: str = "cpu"
    cost_unit: str = "us"
    saturates: bool = False


class Timing(msgspec.Struct, frozen=True):
    """How long one measurement takes: it ends at `seconds` or at `operations`, whichever is first.

    `settle_s` is what memory is given to come to rest before it is read.
    """

    warmup_s: float = 0.4
    seconds: float = 1.25
    settle_s: float = 1.5
    operations: int = 100_000_000


class Cell(msgspec.Struct, frozen=True):
    """One load: so many connections, each with so many messages of so many bytes under way.

    `publishers` is how many of the subscribers of a fan-out publish. `document` sends a JSON
    document as text. `seconds` and `rounds` are what this cell needs; None: the usual.
    `malloc` is "tuned" or "plain" (`process.TUNED_MALLOC`).
    """

    name: str
    kind: Kind
    title: str
    connections: int = 100
    size_bytes: int = 128
    inflight: int = 1
    publishers: int = 1
    binary: bool = False
    document: bool = False
    malloc: str = "tuned"
    seconds: float | None = None
    rounds: int | None = None

    @property
    def frame_bytes(self) -> int:
        """The length of a client's frame: header, mask and payload (RFC 6455 section 5.2)."""
        extended = 0 if self.size_bytes < 126 else 2 if self.size_bytes < 65536 else 8
        return 2 + extended + 4 + self.size_bytes


class Latency(msgspec.Struct, frozen=True):
    """Microseconds from a message's send call to its last byte read, within the measured interval."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Errors(msgspec.Struct, frozen=True):
    """Whatever makes a measurement worthless; all must be 0."""

    wrong: int
    protocol: int
    lost: int
    unanswered: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.wrong + self.protocol + self.lost + self.unanswered


class GeneratorResult(msgspec.Struct, frozen=True):
    """The line of JSON that a load generator prints; `figures` are what only its kind of load has."""

    generator: str
    operations: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    latency_us: Latency
    errors: Errors
    unclean_closes: int
    first_error: str
    figures: dict[str, float] = {}

    @property
    def per_second(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float:
        """CPU microseconds of the server per operation; infinite if there was none."""
        return self.server_cpu_seconds * 1e6 / self.operations if self.operations else math.inf

    @property
    def server_share(self) -> float:
        """The part of one core that the server used; over 1 if it has several threads."""
        return self.server_cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def generator_share(self) -> float:
        """The part of its core that the generator used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    def cost(self, name: str) -> float:
        """Return the figure by which a kind compares servers; infinite if it was not measured."""
        if name == "cpu":
            return self.server_cpu_us
        if name == "p99_ms":
            return self.latency_us.p99 / 1e3 or math.inf
        return self.figures.get(name, math.inf)


class Measurement(msgspec.Struct, frozen=True):
    """One run of the generator against one server.

    `others_share` is the part that other processes had meanwhile of the server's core or of the
    generator's, whichever is larger: noise.
    """

    cell: str
    peer: str
    round: int
    result: GeneratorResult
    others_share: float = 0.0
