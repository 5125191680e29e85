"""Operations that publish: to a channel, to many, to a user, a group or everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes
from wsloop.hub.broker import Appended, Draft, Retention, Unavailable
from wsloop.hub.operations.core import bad_request, json_of
from wsloop.hub.operations.results import BroadcastResult, Failure, PublishResult, Response

if TYPE_CHECKING:
    from wsloop.hub.operations.core import Finished, Operations
    from wsloop.hub.operations.requests import (
        BroadcastRequest,
        Payload,
        PublishRequest,
        PublishToAllRequest,
        PublishToGroupRequest,
        PublishToUserRequest,
    )
    from wsloop.hub.operations.results import Result

NO_HISTORY = Retention()

PUBLISHES_PER_TURN = 64
"""Of a broadcast's: about 2 ms of publishing before fan-out. Clients' commands have the same share."""

MAX_BROADCAST_CHANNELS = 10_000
"""Channels of one broadcast. Breach: error 106. They are published to over some 160 turns."""

KEY_OF_THE_OPERATOR = "api\n"
"""Stands before the operator's idempotency keys: a client's key is never the same."""

GROUP_NAMESPACE = "group"
"""`group/{gid}` is the channel `group:{gid}`."""


def publish(operations: Operations, request: PublishRequest, done: Finished) -> None:
    """Carry out `publish`."""
    draft = _draft(request, version=request.version, version_epoch=request.version_epoch)
    _append(operations, request.channel, request, draft, done)


def publish_to_user(operations: Operations, request: PublishToUserRequest, done: Finished) -> None:
    """Carry out `publish_to_user`."""
    options = operations.hub.options
    if not options.personal_channel:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    if not options.has_personal_channel(request.user):
        raise bad_request("a personal channel has one user, without a comma or #")
    _append(operations, options.personal_channel_of(request.user), request, _draft(request), done)


def publish_to_group(operations: Operations, request: PublishToGroupRequest, done: Finished) -> None:
    """Carry out `publish_to_group`."""
    _append(operations, f"{GROUP_NAMESPACE}:{request.group}", request, _draft(request), done)


def publish_to_all(operations: Operations, request: PublishToAllRequest, done: Finished) -> None:
    """Carry out `publish_to_all`."""
    channel = operations.hub.options.broadcast_channel
    if not channel:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    _append(operations, channel, request, _draft(request), done)


def broadcast(operations: Operations, request: BroadcastRequest, done: Finished) -> None:
    """Carry out `broadcast`: a channel that cannot be published to does not keep it from the others."""
    channels = request.channels
    if len(channels) > MAX_BROADCAST_CHANNELS:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED)
    draft = _draft(request)
    responses: list[Response | None] = [None] * len(channels)
    missing = len(channels)

    def note(index: int, outcome: Result | codes.Code) -> None:
        nonlocal missing
        responses[index] = _response(outcome)
        missing -= 1
        if not missing:
            done(BroadcastResult(responses=[each for each in responses if each is not None]))

    def begin(index: int) -> None:
        try:
            _append(operations, channels[index], request, draft, lambda outcome: note(index, outcome))
        except codes.ReplyError as refusal:
            note(index, refusal.error)

    operations.in_portions(range(len(channels)), PUBLISHES_PER_TURN, begin, lambda: None)


def _response(outcome: Result | codes.Code) -> Response:
    if isinstance(outcome, PublishResult):
        return Response(result=outcome)
    assert isinstance(outcome, codes.Code)
    return Response(error=Failure(outcome.code, outcome.message))


def _draft(request: Payload, *, version: int = 0, version_epoch: str = "") -> Draft:
    """Return what is to be published; raises ReplyError 107."""
    data = json_of(request.data, request.b64data, "b64data")
    if not data:
        raise bad_request("data is required")
    key = request.idempotency_key
    return Draft(
        data,
        tags=msgspec.json.encode(request.tags) if request.tags else b"",
        key=KEY_OF_THE_OPERATOR + key if key else "",
        version=version,
        version_epoch=version_epoch,
        delta=request.delta,
    )


def _append(operations: Operations, channel: str, request: Payload, draft: Draft, done: Finished) -> None:
    """Publish; raises ReplyError 102 or 107 for a channel that cannot exist."""
    hub = operations.hub
    rules = hub.namespaces.rules_of(channel)

    def appended(outcome: Appended | Unavailable) -> None:
        if isinstance(outcome, Unavailable):
            done(codes.INTERNAL_ERROR)
        else:
            done(PublishResult(offset=outcome.offset, epoch=outcome.epoch))

    hub.tally.published += 1
    hub.broker.publish(channel, draft, NO_HISTORY if request.skip_history else rules.retention, appended)
