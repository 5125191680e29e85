"""An echo server on uvicorn, with wsproto."""

# ruff: noqa: ANN401, D103 - what is judged, to be read at one sight
from typing import Any

import uvicorn


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while scope["type"] == "websocket":
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.disconnect":
            return
        else:
            await send({**message, "type": "websocket.send"})


uvicorn.run(echo, host="127.0.0.1", port=9103, ws="wsproto")
