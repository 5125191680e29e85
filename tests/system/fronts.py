"""Real reverse proxies from Debian in front of two real daemons, with the configurations of docs/deploy.

What stands in a file there is what runs here: a test names each text that it replaces (a port, a path, a
time that would take too long), and fails if the file no longer has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import MESSAGING
from tests.transport.tls_kit import HOST, client_context, write_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
NAME = "chat.example.org"
"""The name in the files; the tests' certificate is for another."""

IDLE_S = 4
"""What a proxy allows between two bytes where that is tested; with OFTEN the daemons ping in time."""

OFTEN = """
[ws]
ping_interval = 1.5
ping_timeout = 1.4
"""

ORIGIN = f"https://{HOST}"
CHANNEL = "room:1"
EDGE = "127.0.0.2"
"""Where another listed proxy, such as a content delivery network's, reaches the one that is tested."""

STRANGER = "127.0.0.3"

SETTINGS = f"""
[server]
forwarded_allow_ips = ["127.0.0.1", "{EDGE}"]
allowed_origins = ["{ORIGIN}"]
limit_per_ip = 2
[client]
allow_anonymous = true
[admin]
api_insecure = true
[namespaces.room]
allow_subscribe_for_anonymous = true
allow_subscribe_for_client = true
"""


def tool(name: str, package: str) -> str:
    """Return the program's path; skip, or fail in CI, where it is not installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        absent(f"{name} is not installed: apt-get install {package}")
    return found


def absent(reason: str) -> NoReturn:
    """Skip, or fail in CI: a tool is not there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def substituted(name: str, texts: dict[str, object]) -> str:
    """Return a file of docs/deploy with other texts; raises AssertionError for one that it has not."""
    written = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in texts.items():
        assert old in written, f"{name} has no {old!r}"
        written = written.replace(old, str(new))
    return written


class Backend(Daemon):
    """A daemon with an admin listener, which is asked what a test wants to know."""

    def __init__(self, settings: Path) -> None:
        self.admin_port = free_port()
        super().__init__("-c", str(settings), "--admin-port", str(self.admin_port), dev=False)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def call(self, method: str, **request: object) -> Any:
        """Call a method of the server API; return its result."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("POST", f"/api/{method}", json.dumps(request))
            return json.loads(connection.getresponse().read())["result"]

    def addresses(self) -> list[str]:
        """Return the addresses of its clients."""
        listed = self.call("connections", limit=1000)["connections"]
        return sorted(each["address"] for each in listed.values())


class Front:
    """A proxy's process in front of two daemons, speaking TLS on `port`; gone when the context is left."""

    def __init__(self, one: Backend, two: Backend, folder: Path) -> None:
        self.one, self.two = one, two
        self.port = free_port()
        self.folder = folder
        certfile, keyfile = write_pair(folder)
        self.certfile, self.keyfile = certfile, keyfile
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `ended`

    @property
    def backends(self) -> dict[str, object]:
        """What replaces the addresses of the two in a file of docs/deploy."""
        return {
            "127.0.0.1:8765": f"127.0.0.1:{self.one.port}",
            "127.0.0.1:8775": f"127.0.0.1:{self.two.port}",
        }

    def addresses(self) -> list[str]:
        """Return the addresses of all clients."""
        return self.one.addresses() + self.two.addresses()

    def clear(self) -> None:
        """Have both daemons run, and nobody there."""
        if not self.one.is_running:
            self.one.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while self.addresses():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The proxy's first process."""
        assert self._process is not None
        return self._process.pid

    def run(self, command: list[str], **environment: str) -> None:
        """Start the proxy and wait until it listens."""
        self._process = subprocess.Popen(
            command, stdout=self._said, stderr=self._said, env={**os.environ, **environment}
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE_S).close()
            except ConnectionRefusedError:
                assert self._process.poll() is None, self.said()
                assert time.monotonic() < deadline_s, self.said()
                time.sleep(0.02)
            else:
                return

    def said(self) -> str:
        """Return what the proxy has printed."""
        return os.pread(self._said.fileno(), 1 << 20, 0).decode()

    def end(self) -> None:
        """End the proxy, whatever its state."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said.close()

    # -- clients ---------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def open(
        self, source: str = "127.0.0.1", origin: str | None = ORIGIN, **headers: str
    ) -> AsyncIterator[ClientConnection]:
        """Open a WebSocket through the proxy, from an address of this machine's."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        async with connect(
            f"wss://{HOST}{MESSAGING}?token=secret",
            host="127.0.0.1",
            port=self.port,
            ssl=client_context("http/1.1"),
            local_addr=(source, 0),
            origin=origin,  # type: ignore[arg-type] # a type of the library's own for str
            additional_headers=named,
            open_timeout=PATIENCE_S,
            ping_interval=None,
            proxy=None,
        ) as peer:
            yield peer


