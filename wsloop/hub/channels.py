"""A channel as it lives in this process: its subscriptions, and the way that reaches them all.

Subscriptions that are given the same bytes form an audience (`audiences.py`). This file keeps promise
P4, no silent gap: a positioned subscription sees offsets k, k + 1, k + 2 of one epoch, and is
handed back to the caller where that would not be so. It knows neither commands nor the
broker; `hub.py` feeds it, `joining.py` fills and empties it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from wsloop.hub import replies
from wsloop.hub.audiences import NOT_POSITIONED, PLAIN, Audience, TailoredAudience
from wsloop.hub.fan_out import Receiver
from wsloop.hub.parcel import Parcel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wsloop.hub.audiences import Wish
    from wsloop.hub.client import Client
    from wsloop.hub.codec import Codec
    from wsloop.hub.expiry import Lease
    from wsloop.hub.fan_out import FanOut, Packet
    from wsloop.hub.history import Publication, StreamPosition
    from wsloop.hub.namespaces import ChannelRules

LOST = 2**64
"""The offset of a subscription whose stream is no more: above any other, so nothing reaches it."""


_NO_OTHERS: Mapping[tuple[Codec, Wish], Audience] = MappingProxyType({})
"""The other audiences of a channel that has none: a dict of its own would be 64 bytes for nothing."""


class Subscriber(Protocol):
    """What the hub sees of a connection; `receiver` takes the messages that it shares with others.

    No method raises, whatever has become of the connection, and none calls back into the hub
    before it returns: a connection that breaks meanwhile is reported by `Client.closed` later.
    """

    @property
    def receiver(self) -> Receiver:
        """What the fan-out gives messages to."""
        ...

    @property
    def address(self) -> str:
        """The client's IP address, or what else the transport knows, for an operator's eyes."""
        ...

    def may_go_on(self) -> bool:
        """Tell whether one more command may be carried out now, and count it.

        False if the connection is closing, or has had its share of this turn: in the second
        case `Client.go_on` is called in a later one.
        """
        ...

    def left(self, channel: str) -> None:
        """Hear that it has left a channel, all of which was pushed: what was dropped matters no more."""
        ...

    def charge(self, commands: int) -> None:
        """Count what was costly as so many commands more against the share of this turn."""
        ...

    def send(self, payload: bytes) -> None:
        """Queue one message of the client's codec, for this client only."""
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

    `offset` is that of the last publication given to the client, NOT_POSITIONED if it has no gap
    detection. `active` is false until the subscription is registered, and after it has
    ended: then it is in no channel. `announces`: whether others are told of its coming and going;
    `is_announced`: whether they were told that it came. `info` is what others see of the client here, JSON.
    `lease` is its right to be here, None if that does not end; `is_from_backend` tells who
    renews it. `wish`: how it wants its pushes. `acked`: the offset up to which the client says
    that it has dealt with the channel, 0 if it never did.
    """

    __slots__ = (
        "acked", "active", "announces", "audience", "channel", "client", "info", "is_announced",
        "is_from_backend", "is_present", "is_server_side", "lease", "offset", "receiver", "wants_joins",
        "wish",
    )  # fmt: skip

    def __init__(self, client: Client, channel: Channel) -> None:
        self.client = client
        self.channel = channel
        self.receiver: Receiver = client.subscriber.receiver
        self.info = client.info
        self.offset = NOT_POSITIONED
        self.acked = 0
        self.audience: Audience | None = None
        self.active = self.is_present = self.is_server_side = self.wants_joins = False
        self.announces = self.is_announced = self.is_from_backend = False
        self.lease: Lease | None = None
        self.wish: Wish = PLAIN


class HeldReceiver(Receiver):
    """Stands before a receiver that must hear something else first.

    Messages wait until `release`; those that a fan-out still holds then, for this object, pass through.
    """

    __slots__ = ("_receiver", "_waiting")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._waiting: list[tuple[bytes, Sequence[Packet]]] | None = []

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """See `Receiver.push`."""
        if self._waiting is None:
            self._receiver.push(data, packets)
        else:
            self._waiting.append((data, packets))

    def release(self) -> None:
        """Hand on what waited."""
        waiting, self._waiting = self._waiting, None
        for data, packets in waiting or ():
            self._receiver.push(data, packets)


class Channel:
    """The subscriptions of one channel in this process.

    `waiting` counts subscriptions whose history is still being read: they keep the channel.
    `epoch` and `top` are of the newest publication seen, or of the newest subscriber's
    position: all positioned subscriptions are of one epoch. `number` stands for the name where a
    subscription wishes so; 0 until one does.
    """

    __slots__ = (
        "_count", "_main", "_others", "_parcel", "epoch", "fan_out", "name", "number", "numbered_start",
        "push_start", "rules", "top", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, rules: ChannelRules, fan_out: FanOut) -> None:
        self.name = name
        self.rules = rules
        self.push_start = replies.push_start(name)
        self.epoch = ""
        self.top = 0
        self.waiting = 0
        self.fan_out = fan_out
        self.number = 0
        self.numbered_start = b""
        self._count = 0
        # What the tailored audiences share of the publication they are given now, or were last.
        self._parcel: Parcel | None = None
        # One audience is all, nearly always. There may be as many others as there are different filters.
        self._main: Audience | None = None
        self._others: Mapping[tuple[Codec, Wish], Audience] = _NO_OTHERS

    def __len__(self) -> int:
        return self._count

    @property
    def wants_joins(self) -> bool:
        """Whether anybody here is told of comings and goings."""
        return any(audience.join_count for audience in self._audiences())

    def subscriptions(self) -> list[Subscription]:
        """Return all subscriptions."""
        audiences = self._audiences()
        return [subscription for audience in audiences for subscription in audience.subscriptions]

    def refresh_audiences(self) -> None:
        """Follow other rules: what becomes of slow readers, and who is told of comings and goings."""
        for audience in self._audiences():
            audience.follow_rules()

    def set_number(self, number: int) -> None:
        """Let `number`, which no other channel has, stand for the name where that is wished."""
        self.number = number
        self.numbered_start = replies.numbered_push_start(number)

    def parcel(self, publication: Publication) -> Parcel:
        """Return what the tailored audiences share of a publication."""
        parcel = self._parcel
        if parcel is None or parcel.publication is not publication:
            wants_delta = publication.delta or self.rules.options.delta_publish
            parcel = self._parcel = Parcel(publication, wants_delta=wants_delta)
        return parcel

    def add(
        self, subscription: Subscription, position: StreamPosition | None, base: bytes | None = None
    ) -> list[Subscription]:
        """Let a subscription in; it receives whatever is delivered from now on.

        `position` is the top of the stream, read in this very tick, or None for a subscription
        that is not positioned. `base`: the payload it was given last, with the reply, None if it was
        given none. Returns the positioned subscriptions that stand elsewhere: see `compare`.
        """
        stale: list[Subscription] = []
        if position is not None:
            # Gap-free join. The broker's order makes a read that ends now as new as the last event
            # delivered here, unless one was lost, and every later event finds the subscription.
            stale = self.compare(position)
            subscription.offset = position.offset
        audience = self._audience_of(subscription)
        audience.add(subscription, base)
        subscription.audience = audience
        subscription.active = True
        self._count += 1
        return stale

    def compare(self, top: StreamPosition) -> list[Subscription]:
        """Return the positioned subscriptions that are not at the stream's `top`, read in this very tick.

        Those of another epoch, whose stream is no more; those that missed an event on its way here; and
        all, if the stream is one that lost its newest. The caller must end them.
        """
        stale = self._move_to(top.epoch)
        if self.top != top.offset:
            self.top = top.offset
            stale += [
                each for each in self.subscriptions() if each.offset not in (NOT_POSITIONED, LOST, top.offset)
            ]
            for subscription in stale:
                subscription.offset = LOST
        return stale

    def remove(self, subscription: Subscription) -> None:
        """Let an active subscription out."""
        audience = subscription.audience
        assert audience is not None
        audience.remove(subscription)
        subscription.active, subscription.audience = False, None
        self._count -= 1
        if audience.subscriptions:
            return
        if audience is self._main:
            self._main = None
        else:
            assert isinstance(self._others, dict)
            del self._others[audience.codec, audience.wish]

    def deliver(self, publication: Publication, epoch: str) -> list[Subscription]:
        """Give a publication to every subscription whose next one it is.

        Returns those that missed one before it: the caller must end them.
        """
        broken: list[Subscription] = []
        if publication.offset:
            if epoch != self.epoch:
                broken = self._move_to(epoch)
            self.top = max(self.top, publication.offset)
        for audience in self._audiences():
            audience.deliver(publication, broken)
        return broken

    def deliver_from(self, source: str, publication: Publication) -> int:
        """Give everybody a publication of the channel `source`, which this one's pattern matches.

        Returns to how many it was given.
        """
        return sum(audience.deliver_from(source, publication) for audience in self._audiences())

    def deliver_join(self, push: Callable[[bytes, bytes], bytes], info: bytes) -> None:
        """Give a join or leave push, `push(start, info)`, to those who want to know."""
        for audience in self._audiences():
            if audience.join_count:
                audience.deliver_join(push(audience.push_start, info))

    def _audiences(self) -> Iterable[Audience]:
        main = self._main
        if main is None:
            return self._others.values()
        return (main, *self._others.values()) if self._others else (main,)

    def _audience_of(self, subscription: Subscription) -> Audience:
        codec, wish = subscription.client.codec, subscription.wish
        main = self._main
        if main is not None and main.codec is codec and main.wish == wish:
            return main
        audience = self._others.get((codec, wish))
        if audience is not None:
            return audience
        audience = (Audience if wish is PLAIN else TailoredAudience)(self, codec, wish)
        if main is None:
            self._main = audience
            return audience
        if not isinstance(self._others, dict):
            self._others = {}
        self._others[codec, wish] = audience
        return audience

    def _move_to(self, epoch: str) -> list[Subscription]:
        """Begin a new life of the stream; return the subscriptions positioned in an older one."""
        if epoch == self.epoch:
            return []
        if self.epoch:
            for subscription in self.subscriptions():
                subscription.acked = 0  # its offset was one of the stream that is no more
        self.epoch = epoch
        self.top = 0
        stale = [each for each in self.subscriptions() if each.offset != NOT_POSITIONED]
        for subscription in stale:
            subscription.offset = LOST
        return stale
