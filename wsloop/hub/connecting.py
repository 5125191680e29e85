"""The command connect: who a client is, and what the server subscribes it to at once.

The identity comes from the token, the upgrade request, the backend, or is anonymous; in this order.
Then the server-side subscriptions are joined: those that the identity names, the user's personal
channel, and the channel of everybody. When all streams were read the client is told of all of them
in one reply, and only then of what is published in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import blocking, codes, joining, replies
from wsloop.hub.backend import ConnectQuestion, Disconnected, Refused
from wsloop.hub.channels import HeldReceiver
from wsloop.hub.client_state import ClientState, ClientStep
from wsloop.hub.commands import EXTENSIONS, SubscribeRequest
from wsloop.hub.grants import Identity, SubscriptionGrant
from wsloop.hub.rate_limits import Operation
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError

if TYPE_CHECKING:
    from wsloop.hub.channels import Subscription
    from wsloop.hub.client import Client
    from wsloop.hub.codes import Code
    from wsloop.hub.commands import ConnectRequest
    from wsloop.hub.namespaces import ChannelRules

NO_GRANT = SubscriptionGrant()

MAX_APP_LENGTH = 64
"""Characters kept of the name and of the version that an application calls itself by."""


def connect(client: Client, command_id: int, request: ConnectRequest) -> None:
    """Carry out `connect`. Raises DisconnectError or ReplyError if the client cannot be let in."""
    if client.state is not ClientState.WAITING:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "connected already")
    # From here on no other command is heard until the reply; after an error none at all.
    client.take(ClientStep.CONNECT)
    if request.name or request.version:
        client.app = request.name[:MAX_APP_LENGTH], request.version[:MAX_APP_LENGTH]
    identity = _identity(client, request)
    if identity is not None:
        _welcome(client, command_id, request, identity)
        return

    def decided(answer: Identity | Refused | Disconnected) -> None:
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        elif isinstance(answer, Refused):
            client.fail(command_id, answer.error)
        elif client.is_open:
            _welcome(client, command_id, request, answer)

    question = ConnectQuestion(
        client.person,
        request.name,
        request.version,
        request.token,
        bytes(request.data),
        tuple(request.subs),
    )
    client.hub.backend.connect(question, decided)


def _identity(client: Client, request: ConnectRequest) -> Identity | None:
    """Return who the client is, None if the backend is to be asked."""
    options, hub = client.hub.options, client.hub
    if request.token:
        try:
            return hub.verifier.verify_connection(request.token, hub.unix_s())
        except ExpiredTokenError:
            raise codes.ReplyError(codes.TOKEN_EXPIRED) from None
        except InvalidTokenError:
            raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN) from None
    if client.identity is not None:
        return client.identity
    if options.connect_proxy:
        return None
    if not options.allow_anonymous:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "a token is required")
    shown = b""
    if options.anonymous_info and len(request.data) <= options.info_limit_bytes:
        shown = bytes(request.data)
    return Identity("", info=shown if shown.startswith(b"{") else b"")


def _welcome(client: Client, command_id: int, request: ConnectRequest, identity: Identity) -> None:
    """Let the client in as `identity`, and join what the server subscribes it to."""
    hub = client.hub
    try:
        _check(client, identity)
        client.identify(identity)
        wanted = [
            (name, hub.namespaces.rules_to_subscribe(name), grant)
            for name, grant in _server_side(client, identity).items()
        ]
    except codes.ReplyError as refusal:
        client.fail(command_id, refusal.error)
        return
    except codes.DisconnectError as refusal:
        client.disconnect(refusal.close_code, refusal.reason)
        return
    if len(wanted) > hub.options.channel_limit:
        limit = codes.DISCONNECT_CHANNEL_LIMIT
        client.disconnect(limit.code, limit.message)
        return
    if wanted:
        _Arrival(client, command_id, request).begin(wanted)
    else:
        _reply(client, command_id, request, {})


def _check(client: Client, identity: Identity) -> None:
    """Raise ReplyError or DisconnectError for who may not come in, whoever said who it is."""
    hub = client.hub
    blocking.check(hub, identity)
    if 0 < identity.expire_at <= hub.unix_s():
        raise codes.ReplyError(codes.EXPIRED)
    most = hub.options.user_connection_limit
    if most and len(hub.users.of(identity.user)) >= most:
        raise codes.DisconnectError(codes.DISCONNECT_CONNECTION_LIMIT)
    limits, meter, user = hub.rate_limits, client.meter, identity.user
    if limits is None or meter is None:
        return
    # The address was counted before anything was verified; now the user is known.
    if not limits.admit(Operation.CONNECT, hub.now(), meter, user, ""):
        hub.tally.rate_limited[Operation.CONNECT] += 1
        raise codes.ReplyError(codes.TOO_MANY_REQUESTS)


def _server_side(client: Client, identity: Identity) -> dict[str, SubscriptionGrant]:
    """Return the channels that the server subscribes the client to, the identity's own first."""
    options = client.hub.options
    channels = dict(identity.subscriptions)
    if options.has_personal_channel(identity.user):
        channels.setdefault(options.personal_channel_of(identity.user), NO_GRANT)
    if options.broadcast_channel:
        channels.setdefault(options.broadcast_channel, NO_GRANT)
    return channels


