"""All methods of the server API in one table, and the way from a name and JSON to an operation.

`METHODS` is what `server/api.py` serves and what the reference is generated from.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.hub import codes
from wsloop.hub.operations import merging, publishing, reading, requests, results, steering, tokens, users
from wsloop.hub.operations.core import Finished, Operations, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS_PER_TURN = 64
"""Commands of a batch begun in one turn: about 2 ms of publishing before fan-out."""

MAX_COMMANDS = 10_000
"""Commands of one batch. Breach: error 106."""


class NotJsonError(ValueError):
    """The body of a request is not JSON; the text, for whoever sent it, says why."""


class Method(msgspec.Struct, frozen=True):
    """One method: what it takes, what it gives, and what carries it out."""

    request: type[requests.Request]
    result: type[results.Result]
    run: Callable[[Operations, Any, Finished], None]


def batch(operations: Operations, request: requests.BatchRequest, done: Finished) -> None:
    """Carry out `batch`: one command's failure does not keep it from the others."""
    if len(request.commands) > MAX_COMMANDS:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED)
    _Batch(operations, request, done).go_on()


BATCH_REPLY_BYTES = 32 * 1024 * 1024
"""Of a batch's replies together: each may be a history of 4 MiB. What would come after them is not begun, and
answered with error 106."""


class _Batch:
    """The commands of one batch, some each turn; without `parallel` each begins when the last one is done."""

    def __init__(self, operations: Operations, request: requests.BatchRequest, done: Finished) -> None:
        self._operations = operations
        self._commands = request.commands
        self._parallel = request.parallel
        self._done = done
        self._replies = [b""] * len(request.commands)
        self._begun = self._completed = self._reply_bytes = 0
        self._is_going_on = False

    def go_on(self) -> None:
        """Begin what may begin this turn; then, or when a command is done, it is called again."""
        self._is_going_on = True
        end = min(self._begun + COMMANDS_PER_TURN, len(self._commands))
        while self._begun < end and (self._parallel or self._completed == self._begun):
            self._begun += 1
            self._begin(self._begun - 1)
        self._is_going_on = False
        if self._completed == len(self._commands):
            self._done(results.BatchResult(replies=[msgspec.Raw(reply) for reply in self._replies]))
        elif self._begun < len(self._commands) and (self._parallel or self._completed == self._begun):
            self._operations.later(self.go_on)

    def _begin(self, index: int) -> None:
        command = self._commands[index]
        name = next(iter(command), "")
        if self._reply_bytes > BATCH_REPLY_BYTES:
            self._note(index, name, codes.LIMIT_EXCEEDED)
            return
        _run(self._operations, name, command, functools.partial(self._note, index, name))

    def _note(self, index: int, name: str, outcome: results.Result | codes.Code) -> None:
        self._replies[index] = reply = _reply(name, outcome)
        self._reply_bytes += len(reply)
        self._completed += 1
        is_last = self._completed == len(self._commands)
        if not self._is_going_on and (is_last or not self._parallel):
            self.go_on()


def _reply(name: str, outcome: results.Result | codes.Code) -> bytes:
    if isinstance(outcome, codes.Code):
        return b'{"error":%b}' % msgspec.json.encode(results.Failure(outcome.code, outcome.message))
    return b'{"%b":%b}' % (name.encode(), msgspec.json.encode(outcome))


def _run(operations: Operations, name: str, command: dict[str, msgspec.Raw], done: Finished) -> None:
    """Carry out one command of a batch; whatever is wrong with it becomes its own error."""
    try:
        if name == "batch" or len(command) != 1:
            raise bad_request("a command is an object with one key, a method that is not batch")
        _begin(operations, name, command[name], done)
    except codes.ReplyError as refusal:
        done(refusal.error)


