"""The application that uvicorn serves, with either of its WebSocket implementations; no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tools.bench.servers.options import Options

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

subscribers: set[Send] = set()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Choose by the path."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await (fan_out(receive, send) if scope["path"] == "/fanout" else echo(receive, send))


async def echo(receive: Receive, send: Send) -> None:
    """Send every message back, text as text and binary as binary."""
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def fan_out(receive: Receive, send: Send) -> None:
    """Send every message to all; ASGI knows no broadcast and no prepared frame."""
    subscribers.add(send)
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            answer = {"type": "websocket.send", "text": message["text"]}
            for each in tuple(subscribers):
                await each(answer)
    finally:
        subscribers.discard(send)


def serve(options: Options, implementation: Literal["wsproto", "websockets-sansio"]) -> None:
    """Serve until SIGTERM, as `pip install uvicorn` brings it: asyncio, h11, its own pings and limits."""
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        ws=implementation,
        loop="asyncio",
        http="h11",
        lifespan="off",
        log_level="error",
        access_log=False,
        ws_per_message_deflate=options.deflate,
    )
