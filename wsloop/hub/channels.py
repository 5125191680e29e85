"""A channel as it lives in this process: its subscribers, and the loop that reaches them all.

A push is built and framed once, and the same bytes object is given to every subscriber. This
file keeps promise P4, no silent gap: a positioned subscription sees offsets k, k + 1, k + 2 of
one epoch, and is handed back to the caller where that would not be so. It knows neither
commands nor the broker; `hub.py` feeds it, `subscribing.py` fills and empties it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsloop.hub.replies import push_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.client import Client
    from wsloop.hub.fan_out import FanOut, Receiver
    from wsloop.hub.history import StreamPosition
    from wsloop.hub.namespaces import ChannelRules

NOT_POSITIONED = -1
"""The offset of a subscription that checks none."""

LOST = 2**64
"""The offset of a subscription whose stream is no more: above any other, so nothing reaches it."""


class Subscriber(Protocol):
    """What the hub sees of a connection; `receiver` takes the frames that it shares with others.

    No method raises, whatever has become of the connection, and none calls back into the hub
    before it returns: a connection that breaks meanwhile is reported by `Client.closed` later.
    """

    @property
    def receiver(self) -> Receiver:
        """What the fan-out gives frames to."""
        ...

    def may_go_on(self) -> bool:
        """Tell whether one more command may be carried out now, and count it.

        False if the connection is closing, or has had its share of this turn: in the second
        case `Client.go_on` is called in a later one.
        """
        ...

    def send(self, payload: bytes) -> None:
        """Queue one line of JSON, for this client only."""
        ...

    def disconnect(self, code: int, reason: str) -> None:
        """Send what is queued, then close with this code; later sends are dropped."""
        ...

    def on_connected(self) -> None:
        """Begin to ping, stop the stale deadline: the connect command was accepted."""
        ...

    def on_pong(self) -> None:
        """Take note that the client sent `{}`, asked for or not."""
        ...


class Subscription:
    """One client in one channel.

    `offset` is that of the last publication given to the client, NOT_POSITIONED if the client
    did not ask for gap detection. `active` is false until the subscribe reply is written, and
    after the subscription has ended: then it is in no channel.
    """

    __slots__ = ("active", "channel", "client", "offset", "receiver", "wants_joins")

    def __init__(self, client: Client, channel: Channel) -> None:
        self.client = client
        self.receiver = client.subscriber.receiver
        self.channel = channel
        self.offset = NOT_POSITIONED
        self.wants_joins = False
        self.active = False


class Channel:
    """The subscribers of one channel in this process.

    `waiting` counts subscriptions whose history is still being read: they keep the channel.
    `epoch` and `top` are of the newest publication seen, or of the newest subscriber's
    position: all positioned subscribers are of one epoch.
    """

    __slots__ = (
        "_fan_out", "_join_count", "_receivers", "_subscriptions", "epoch", "name", "push_start", "rules",
        "top", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, rules: ChannelRules, fan_out: FanOut) -> None:
        self.name = name
        self.rules = rules
        self.push_start = push_start(name)
        self.epoch = ""
        self.top = 0
        self.waiting = 0
        self._fan_out = fan_out
        self._join_count = 0
        # Those of all subscriptions, until one comes or goes: the same object for each publication.
        self._receivers: Sequence[Receiver] | None = None
        self._subscriptions: dict[str, Subscription] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def wants_joins(self) -> bool:
        """Whether anybody here is told of comings and goings."""
        return self._join_count > 0

    def add(self, subscription: Subscription, position: StreamPosition | None) -> list[Subscription]:
        """Let a subscription in; it receives whatever is delivered from now on.

        `position` is the top of the stream, read in this very tick, or None for a subscription
        that is not positioned. Returns the positioned subscriptions of an older epoch, whose
        stream is no more.
        """
        stale: list[Subscription] = []
        if position is not None:
            stale = self._move_to(position.epoch)
            # Gap-free join. The broker's order makes a read that ends now at least as new as
            # the last event delivered here, and every later event finds the subscription.
            assert position.offset >= self.top, "a stream was read in another tick than it was joined"
            subscription.offset = self.top = position.offset
        self._subscriptions[subscription.client.id] = subscription
        self._receivers = None
        self._join_count += subscription.wants_joins
        subscription.active = True
        return stale

    def remove(self, subscription: Subscription) -> None:
        """Let an active subscription out."""
        subscription.active = False
        self._join_count -= subscription.wants_joins
        del self._subscriptions[subscription.client.id]
        self._receivers = None

    def deliver(self, frame: bytes, offset: int, epoch: str) -> list[Subscription]:
        """Give a publication's frame to every subscriber whose next one it is.

        Subscribers that have it already are skipped. Returns those who missed one before it:
        the caller must end their subscriptions. An offset of 0 is outside the stream and goes
        to all.
        """
        if offset == 0:
            self._fan_out.send(self._everybody(), frame)
            return []
        broken = self._move_to(epoch) if epoch != self.epoch else []
        self.top = max(self.top, offset)
        previous = offset - 1
        passed_over: set[Receiver] = set()
        for subscription in self._subscriptions.values():
            if subscription.offset == previous:
                subscription.offset = offset
            elif subscription.offset != NOT_POSITIONED:
                passed_over.add(subscription.receiver)
                if subscription.offset < previous:
                    broken.append(subscription)
        everybody = self._everybody()
        if passed_over:
            everybody = [receiver for receiver in everybody if receiver not in passed_over]
        self._fan_out.send(everybody, frame)
        return broken

    def deliver_join(self, frame: bytes) -> None:
        """Give a join or leave push's frame to those who want to know."""
        if self._join_count == len(self._subscriptions):
            self._fan_out.send(self._everybody(), frame)
        else:
            curious = [each.receiver for each in self._subscriptions.values() if each.wants_joins]
            self._fan_out.send(curious, frame)

    def _everybody(self) -> Sequence[Receiver]:
        if self._receivers is None:
            self._receivers = [each.receiver for each in self._subscriptions.values()]
        return self._receivers

    def _move_to(self, epoch: str) -> list[Subscription]:
        """Begin a new life of the stream; return the subscriptions positioned in an older one."""
        if epoch == self.epoch:
            return []
        self.epoch = epoch
        self.top = 0
        stale = [sub for sub in self._subscriptions.values() if sub.offset != NOT_POSITIONED]
        for subscription in stale:
            subscription.offset = LOST
        return stale
