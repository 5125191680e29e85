"""What all operations share: the hub they act on, how they end, and how long ones share the turn.

An operation takes the `Operations`, its request and a completion; it calls the completion once, now
or later, or raises ReplyError. It never blocks: what may be long is done in portions, one a turn.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from wsloop.hub import codes, replies
from wsloop.hub.operations.peers import NoPeers
from wsloop.hub.operations.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from wsloop.hub.client import Client
    from wsloop.hub.hub import Hub
    from wsloop.hub.operations.peers import Peers
    from wsloop.hub.operations.results import Process, SlowConnection

Finished = Callable[[Result | codes.Code], object]
"""A completion: called exactly once; it does not raise."""

Later = Callable[[Callable[[], object]], object]
"""Has something called later, in the turn after this one at the latest."""

Item = TypeVar("Item")


class Everywhere(Protocol):
    """The other processes that hold connections, where this one holds none."""

    def ask(self, name: str, params: bytes, done: Callable[[list[bytes | None]], object]) -> None:
        """Have every process carry out a method with `params`, its request in JSON.

        `done` gets one answer for each, now or later: {"result": ...} or {"error": ...} in JSON, None
        from a process that gave none in time.
        """
        ...


class Operations:
    """What the operations act on.

    Arguments: `hub`; `later` has a callable called in the next turn; `uid` and `name` of this process,
    for `info`; `process` tells what it uses; `slowest` returns that many connections, the worst first;
    `peers` are all connections of this process.

    `everywhere` is set where other processes hold the connections: what is about connections is then
    asked of them, and their answers are put together.
    """

    __slots__ = ("everywhere", "hub", "later", "name", "peers", "process", "slowest", "uid")

    def __init__(
        self,
        hub: Hub,
        *,
        later: Later,
        uid: str,
        name: str,
        process: Callable[[], Process],
        slowest: Callable[[int], list[SlowConnection]],
        peers: Peers | None = None,
    ) -> None:
        self.hub = hub
        self.later = later
        self.uid = uid
        self.name = name
        self.process = process
        self.slowest = slowest
        self.peers = peers or NoPeers()
        self.everywhere: Everywhere | None = None

    def in_portions(
        self,
        items: Sequence[Item],
        per_turn: int,
        each: Callable[[Item], object],
        finish: Callable[[], object],
    ) -> None:
        """Call `each` for every item, `per_turn` of them a turn, then `finish`; neither raises."""

        def step(start: int) -> None:
            for item in items[start : start + per_turn]:
                each(item)
            if start + per_turn < len(items):
                self.later(functools.partial(step, start + per_turn))
            else:
                finish()

        step(0)

    def targets(self, user: str, client: str, session: str) -> list[Client]:
        """Return the connections that a request is about; the empty list if there are none (any more).

        Raises ReplyError 107 if it names neither a user nor a connection.
        """
        if not user and not client:
            raise bad_request("user or client is required")
        if session:
            return []
        if not client:
            return self.hub.clients_of(user)
        found = self.hub.client(client)
        return [found] if found is not None and found.is_connected and found.user == user else []


def bad_request(detail: str) -> codes.ReplyError:
    """Return the error 107 that tells a developer what is wrong."""
    return codes.ReplyError(codes.Code(codes.BAD_REQUEST.code, f"{codes.BAD_REQUEST.message}: {detail}"))


def json_of(raw: msgspec.Raw, b64: str, field: str) -> bytes:
    """Return a payload that came as JSON or as the base64 of JSON, on one line; b"" if there is none.

    Raises ReplyError 107; `field` is the name of the second in the request.
    """
    try:
        data = base64.b64decode(b64, validate=True) if b64 else bytes(raw)
        return replies.one_line(data) if data else b""
    except (binascii.Error, ValueError, replies.PayloadError):
        raise bad_request(f"{field} is not JSON in base64" if b64 else "a payload is not JSON") from None
