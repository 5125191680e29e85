"""What a server counts; against the wire it is tried in tests/observe/test_observer.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wsloop.server.tally import STATUS_CLASSES, Tally
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer() as made:
        yield made


def test_it_begins_at_nothing() -> None:
    tally = Tally()
    assert tally.responses == [0] * STATUS_CLASSES
    assert not tally.closes
    assert not any(tally.handshake.counts)


def test_what_a_handler_hands_back_is_counted_once(house: MemoryServer) -> None:
    client = house.join("ann")
    before = house.server.tally.messages_received
    lines = "\n".join(f'{{"id":{number},"publish":{{"channel":"a","data":1}}}}' for number in range(10, 400))
    client.send_text(lines)
    client.send_text('{"id":5000,"publish":{"channel":"a","data":1}}')
    house.run_until(lambda: 5000 in client.replies)
    assert house.server.tally.messages_received == before + 2
