"""What a client is told when something is wrong: errors, disconnects, unsubscribes.

Numbers and texts are those of the Centrifugo client protocol, since its SDKs decide by number
whether to try again: an error below 100 or `temporary` is retried; a disconnect of 3500-3999
or 4500-4999 is final, any other reconnects; an unsubscribe of 2500 or more resubscribes.

Only codes that can be reached are listed. `dispatcher.py` is the one place that turns the two
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
UNKNOWN_CHANNEL = Code(102, "unknown channel")
PERMISSION_DENIED = Code(103, "permission denied")
METHOD_NOT_FOUND = Code(104, "method not found")
ALREADY_SUBSCRIBED = Code(105, "already subscribed")
LIMIT_EXCEEDED = Code(106, "limit exceeded")
BAD_REQUEST = Code(107, "bad request")
NOT_AVAILABLE = Code(108, "not available")
UNRECOVERABLE_POSITION = Code(112, "unrecoverable position")

DISCONNECT_SHUTDOWN = Code(3001, "shutdown")
DISCONNECT_INVALID_TOKEN = Code(3500, "invalid token")
DISCONNECT_BAD_REQUEST = Code(3501, "bad request")
DISCONNECT_NOT_AVAILABLE = Code(3508, "not available")

UNSUBSCRIBE_INSUFFICIENT = Code(2500, "insufficient state")


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
