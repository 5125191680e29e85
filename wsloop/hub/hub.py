"""The hub: all clients and channels of this process, between connections and the broker.

Connections hand in messages through `Client` (client.py); publications come back from the
broker through the three `on_` methods here and go out through `Channel.deliver`. Knows no
socket, frame, clock or source of randomness: `fan_out`, `now` and `entropy` are given.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, following, joining, refreshing, replies
from wsloop.hub.backend import Hooks, NoHooks
from wsloop.hub.broker import Appended, Broker, BrokerEvents, BrokerStatistics, Done, Draft
from wsloop.hub.channels import Channel, Subscriber
from wsloop.hub.client import Client
from wsloop.hub.codec import JSON, Codec
from wsloop.hub.expiry import Expiries
from wsloop.hub.fan_out import DirectFanOut, FanOut
from wsloop.hub.no_backend import NoBackend
from wsloop.hub.patterns import Patterns
from wsloop.hub.positions import PositionCheck
from wsloop.hub.rate_limits import Meter
from wsloop.hub.revocations import Revocations
from wsloop.hub.tags import Filters
from wsloop.hub.tally import CountedVerifier, HubTally
from wsloop.hub.users import Users
from wsloop.hub.verifier import NoTokens, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.hub.backend import Backend
    from wsloop.hub.channels import Subscription
    from wsloop.hub.grants import Identity
    from wsloop.hub.history import Publication
    from wsloop.hub.namespaces import ChannelRules, Namespaces
    from wsloop.hub.options import HubOptions
    from wsloop.hub.presence import Presence
    from wsloop.hub.rate_limits import RateLimits

EXPIRE_BATCH = 1000
"""Streams looked at in one `Hub.expire`: about a millisecond, which no client notices."""


class HubStatistics(msgspec.Struct, frozen=True):
    """A snapshot. `clients` includes those that have not connected yet; totals only grow.

    `deliveries_total` counts publications given to subscribers, one for each of them.
    """

    uptime_s: float
    clients: int
    channels: int
    subscriptions: int
    commands_total: int
    publications_total: int
    deliveries_total: int
    broker: BrokerStatistics


class Hub(BrokerEvents):
    """Clients, channels and the way between them.

    Arguments: `broker` and `presence`, the ports, used by this hub alone; `namespaces` and
    `options`; `now` returns monotonic seconds, `unix_s` those of the calendar; `entropy(n)` returns
    n unguessable bytes, for client ids; `fan_out` gives pushes to receivers (None: at once);
    `verifier` of tokens (None: none is valid);
    `backend`, which is asked what the options say (None: there is none); `hooks`, which hear what happens;
    `rate_limits` of what clients ask for (None: none).

    All methods are called on the one thread of the loop.
    """

    def __init__(
        self,
        broker: Broker,
        presence: Presence,
        *,
        namespaces: Namespaces,
        options: HubOptions,
        now: Callable[[], float],
        unix_s: Callable[[], float],
        entropy: Callable[[int], bytes],
        fan_out: FanOut | None = None,
        verifier: Verifier | None = None,
        backend: Backend | None = None,
        hooks: Hooks | None = None,
        rate_limits: RateLimits | None = None,
    ) -> None:
        self.broker = broker
        self.presence = presence
        self.namespaces = namespaces
        self.options = options
        self.commands_total = 0
        self.subscription_count = 0
        self.now = now
        self.unix_s = unix_s
        self.tally = HubTally()
        self._verifier = CountedVerifier(verifier or NoTokens(), self.tally)
        self.backend = backend or NoBackend()
        self.hooks = hooks or NoHooks()
        self.users = Users()
        self.expiries = Expiries()
        self.revocations = Revocations()
        self.rate_limits = rate_limits
        self.filters = Filters()
        self._position_check = PositionCheck(self, now())
        self._entropy = entropy
        self.fan_out = fan_out or DirectFanOut()
        self._started_s = now()
        self._publications_total = 0
        self._deliveries_total = 0
        self._last_number = 0
        self._clients: dict[str, Client] = {}
        # Those of patterns as well, under the pattern.
        self._channels: dict[str, Channel] = {}
        self._patterns: Patterns[Channel] = Patterns()
        broker.attach(self)

    @property
    def verifier(self) -> Verifier:
        """Who judges tokens; to be replaced when the keys are others."""
        return self._verifier

    @verifier.setter
    def verifier(self, judge: Verifier) -> None:
        self._verifier.judge = judge

    def new_client(
        self,
        subscriber: Subscriber,
        *,
        codec: Codec = JSON,
        app_pings: bool = True,
        identity: Identity | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        host: str = "",
    ) -> Client:
        """Return a client for a connection that has just opened.

        `codec`: what it speaks. `app_pings`: whether the server will send `{}` pings, or RFC 6455
        ones instead. `identity`: who it is, if its upgrade request has told already. `host`: what its
        address is counted by, "" if it is not.
        """
        client = Client(
            self,
            subscriber,
            _uuid4(self._entropy(16)),
            codec=codec,
            app_pings=app_pings,
            identity=identity,
            headers=headers,
            host=host,
        )
        self._clients[client.id] = client
        return client

    def publish(self, channel: str, data: bytes, done: Done[Appended] | None = None) -> None:
        """Publish on the server's own behalf, without `info`; any channel is allowed.

        `data` is JSON in UTF-8, put on one line if it is not. `done` is called once it is
        appended. Raises ReplyError (102, 107) for a channel that cannot exist, PayloadError
        for what is not JSON.
        """
        rules = self.namespaces.rules_of(channel)
        self.tally.published += 1
        self.broker.publish(channel, Draft(replies.one_line(data)), rules.retention, done or _ignore)

    def follow(
        self,
        options: HubOptions,
        namespaces: Namespaces | None,
        verifier: Verifier | None,
        rate_limits: RateLimits | None,
    ) -> None:
        """Go by other options from now on, without a connection lost.

        `namespaces` None: those there are. A token that was good stays so for who came in with it.
        """
        self.options = options
        self.verifier = verifier or NoTokens()
        if rate_limits is not None and self.rate_limits is not None:
            self.rate_limits.follow(rate_limits)
        else:
            self.rate_limits = rate_limits
        if rate_limits is not None:
            for client in self._clients.values():
                client.meter = client.meter or Meter()
        if namespaces is not None:
            following.follow(self, namespaces)

    def disconnect_all(self, code: int, reason: str, limit: int | None = None) -> int:
        """Disconnect up to `limit` clients (None: all), oldest first; return how many remain.

        For draining in steps: call it again until it returns 0. A client counts until its
        transport is gone, but is disconnected only once.
        """
        open_clients = (client for client in self._clients.values() if client.is_open)
        chosen = list(islice(open_clients, limit))
        for client in chosen:
            client.disconnect(code, reason)
        return len(self._clients)

    def shutdown(self) -> None:
        """Disconnect all clients, telling them to come back: the server stops."""
        self.disconnect_all(codes.DISCONNECT_SHUTDOWN.code, codes.DISCONNECT_SHUTDOWN.message)

    def expire(self, now_s: float) -> int:
        """Forget streams, and end connections and subscriptions, that outlived their time.

        Also compares positions with the broker's. Call it every second or so.

        Returns how many were looked at, at most EXPIRE_BATCH: then more may be due.
        """
        ended = self.expiries.run(now_s, EXPIRE_BATCH)
        self.revocations.expire(self.unix_s())
        if self.rate_limits is not None:
            self.rate_limits.expire(now_s, EXPIRE_BATCH)
        compared = self._position_check.run(now_s)
        return max(ended, compared, self.broker.expire(now_s, EXPIRE_BATCH))

    def statistics(self) -> HubStatistics:
        """Return a snapshot of the numbers."""
        return HubStatistics(
            uptime_s=self.now() - self._started_s,
            clients=len(self._clients),
            channels=len(self._channels),
            subscriptions=self.subscription_count,
            commands_total=self.commands_total,
            publications_total=self._publications_total,
            deliveries_total=self._deliveries_total,
            broker=self.broker.statistics(),
        )

    def forget(self, client: Client) -> None:
        """Drop a client whose transport is gone. For `Client.closed` only."""
        del self._clients[client.id]
        self.users.remove(client)

    def open_channel(self, name: str, rules: ChannelRules) -> Channel:
        """Return the channel, listened to from now on. For `joining.py` only."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name, rules, self.fan_out)
            if rules.is_wildcard:
                self._patterns.add(name, channel)
                self.broker.subscribe_pattern(name)
            else:
                self.broker.subscribe(name)
        return channel

    def next_number(self) -> int:
        """Return a number to stand for a channel in pushes; no other has or had it."""
        self._last_number += 1
        return self._last_number

    def close_if_unused(self, channel: Channel) -> None:
        """Drop a channel without subscribers. For `joining.py` only."""
        if not len(channel) and not channel.waiting:
            del self._channels[channel.name]
            if channel.rules.is_wildcard:
                self._patterns.remove(channel.name)
                self.broker.unsubscribe_pattern(channel.name)
            else:
                self.broker.unsubscribe(channel.name)

    def client(self, client_id: str) -> Client | None:
        """Return a client by its id, None if there is none (any more)."""
        return self._clients.get(client_id)

    def clients_of(self, user: str) -> list[Client]:
        """Return the connected clients of a user, oldest first; none for "", which is nobody."""
        return self.users.of(user)

    def all_clients(self) -> list[Client]:
        """Return all clients, those included that have not connected yet."""
        return list(self._clients.values())

    def channel(self, name: str) -> Channel | None:
        """Return a channel that somebody here is in, or about to be."""
        return self._channels.get(name)

    def channel_names(self) -> Iterable[str]:
        """Return the names of all channels that somebody here is in; valid until the next call."""
        return self._channels

    def on_client_expired(self, client: Client) -> None:
        """Deal with a connection whose identity has ended and was not renewed in time."""
        refreshing.on_client_expired(client)

    def on_subscription_expired(self, subscription: Subscription) -> None:
        """Deal with a subscription whose right has ended and was not renewed in time."""
        subscription.lease = None
        refreshing.on_subscription_expired(subscription)

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See `BrokerEvents.on_publication`."""
        self._publications_total += 1
        if len(self._patterns):
            for each in self._patterns.match(channel):
                self._deliveries_total += each.deliver_from(channel, publication)
        target = self._channels.get(channel)
        if target is None or not len(target):
            return
        self._deliveries_total += len(target)
        broken = target.deliver(publication, epoch)
        if broken:
            joining.end_broken(broken)

    def on_join(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_join`."""
        target = self._channels.get(channel)
        if target is not None and target.wants_joins:
            target.deliver_join(replies.join_push, info)

    def on_leave(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_leave`."""
        target = self._channels.get(channel)
        if target is not None and target.wants_joins:
            target.deliver_join(replies.leave_push, info)

    def on_interrupted(self) -> None:
        """See `BrokerEvents.on_interrupted`."""
        self._position_check.begin_now(self.now())


def _ignore(result: object) -> None:
    """Complete a publish nobody asked about."""


def _uuid4(random: bytes) -> str:
    """Format 16 random bytes as a version 4 UUID (RFC 9562 section 5.4)."""
    value = int.from_bytes(random, "big") & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
