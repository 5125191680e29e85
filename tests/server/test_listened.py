"""Totals of listeners: those of a closed one stay, and it is no paused one."""

from __future__ import annotations

from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind


def test_a_listener_that_is_closed_keeps_its_counts_in_the_totals() -> None:
    with MemoryServer() as house:
        listener = house.server.listen(TcpBind("127.0.0.1", 9999))
        listener.pause()
        assert house.server.listened.totals().paused == 1
        listener._shed = 3  # what a shortage of descriptors would have counted
        listener.close()
        for _ in range(2):
            totals = house.server.listened.totals()
            assert (totals.shed, totals.paused) == (3, 0)
