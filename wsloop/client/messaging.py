"""A client of the messaging protocol (Centrifugo's, in JSON) that stays connected.

    DISCONNECTED --CONNECT--> CONNECTING --CONNECTED--> CONNECTED --LOST--> CONNECTING ...

A lost connection is made anew after a random wait that grows (`backoff.py`); its subscriptions then
recover what they missed. All is told by callbacks, on the loop's thread. One client takes some
4 KB, so that a load generator can hold thousands on one reactor.

Read `subscription.py` for a channel's life, `commands.py` and `calls.py` for commands, `ping_watch.py` and
`renewal.py` for what goes on meanwhile, `websocket.py` for the wire.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from wsloop.client.backoff import fraction
from wsloop.client.calls import Calls
from wsloop.client.client_events import (
    CLIENT_TRANSITIONS,
    ClientEvents,
    ClientOptions,
    ClientState,
    ClientStep,
)
from wsloop.client.commands import Commands
from wsloop.client.messages import (
    CLIENT_DISCONNECTED,
    LOST,
    TOKEN_EXPIRED,
    CallError,
    ClientCode,
    ConnectResult,
    RefreshResult,
    decode_reply,
)
from wsloop.client.ping_watch import PingWatch
from wsloop.client.renewal import Renewal
from wsloop.client.server_subs import ServerSubs
from wsloop.client.subscription import DEFAULT_OPTIONS, Subscription, SubState
from wsloop.client.websocket import Ending, WsState
from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.client.messages import (
        Push,
    )
    from wsloop.client.subscription import SubscribeOptions
    from wsloop.client.urls import Url
    from wsloop.client.websocket import Dialer, WebSocket
    from wsloop.loop.wheel import Timer

FLAG_PUBLISH_ONCE = 1 << 20
"""Bit of `connect.flag`: publications may carry a key, under which they are appended once only."""

STATE_INVALIDATED = 3014
"""Close code: token and positions count no more."""

TOO_BIG = 1009
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 426})
"""Answers to the upgrade that will be the same next time: a wrong address, origin or right."""

PONG = "{}"


class MessagingClient(Commands):
    """One client; `state` and `client_id` are for reading. `connect` begins."""

    __slots__ = (
        "_attempt", "_calls", "_failures", "_is_ponged", "_options", "_pings", "_renewal", "_retry_timer",
        "_server_subs", "_subs", "_token", "_url", "_ws", "client_id", "dialer", "events", "state",
    )  # fmt: skip

    def __init__(
        self, dialer: Dialer, url: Url, events: ClientEvents, options: ClientOptions | None = None
    ) -> None:
        self.state = ClientState.DISCONNECTED
        self.client_id = ""
        self.dialer = dialer
        self.events = events
        self._url = url
        self._options = options or ClientOptions()
        self._token = self._options.token
        self._calls = Calls(dialer.reactor, self._options.timeout_s)
        self._subs: dict[str, Subscription] = {}
        self._server_subs = ServerSubs(self)
        self._ws: WebSocket | None = None
        self._attempt = self._failures = 0
        self._is_ponged = False
        self._pings = PingWatch(dialer.reactor, self._on_silence)
        self._renewal = Renewal(self, self._options.get_token, self._on_new_token)
        self._retry_timer: Timer | None = None

    # -- for the user: the connection ------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the server has let it in."""
        return self.state is ClientState.CONNECTED

    @property
    def is_closed(self) -> bool:
        """Whether it is disconnected, and the closing handshake is over."""
        return self.state is ClientState.DISCONNECTED and self._ws is None

    def connect(self) -> None:
        """Connect, and stay connected; raises StateError unless DISCONNECTED."""
        self._step(ClientStep.CONNECT)
        self._drop_ws()
        self.events.on_connecting(self, ClientCode.CALLED, "connect called")
        self._begin()

    def disconnect(self, code: int = ClientCode.CALLED, reason: str = "disconnect called") -> None:
        """Disconnect for good; calls that wait fail. Subscriptions stay, for the next `connect`."""
        if self.state is ClientState.DISCONNECTED:
            return
        was_connected = self.is_connected
        self._step(ClientStep.DISCONNECT)
        self._forget_connection(ClientCode.TRANSPORT_CLOSED, reason, was_connected=was_connected)
        if self._ws is not None:
            self._ws.close()
        self._calls.fail(CLIENT_DISCONNECTED)
        self.events.on_disconnected(self, code, reason)

    def close(self) -> None:
        """Drop everything without a word to anybody."""
        if self.state is not ClientState.DISCONNECTED:
            self._step(ClientStep.DISCONNECT)
        self._stop_timers()
        self._drop_ws()
        self._calls.fail(CLIENT_DISCONNECTED)

    # -- for the user: channels and commands -----------------------------------------------------

    def subscribe(self, channel: str, options: SubscribeOptions = DEFAULT_OPTIONS) -> Subscription:
        """Subscribe, now or when connected, for as long as `unsubscribe` is not called.

        Raises StateError if the channel is subscribed to already.
        """
        known = self._subs.get(channel)
        if known is not None and known.state is not SubState.UNSUBSCRIBED:
            raise StateError("the channel is subscribed to already")
        subscription = self._subs[channel] = Subscription(self, channel, options)
        subscription.subscribe()
        return subscription

    def unsubscribe(
        self, channel: str, code: int = ClientCode.CALLED, reason: str = "unsubscribe called"
    ) -> None:
        """End a subscription and forget it; nothing if there is none."""
        subscription = self._subs.pop(channel, None)
        if subscription is None:
            return
        if self.is_connected:
            self.call("unsubscribe", {"channel": channel}, _ignore)
        subscription.end(code, reason)

    def call(
        self,
        method: str,
        fields: Mapping[str, object],
        done: Callable[..., object],
        *,
        may_repeat: bool = False,
    ) -> None:
        """Send a command; `done` gets the result of its kind or a CallError, once, never from in here."""
        if self.state is ClientState.DISCONNECTED:
            self.dialer.reactor.call_soon(functools.partial(done, CLIENT_DISCONNECTED))
            return
        call = self._calls.add(method, dict(fields), done, may_repeat=may_repeat)
        if call is not None and self.is_connected and self._ws is not None and self._ws.state is WsState.OPEN:
            call.is_sent = True
            self._ws.send_text(call.line)

    # -- for subscriptions -------------------------------------------------------------------------

    def later(self, failures: int, callback: Callable[[], None]) -> Timer:
        """Call `callback` after the wait that so many failures ask for."""
        return self.dialer.reactor.call_later(self._wait_s(failures), callback)

    def reconnect(self, code: int, reason: str) -> None:
        """Give up the connection and make a new one."""
        if self.is_connected:
            self._drop_ws()
            self._lose(code, reason)
            self._retry(Ending(1006, reason))

    # -- connecting --------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._retry_timer = None
        self._attempt += 1
        if self._options.get_token is not None and not self._token:
            self._options.get_token(functools.partial(self._on_token, self._attempt))
        else:
            self._ws = self.dialer.dial(self._url, self, self._options.headers)

    def _on_token(self, attempt: int, token: str) -> None:
        if attempt != self._attempt or self.state is not ClientState.CONNECTING or self._ws is not None:
            return
        if not token:
            self.disconnect(ClientCode.UNAUTHORIZED, "unauthorized")
            return
        self._token = token
        self._ws = self.dialer.dial(self._url, self, self._options.headers)

    def on_open(self, ws: WebSocket) -> None:
        """See `WsOwner.on_open`: say who this is."""
        options = self._options
        fields: dict[str, object] = {"name": options.name, "flag": FLAG_PUBLISH_ONCE}
        if self._token:
            fields["token"] = self._token
        if options.data:
            fields["data"] = msgspec.Raw(options.data)
        subs = self._server_subs.remembered()
        if subs:
            fields["subs"] = subs
        call = self._calls.add("connect", fields, functools.partial(self._on_connect_reply, self._attempt))
        if call is not None:
            call.is_sent = True
            ws.send_text(call.line)

    def _on_connect_reply(self, attempt: int, outcome: ConnectResult | CallError) -> None:
        if attempt != self._attempt or self.state is not ClientState.CONNECTING or outcome is LOST:
            return
        if isinstance(outcome, ConnectResult):
            self._on_connected(outcome)
            return
        has_token = self._options.get_token is not None
        if outcome.code == TOKEN_EXPIRED and has_token:
            self._token = ""
        if outcome.temporary or (outcome.code == TOKEN_EXPIRED and has_token):
            self._drop_ws()
            self._retry(Ending(1006, outcome.message))
        else:
            self.disconnect(outcome.code, outcome.message)

    def _on_connected(self, result: ConnectResult) -> None:
        self._step(ClientStep.CONNECTED)
        self._failures = 0
        self.client_id = result.client
        self._is_ponged = result.pong
        self._pings.arm(result.ping)
        self._renewal.arm(result.expires, result.ttl)
        attempt = self._attempt
        self.events.on_connected(self, result)
        self._server_subs.settle(result)
        if self._ws is None or not self.is_connected or attempt != self._attempt:
            return  # the user has disconnected
        for call in self._calls.unsent():
            call.is_sent = True
            self._ws.send_text(call.line)
        for subscription in list(self._subs.values()):
            if subscription.state is SubState.SUBSCRIBING:
                subscription.request()

    # -- what the server says ------------------------------------------------------------------------

    def on_message(self, ws: WebSocket, message: str | bytes | bytearray) -> None:
        """See `WsOwner.on_message`: lines, each a reply, a push or a ping."""
        if not self._listens_to(ws):
            return
        lines = message.split("\n") if isinstance(message, str) else [""]
        for line in lines:
            try:
                reply = decode_reply(line)
            except (msgspec.DecodeError, RecursionError):
                self.disconnect(ClientCode.BAD_PROTOCOL, "the server speaks another protocol")
                return
            if reply.push is not None:
                self._on_push(reply.push)
            elif reply.id:
                self._calls.complete(reply)
            else:
                self._on_ping(ws)
            if not self._listens_to(ws):
                return

    def _listens_to(self, ws: WebSocket) -> bool:
        return ws is self._ws and self.state is not ClientState.DISCONNECTED

    def _on_push(self, push: Push) -> None:
        channel = push.channel
        subscription = self._subs.get(channel)
        if push.pub is not None:
            if subscription is not None and subscription.state is SubState.SUBSCRIBED:
                subscription.on_publication(push.pub)
            else:
                self._server_subs.on_publication(channel, push.pub)
        elif push.join is not None:
            self.events.on_join(self, channel, push.join.info)
        elif push.leave is not None:
            self.events.on_leave(self, channel, push.leave.info)
        elif push.subscribe is not None:
            self._server_subs.add(channel, push.subscribe)
        elif push.unsubscribe is not None:
            if subscription is not None:
                subscription.on_unsubscribe(push.unsubscribe)
            else:
                self._server_subs.remove(channel, push.unsubscribe)

    def _on_ping(self, ws: WebSocket) -> None:
        self._pings.note()
        if self._is_ponged and ws.state is WsState.OPEN:
            ws.send_text(PONG)

    def _on_silence(self) -> None:
        self.reconnect(ClientCode.NO_PING, "no ping")

    # -- renewing the token ------------------------------------------------------------------------

    def _on_new_token(self, token: str) -> None:
        if not token:
            self.disconnect(ClientCode.UNAUTHORIZED, "unauthorized")
            return
        self._token = token
        self.call("refresh", {"token": token}, functools.partial(self._on_refreshed, self._attempt))

    def _on_refreshed(self, attempt: int, outcome: RefreshResult | CallError) -> None:
        if attempt == self._attempt and not self._renewal.settle(outcome):
            assert isinstance(outcome, CallError)
            self.disconnect(outcome.code, outcome.message)

    # -- the end of a connection -------------------------------------------------------------------

    def on_closed(self, ws: WebSocket, ending: Ending) -> None:
        """See `WsOwner.on_closed`: come back, unless that is of no use."""
        if ws is not self._ws:
            return
        self._ws = None
        if self.state is ClientState.DISCONNECTED:
            return
        if ending.is_peers and ending.code == STATE_INVALIDATED:
            self._token = self._options.token
            self._server_subs.forget_positions()
            for subscription in self._subs.values():
                subscription.position = None
        if ending.status in FINAL_STATUSES:
            self.disconnect(ClientCode.REFUSED, f"{ending.status} {ending.reason}")
        elif ending.is_peers and _is_final(ending.code):
            self.disconnect(ending.code, ending.reason)
        else:
            if self.is_connected:
                self._lose(ending.code if ending.is_peers else ClientCode.TRANSPORT_CLOSED, ending.reason)
            else:
                self._calls.lose()
            if self.state is ClientState.CONNECTING and self._ws is None:
                self._retry(ending)

    def _lose(self, code: int, reason: str) -> None:
        self._step(ClientStep.LOST)
        self._forget_connection(code, reason, was_connected=True)
        self.events.on_connecting(self, code, reason)

    def _forget_connection(self, code: int, reason: str, *, was_connected: bool) -> None:
        self._stop_timers()
        self._attempt += 1
        self._calls.lose()
        if was_connected:
            for subscription in list(self._subs.values()):
                subscription.on_lost(code, reason)

    def _retry(self, ending: Ending) -> None:
        retry_s = max(self._wait_s(self._failures), ending.retry_after_s)
        self._failures += 1
        self._retry_timer = self.dialer.reactor.call_later(retry_s, self._begin)
        self.events.on_failed(self, ending, retry_s)

    def _wait_s(self, failures: int) -> float:
        return self._options.backoff.delay_s(failures, fraction(self.dialer.entropy(4)))

    def _drop_ws(self) -> None:
        ws, self._ws = self._ws, None
        if ws is not None:
            ws.abort()

    def _stop_timers(self) -> None:
        self._renewal.stop()
        self._pings.stop()
        if self._retry_timer is not None:
            self.dialer.reactor.cancel(self._retry_timer)
            self._retry_timer = None

    def _step(self, step: ClientStep) -> None:
        try:
            self.state = CLIENT_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None


def _is_final(code: int) -> bool:
    """Whether a close code means never again (Centrifugo client protocol)."""
    return 3500 <= code < 4000 or 4500 <= code < 5000 or code == TOO_BIG


def _ignore(_outcome: object) -> None:
    """Nothing depends on the answer."""
