"""An HTTP server in memory that answers as it is told to: the other side of `wsloop.client`.

Runs on the reactor of who asks it, over a `MemoryNetwork`. It can also do what a server should not:
hang, answer garbage, close in the middle, reset. Requests are read by h11; every one is kept.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import h11

from wsloop.loop.poller import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.testing.memory_socket import MemorySocket
    from wsloop.testing.network import MemoryNetwork
    from wsloop.transport.bind import TcpBind, UnixBind

log = logging.getLogger("wsloop.testing")


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request: header names in lower case, the body, and which connection it came on (from 1)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:  # noqa: ANN401 - JSON is any type
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets.

    `body` as JSON, or as it is if bytes. `raw`, if not None, is sent instead of a response. After it
    the connection goes on, unless `closes` (with a FIN) or `resets`. `delay_s` comes before all
    that; None is for ever.
    """

    body: object = field(default_factory=lambda: {"result": {}})
    status: int = 200
    raw: bytes | None = None
    closes: bool = False
    resets: bool = False
    delay_s: float | None = 0.0


HANG = Answer(delay_s=None)
GARBAGE = Answer(raw=b"\x16\x03\x01 this is no HTTP\r\n\r\n", closes=True)
CUT_OFF = Answer(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"result":', closes=True)
RESET = Answer(raw=b"", resets=True)


class MemoryHttpBackend:
    """Listens on `address`; `answer` decides what each request gets, and may be replaced at any time.

    If it raises, or what it answers is no JSON, that is logged with its traceback, and the request gets 500.
    """

    def __init__(
        self,
        reactor: Reactor,
        network: MemoryNetwork,
        address: TcpBind | UnixBind,
        answer: Callable[[ReceivedRequest], Answer],
    ) -> None:
        self.answer = answer
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.reactor = reactor
        self.is_listening = True
        self._peers: list[_Peer] = []
        self._listener = network.listen(address)
        reactor.register(self._listener.fileno(), READ, self._on_connection)

    def close_idle(self) -> None:
        """Close every connection that awaits a request, as servers do after a while."""
        for peer in list(self._peers):
            peer.close()

    def close(self) -> None:
        """Die: no address, no connections. Idempotent."""
        if self.is_listening:
            self.is_listening = False
            self.reactor.unregister(self._listener.fileno())
            self._listener.close()
        self.close_idle()

    def _on_connection(self, _events: int) -> None:
        sock, _ = self._listener.accept()
        self.connections += 1
        self._peers.append(_Peer(self, sock, self.connections))

    def forget(self, peer: _Peer) -> None:
        """Forget a connection that is gone. Called by it."""
        self._peers.remove(peer)


class _Peer:
    """One connection of the backend's."""

    def __init__(self, backend: MemoryHttpBackend, sock: MemorySocket, number: int) -> None:
        self._backend = backend
        self._sock = sock
        self._number = number
        self._h11 = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = b""
        self._pending = bytearray()
        self._ends = False
        self._is_open = True
        backend.reactor.register(sock.fileno(), READ, self._on_ready)

    def close(self, *, reset: bool = False) -> None:
        """Close the connection. Idempotent."""
        if self._is_open:
            self._is_open = False
            self._backend.reactor.unregister(self._sock.fileno())
            if reset:
                self._sock.reset()
            self._sock.close()
            self._backend.forget(self)

    def _on_ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._send()
            if events & READ and self._is_open:
                data = self._sock.recv(65_536)
                if not data:
                    self.close()
                    return
                self._h11.receive_data(data)
                self._next()
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            self.close()

    def _next(self) -> None:
        while self._is_open:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                self._head, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._on_request()
                return
            else:
                return

    def _on_request(self) -> None:
        assert self._head is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in self._head.headers}
        request = ReceivedRequest(
            self._head.method.decode(), self._head.target.decode(), headers, self._body, self._number
        )
        self._backend.requests.append(request)
        answer = self._answer(request)
        if answer.delay_s is None:
            return
        if answer.delay_s:
            self._backend.reactor.call_later(answer.delay_s, lambda: self._give(answer))
        else:
            self._give(answer)

    def _answer(self, request: ReceivedRequest) -> Answer:
        try:
            answer = self._backend.answer(request)
            if answer.raw is None and not isinstance(answer.body, bytes):
                return replace(answer, body=json.dumps(answer.body).encode())
        except Exception:
            log.exception("whoever answers %s raised", request.target)
            return Answer(b"", status=500)
        return answer

    def _give(self, answer: Answer) -> None:
        if not self._is_open:
            return
        if answer.resets:
            self.close(reset=True)
            return
        self._ends = answer.closes
        if answer.raw is not None:
            self._pending += answer.raw
        else:
            assert isinstance(answer.body, bytes)
            body = answer.body
            head = h11.Response(
                status_code=answer.status, headers=[("Content-Length", str(len(body)))], reason=b"?"
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self._pending += self._h11.send(event) or b""
            if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
                self._h11.start_next_cycle()
        self._backend.reactor.set_interest(self._sock.fileno(), READ | WRITE)

    def _send(self) -> None:
        if self._pending:
            sent = self._sock.send(bytes(self._pending))
            del self._pending[:sent]
        if not self._pending:
            self._backend.reactor.set_interest(self._sock.fileno(), READ)
            if self._ends:
                self.close()
