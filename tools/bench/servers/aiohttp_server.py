"""aiohttp's server: a `web.Application` without access log, on asyncio or uvloop.

No heartbeat and no compression but in the deflate cell, as its documentation shows a handler.
A fan-out encodes the text once and hands the bytes to each connection's own frame writer.
"""

from __future__ import annotations

import asyncio
import functools

from aiohttp import WSMsgType, web

from tools.bench.servers.options import Options, parse_options

subscribers: set[web.WebSocketResponse] = set()


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back, text as text and binary as binary."""
    connection = web.WebSocketResponse(compress=False)
    await connection.prepare(request)
    async for message in connection:
        if message.type is WSMsgType.TEXT:
            await connection.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await connection.send_bytes(message.data)
    return connection


async def fan_out(request: web.Request, *, deflate: bool) -> web.WebSocketResponse:
    """Send every message to all."""
    connection = web.WebSocketResponse(compress=deflate)
    await connection.prepare(request)
    subscribers.add(connection)
    try:
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                data = message.data.encode()
                for each in tuple(subscribers):
                    await each.send_frame(data, WSMsgType.TEXT)
    finally:
        subscribers.discard(connection)
    return connection


def main(options: Options) -> None:
    """Serve until SIGTERM."""
    if options.loop == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/echo", echo)
    app.router.add_get("/fanout", functools.partial(fan_out, deflate=options.deflate))
    web.run_app(app, host=options.host, port=options.port, access_log=None, loop=loop, print=None)


if __name__ == "__main__":
    main(parse_options(__doc__))
