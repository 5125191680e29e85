"""`websockets` as its documentation sets up a server; compression is off for every peer alike.

Its C extension for unmasking is used where the wheel brings it. Limits and pings are its defaults.
"""

from __future__ import annotations

import asyncio
import signal

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from tools.bench.servers.options import parse_port


async def echo(connection: ServerConnection) -> None:
    """Send every message back, text as text and binary as binary."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosedError:
        return  # the peer vanished: nothing to tell


async def main(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with serve(echo, "127.0.0.1", port, compression=None) as server:
        print(f"listening on {next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(parse_port(__doc__)))
