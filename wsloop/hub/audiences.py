"""Subscriptions of one channel that are given the same bytes, and what those bytes are.

Nearly all of a channel form one `Audience`: a push is encoded once for it, and the same bytes object is
given to every receiver. Those who asked for something else, differences instead of whole payloads, a part
of the publications, a number instead of the name, form a `TailoredAudience` for each `Wish`. Who may wish
what is `tailoring.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import replies
from wsloop.hub.fan_out import Lane, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.channels import Channel, Subscription
    from wsloop.hub.codec import Codec
    from wsloop.hub.fan_out import Receiver
    from wsloop.hub.history import Publication
    from wsloop.hub.tags import Filter

NOT_POSITIONED = -1
"""The offset of a subscription that checks none."""


class Wish(msgspec.Struct, frozen=True):
    """How a subscription wants its pushes.

    `filter`: only publications that it matches. `delta`: payloads as JSON strings, and differences
    where they are shorter. `compact`: the channel's number instead of its name.
    """

    filter: Filter | None = None
    delta: bool = False
    compact: bool = False


PLAIN = Wish()
"""What nearly everybody wants: the publications as they are."""


class Audience:
    """Subscriptions of one channel that are given the same bytes: those of one codec."""

    __slots__ = (
        "_channel",
        "_lane",
        "_receivers",
        "codec",
        "join_count",
        "push_start",
        "subscriptions",
        "wish",
    )

    def __init__(self, channel: Channel, codec: Codec, wish: Wish) -> None:
        self._channel = channel
        self.codec = codec
        self.wish = wish
        self.push_start = channel.numbered_start if wish.compact else channel.push_start
        self._lane = _lane(channel, codec)
        self.join_count = 0
        self.subscriptions: dict[Subscription, None] = {}
        # Those of all subscriptions, until one comes or goes: the same object for each publication.
        self._receivers: Sequence[Receiver] | None = None

    def add(self, subscription: Subscription, base: bytes | None) -> None:
        """Let a subscription in. `base`: the payload it was given last, None if it was given none."""
        self.subscriptions[subscription] = None
        self.join_count += subscription.wants_joins
        self._receivers = None

    def remove(self, subscription: Subscription) -> None:
        """Let a subscription out."""
        del self.subscriptions[subscription]
        self.join_count -= subscription.wants_joins
        self._receivers = None

    def follow_rules(self) -> None:
        """Follow other rules of the channel, and what they made of the subscriptions."""
        self._lane = _lane(self._channel, self.codec)
        self.join_count = sum(each.wants_joins for each in self.subscriptions)

    def refresh(self) -> None:
        """Look up the receivers anew: that of a subscription is another one now."""
        self._receivers = None

    def deliver(self, publication: Publication, broken: list[Subscription]) -> None:
        """Give a publication to every subscription whose next one it is.

        Those that have it already are skipped; those that missed one before it are added to
        `broken`. An offset of 0 is outside the stream and goes to all.
        """
        receivers = self._next(publication.offset, broken)
        self._send(receivers, replies.pub_push(self.push_start, publication))

    def deliver_from(self, source: str, publication: Publication) -> int:
        """Give everybody a publication of another channel, `source`, which this one's pattern matches.

        Returns to how many it was given.
        """
        push = replies.foreign_pub_push(self.push_start, publication, source)
        self._send(self._everybody(), push)
        return len(self.subscriptions)

    def deliver_join(self, line: bytes) -> None:
        """Give a join or leave push to those who want to know; it is dropped for nobody."""
        everybody = self._everybody()
        if self.join_count < len(self.subscriptions):
            everybody = [each.receiver for each in self.subscriptions if each.wants_joins]
        self._channel.fan_out.send(everybody, self.codec.encode(line), kept(self.codec))

    def _next(self, offset: int, broken: list[Subscription]) -> Sequence[Receiver]:
        """Move all positions on to `offset`; return the receivers whose next publication it is."""
        everybody = self._everybody()
        passed_over = self._advance(offset, broken) if offset else None
        if not passed_over:
            return everybody
        return [receiver for receiver in everybody if receiver not in passed_over]

    def _send(self, receivers: Sequence[Receiver], line: bytes) -> None:
        self._channel.fan_out.send(receivers, self.codec.encode(line), self._lane)

    def _advance(self, offset: int, broken: list[Subscription]) -> set[Receiver] | None:
        """Move each position on to `offset`; return the receivers that must not get it, or None."""
        previous = offset - 1
        passed_over: set[Receiver] | None = None
        for subscription in self.subscriptions:
            if subscription.offset == previous:
                subscription.offset = offset
            elif subscription.offset != NOT_POSITIONED:
                if passed_over is None:
                    passed_over = set()
                passed_over.add(subscription.receiver)
                if subscription.offset < previous:
                    broken.append(subscription)
        return passed_over

    def _everybody(self) -> Sequence[Receiver]:
        if self._receivers is None:
            self._receivers = [each.receiver for each in self.subscriptions]
        return self._receivers


def _lane(channel: Channel, codec: Codec) -> Lane:
    policy = channel.rules.options.slow_policy
    if policy == "close":
        return kept(codec)
    # The newest of all that a pattern matches is of one channel only: it does not stand for the others.
    return Lane(channel.name, "drop-oldest" if channel.rules.is_wildcard else policy, codec)


class TailoredAudience(Audience):
    """Subscriptions that are given the same bytes because they wish the same.

    With `delta`, a difference is to the payload that was given last, which all know but those
    `_behind`: who came since. These are given the whole payload next, and then are like the others.
    """

    __slots__ = ("_base", "_behind")

    def __init__(self, channel: Channel, codec: Codec, wish: Wish) -> None:
        super().__init__(channel, codec, wish)
        self._base: bytes | None = None
        self._behind: set[Subscription] = set()

    def add(self, subscription: Subscription, base: bytes | None) -> None:
        """See `Audience.add`."""
        if not self.subscriptions:
            self._base = base
        elif self.wish.delta and (base is None or base != self._base):
            self._behind.add(subscription)
        super().add(subscription, base)

    def remove(self, subscription: Subscription) -> None:
        """See `Audience.remove`."""
        super().remove(subscription)
        self._behind.discard(subscription)

    def deliver(self, publication: Publication, broken: list[Subscription]) -> None:
        """See `Audience.deliver`. A publication that the filter holds back moves the positions on."""
        if not self._wants(publication):
            if publication.offset:
                self._advance(publication.offset, broken)
            return
        receivers = self._next(publication.offset, broken)
        if self.wish.delta:
            self._deliver_difference(publication, receivers)
        else:
            message = self._channel.parcel(publication).message(self.codec, self.push_start)
            self._channel.fan_out.send(receivers, message, self._lane)

    def deliver_from(self, source: str, publication: Publication) -> int:
        """See `Audience.deliver_from`."""
        return super().deliver_from(source, publication) if self._wants(publication) else 0

    def _wants(self, publication: Publication) -> bool:
        chosen = self.wish.filter
        return chosen is None or self._channel.parcel(publication).passes(chosen)

    def _deliver_difference(self, publication: Publication, receivers: Sequence[Receiver]) -> None:
        """Give those who know the base the difference, the others the whole."""
        parcel = self._channel.parcel(publication)
        difference = None if self._base is None else parcel.difference(self._base)
        whole_to = receivers
        if difference is not None:
            behind = {each.receiver for each in self._behind}
            informed = receivers
            if behind:
                informed = [receiver for receiver in receivers if receiver not in behind]
            whole_to = [receiver for receiver in receivers if receiver in behind] if behind else ()
            self._send(informed, replies.tailored_pub_push(self.push_start, publication, difference, True))
        if whole_to:
            self._send(whole_to, replies.tailored_pub_push(self.push_start, publication, parcel.text, False))
        self._base = publication.data
        self._behind.clear()
        if len(receivers) < len(self.subscriptions):
            given = set(receivers)
            self._behind.update(each for each in self.subscriptions if each.receiver not in given)