def call(operations: Operations, name: str, body: bytes, done: Finished) -> None:
    """Carry out a method; `body` is its request in JSON.

    `done` gets the result or an error code, now or later. Raises NotJsonError.
    """
    try:
        body.decode()
        request = msgspec.json.decode(body, type=msgspec.Raw)
    except UnicodeDecodeError:
        raise NotJsonError("the body is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotJsonError(f"the body is not JSON: {error}") from None
    try:
        _begin(operations, name, request, done)
    except codes.ReplyError as refusal:
        done(refusal.error)


def _begin(operations: Operations, name: str, params: msgspec.Raw, done: Finished) -> None:
    """Decode a request and carry it out; raises ReplyError."""
    if name in NOT_OFFERED:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    method = METHODS.get(name) or CONTROL_METHODS.get(name)
    if method is None:
        raise codes.ReplyError(codes.METHOD_NOT_FOUND)
    try:
        request = msgspec.json.decode(params, type=method.request)
    except (msgspec.DecodeError, RecursionError) as error:
        message = str(error)
        raise bad_request(message[0].lower() + message[1:]) from None
    merge = MERGES.get(name)
    if operations.everywhere is None or merge is None:
        method.run(operations, request, done)
        return
    if name in NOTED:
        method.run(operations, request, _ignore)

    def answered(answers: list[bytes | None]) -> None:
        if name in PARTIAL:
            answers = [each for each in answers if each is not None]
        elif not answers:
            answers = [None]
        done(_merged(answers, method.result, functools.partial(merge, request)))

    operations.everywhere.ask(name, bytes(params), answered)


def _merged(
    answers: list[bytes | None],
    kind: type[results.Result],
    merge: Callable[[list[Any]], results.Result],
) -> results.Result | codes.Code:
    """Return what all processes answered as one result; the first error, 100 for one without an answer."""
    found: list[results.Result] = []
    for each in answers:
        outcome = codes.INTERNAL_ERROR if each is None else merging.decode(each, kind)
        if isinstance(outcome, codes.Code):
            return outcome
        found.append(outcome)
    return merge(found)


def _ignore(outcome: results.Result | codes.Code) -> None:
    """Leave the answer to those who hold the connections."""


def answer(operations: Operations, name: str, body: bytes, done: Callable[[bytes], object]) -> None:
    """Carry out a method for another process (`Everywhere`); `done` gets the answer in JSON."""

    def finished(outcome: results.Result | codes.Code) -> None:
        done(merging.encode(outcome))

    call(operations, name, body, finished)


METHODS: dict[str, Method] = {
    "publish": Method(requests.PublishRequest, results.PublishResult, publishing.publish),
    "broadcast": Method(requests.BroadcastRequest, results.BroadcastResult, publishing.broadcast),
    "publish_to_user": Method(
        requests.PublishToUserRequest, results.PublishResult, publishing.publish_to_user
    ),
    "publish_to_group": Method(
        requests.PublishToGroupRequest, results.PublishResult, publishing.publish_to_group
    ),
    "publish_to_all": Method(requests.PublishToAllRequest, results.PublishResult, publishing.publish_to_all),
    "subscribe": Method(requests.SubscribeRequest, results.EmptyResult, users.subscribe),
    "unsubscribe": Method(requests.UnsubscribeRequest, results.EmptyResult, users.unsubscribe),
    "disconnect": Method(requests.DisconnectRequest, results.EmptyResult, users.disconnect),
    "refresh": Method(requests.RefreshRequest, results.EmptyResult, users.refresh),
    "presence": Method(requests.PresenceRequest, results.PresenceResult, reading.presence),
    "presence_stats": Method(
        requests.PresenceStatsRequest, results.PresenceStatsResult, reading.presence_stats
    ),
    "history": Method(requests.HistoryRequest, results.HistoryResult, reading.history),
    "history_remove": Method(requests.HistoryRemoveRequest, results.EmptyResult, reading.history_remove),
    "channels": Method(requests.ChannelsRequest, results.ChannelsResult, reading.channels),
    "connections": Method(requests.ConnectionsRequest, results.ConnectionsResult, users.connections),
    "acks": Method(requests.AcksRequest, results.AcksResult, reading.acks),
    "block_user": Method(requests.BlockUserRequest, results.EmptyResult, tokens.block_user),
    "unblock_user": Method(requests.UnblockUserRequest, results.EmptyResult, tokens.unblock_user),
    "revoke_token": Method(requests.RevokeTokenRequest, results.EmptyResult, tokens.revoke_token),
    "invalidate_user_tokens": Method(
        requests.InvalidateUserTokensRequest, results.EmptyResult, tokens.invalidate_user_tokens
    ),
    "slowest": Method(requests.SlowestRequest, results.SlowestResult, reading.slowest),
    "info": Method(requests.InfoRequest, results.InfoResult, reading.info),
    "batch": Method(requests.BatchRequest, results.BatchResult, batch),
}
"""Name -> method, in the order of the reference."""

CONTROL_METHODS: dict[str, Method] = {
    "peers": Method(requests.PeersRequest, results.PeersResult, steering.peers),
    "kick": Method(requests.KickRequest, results.KickResult, steering.kick),
    "record": Method(requests.RecordRequest, results.RecordResult, steering.record),
    "recorded": Method(requests.RecordedRequest, results.RecordedResult, steering.recorded),
}
"""Those of `wsloop ctl`. The API does not offer them: they are about this machine's processes."""

NOT_OFFERED = frozenset(
    {
        "rpc",
        "update_user_status",
        "get_user_status",
        "delete_user_status",
        "device_register",
        "device_update",
        "device_remove",
        "device_list",
        "device_topic_list",
        "device_topic_update",
        "user_topic_list",
        "user_topic_update",
        "send_push_notification",
        "update_push_status",
        "cancel_push",
    }
)
"""Methods that clients of the API know and this server does not have: error 108; unknown ones are 404."""

MERGES: dict[str, merging.Merge] = {
    "subscribe": merging.nothing,
    "unsubscribe": merging.nothing,
    "disconnect": merging.nothing,
    "refresh": merging.nothing,
    "channels": merging.channels,
    "connections": merging.connections,
    "acks": merging.acks,
    "block_user": merging.nothing,
    "unblock_user": merging.nothing,
    "revoke_token": merging.nothing,
    "invalidate_user_tokens": merging.nothing,
    "slowest": merging.slowest,
    "peers": merging.peers,
    "kick": merging.kick,
    "record": merging.record,
    "recorded": merging.recorded,
    "info": merging.info,
}
"""Method -> what puts together the results of several processes. What is not here, one process carries out
for all, because broker and presence have what it is about."""

NOTED = frozenset({"block_user", "unblock_user", "revoke_token", "invalidate_user_tokens"})
"""Carried out here as well: this process tells those that come later what was taken back."""

PARTIAL = frozenset({"info", "recorded"})
"""What is worth telling though a process did not answer: who is missing is what the operator looks for, and
what others have recorded is not lost."""
