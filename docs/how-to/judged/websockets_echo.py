"""An echo server with the library websockets."""

# ruff: noqa: D103 - what is judged, to be read at one sight
import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with serve(echo, "127.0.0.1", 9101) as server:
        await server.serve_forever()


asyncio.run(main())
