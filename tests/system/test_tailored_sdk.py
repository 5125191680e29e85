"""The official Python SDK, unchanged, asking for deltas, filters and many channels at once."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from centrifuge import Client, DeltaType
from centrifuge.filter import Filter

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.sdk import Channel, run, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.system

MESSAGING = "/connection/websocket"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as started:
        yield started
        assert "Traceback" not in started.stderr()


def publish(daemon: Daemon, channel: str, data: object, **options: object) -> None:
    """Publish by the server API."""
    found = re.search(r"http://[0-9.]+:[0-9]+/api/", daemon.banner)
    assert found is not None, daemon.banner
    body = json.dumps({"channel": channel, "data": data, **options}).encode()
    with urllib.request.urlopen(f"{found[0]}publish", body, timeout=PATIENCE_S) as answer:
        assert "result" in json.load(answer)


@contextlib.asynccontextmanager
async def following(daemon: Daemon, name: str, **options: Any) -> AsyncIterator[Channel]:
    """Connect and subscribe to `name`."""
    client, channel = Client(daemon.url(MESSAGING), proxy=None), Channel()
    try:
        await soon(client.connect())
        await soon(client.new_subscription(name, channel, **options).subscribe())
        await soon(channel.subscribed.get())
        yield channel
    finally:
        await soon(client.disconnect())


def state(number: int) -> dict[str, Any]:
    return {"players": ["Ann", "Böb", "漢字"] * 20, "turn": number, "emoji": "\U0001f600" * number}


def test_differences_are_put_together(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with following(daemon, "chat:delta", delta=DeltaType.FOSSIL) as channel:
            for number in range(5):
                publish(daemon, "chat:delta", state(number))
            assert [data for _, data in await channel.take(5)] == [state(number) for number in range(5)]

    run(scenario())


def test_a_filter_holds_back_what_does_not_match(daemon: Daemon) -> None:
    async def scenario() -> None:
        wanted = Filter.all(Filter.gte("level", "3"), Filter.negate(Filter.eq("from", "cron")))
        async with following(daemon, "chat:filter", tags_filter=wanted) as channel:
            publish(daemon, "chat:filter", 1, tags={"level": "2"})
            publish(daemon, "chat:filter", 2, tags={"level": "10"})
            publish(daemon, "chat:filter", 3, tags={"level": "10", "from": "cron"})
            publish(daemon, "chat:filter", 4, tags={"level": "3.0"})
            assert await channel.take(2) == [(2, 2), (4, 4)]

    run(scenario())


def test_a_pattern_follows_many_channels(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with following(daemon, "chat:many.*") as channel:
            for name in ("many.a", "other.a", "many.b"):
                publish(daemon, f"chat:{name}", name)
            assert [data for _, data in await channel.take(2)] == ["many.a", "many.b"]

    run(scenario())
