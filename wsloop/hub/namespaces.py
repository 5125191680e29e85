"""What a channel's name means: rules for names, namespaces and their options.

A name is `namespace:rest`, or plain for the default namespace (""). A leading `$` makes a
channel private (a token is needed); what follows `#` is a comma-separated list of the users
it is limited to. Which client may do what is answered here, with nothing but the name, the
options and the client's user; `dispatcher.py` asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from wsloop.hub import codes
from wsloop.hub.broker import Retention

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE_BOUNDARY = ":"
PRIVATE_PREFIX = "$"
USER_BOUNDARY = "#"
USER_SEPARATOR = ","

MAX_NAME_BYTES = 255
"""The SDKs' servers have this limit; names are ASCII, so bytes are characters."""


class Namespace(msgspec.Struct, frozen=True):
    """Options of all channels of one namespace. The defaults allow nothing but receiving.

    History: `history_size` publications for `history_ttl_s` seconds; 0 of either keeps none.
    `history_meta_ttl_s`: how long an unused stream's epoch and top are remembered.
    `presence`: who is in the channel can be asked. `join_leave`: comings and goings are pushed
    to clients that ask for it, with `force_push_join_leave` to all.
    `recovery_mode`: what a client that comes back is given: "stream", all it missed, or "cache",
    the newest publication only.
    `channel_regex`: what a name, behind the namespace and its boundary, must match as a whole; "" for any.
    `allowed_delta_types`: "fossil" lets subscribers ask for differences; `delta_publish` computes
    them for all publications, not only those that were published so.
    `allow_tags_filter`: subscribers may ask for a part of the publications by their tags.
    `allow_wildcard`: a subscription may name many channels with `*`.
    `allow_channel_compaction`: pushes may carry a number instead of the channel's name.
    `slow_policy`: what becomes of a subscriber that reads too slowly: "close" ends its connection,
    "drop-oldest" and "conflate" (newest per channel) drop publications, and tell it so.
    `..._proxy`: the backend is asked.
    `allow_positioning`, `allow_recovery`: a client may ask for gap detection, or for what it
    missed; `force_...` gives it unasked. Both need history.
    `allow_ACTION_for_WHOM`: client is anybody with a user, subscriber anybody in the channel,
    anonymous extends the other two to clients without a user.
    """

    presence: bool = False
    join_leave: bool = False
    force_push_join_leave: bool = False
    history_size: int = 0
    history_ttl_s: float = 0.0
    history_meta_ttl_s: float = 3600.0
    recovery_mode: Literal["stream", "cache"] = "stream"
    channel_regex: str = ""
    allowed_delta_types: tuple[Literal["fossil"], ...] = ()
    delta_publish: bool = False
    allow_tags_filter: bool = False
    allow_wildcard: bool = False
    allow_channel_compaction: bool = False
    slow_policy: Literal["close", "drop-oldest", "conflate"] = "close"
    subscribe_proxy: bool = False
    publish_proxy: bool = False
    sub_refresh_proxy: bool = False
    allow_positioning: bool = False
    force_positioning: bool = False
    allow_recovery: bool = False
    force_recovery: bool = False
    allow_user_limited_channels: bool = False
    allow_subscribe_for_client: bool = False
    allow_subscribe_for_anonymous: bool = False
    allow_publish_for_client: bool = False
    allow_publish_for_subscriber: bool = False
    allow_publish_for_anonymous: bool = False
    allow_presence_for_client: bool = False
    allow_presence_for_subscriber: bool = False
    allow_presence_for_anonymous: bool = False
    allow_history_for_client: bool = False
    allow_history_for_subscriber: bool = False
    allow_history_for_anonymous: bool = False

    @property
    def retention(self) -> Retention:
        """What the broker keeps; `Namespaces` computes it once."""
        if self.history_size <= 0 or self.history_ttl_s <= 0:
            return Retention()
        return Retention(self.history_size, self.history_ttl_s, self.history_meta_ttl_s)


class ChannelRules(msgspec.Struct, frozen=True):
    """A namespace's options with what is derived from them, looked up once per command."""

    options: Namespace
    retention: Retention

    @property
    def has_history(self) -> bool:
        """Whether publications are numbered and kept."""
        return self.retention.size > 0


class Namespaces:
    """The configured namespaces. Argument: name -> options; "" is the default namespace."""

    __slots__ = ("_rules",)

    def __init__(self, options: Mapping[str, Namespace]) -> None:
        self._rules = {name: ChannelRules(option, option.retention) for name, option in options.items()}

    def rules_of(self, channel: str) -> ChannelRules:
        """Return the rules for a channel.

        Raises ReplyError 107 if the name is too long or not ASCII, 102 if its namespace is not
        configured.
        """
        if len(channel) > MAX_NAME_BYTES or not channel.isascii():
            raise codes.ReplyError(codes.BAD_REQUEST)
        name, boundary, _ = channel.removeprefix(PRIVATE_PREFIX).partition(NAMESPACE_BOUNDARY)
        rules = self._rules.get(name if boundary else "")
        if rules is None or (boundary and not name):
            raise codes.ReplyError(codes.UNKNOWN_CHANNEL)
        return rules


def is_private(channel: str) -> bool:
    """Return whether a subscription needs a token."""
    return channel.startswith(PRIVATE_PREFIX)


def is_restricted(channel: str) -> bool:
    """Return whether the channel is private or limited to users it names."""
    return USER_BOUNDARY in channel or is_private(channel)


def is_named(channel: str, user: str) -> bool:
    """Return whether a user-limited channel names `user`; never true for an anonymous one."""
    _, boundary, users = channel.rpartition(USER_BOUNDARY)
    return bool(boundary and user) and user in users.split(USER_SEPARATOR)


def may_subscribe(channel: str, options: Namespace, user: str) -> bool:
    """Return whether a client of `user` ("" if anonymous) may subscribe without a token."""
    if is_private(channel):
        return False
    if USER_BOUNDARY in channel:
        return options.allow_user_limited_channels and is_named(channel, user)
    return options.allow_subscribe_for_client and (bool(user) or options.allow_subscribe_for_anonymous)


def may(
    channel: str, user: str, *, subscribed: bool, client: bool, subscriber: bool, anonymous: bool
) -> bool:
    """Return whether a client may publish to, or read presence or history of, a channel.

    `client`, `subscriber` and `anonymous` are the three `allow_ACTION_for_...` options of that
    action. What is allowed to any client does not reach into private and user-limited
    channels: there one must be subscribed.
    """
    if not user and not anonymous:
        return False
    if subscribed and (client or subscriber):
        return True
    return client and not is_restricted(channel)


def dev_namespaces() -> dict[str, Namespace]:
    """Return the namespaces of `wsloop serve --dev`: all features, for everybody.

    The default namespace and `chat:` keep 100 publications for 300 seconds.
    """
    everything = Namespace(
        presence=True,
        join_leave=True,
        force_push_join_leave=True,
        history_size=100,
        history_ttl_s=300.0,
        allow_positioning=True,
        force_positioning=True,
        allow_recovery=True,
        force_recovery=True,
        allow_user_limited_channels=True,
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
        allow_publish_for_client=True,
        allow_publish_for_anonymous=True,
        allow_presence_for_client=True,
        allow_presence_for_anonymous=True,
        allow_history_for_client=True,
        allow_history_for_anonymous=True,
    )
    return {"": everything, "chat": everything}
