"""The exception tree: what went wrong, whose fault it was, and what the peer is told.

Every exception that wsloop raises on purpose derives from `WsloopError`. Two class
attributes answer the questions a caller has: `peer_fault` (a peer's fault is logged in
one line, ours with a traceback) and `close_code` (RFC 6455 section 7.4.1, used if the
connection is already a WebSocket). Any other exception is a bug in wsloop.

This is the lowest room of the house: it imports nothing of the package.
"""

from __future__ import annotations

MAX_REASON_BYTES = 123
"""RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the close code."""


class WsloopError(Exception):
    """Base of every exception raised on purpose by this package."""

    peer_fault = False
    close_code = 1011


class ProtocolError(WsloopError):
    """An open WebSocket peer broke a rule; the connection is failed with `close_code`.

    Arguments: `reason`, short ASCII text that is sent to the peer; `close_code`, one that
    may stand in a close frame (1002, 1003, 1007, 1008, 1009 ...).
    """

    peer_fault = True

    def __init__(self, reason: str, close_code: int = 1002) -> None:
        super().__init__(reason)
        self.reason = reason
        self.close_code = close_code


class HandshakeError(WsloopError):
    """A request is refused while the connection still speaks HTTP.

    Arguments: `status`, the HTTP status code; `reason`, one line of text for the body;
    `headers`, extra response headers as (name, value) byte pairs.
    """

    peer_fault = True
    close_code = 1002

    def __init__(self, status: int, reason: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers


class TransportError(WsloopError):
    """The byte stream is gone: reset, timed out, broken pipe. Nothing can be sent any more.

    `errno_name` is the symbol of the errno ("ECONNRESET"), or the TLS library's name for what went
    wrong ("BAD_RECORD_MAC"), for the log.
    """

    peer_fault = True
    close_code = 1006

    def __init__(self, errno_name: str) -> None:
        super().__init__(errno_name)
        self.errno_name = errno_name


class HttpError(WsloopError):
    """A request of ours was not answered: no connection, no time, no sense, or no room to wait.

    `reason` is one line for the log, of our own words or an errno's name; nothing of the peer's is in
    it. `was_tried` is false if it never came to asking: what went wrong says nothing about the peer.
    """

    peer_fault = True

    def __init__(self, reason: str, *, was_tried: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.was_tried = was_tried


class PoolExhaustedError(WsloopError):
    """The ring pool has lent all it may lend; the caller must wait or shed."""

    close_code = 1013


class StateError(WsloopError):
    """A transition that is not in its table was asked for: a bug in the caller."""


class StartupError(WsloopError):
    """The daemon cannot start. Printed as `error: ...` and `hint: ...`, with no traceback.

    Arguments: `message`, one line; `hint`, what the operator can do, or "".
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(StartupError):
    """The command line asks for what does not exist, or does not go together."""

    exit_code = 2


class ConfigError(StartupError):
    """The configuration is wrong; names the key, the file and the line where known."""

    exit_code = 78
