"""An echo server with aiohttp."""

# ruff: noqa: D103 - what is judged, to be read at one sight
from aiohttp import WSMsgType, web


async def echo(request: web.Request) -> web.WebSocketResponse:
    connection = web.WebSocketResponse()
    await connection.prepare(request)
    async for message in connection:
        if message.type is WSMsgType.TEXT:
            await connection.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await connection.send_bytes(message.data)
    return connection


application = web.Application()
application.router.add_get("/", echo)
web.run_app(application, host="127.0.0.1", port=9102)
