"""The official JavaScript SDK as the tests use it, in node or in Chromium: one `JsPeer` for each client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from playwright.async_api import async_playwright

from tests.system.browser import CHROMIUM_ARGS, chromium_path
from tests.system.daemon import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from playwright.async_api import Page

HERE = Path(__file__).parent
LINE_BYTES = 1 << 20
"""The longest answer of a peer."""

PAGE_URL = "http://127.0.0.1:{port}/no-such-page"
"""The server's own 404, so that the Origin is one that is let in. A page that the test makes up is one that
Chromium does not let reach a loopback address."""


class RefusedError(Exception):
    """What the SDK rejects a promise with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Engine(Protocol):
    """Where the SDK runs."""

    async def ask(self, command: list[Any]) -> dict[str, Any]:
        """Carry out `sdk_peer.js`'s `call` and return what it does."""
        ...


class JsPeer:
    """One client. Methods are those of `sdk_peer.js`; what the SDK rejects is a RefusedError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method and return its result."""
        answer = await asyncio.wait_for(self._engine.ask([method, *arguments]), PATIENCE_S)
        if "error" in answer:
            raise RefusedError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def next(self, event: str, *, channel: str = "") -> Any:
        """Wait for the next event of a name, of the client or of its subscription to `channel`."""
        return await self.call("next", f"{channel} {event}".strip())

    async def take(self, channel: str, count: int) -> list[Any]:
        """Return the data of the next `count` publications."""
        return [(await self.next("publication", channel=channel))["data"] for _ in range(count)]


class _Node:
    """A node process that turns lines into calls."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reading = asyncio.create_task(self._read())

    async def ask(self, command: list[Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps([number, *command]).encode() + b"\n")
        return await self._waiting[number]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            number, answer = json.loads(line)
            self._waiting.pop(number).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(AssertionError("node has ended"))


class _Tab:
    """A page in Chromium."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def ask(self, command: list[Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self._page.evaluate("command => sdk(...command)", command)
        return answer


@contextlib.asynccontextmanager
async def node(packages: Path, count: int) -> AsyncIterator[list[JsPeer]]:
    """Start `count` clients, each in a node process of its own."""
    command = ["node", str(HERE / "sdk_node.js"), str(packages)]
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE_BYTES)
        for _ in range(count)
    ]
    engines = [_Node(process) for process in processes]
    try:
        yield [JsPeer(engine) for engine in engines]
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        await asyncio.gather(*(engine.reading for engine in engines))


@contextlib.asynccontextmanager
async def chromium(packages: Path, ports: Sequence[int]) -> AsyncIterator[list[JsPeer]]:
    """Open clients, each in a browser context of its own, on a page of the server at one of `ports`."""
    scripts = [
        (packages / "node_modules" / "centrifuge" / "dist" / "centrifuge.js").read_text(encoding="utf-8"),
        (HERE / "sdk_peer.js").read_text(encoding="utf-8"),
        "globalThis.sdk = makePeer(Centrifuge, {});",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        try:
            peers = []
            for port in ports:
                page = await browser.new_page(bypass_csp=True)
                await page.goto(PAGE_URL.format(port=port))
                for script in scripts:
                    await page.evaluate(script)
                peers.append(JsPeer(_Tab(page)))
            yield peers
        finally:
            await browser.close()
