"""A plain WebSocket to a `Server` in memory, for tests of applications: every call waits in virtual time.

`wire` is the client beneath (`client.py`), for tests in which the peer misbehaves. Messaging is in
`app_client.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from wsloop.protocol.close import CloseCode
from wsloop.testing.client import MemoryClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.testing.app_server import Server

PATIENCE_S = 60.0
"""Virtual seconds that a call waits for its answer: longer than every deadline of the server's own."""

LOCALHOST = "127.0.0.1"

ABNORMAL = (int(CloseCode.ABNORMAL), "")
"""How a connection ended without a close frame (RFC 6455 section 7.1.5)."""


class UpgradeRefused(Exception):  # noqa: N818 - it is an answer, which a test may expect
    """The server did not open a WebSocket; `status` of its answer, 0 if there was none, and `body`."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body.strip()}" if status else "the connection ended in the handshake")
        self.status = status
        self.body = body


class ConnectionClosed(Exception):  # noqa: N818 - it is an event, which a test may expect
    """Nothing more will come; `code` and `reason` of the server's close frame, 1006 if there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class TestSocket:
    """An open WebSocket.

    Arguments: `server`; `path` of a route; `headers` of the upgrade request besides the usual ones;
    `subprotocols` to offer; the `worker` that accepts it, counted from 0; `source_host`, the address it comes
    from. Raises UpgradeRefused.
    """

    __test__: ClassVar = False  # pytest: it is no test
    wire_kind: ClassVar[type[MemoryClient]] = MemoryClient

    def __init__(
        self,
        server: Server,
        path: str = "/echo",
        *,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
        worker: int = 0,
        source_host: str = LOCALHOST,
    ) -> None:
        self.server = server
        self.wire = server.dial(self.wire_kind, worker=worker, source_host=source_host)
        self._taken = 0
        offered = ", ".join(subprotocols)
        extra = (("Sec-WebSocket-Protocol", offered),) if offered else ()
        self.wire.upgrade(path, (*headers, *extra))
        self._wait_for(
            lambda: self.wire.is_open or b"\r\n\r\n" in self.wire.http, "no answer to the handshake"
        )
        if not self.wire.is_open:
            server.settle()
            head, _, body = self.wire.http.decode("latin-1").partition("\r\n\r\n")
            raise UpgradeRefused(int((head.split() or ["", "0"])[1]), body)

    def _wait_for(self, condition: Callable[[], object], unless: str, within_s: float = PATIENCE_S) -> None:
        """Let time pass until `condition()` is true or the connection has ended; raises TimeoutError."""
        self.server.run_until(lambda: condition() or self.wire.is_gone, within_s=within_s, unless=unless)

    @property
    def subprotocol(self) -> str:
        """What the server chose of the subprotocols, "" if none."""
        for line in self.wire.http.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-protocol":
                return value.strip()
        return ""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent and may come."""
        return self.wire.is_open and not self.wire.is_gone and self.wire.close_frame is None

    @property
    def closed(self) -> tuple[int, str] | None:
        """Code and reason that the server closed with, 1006 if it said none; None while it is open."""
        return None if self.is_open else self.wire.close_frame or ABNORMAL

    def send(self, message: str | bytes) -> None:
        """Send a message: str as text, bytes as binary. It arrives when time passes."""
        if isinstance(message, str):
            self.wire.send_text(message)
        else:
            self.wire.send_binary(message)

    def receive(self, within_s: float = PATIENCE_S) -> str | bytes:
        """Return the next message.

        Raises ConnectionClosed if none comes any more, TimeoutError after `within_s` virtual seconds.
        """
        self._wait_for(lambda: len(self.wire.received) > self._taken, "no message", within_s)
        if len(self.wire.received) == self._taken:
            raise ConnectionClosed(*(self.closed or ABNORMAL))
        self._taken += 1
        return self.wire.received[self._taken - 1]

    def ping(self, payload: bytes = b"") -> float:
        """Send a ping; return after how many virtual seconds its pong came. Raises ConnectionClosed."""
        before, began_s = len(self.wire.pongs), self.server.clock.now()
        self.wire.send_ping(payload)
        self._wait_for(lambda: len(self.wire.pongs) > before, "no pong")
        if len(self.wire.pongs) == before:
            raise ConnectionClosed(*(self.closed or ABNORMAL))
        return self.server.clock.now() - began_s

    def close(self, code: int = 1000, reason: str = "") -> tuple[int, str]:
        """Close from this side and wait for the server's half; return its code and reason. Idempotent."""
        if self.is_open:
            self.wire.send_close(code, reason)
        return self.wait_closed()

    def wait_closed(self, within_s: float = PATIENCE_S) -> tuple[int, str]:
        """Wait until the server has closed; return code and reason. Raises TimeoutError."""
        self.server.run_until(
            lambda: self.wire.is_gone, within_s=within_s, unless="the server has not closed"
        )
        return self.wire.close_frame or ABNORMAL

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.wire.close()