async def join(peer: ClientConnection) -> None:
    """Connect and subscribe."""
    for command in ({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": CHANNEL}}):
        await peer.send(json.dumps(command))
    await hear(peer, '"id":2')


async def hear(peer: ClientConnection, text: str) -> str:
    """Answer pings until a frame with `text` in it comes; return that frame."""
    while True:
        frame = str(await peer.recv())
        if "{}" in frame.split("\n"):
            await peer.send("{}")
        if text in frame:
            return frame


class Wanderer:
    """A messaging client that comes back through the proxy whenever it is sent away."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.codes: list[int] = []
        self.joins = 0
        self.heard: list[str] = []

    async def live(self) -> None:
        """Stay in the channel until cancelled; refused connects are tried again."""
        while True:
            try:
                async with self._front.open() as peer:
                    await join(peer)
                    self.joins += 1
                    while True:
                        self.heard.append(await hear(peer, '"pub"'))
            except ConnectionClosed as error:
                self.codes.append(error.rcvd.code if error.rcvd is not None else 1006)


async def until(condition: Any) -> None:
    """Wait until `condition()` is true; the test's own deadline ends it otherwise."""
    while not await asyncio.to_thread(condition):
        await asyncio.sleep(0.02)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; it must end in time."""
    asyncio.run(asyncio.wait_for(scenario, 3 * PATIENCE_S))


@contextlib.contextmanager
def two_backends(folder: Path, more: str = "") -> Iterator[tuple[Backend, Backend]]:
    """Start the two daemons, with `more` settings."""
    settings = folder / "wsloop.toml"
    settings.write_text(SETTINGS + more, encoding="utf-8")
    with Backend(settings) as one, Backend(settings) as two:
        yield one, two
        sys.stderr.write(one.stderr() + two.stderr())
        for each in (one, two):
            assert "Traceback" not in each.stderr()


# -- what is true behind every proxy ---------------------------------------------------------


async def shows_the_clients_address(front: Front) -> None:
    """A client is known by where it is, through the proxy and without; what it claims counts not."""
    async with front.open(STRANGER, X_Forwarded_For="203.0.113.9") as peer:
        await join(peer)
        assert front.addresses() == [STRANGER]
    await asyncio.to_thread(front.clear)
    url = front.one.url(MESSAGING)
    claimed = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with connect(url, local_addr=(STRANGER, 0), additional_headers=claimed, proxy=None) as direct:
        await join(direct)
        assert front.addresses() == [STRANGER]


async def believes_another_listed_proxy(front: Front) -> None:
    """Behind a listed proxy in front of this one it is whom that one saw, not what came before."""
    async with (
        front.open(EDGE, X_Forwarded_For="1.1.1.1, 203.0.113.9") as one,
        front.open(EDGE, X_Forwarded_For="203.0.113.9", Forwarded="for=1.1.1.1") as two,
    ):
        await join(one)
        await join(two)
        assert front.addresses() == ["203.0.113.9", "203.0.113.9"]


async def limits_each_address(front: Front) -> None:
    """Each daemon lets in two connections from one address, whichever proxies they came through.

    While a proxy counts what has just ended it may choose the full daemon of the two: that one refuses.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def verdict(address: str) -> int:
            try:
                await stack.enter_async_context(front.open(EDGE, X_Forwarded_For=address))
            except InvalidStatus as error:
                return error.response.status_code
            return 101

        verdicts: list[int] = []
        while verdicts.count(101) < 4:
            verdicts.append(await verdict("203.0.113.9"))
        assert set(verdicts) <= {101, 429}
        assert [await verdict("203.0.113.9") for _ in range(8)] == [429] * 8
        assert await verdict("198.51.100.7") == 101


async def lets_idle_clients_live(front: Front) -> None:
    """Who is pinged outlives what the proxy allows between two bytes; who is not pinged does not."""
    async with front.open() as living, front.open() as silent:
        await join(living)
        cut = asyncio.create_task(silent.recv())  # has not said `connect`: it is not pinged
        while not cut.done():
            await hear(living, "{}")
        with pytest.raises(ConnectionClosed) as caught:
            await cut
        assert caught.value.rcvd is None  # by the proxy: wsloop would have told a code
        await hear(living, "{}")


async def refuses_a_foreign_origin(front: Front) -> None:
    """TLS ends at the proxy, yet a page that came by http:// is not the one that is allowed."""
    for origin in (f"http://{HOST}", "https://evil.example"):
        with pytest.raises(InvalidStatus, match="403"):
            async with front.open(origin=origin):
                pass
    async with front.open(origin=None) as peer:  # no browser
        await join(peer)


async def loses_nobody_when_one_drains(front: Front, sigterm: Any) -> None:
    """Fifty clients are on both; one is ended; all are on the other, and hear what is published there."""
    one, two, wanderers = front.one, front.two, [Wanderer(front) for _ in range(50)]
    lives = [asyncio.create_task(each.live()) for each in wanderers]
    try:
        await until(lambda: sum(each.joins for each in wanderers) == 50)
        on_one, on_two = len(one.addresses()), len(two.addresses())
        assert on_one + on_two == 50
        assert min(on_one, on_two) >= 10
        await asyncio.to_thread(sigterm)
        assert await asyncio.to_thread(one.wait) == 0
        await until(lambda: len(two.addresses()) == 50)
        await asyncio.to_thread(two.call, "publish", channel=CHANNEL, data="after")
        await until(lambda: all(any("after" in frame for frame in each.heard) for each in wanderers))
        codes = [code for each in wanderers for code in each.codes]
        assert codes == [3001] * on_one
    finally:
        for each in lives:
            each.cancel()
        ended = await asyncio.gather(*lives, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError] * 50
