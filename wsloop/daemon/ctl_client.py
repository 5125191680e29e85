"""The asking side of the control socket. It may block: it is a command's own process.

HTTP/1.1 by the standard library over a Unix socket. Whatever keeps a daemon from answering becomes one
line.
"""

from __future__ import annotations

import http.client
import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import control_place
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 15.0
"""For an answer; the server gives up a request of its own after 10 s."""


class NotDoneError(StartupError):
    """A command of the operator's was not carried out."""

    exit_code = 1


class GoneError(NotDoneError):
    """There is no daemon, or it has hung up while it was asked."""


class ControlClient:
    """Asks the daemon at the control socket `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, method: str, **params: object) -> Any:  # noqa: ANN401 - the answer's shape is the method's
        """Return the result of a method; raises NotDoneError, with the daemon's words if it refuses."""
        body = msgspec.json.encode(params)
        status, answer = self._exchange(method, body)
        if status != http.client.OK:
            raise NotDoneError(f"the daemon at {self.path} does not know {method}", "is it of this version?")
        try:
            told = msgspec.json.decode(answer)
            if "error" in told:
                raise NotDoneError(str(told["error"]["message"]), str(told["error"]["hint"]))
            return told["result"]
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError):
            raise NotDoneError(f"what answers at {self.path} is no wsloop daemon") from None

    def _exchange(self, method: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
        try:
            connection.sock = self._connect()
            connection.request("POST", f"/ctl/{method}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise NotDoneError(
                f"the daemon at {self.path} does not answer", "is it stopped, or busy? see its log"
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise no_daemon(str(self.path)) from None
        except PermissionError:
            raise NotDoneError(f"no permission to use {self.path}", "be the daemon's user, or root") from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it hung up"
            raise GoneError(f"no answer from the daemon at {self.path}: {reason}") from None
        finally:
            connection.close()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(TIMEOUT_S)
            sock.connect(os.fspath(self.path))
        except BaseException:
            sock.close()
            raise
        return sock

    def is_there(self) -> bool:
        """Return whether somebody listens at the path."""
        try:
            self._connect().close()
        except OSError:
            return False
        return True


def find(path: Path | None) -> ControlClient:
    """Return who is asked: the daemon at `path`, or the only one there is; raises NotDoneError."""
    if path is not None:
        return ControlClient(path)
    alive = [
        client for each in control_place.running(os.environ) if (client := ControlClient(each)).is_there()
    ]
    if not alive:
        raise no_daemon("")
    if len(alive) > 1:
        paths = " or ".join(str(client.path) for client in alive)
        raise NotDoneError("several daemons run here", f"say which: --control {paths}")
    return alive[0]


def no_daemon(path: str) -> GoneError:
    """Return the error of a daemon that is not there."""
    at = f" at {path}" if path else ""
    return GoneError(f"no daemon is running{at}", "start one: wsloop serve; or say where: --control PATH")
