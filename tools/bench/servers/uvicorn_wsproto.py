"""`uvicorn --ws wsproto --loop asyncio` with a bare ASGI function: no framework in between.

Access log and compression are off (nobody compresses here); pings and limits are its defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn

from tools.bench.servers.options import parse_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]


async def echo(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Accept, then send every message back, text as text and binary as binary."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


def main(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    uvicorn.run(
        echo,
        host="127.0.0.1",
        port=port,
        ws="wsproto",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main(parse_port(__doc__))
