"""The fixtures of the CVE pack: every test has a bystander, and leaves the server at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import Bystander, Log, logging_to
from wsloop.server.assembly import Options
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def options() -> Options:
    """The server's options; a module of tests may have its own."""
    return Options(dev=True)


@pytest.fixture
def house(options: Options) -> Iterator[MemoryServer]:
    with MemoryServer(seed=1, options=options) as made:
        bystander = Bystander(made)
        yield made
        bystander.leave_content()
        made.run_until(lambda: len(made.server.registry) == 1, within_s=90)
        assert made.server.statistics().rings_lent == 0
    assert made.network.open_descriptors() == {}


@pytest.fixture(autouse=True)
def log(house: MemoryServer) -> Iterator[Log]:
    """What is logged meanwhile; nothing of it may be a fault of ours, or drive a terminal."""
    log = Log(house.clock.now)
    with logging_to(log):
        yield log
    for line in log.lines:
        assert not line.startswith("ERROR"), line
        assert line.isprintable(), line
