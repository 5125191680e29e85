"""`websockets` as its documentation sets up a server, with its `broadcast` for the fan-out.

Its C extension for unmasking is used where the wheel brings it. Limits and pings are its defaults;
compression is off but in the deflate cell, where it is the default too.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosedError

from tools.bench.servers.options import parse_options, ready

if TYPE_CHECKING:
    from tools.bench.servers.options import Options

subscribers: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    """Send every message back, text as text and binary as binary."""
    async for message in connection:
        await connection.send(message)


async def fan_out(connection: ServerConnection) -> None:
    """Send every message to all; no need to decode its text for that."""
    subscribers.add(connection)
    try:
        while True:
            broadcast(subscribers, await connection.recv(decode=False), text=True)
    finally:
        subscribers.discard(connection)


async def handle(connection: ServerConnection) -> None:
    """Choose by the path."""
    request = connection.request
    try:
        if request is not None and request.path == "/fanout":
            await fan_out(connection)
        else:
            await echo(connection)
    except ConnectionClosedError:
        return  # the peer vanished: nothing to tell


async def main(options: Options) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    compression = "deflate" if options.deflate else None
    async with serve(handle, options.host, options.port, compression=compression) as server:
        ready(next(iter(server.sockets)).getsockname()[1])
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(parse_options(__doc__)))
