"""One broker for many: events reach who wants them, this process's own hub last."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.support import CountedEntropy
from wsloop.cluster.codec import MAX_MESSAGE_BYTES, MessageReader
from wsloop.cluster.messages import FromService, Joined, Left, Message, Published
from wsloop.cluster.shared import MAX_PAYLOAD_BYTES, SharedBroker
from wsloop.hub.broker import Appended, Draft, Unavailable
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.broker_harness import KEEP_3, BrokerLog


class Remote:
    """A consumer over a link; keeps what it is sent."""

    def __init__(self, order: list[str]) -> None:
        self.heard: list[bytes] = []
        self._order = order

    def deliver(self, data: bytes, /) -> None:
        self.heard.append(data)
        self._order.append("remote")

    def messages(self) -> list[Message | None]:
        reader = MessageReader(FromService)
        reader.feed(b"".join(self.heard))
        return [reader.next() for _ in self.heard]


class Here(BrokerLog):
    """This process's hub."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self._order = order

    def on_publication(self, channel: str, publication: Any, epoch: str) -> None:
        super().on_publication(channel, publication, epoch)
        self._order.append("here")


@pytest.fixture
def order() -> list[str]:
    return []


@pytest.fixture
def shared(order: list[str]) -> SharedBroker:
    shared = SharedBroker(MemoryBroker(FakeClock().now, CountedEntropy()))
    shared.local.attach(Here(order))
    return shared


def test_everybody_hears_once_and_this_process_last(shared: SharedBroker, order: list[str]) -> None:
    remotes = [Remote(order), Remote(order)]
    shared.local.subscribe("c")
    shared.local.subscribe_pattern("*")
    for remote in remotes:
        shared.subscribe("c", remote)
        shared.subscribe_pattern("*", remote)
    shared.local.publish("c", Draft(b"1", b"{}", b'{"t":"v"}', delta=True), KEEP_3, lambda _: None)
    assert order == ["remote", "remote", "here"]
    assert remotes[0].heard[0] is remotes[1].heard[0]
    (message,) = remotes[0].messages()
    assert isinstance(message, Published)
    assert (message.channel, message.offset, message.data, message.delta) == ("c", 1, b"1", True)


def test_joins_and_leaves_are_of_channels_only(shared: SharedBroker, order: list[str]) -> None:
    remote, pattern = Remote(order), Remote(order)
    shared.subscribe("c", remote)
    shared.subscribe_pattern("*", pattern)
    shared.local.publish_join("c", b"{}")
    shared.local.publish_leave("c", b"{}")
    assert remote.messages() == [Joined("c", b"{}"), Left("c", b"{}")]
    assert pattern.heard == []


def test_what_is_too_long_for_a_link_is_not_appended(shared: SharedBroker, order: list[str]) -> None:
    answers: list[object] = []
    shared.local.subscribe("c")
    for size in (MAX_PAYLOAD_BYTES + 1, MAX_PAYLOAD_BYTES):
        shared.subscribe("c" * 255, remote := Remote(order))
        shared.local.publish("c" * 255, Draft(b"x" * size), KEEP_3, answers.append)
        shared.unsubscribe("c" * 255, remote)
    assert [type(answer) for answer in answers] == [Unavailable, Appended]
    assert len(remote.heard) == 1


def test_a_join_that_is_too_long_is_heard_here_only(
    shared: SharedBroker, order: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    remote = Remote(order)
    shared.subscribe("c", remote)
    shared.local.subscribe("c")
    shared.local.publish_join("c", b"x" * MAX_MESSAGE_BYTES)
    assert remote.heard == []
    assert isinstance(shared.local.events, Here)
    assert len(shared.local.events.of("join")) == 1
    assert "an event reaches no worker" in caplog.text


def test_the_first_and_the_last_interest_are_told(shared: SharedBroker, order: list[str]) -> None:
    heard: list[str] = []
    shared.on_occupied = lambda channel: heard.append("+" + channel)
    shared.on_vacated = lambda channel: heard.append("-" + channel)
    remote = Remote(order)
    shared.subscribe("c", remote)
    shared.local.subscribe("c")
    shared.unsubscribe("c", remote)
    shared.unsubscribe("c", remote)
    assert heard == ["+c"]
    shared.local.unsubscribe("c")
    assert heard == ["+c", "-c"]
    shared.subscribe_pattern("*", remote)
    shared.unsubscribe_pattern("*", remote)
    shared.local.publish("c", Draft(b"1"), KEEP_3, lambda _: None)
    assert remote.heard == []
