"""The commands: a line of JSON in; a reply, an error or the end of the connection out.

`COMMANDS` at the end is the table of all of them. A handler checks, asks the broker or the
presence with a callback, and answers in the callback; it raises ReplyError to refuse the
command, DisconnectError to end the connection. `dispatch` is the one place where a refusal becomes
an error reply. Subscribe and unsubscribe are in `subscribing.py`; the rules of names and
rights in `namespaces.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.hub import codes, commands, replies, subscribing
from wsloop.hub.broker import Draft, Unavailable
from wsloop.hub.history import HistoryQuery, StreamView
from wsloop.hub.namespaces import may

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.broker import Done, Result
    from wsloop.hub.client import Client
    from wsloop.hub.namespaces import ChannelRules


def dispatch(client: Client, line: str) -> None:
    """Decode one command and carry it out.

    Raises codes.DisconnectError if it breaks the protocol; every other fault is answered.
    """
    try:
        command = commands.decode_command(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not a command in JSON") from None
    client.hub.commands_total += 1
    for method, handle in COMMANDS:
        request = getattr(command, method)
        if request is not None:
            _check_order(client, command.id, method)
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
    if not client.is_connected and method != "connect":
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not connected yet")


def _unknown(client: Client, command_id: int, line: str) -> None:
    """Take a line without any known method: a pong if it is `{}`, otherwise error 104."""
    if not client.is_connected:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "not connected yet")
    if command_id:
        client.fail(command_id, codes.METHOD_NOT_FOUND)
    elif commands.is_empty_object(line):
        client.subscriber.on_pong()
    else:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "command without id")


def _connect(client: Client, command_id: int, request: commands.ConnectRequest) -> None:
    options = client.hub.options
    if client.is_connected:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "connected already")
    if request.token:
        raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN)
    if not options.allow_anonymous:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "a token is required")
    shown = b""
    if options.anonymous_info and len(request.data) <= options.info_limit_bytes:
        shown = bytes(request.data)
    client.accept(user="", conn_info=shown if shown.startswith(b"{") else b"")
    ping_s = options.ping_interval_s if client.app_pings else 0
    result = replies.ConnectResult(client.id, options.version, ping=ping_s, pong=ping_s > 0)
    client.reply(command_id, "connect", replies.encode(result))
    client.subscriber.on_connected()


def _publish(client: Client, command_id: int, request: commands.PublishRequest) -> None:
    if not request.channel or not len(request.data):
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel and data are required")
    rules = client.hub.namespaces.rules_of(request.channel)
    _require(client, request.channel, rules, "publish")
    client.hub.broker.publish(
        request.channel,
        Draft(bytes(request.data), client.info),
        rules.retention,
        _answer(client, command_id, "publish", replies.publish_result),
    )


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
    query = HistoryQuery(limit, since.offset if since else None, request.reverse)

    def done(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            client.fail(command_id, codes.INTERNAL_ERROR)
        elif since and since.epoch not in ("", view.top.epoch):
            client.fail(command_id, codes.UNRECOVERABLE_POSITION)
        else:
            client.reply(command_id, "history", replies.history_result(view))

    client.hub.broker.history(channel, query, rules.retention, done)


def _send(client: Client, command_id: int, request: commands.EmptyRequest) -> None:
    """Refuse: nobody handles asynchronous messages in a messaging daemon."""
    raise codes.DisconnectError(codes.DISCONNECT_NOT_AVAILABLE)


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
    ("connect", _connect),
    ("send", _send),
    ("ping", _ping),
)
"""Method -> handler(client, command id, request), the most frequent first.

A command that names several methods, which no SDK sends, is the first of them.
"""
