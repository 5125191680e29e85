"""Messaging clients on one reactor of our own, each with a witness of what it was told and when.

The clients are `wsloop.client`'s, with the official SDKs' waits: they come back, and recover. A witness
judges each publication as it is handed to the callback: the next offset of the same epoch, or a fault.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from typing import TYPE_CHECKING

import msgspec

from wsloop.client.client_events import ClientEvents, ClientOptions
from wsloop.client.messages import CallError, ClientCode
from wsloop.client.messaging import MessagingClient
from wsloop.client.names import OnlyAddresses
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.transport.bind import SocketNetwork, TcpBind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wsloop.client.messages import ConnectResult, Publication, PublishResult, SubscribeResult
    from wsloop.client.websocket import Ending
    from wsloop.transport.bind import UnixBind

Stream = tuple[str, str]
"""A channel and an epoch."""

LOOK_EVERY_S = 0.02
"""How often a condition is looked at that is not an event of the reactor's."""

MOST_FAULTS = 20
"""Told in words; the others are only counted."""


class Faults:
    """What should not have happened: counted, and the first ones told."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        """Take one."""
        self.count += 1
        if len(self.first) < MOST_FAULTS:
            self.first.append(text)


class PortedNetwork(SocketNetwork):
    """The real sockets of one client.

    `port` is where its last connection comes from; it goes to `target`, whatever port is asked for.
    """

    __slots__ = ("port", "target")

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target

    def connect(self, address: TcpBind | UnixBind, /) -> socket.socket:
        """See `Network.connect`."""
        made = super().connect(TcpBind("127.0.0.1", self.target))
        self.port = made.getsockname()[1]
        return made


class Streams:
    """What was published, by stream and offset: the same for all who see it, and what was acknowledged.

    A stream is a channel and an epoch. `acked_s` holds the moments of the monotonic clock when that was
    heard.
    """

    def __init__(self, faults: Faults) -> None:
        self.seen: dict[Stream, dict[int, bytes]] = {}
        self.acked: dict[Stream, dict[int, bytes]] = {}
        self.acked_s: dict[Stream, dict[int, float]] = {}
        self._faults = faults

    def see(self, stream: Stream, offset: int, data: bytes) -> None:
        """Take note of what stands at an offset; another thing than before is a fault."""
        known = self.seen.setdefault(stream, {}).setdefault(offset, data)
        if known != data:
            self._faults.add(f"{stream} {offset}: two clients saw different publications")

    def ack(self, stream: Stream, offset: int, data: bytes) -> None:
        """Take note of what the server said it had appended."""
        known = self.acked.setdefault(stream, {}).setdefault(offset, data)
        self.acked_s.setdefault(stream, {}).setdefault(offset, time.monotonic())
        if known != data:
            self._faults.add(f"{stream} {offset}: two publications were acknowledged with one offset")

    def top(self, stream: Stream) -> int:
        """Return the highest offset that was acknowledged, 0 if none was."""
        return max(self.acked.get(stream, {}), default=0)

    def judge(self) -> None:
        """See that what was acknowledged is what was delivered; call it when all have everything."""
        for stream, acked in self.acked.items():
            seen = self.seen.get(stream, {})
            for offset, data in acked.items():
                if seen.get(offset) != data:
                    self._faults.add(f"{stream} {offset}: acknowledged, and not what was delivered")


class Witness(ClientEvents):
    """What one client was told.

    `lost_s` are the moments it noticed the loss of a connection or an attempt, `connected_s` those when it
    was let in, both of the monotonic clock; `endings` the codes it was closed with; `first` is the stream it
    heard until its first connection was lost, at the offset `first_offset`. A gap, or another epoch unless
    `may_move`, is a fault.
    """

    def __init__(self, port: int, channel: str, streams: Streams, faults: Faults, *, may_move: bool) -> None:
        self.network = PortedNetwork(port)
        self.channel = channel
        self.offset = -1
        self.epoch = ""
        self.first: Stream = (channel, "")
        self.first_offset = -1
        self.recovered = 0
        self.lost_s: list[float] = []
        self.connected_s: list[float] = []
        self.endings: list[int] = []
        self._streams = streams
        self._faults = faults
        self._may_move = may_move

    @property
    def stream(self) -> Stream:
        """Where it counts."""
        return self.channel, self.epoch

    def on_connecting(self, client: MessagingClient, code: int, reason: str) -> None:
        """See `ClientEvents`."""
        if code != ClientCode.CALLED:
            if not self.lost_s:
                self.first, self.first_offset = self.stream, self.offset
            self.lost_s.append(time.monotonic())
            self.endings.append(code)

    def on_failed(self, client: MessagingClient, ending: Ending, retry_s: float) -> None:
        """See `ClientEvents`."""
        self.lost_s.append(time.monotonic())

    def on_connected(self, client: MessagingClient, result: ConnectResult) -> None:
        """See `ClientEvents`."""
        self.connected_s.append(time.monotonic())

    def on_disconnected(self, client: MessagingClient, code: int, reason: str) -> None:
        """See `ClientEvents`."""
        self._faults.add(f"{self.channel}: disconnected for good: {code} {reason}")

    def on_subscribed(self, client: MessagingClient, channel: str, result: SubscribeResult) -> None:
        """See `ClientEvents`."""
        is_new = self.offset < 0 or (self._may_move and result.epoch != self.epoch)
        if is_new or (result.recovered and result.offset == self.offset):
            self.recovered += len(result.publications)
        else:
            self._faults.add(
                f"{channel}: stood at {self.offset} of {self.epoch}, recovered {result.recovered}"
                f" at {result.offset} of {result.epoch}"
            )
        self.offset, self.epoch = result.offset, result.epoch

    def on_unsubscribed(self, client: MessagingClient, channel: str, code: int, reason: str) -> None:
        """See `ClientEvents`."""
        self._faults.add(f"{channel}: unsubscribed: {code} {reason}")

    def on_publication(self, client: MessagingClient, channel: str, publication: Publication) -> None:
        """See `ClientEvents`."""
        if publication.offset != self.offset + 1:
            self._faults.add(f"{channel}: {publication.offset} came behind {self.offset}")
        self.offset = publication.offset
        self._streams.see(self.stream, publication.offset, bytes(publication.data))


class Audience:
    """Any number of clients, on one reactor. `close` it. `may_move`: another daemon may take theirs over."""

    def __init__(self, *, may_move: bool = False) -> None:
        self._may_move = may_move
        self.reactor = Reactor(MonotonicClock(), make_poller("auto"))
        self.faults = Faults()
        self.streams = Streams(self.faults)
        self.clients: dict[MessagingClient, Witness] = {}

    def add(self, port: int, channel: str, options: ClientOptions | None = None) -> MessagingClient:
        """Return one more client, connecting, that subscribes to `channel`."""
        witness = Witness(port, channel, self.streams, self.faults, may_move=self._may_move)
        dialer = Dialer(self.reactor, witness.network, OnlyAddresses(), os.urandom)
        url = parse_ws_url(f"ws://127.0.0.1:{port}", CONNECTION_PATH)
        client = MessagingClient(dialer, url, witness, options)
        self.clients[client] = witness
        client.connect()
        client.subscribe(channel)
        return client

    def redirect(self, port: int) -> None:
        """Have all connect there from now on."""
        for witness in self.clients.values():
            witness.network.target = port

    def run(self, seconds: float) -> None:
        """Let the clients live for a while."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Let them live until `condition` holds; return whether it does, after at most `within_s`."""
        give_up_s = time.monotonic() + within_s
        while not condition():
            left_s = give_up_s - time.monotonic()
            if left_s <= 0:
                return False
            timer = self.reactor.call_later(min(LOOK_EVERY_S, left_s), _nothing)
            self.reactor.run_once()
            self.reactor.cancel(timer)
        return True

    def are_subscribed(self) -> bool:
        """Return whether every client has begun to count."""
        return all(witness.offset >= 0 for witness in self.clients.values())

    def are_at_the_top(self) -> bool:
        """Return whether every client has all that was acknowledged in its channel."""
        tops = {stream: self.streams.top(stream) for stream in self.streams.acked}
        return all(witness.offset >= tops.get(witness.stream, 0) for witness in self.clients.values())

    def close(self) -> None:
        """Drop all connections."""
        for client in self.clients:
            client.close()
        self.reactor.stop()
        self.reactor.run_once()
        self.reactor.close()


