"""A server in memory whose numbers are collected, and whose admin listener tells them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from wsloop.observe import service
from wsloop.observe.observer import Observer
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.observe.service import Gather
    from wsloop.observe.snapshot import Snapshot
    from wsloop.server.assembly import Options

ADMIN = TcpBind("127.0.0.1", 8766)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""(name, labels) -> value."""


class Watched(MemoryServer):
    """The server. `gather` None: its own numbers are all there are."""

    def __init__(
        self, *, seed: int = 0, options: Options | None = None, gather: Gather | None = None
    ) -> None:
        super().__init__(seed=seed, options=options)
        self.observer = Observer(self.house, self.clock, "alone", "first")
        metrics = service.MetricsService(gather or self.gather)
        services = service.services(metrics, self.house.health)
        self.server.listen_admin(ADMIN, dataclasses.replace(self.admin, services=services))

    def gather(self, done: Callable[[list[Snapshot]], object]) -> None:
        done([self.observer.snapshot()])

    def snapshot(self) -> Snapshot:
        return self.observer.snapshot()

    def number(self, name: str, label: str = "") -> float:
        """Return a number; of a histogram, how much was observed."""
        numbers = self.snapshot().values[f"wsloop_{name}"][label]
        return numbers[0] if len(numbers) == 1 else sum(numbers[:-1])

    def get(self, target: str, *headers: str, method: str = "GET") -> tuple[int, str, str]:
        """Ask the admin listener; return the status, the head and the body."""
        client = self.dial(at=ADMIN)
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        client.send_bytes("\r\n".join(lines).encode())
        self.run_until(lambda: client.is_gone)
        head, _, body = client.http.decode().partition("\r\n\r\n")
        client.close()
        return int(head.split(" ", 2)[1]), head.lower(), body


def parsed(text: str) -> Samples:
    """Return the samples of a text in Prometheus' format, as its own library reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counters(text: str) -> Samples:
    """Return those samples that may only grow."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }
