"""What a client is told when something is wrong: errors, disconnects, unsubscribes.

Numbers and texts are those of the Centrifugo client protocol, since its SDKs decide by number
whether to try again: an error below 100 or `temporary` is retried; a disconnect of 3500-3999
or 4500-4999 is final, any other reconnects; an unsubscribe of 2500 or more resubscribes.

`dispatcher.py` is the one place that turns the two
exceptions into bytes or a close.
"""

from __future__ import annotations

import msgspec

from wsloop.errors import WsloopError


class Code(msgspec.Struct, frozen=True, gc=False):
    """A number for the SDK and a text for its owner; `temporary` says that a retry may help."""

    code: int
    message: str
    temporary: bool = False


INTERNAL_ERROR = Code(100, "internal server error", temporary=True)
UNAUTHORIZED = Code(101, "unauthorized")
UNKNOWN_CHANNEL = Code(102, "unknown channel")
PERMISSION_DENIED = Code(103, "permission denied")
METHOD_NOT_FOUND = Code(104, "method not found")
ALREADY_SUBSCRIBED = Code(105, "already subscribed")
LIMIT_EXCEEDED = Code(106, "limit exceeded")
BAD_REQUEST = Code(107, "bad request")
NOT_AVAILABLE = Code(108, "not available")
TOKEN_EXPIRED = Code(109, "token expired")
EXPIRED = Code(110, "expired")
TOO_MANY_REQUESTS = Code(111, "too many requests", temporary=True)
UNRECOVERABLE_POSITION = Code(112, "unrecoverable position")
CONCURRENT_PAGINATION = Code(113, "concurrent pagination", temporary=True)

DISCONNECT_CONNECTION_CLOSED = Code(3000, "connection closed")
DISCONNECT_SHUTDOWN = Code(3001, "shutdown")
DISCONNECT_INTERNAL_ERROR = Code(3004, "internal server error")
DISCONNECT_EXPIRED = Code(3005, "connection expired")
DISCONNECT_SUBSCRIPTION_EXPIRED = Code(3006, "subscription expired")
DISCONNECT_SLOW = Code(3008, "slow")
DISCONNECT_WRITE_ERROR = Code(3009, "write error")
DISCONNECT_INSUFFICIENT_STATE = Code(3010, "insufficient state")
DISCONNECT_FORCE_RECONNECT = Code(3011, "force reconnect")
DISCONNECT_NO_PONG = Code(3012, "no pong")
DISCONNECT_TOO_MANY_REQUESTS = Code(3013, "too many requests")
DISCONNECT_STATE_INVALIDATED = Code(3014, "state invalidated")
DISCONNECT_INVALID_TOKEN = Code(3500, "invalid token")
DISCONNECT_BAD_REQUEST = Code(3501, "bad request")
DISCONNECT_STALE = Code(3502, "stale")
DISCONNECT_FORCE_NO_RECONNECT = Code(3503, "force disconnect")
DISCONNECT_CONNECTION_LIMIT = Code(3504, "connection limit")
DISCONNECT_CHANNEL_LIMIT = Code(3505, "channel limit")
DISCONNECT_INAPPROPRIATE_PROTOCOL = Code(3506, "inappropriate protocol")
DISCONNECT_PERMISSION_DENIED = Code(3507, "permission denied")
DISCONNECT_NOT_AVAILABLE = Code(3508, "not available")
DISCONNECT_TOO_MANY_ERRORS = Code(3509, "too many errors")

UNSUBSCRIBE_CLIENT = Code(0, "client unsubscribed")
"""Only hooks are told this one and the next: the client knows."""
UNSUBSCRIBE_DISCONNECT = Code(1, "client disconnected")
UNSUBSCRIBE_SERVER = Code(2000, "server unsubscribe")
UNSUBSCRIBE_INSUFFICIENT = Code(2500, "insufficient state")
UNSUBSCRIBE_EXPIRED = Code(2501, "subscription expired")
UNSUBSCRIBE_STATE_INVALIDATED = Code(2502, "state invalidated")


class ReplyError(WsloopError):
    """One command is refused with an error reply; the connection goes on.

    Argument: `error`, what the reply says.
    """

    peer_fault = True

    def __init__(self, error: Code) -> None:
        super().__init__(f"{error.code} {error.message}")
        self.error = error


class DisconnectError(WsloopError):
    """The client broke the protocol: the connection is closed and the rest of its frame ignored.

    Arguments: `code`, what the close frame carries; `detail`, a few words of ASCII for a
    developer, appended to the reason ("bad request: empty frame").
    """

    peer_fault = True

    def __init__(self, code: Code, detail: str = "") -> None:
        self.reason = f"{code.message}: {detail}" if detail else code.message
        super().__init__(f"{code.code} {self.reason}")
        self.close_code = code.code