class Publisher:
    """Publishes at a steady rate through clients, each under a key, and again until it is acknowledged."""

    def __init__(self, audience: Audience, clients: list[MessagingClient], channels: list[str]) -> None:
        self.asked = self.acked = self.repeated = 0
        self._audience = audience
        self._turns = itertools.cycle(clients)
        self._channels = itertools.cycle(channels)
        self._name = os.urandom(8).hex()
        self._is_on = False
        self._interval_s = 0.0

    def start(self, rate_hz: float) -> None:
        """Begin."""
        self._is_on, self._interval_s = True, 1.0 / rate_hz
        self._tick(self._audience.reactor.now)

    def stop(self) -> None:
        """Publish no more; what is under way goes on."""
        self._is_on = False

    @property
    def is_done(self) -> bool:
        """Whether everything that was asked for is acknowledged."""
        return self.acked == self.asked

    def _tick(self, due_s: float) -> None:
        if not self._is_on:
            return
        self._publish(next(self._channels), self.asked)
        self.asked += 1
        following_s = due_s + self._interval_s
        self._audience.reactor.call_at(following_s, functools.partial(self._tick, following_s))

    def _publish(self, channel: str, number: int) -> None:
        data = msgspec.json.encode({"n": number})
        done = functools.partial(self._on_reply, channel, number, data)
        next(self._turns).publish(channel, data, done, key=f"{self._name}-{number}")

    def _on_reply(self, channel: str, number: int, data: bytes, outcome: PublishResult | CallError) -> None:
        if not isinstance(outcome, CallError):
            self.acked += 1
            self._audience.streams.ack((channel, outcome.epoch), outcome.offset, data)
        elif outcome.temporary:
            self.repeated += 1
            self._audience.reactor.call_later(
                self._interval_s, functools.partial(self._publish, channel, number)
            )
        else:
            self._audience.faults.add(f"publication {number}: {outcome}")


def _nothing() -> None:
    """Wake the reactor."""
