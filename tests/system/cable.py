"""A cable between a client and a daemon, that a test can cut: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.system.daemon import PATIENCE_S

if TYPE_CHECKING:
    from types import TracebackType

    from tests.system.daemon import Daemon

READ_BYTES = 65536
PING = b"\x81\x02{}"
"""The messaging protocol's ping, as the server frames it."""

DELTA = b'"delta":true'
"""In a subscribe reply that grants differences, and in each publication that is one."""


class Cable:
    """Forwards connections to a daemon, in both directions, for as long as it is whole.

    `pings_seen` counts the server's pings that passed, `deltas_seen` its marks of a difference (for
    both, without compression); `lost_bytes` what a frayed cable lost.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.port = 0
        self.pings_seen = 0
        self.deltas_seen = 0
        self.lost_bytes = 0
        self._daemon = daemon
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frayed = False
        self._passed = asyncio.Condition()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def __aenter__(self) -> Cable:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    def url(self) -> str:
        """Return the address of the messaging endpoint at this end of the cable."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    async def mend(self) -> None:
        """Let connections through, on the same port as before."""
        self._frayed = False
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def fray(self) -> None:
        """From now on lose what the server sends, while both ends believe that all is well."""
        self._frayed = True

    def pinch(self) -> None:
        """From now on take nothing from the server: what it sends piles up on its side."""
        self._flowing.clear()

    def release(self) -> None:
        """Let it flow again."""
        self._flowing.set()

    async def cut(self) -> None:
        """Reset both ends of every connection, and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        self._flowing.set()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.wait_for(asyncio.gather(*self._tasks), PATIENCE_S)
        await asyncio.wait_for(self._server.wait_closed(), PATIENCE_S)
        self._server = None

    async def wait_until(self, condition: str, least: int) -> None:
        """Wait until the counter named `condition` has reached `least`."""
        async with self._passed:
            reached = self._passed.wait_for(lambda: getattr(self, condition) >= least)
            await asyncio.wait_for(reached, PATIENCE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError):  # refused or reset: so is the client
            far_reader, far_writer = await asyncio.open_connection(self._daemon.host, self._daemon.port)
            try:
                await asyncio.gather(
                    self._forward(reader, far_writer), self._forward(far_reader, writer, is_from_server=True)
                )
            finally:
                far_writer.transport.abort()
        writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_from_server: bool = False
    ) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(READ_BYTES):
                if is_from_server:
                    await self._flowing.wait()
                    await self._count(data)
                    if self._frayed:
                        continue
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:  # reset by either end, or by `cut`
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _count(self, data: bytes) -> None:
        async with self._passed:
            self.pings_seen += data.count(PING)
            self.deltas_seen += data.count(DELTA)
            self.lost_bytes += len(data) if self._frayed else 0
            self._passed.notify_all()
