"""An application of the operator's own: a real HTTP server, of the stdlib, in a thread of the test."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.system.daemon import PATIENCE_S

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    Answering = Callable[[Any], object]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.strip("/")
        application = self.server.application
        with application.heard:
            application.asked.append((name, body))
            application.heard.notify_all()
        answer = application.answers.get(name, lambda _body: {"result": {}})(body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if data.startswith(b"RAW "):
            self.wfile.write(data[4:])
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the daemon has given up, or is gone
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Be silent."""


class _Server(ThreadingHTTPServer):
    application: Application
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        self.application.sockets.append(sock)
        return sock, address


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, _ = super().get_request()
        return sock, ("unix", 0)


class Application:
    """Answers questions as `answers` say, by the last part of their path; `asked` is all of them, in order.

    Listens on `port` of loopback (0: any free one), or on the Unix socket `path`; with TLS if `context`.
    """

    def __init__(self, port: int = 0, *, path: str = "", context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answering] = {}
        self.asked: list[tuple[str, Any]] = []
        self.heard = threading.Condition()
        self.sockets: list[socket.socket] = []
        self.port = port
        self._path = path
        self._context = context
        self._server: _Server | None = None

    def __enter__(self) -> Application:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        if self._path:
            self._server = _UnixServer(self._path, _Handler)  # type: ignore[arg-type] # a Unix address
        else:
            self._server = _Server(("127.0.0.1", self.port), _Handler)
            self.port = self._server.server_address[1]
        self._server.application = self
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Die: listen no more, and cut every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            while self.sockets:
                with contextlib.suppress(OSError):  # it is closed already
                    self.sockets.pop().shutdown(socket.SHUT_RDWR)

    def url(self, name: str) -> str:
        """Return where a question is asked."""
        if self._path:
            return f"http://unix:{self._path}:/{name}"
        scheme, host = ("https", "localhost") if self._context else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}/{name}"

    def told(self) -> list[dict[str, Any]]:
        """Return the events of all batches so far."""
        return [event for name, body in list(self.asked) if name == "hooks" for event in body]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something that was asked makes `condition()` true."""
        deadline_s = time.monotonic() + PATIENCE_S
        with self.heard:
            while not condition():
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"not so in time; asked: {self.asked}"
                self.heard.wait(left_s)
