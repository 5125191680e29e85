"""The commands: a line of JSON in; a reply, an error or the end of the connection out.

`COMMANDS` at the end is the table of all of them. A handler checks, asks the broker, the presence or
the backend with a callback, and answers in the callback; it raises ReplyError to refuse the
command, DisconnectError to end the connection. `dispatch` is the one place where a refusal becomes
an error reply. Connect is in `connecting.py`, subscribe and unsubscribe in `subscribing.py`; the
rules of names and rights in `namespaces.py`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from wsloop.hub import acks, codes, commands, connecting, refreshing, replies, subscribing
from wsloop.hub.backend import Disconnected, PublishQuestion, PublishVerdict, Refused, RpcQuestion
from wsloop.hub.broker import Draft, Retention, Unavailable
from wsloop.hub.history import HistoryQuery, StreamView
from wsloop.hub.idempotency import key_of
from wsloop.hub.in_order import InOrder
from wsloop.hub.namespaces import may
from wsloop.hub.rate_limits import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.broker import Done, Result
    from wsloop.hub.client import Client
    from wsloop.hub.namespaces import ChannelRules
    from wsloop.hub.rate_limits import Meter


NO_HISTORY = Retention()

VERDICTS_AT_ONCE = 64
"""Most publications of one client that wait for the backend, each up to a message long. They are carried
out in their order, so behind one that takes its second all wait, even those that were refused at once."""

OPERATIONS = {
    "connect": Operation.CONNECT,
    "refresh": Operation.CONNECT,
    "subscribe": Operation.SUBSCRIBE,
    "sub_refresh": Operation.SUBSCRIBE,
    "publish": Operation.PUBLISH,
    "history": Operation.HISTORY,
    "presence": Operation.HISTORY,
    "presence_stats": Operation.HISTORY,
    "rpc": Operation.RPC,
    "send": Operation.RPC,
}
"""Which rate limit a method comes under besides that of all commands."""


def dispatch(client: Client, line: str | bytes) -> None:
    """Decode one command and carry it out.

    Raises codes.DisconnectError if it breaks the protocol; every other fault is answered.
    """
    try:
        command = client.codec.decode(line)
    except (ValueError, RecursionError):  # of which DecodeError and UnicodeError are kinds
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not a command") from None
    client.hub.commands_total += 1
    for method, handle in COMMANDS:
        request = getattr(command, method)
        if request is not None:
            _check_order(client, command.id, method)
            if client.meter is not None and not _is_admitted(client, client.meter, command.id, method):
                return
            try:
                handle(client, command.id, request)
            except codes.ReplyError as refusal:
                client.fail(command.id, refusal.error)
            return
    _unknown(client, command.id, line)


def _check_order(client: Client, command_id: int, method: str) -> None:
    """Raise DisconnectError for a command without id, or before connect."""
    if command_id == 0 and method != "send":
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "command without id")
    if method != "connect" and not client.is_connected:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not connected yet")


def _is_admitted(client: Client, meter: Meter, command_id: int, method: str) -> bool:
    """Count a command; return False if it came too soon, which its reply says if it has one.

    Raises DisconnectError 3013 for who does not heed that.
    """
    limits, now_s = client.hub.rate_limits, client.hub.now()
    operation = OPERATIONS.get(method, Operation.TOTAL)
    # Whose upgrade request told who it is was counted with that.
    host = "" if method == "connect" and client.identity is not None else client.host
    if limits is None or limits.admit(operation, now_s, meter, client.user, host):
        return True
    client.hub.tally.rate_limited[operation] += 1
    if meter.refuse(now_s):
        raise codes.DisconnectError(codes.DISCONNECT_TOO_MANY_REQUESTS)
    if command_id:
        client.fail(command_id, codes.TOO_MANY_REQUESTS)
    return False


def _unknown(client: Client, command_id: int, line: str | bytes) -> None:
    """Take a line without any known method: a pong if it is `{}`, otherwise error 104."""
    if not client.is_connected:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not connected yet")
    if client.meter is not None and not _is_admitted(client, client.meter, command_id, ""):
        return
    if command_id:
        client.fail(command_id, codes.METHOD_NOT_FOUND)
    elif client.codec.is_pong(line):
        client.subscriber.on_pong()
    else:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "command without id")


def _publish(client: Client, command_id: int, request: commands.PublishRequest) -> None:
    channel = request.channel
    if not channel or not len(request.data):
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel and data are required")
    rules = client.hub.namespaces.rules_of(channel)
    key = key_of(client.user, request)
    if rules.options.publish_proxy:
        _publish_if_allowed(client, command_id, request, rules, key)
        return
    _require(client, channel, rules, "publish")
    _append(client, command_id, channel, _draft(client, channel, bytes(request.data), key), rules.retention)


def _publish_if_allowed(
    client: Client, command_id: int, request: commands.PublishRequest, rules: ChannelRules, key: str
) -> None:
    """Publish what the backend makes of it, in the order in which the client published.

    Raises ReplyError 111 for one too many.
    """

    def carry_out(answer: PublishVerdict | Refused | Disconnected) -> None:
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        elif isinstance(answer, Refused):
            client.fail(command_id, answer.error)
        else:
            data = answer.data or bytes(request.data)
            draft = _draft(client, request.channel, data, key)
            retention = NO_HISTORY if answer.skip_history else rules.retention
            _append(client, command_id, request.channel, draft, retention)

    if client.verdicts is None:
        client.verdicts = InOrder()
    elif len(client.verdicts) >= VERDICTS_AT_ONCE:
        raise codes.ReplyError(codes.TOO_MANY_REQUESTS)
    fill = client.verdicts.take_place()
    question = PublishQuestion(client.person, request.channel, bytes(request.data))
    client.hub.backend.publish(question, lambda answer: fill(functools.partial(carry_out, answer)))


def _draft(client: Client, channel: str, data: bytes, key: str) -> Draft:
    """Return `data` as published by the client, as whom it is known in that channel."""
    subscription = client.subscriptions.get(channel)
    return Draft(data, client.info if subscription is None else subscription.info, key=key)


def _append(client: Client, command_id: int, channel: str, draft: Draft, retention: Retention) -> None:
    done = _answer(client, command_id, "publish", replies.publish_result)
    client.hub.tally.published += 1
    client.hub.broker.publish(channel, draft, retention, done)


def _presence(client: Client, command_id: int, request: commands.ChannelRequest) -> None:
    _check_presence(client, request.channel)
    done = _answer(client, command_id, "presence", replies.presence_result)
    client.hub.presence.members(request.channel, done)


def _presence_stats(client: Client, command_id: int, request: commands.ChannelRequest) -> None:
    _check_presence(client, request.channel)
    done = _answer(client, command_id, "presence_stats", replies.presence_stats_result)
    client.hub.presence.stats(request.channel, done)


def _history(client: Client, command_id: int, request: commands.HistoryRequest) -> None:
    channel, since = request.channel, request.since
    rules = _rules_of(client, channel)
    if not rules.has_history:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    _require(client, channel, rules, "history")
    if request.reverse and since is not None and since.offset == 0:
        raise codes.ReplyError(codes.BAD_REQUEST)
    most = client.hub.options.history_limit
    limit = most if request.limit < 0 else min(request.limit, most)
    most_bytes = client.hub.options.history_limit_bytes
    query = HistoryQuery(limit, since.offset if since else None, request.reverse, most_bytes)

    def done(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            client.fail(command_id, codes.INTERNAL_ERROR)
        elif since and since.epoch not in ("", view.top.epoch):
            client.fail(command_id, codes.UNRECOVERABLE_POSITION)
        else:
            client.reply(command_id, "history", replies.history_result(view))

    client.hub.broker.history(channel, query, rules.retention, done)


def _rpc(client: Client, command_id: int, request: commands.RpcRequest) -> None:
    if not client.hub.options.rpc_proxy:
        raise codes.ReplyError(codes.NOT_AVAILABLE)

    def decided(answer: bytes | Refused | Disconnected) -> None:
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        elif isinstance(answer, Refused):
            client.fail(command_id, answer.error)
        else:
            client.reply(command_id, "rpc", replies.rpc_result(answer))

    client.hub.backend.rpc(RpcQuestion(client.person, request.method, bytes(request.data)), decided)


def _send(client: Client, command_id: int, request: commands.SendRequest) -> None:
    """Hand a message to the backend; without one nobody could ever receive it."""
    if not client.hub.options.send_proxy:
        raise codes.DisconnectError(codes.DISCONNECT_NOT_AVAILABLE)
    client.hub.backend.send(RpcQuestion(client.person, "", bytes(request.data)))


def _ping(client: Client, command_id: int, request: commands.EmptyRequest) -> None:
    """Refuse the ping of the protocol's first version; now only the server pings."""
    raise codes.ReplyError(codes.NOT_AVAILABLE)


