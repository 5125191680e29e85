"""Measures one server in one cell: fresh process, pinned; generator on the other core; what others took."""

from __future__ import annotations

import os
import resource
import time
import urllib.request
from typing import TYPE_CHECKING

import msgspec

from tools.bench import build, generator, machine, process
from tools.bench.model import Measurement
from tools.bench.peers import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench.model import Cell, GeneratorResult, Timing
    from tools.bench.peers import Peer

PAUSES_LIMIT_S = 10.0


class MeasureError(Exception):
    """A server or a generator failed; the text says how."""


class Bench:
    """One invocation: the cores, the timing; measures one server at a time.

    `timing` is what the command line says; a cell may ask for a longer interval.
    """

    def __init__(self, timing: Timing, malloc: str | None) -> None:
        self.timing = timing
        self.malloc = malloc
        allowed = os.sched_getaffinity(0)
        siblings = {core: machine.thread_siblings(core) for core in allowed}
        self.server_core, self.generator_core = machine.choose_cores(allowed, siblings)

    def notes(self) -> list[str]:
        """Return what makes this machine's figures weaker."""
        if self.server_core == self.generator_core:
            return ["one core only: server and generator share it, throughput says little"]
        return []

    def measure(self, peer: Peer, cell: Cell, number: int) -> Measurement:
        """Start `peer`, load it with `cell`, end it. Raises MeasureError."""
        try:
            command = generator.generator_command(cell.kind)
            if peer.prepare is not None:
                peer.prepare()
            return self._measure(command, peer, cell, number)
        except (build.BuildError, generator.GeneratorError, process.ServerError) as error:
            raise MeasureError(str(error)) from None

    def _measure(self, command: Sequence[str], peer: Peer, cell: Cell, number: int) -> Measurement:
        port = process.free_port()
        malloc = self.malloc or cell.malloc
        environment = process.TUNED_MALLOC if malloc == "tuned" else {}
        with process.running(peer.command_line(port, cell), port, self.server_core, environment) as server:
            target = generator.Target(port, server.pids, peer.raw)
            try:
                before = self._others_s(server.pids)
                began_s = time.monotonic()
                result = generator.measure(command, cell, self._timing(cell), target, self.generator_core)
                took_s = time.monotonic() - began_s
                after = self._others_s(server.pids)
            except ProcessLookupError:
                raise process.ServerError(f"a process of it ended meanwhile{server.words()}") from None
            if result.errors.total:
                told = f"{result.first_error}; the server{server.words().removeprefix(';')}"
                result = msgspec.structs.replace(result, first_error=told)
            if peer.pauses and cell.kind.name == "flood":
                result = _with_pauses(result, port, peer.pauses)
        others_s = max(late - early for early, late in zip(before, after, strict=True))
        return Measurement(cell.name, peer.name, number, result, round(max(0.0, others_s / took_s), 3))

    def _timing(self, cell: Cell) -> Timing:
        return msgspec.structs.replace(self.timing, seconds=cell.seconds or self.timing.seconds)

    def _others_s(self, pids: Sequence[int]) -> tuple[float, float]:
        """Return what the two cores spent for processes besides the server and the generator, in seconds."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            machine.core_busy_s(self.server_core) - sum(machine.process_cpu_s(pid) for pid in pids),
            machine.core_busy_s(self.generator_core) - ended.ru_utime - ended.ru_stime,
        )


def _with_pauses(result: GeneratorResult, port: int, path: str) -> GeneratorResult:
    """Return `result` with what the server tells of its loop's pauses; raises ServerError if it does not."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=PAUSES_LIMIT_S) as answer:
            pauses = msgspec.json.decode(answer.read(), type=dict[str, float])
    except (OSError, msgspec.DecodeError) as error:
        raise process.ServerError(f"{path}: {error}") from None
    return msgspec.structs.replace(result, figures={**result.figures, **pauses})