def _reply(client: Client, command_id: int, request: ConnectRequest, subs: dict[str, msgspec.Raw]) -> None:
    options, identity = client.hub.options, client.identity
    assert identity is not None
    ping_s = options.ping_interval_s if client.app_pings else 0
    expires = identity.expire_at > 0 and not identity.from_backend
    result = replies.ConnectResult(
        client.id,
        options.version,
        ping=ping_s,
        pong=ping_s > 0,
        expires=expires,
        ttl=client.ttl_s() if expires else 0,
        data=replies.optional(identity.data),
        subs=subs,
        flag=request.flag & EXTENSIONS,
    )
    client.take(ClientStep.GRANT)
    client.hub.users.add(client)
    client.reply(command_id, "connect", replies.encode(result))
    client.subscriber.on_connected()


class _Arrival:
    """The server-side subscriptions of one connect, until all are joined.

    A stream that was read early may go on before the last one was read. So what is published in it
    is held back until the reply is on its way.
    """

    __slots__ = (
        "_allowance",
        "_client",
        "_command_id",
        "_error",
        "_held",
        "_missing",
        "_request",
        "_results",
    )

    def __init__(self, client: Client, command_id: int, request: ConnectRequest) -> None:
        self._client = client
        self._command_id = command_id
        self._request = request
        self._held: list[tuple[Subscription, HeldReceiver]] = []
        self._results: dict[str, msgspec.Raw] = {}
        self._missing = 0
        self._error: Code | None = None
        # One reply tells of all: what is its limit for one channel is that for all of them here.
        self._allowance = joining.Allowance(client.hub.options.recovery_limit_bytes)

    def begin(self, wanted: list[tuple[str, ChannelRules, SubscriptionGrant]]) -> None:
        """Join all channels."""
        client = self._client
        self._missing = len(wanted)
        begun = [
            (joining.occupy(client, name, rules, is_server_side=True), grant) for name, rules, grant in wanted
        ]
        for subscription, grant in begun:
            self._join(subscription, grant)

    def _join(self, subscription: Subscription, grant: SubscriptionGrant) -> None:
        name = subscription.channel.name
        held = HeldReceiver(self._client.subscriber.receiver)
        remembered = self._request.subs.get(name)
        request = SubscribeRequest(channel=name)
        if remembered is not None:
            request = SubscribeRequest(
                channel=name,
                recover=remembered.recover,
                epoch=remembered.epoch,
                offset=remembered.offset,
            )

        def joined(outcome: bytes | Code) -> None:
            if isinstance(outcome, bytes):
                self._results[name] = msgspec.Raw(outcome)
                self._held.append((subscription, held))
            else:
                self._error = outcome
            self._missing -= 1
            if not self._missing:
                self._finish()

        joining.join(subscription, request, grant, joined, held, self._allowance)

    def _finish(self) -> None:
        client = self._client
        if self._error is not None:
            client.fail(self._command_id, self._error)
            joining.end_all(client)
            return
        if not client.is_open:
            return
        try:
            assert client.identity is not None
            blocking.check(client.hub, client.identity)
        except codes.DisconnectError as refusal:  # meanwhile
            client.disconnect(refusal.close_code, refusal.reason)
            return
        # What has been ended meanwhile is not told of: the client would count on it.
        arrived = [(subscription, held) for subscription, held in self._held if subscription.active]
        told = {each.channel.name: self._results[each.channel.name] for each, _ in arrived}
        _reply(client, self._command_id, self._request, told)
        for subscription, held in arrived:
            client.hub.fan_out.settle(held)
            held.release()
            assert subscription.audience is not None
            subscription.receiver = client.subscriber.receiver
            subscription.audience.refresh()
        for subscription, _ in arrived:
            joining.announce(subscription)