def _rules_of(client: Client, channel: str) -> ChannelRules:
    if not channel:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    return client.hub.namespaces.rules_of(channel)


def _check_presence(client: Client, channel: str) -> None:
    rules = _rules_of(client, channel)
    if not rules.options.presence:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    _require(client, channel, rules, "presence")


def _require(client: Client, channel: str, rules: ChannelRules, action: str) -> None:
    """Raise ReplyError 103 unless the client may do `action`: publish, presence or history."""
    subscription = client.subscriptions.get(channel)
    allowed = may(
        channel,
        client.user,
        subscribed=subscription is not None and subscription.active,
        client=getattr(rules.options, f"allow_{action}_for_client"),
        subscriber=getattr(rules.options, f"allow_{action}_for_subscriber"),
        anonymous=getattr(rules.options, f"allow_{action}_for_anonymous"),
    )
    if not allowed:
        raise codes.ReplyError(codes.PERMISSION_DENIED)


def _answer(client: Client, command_id: int, method: str, encode: Callable[[Result], bytes]) -> Done[Result]:
    """Return a completion that replies with the encoded result, or with error 100."""

    def done(result: Result | Unavailable) -> None:
        if isinstance(result, Unavailable):
            client.fail(command_id, codes.INTERNAL_ERROR)
        else:
            client.reply(command_id, method, encode(result))

    return done


COMMANDS: tuple[tuple[str, Callable[[Client, int, Any], None]], ...] = (
    ("publish", _publish),
    ("subscribe", subscribing.subscribe),
    ("unsubscribe", subscribing.unsubscribe),
    ("history", _history),
    ("presence", _presence),
    ("presence_stats", _presence_stats),
    ("ack", acks.ack),
    ("connect", connecting.connect),
    ("rpc", _rpc),
    ("send", _send),
    ("refresh", refreshing.refresh),
    ("sub_refresh", refreshing.sub_refresh),
    ("ping", _ping),
)
"""Method -> handler(client, command id, request), the most frequent first.

A command that names several methods, which no SDK sends, is the first of them.
"""
