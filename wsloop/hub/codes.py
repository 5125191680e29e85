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
    """A number for the SDK and a text for its owner; `temporary` says that a retry may help.

    For the reference, which is made from these: `when` it is sent, or else why this server `never`
    sends it, though SDKs know it.
    """

    code: int
    message: str
    temporary: bool = False
    when: str = ""
    never: str = ""


INTERNAL_ERROR = Code(
    100, "internal server error", temporary=True, when="the broker or the backend does not answer"
)
UNAUTHORIZED = Code(101, "unauthorized", never="a client without a token that needs one is closed with 3501")
UNKNOWN_CHANNEL = Code(102, "unknown channel", when="the namespace is not configured")
PERMISSION_DENIED = Code(
    103, "permission denied", when="neither a token, the namespace nor the backend allows it to this client"
)
METHOD_NOT_FOUND = Code(104, "method not found", when="the command is none that the server knows")
ALREADY_SUBSCRIBED = Code(105, "already subscribed", when="a second `subscribe` to the same channel")
LIMIT_EXCEEDED = Code(106, "limit exceeded", when="more subscriptions than `channel_limit` for one client")
BAD_REQUEST = Code(
    107,
    "bad request",
    when="a channel's name breaks the rules; a filter or a publish key that is none; `reverse` since "
    "offset 0; an `ack` above the top",
)
NOT_AVAILABLE = Code(
    108, "not available", when="presence, history or `rpc` is off; a kind of subscription that is not offered"
)
TOKEN_EXPIRED = Code(109, "token expired", when="the token was valid once: get another")
EXPIRED = Code(110, "expired", when="the right that a valid token or the backend gives has ended already")
TOO_MANY_REQUESTS = Code(
    111, "too many requests", temporary=True, when="a rate limit, or too much waits for the backend"
)
UNRECOVERABLE_POSITION = Code(
    112, "unrecoverable position", when="the stream is not the one the client knows"
)
CONCURRENT_PAGINATION = Code(
    113,
    "concurrent pagination",
    temporary=True,
    never="only kinds of subscription that are not offered are read in pages",
)

DISCONNECT_CONNECTION_CLOSED = Code(
    3000, "connection closed", never="it stands for a close without a code, which clients make up themselves"
)
DISCONNECT_SHUTDOWN = Code(3001, "shutdown", when="the server stops or drains; come back")
DISCONNECT_INTERNAL_ERROR = Code(
    3004,
    "internal server error",
    never="a fault of the server's own is 1011 (RFC 6455), after which clients come back too",
)
DISCONNECT_EXPIRED = Code(
    3005, "connection expired", when="the connection's token has expired, and was not renewed in time"
)
DISCONNECT_SUBSCRIPTION_EXPIRED = Code(
    3006,
    "subscription expired",
    when="the right to a channel that the server subscribed the client to has expired",
)
DISCONNECT_SLOW = Code(3008, "slow", when="too much waits for a client that reads too slowly")
DISCONNECT_WRITE_ERROR = Code(3009, "write error", never="who cannot be written to can be told nothing")
DISCONNECT_INSUFFICIENT_STATE = Code(
    3010,
    "insufficient state",
    when="a publication was missed in a channel that the server subscribed the client to",
)
DISCONNECT_FORCE_RECONNECT = Code(
    3011, "force reconnect", never="nothing here makes a client come back at once"
)
DISCONNECT_NO_PONG = Code(3012, "no pong", when="a ping was not answered in time")
DISCONNECT_TOO_MANY_REQUESTS = Code(
    3013, "too many requests", when="too many commands were refused with 111 in a minute"
)
DISCONNECT_STATE_INVALIDATED = Code(
    3014, "state invalidated", when="the token that let the client in was revoked: come back with another"
)
DISCONNECT_INVALID_TOKEN = Code(3500, "invalid token", when="a token that is none of ours, or another's")
DISCONNECT_BAD_REQUEST = Code(
    3501,
    "bad request",
    when="bad JSON, an empty message, a command without id or before connect, a second connect, no "
    "channel, no data, no token where one is required",
)
DISCONNECT_STALE = Code(3502, "stale", when="no connect command came in time")
DISCONNECT_FORCE_NO_RECONNECT = Code(
    3503, "force disconnect", when="the operator's `disconnect`, unless it names another code"
)
DISCONNECT_CONNECTION_LIMIT = Code(
    3504, "connection limit", when="the user has `user_connection_limit` connections already"
)
DISCONNECT_CHANNEL_LIMIT = Code(
    3505, "channel limit", when="the identity names more channels to be subscribed to than `channel_limit`"
)
DISCONNECT_INAPPROPRIATE_PROTOCOL = Code(3506, "inappropriate protocol", never="there is one protocol")
DISCONNECT_PERMISSION_DENIED = Code(3507, "permission denied", when="the user is blocked")
DISCONNECT_NOT_AVAILABLE = Code(3508, "not available", when="`send` without anybody to receive it")
DISCONNECT_TOO_MANY_ERRORS = Code(3509, "too many errors", never="errors are not counted")

UNSUBSCRIBE_CLIENT = Code(0, "client unsubscribed", never="only hooks are told: the client knows")
UNSUBSCRIBE_DISCONNECT = Code(1, "client disconnected", never="only hooks are told: the client is gone")
UNSUBSCRIBE_SERVER = Code(2000, "server unsubscribe", when="the operator's `unsubscribe`")
UNSUBSCRIBE_INSUFFICIENT = Code(
    2500,
    "insufficient state",
    when="a publication was missed or the stream was lost: subscribe again and recover",
)
UNSUBSCRIBE_EXPIRED = Code(
    2501, "subscription expired", when="the right to the channel has expired, and was not renewed in time"
)
UNSUBSCRIBE_STATE_INVALIDATED = Code(
    2502, "state invalidated", when="a reload has taken away the channel's namespace, or forbids its name"
)


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
