"""The official Python SDK as the tests use it: unchanged, its events kept in queues."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from tests.system.daemon import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaitable, PATIENCE_S)


class Connection(ClientEventHandler):  # type: ignore[misc]
    """Remembers the connection's own events."""

    def __init__(self) -> None:
        self.connected: asyncio.Queue[Any] = asyncio.Queue()
        self.connecting: asyncio.Queue[Any] = asyncio.Queue()
        self.disconnected: asyncio.Queue[Any] = asyncio.Queue()

    async def on_connected(self, ctx: Any) -> None:
        self.connected.put_nowait(ctx)

    async def on_connecting(self, ctx: Any) -> None:
        self.connecting.put_nowait(ctx)

    async def on_disconnected(self, ctx: Any) -> None:
        self.disconnected.put_nowait(ctx)


class Channel(SubscriptionEventHandler):  # type: ignore[misc]
    """Remembers one subscription's events; `publications` as (offset, data)."""

    def __init__(self) -> None:
        self.subscribed: asyncio.Queue[Any] = asyncio.Queue()
        self.unsubscribed: asyncio.Queue[Any] = asyncio.Queue()
        self.publications: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self.joins: asyncio.Queue[str] = asyncio.Queue()
        self.leaves: asyncio.Queue[str] = asyncio.Queue()

    async def on_subscribed(self, ctx: Any) -> None:
        self.subscribed.put_nowait(ctx)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.unsubscribed.put_nowait(ctx)

    async def on_publication(self, ctx: Any) -> None:
        self.publications.put_nowait((ctx.pub.offset, ctx.pub.data))

    async def on_join(self, ctx: Any) -> None:
        self.joins.put_nowait(ctx.info.client)

    async def on_leave(self, ctx: Any) -> None:
        self.leaves.put_nowait(ctx.info.client)

    async def take(self, count: int) -> list[tuple[int, Any]]:
        """Return the next `count` publications."""
        return [await soon(self.publications.get()) for _ in range(count)]


class Person:
    """One SDK client in one channel."""

    def __init__(self, url: str, channel: str, name: str = "") -> None:
        self.events = Connection()
        self.channel = Channel()
        self.client = Client(
            url,
            events=self.events,
            data={"name": name} if name else None,
            max_reconnect_delay=0.2,
            proxy=None,
        )
        self.subscription = self.client.new_subscription(
            channel, self.channel, recoverable=True, positioned=True, join_leave=True
        )

    @property
    def id(self) -> str:
        """What the server calls this connection."""
        return str(self.client.client_id)

    async def enter(self) -> Any:
        """Connect and subscribe; return what the SDK tells of the subscription.

        What the event queues hold afterwards is later than this.
        """
        await soon(self.client.connect())
        await soon(self.events.connecting.get())
        await soon(self.events.connected.get())
        await soon(self.subscription.subscribe())
        return await soon(self.channel.subscribed.get())

    async def publish(self, *texts: str) -> None:
        """Publish texts, each after the one before was accepted."""
        for text in texts:
            await soon(self.subscription.publish({"text": text}))


@contextlib.asynccontextmanager
async def person(url: str, channel: str, name: str = "") -> AsyncIterator[Person]:
    """Connect a client, subscribe it, and disconnect it at the end."""
    made = Person(url, channel, name)
    try:
        await made.enter()
        yield made
    finally:
        await soon(made.client.disconnect())


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario to its end, and what the SDK still does behind its caller's back."""

    async def to_the_end() -> None:
        await scenario
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=PATIENCE_S)

    asyncio.run(to_the_end())
