"""What a channel's name means: rules for names, namespaces and their options.

A name is `namespace:rest`, or plain for the default namespace (""). A leading `$` makes a
channel private (a token is needed); what follows `#` is a comma-separated list of the users
it is limited to. Which client may do what is answered here, with nothing but the name, the
options and the client's user; `dispatcher.py` asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from wsloop.hub import codes
from wsloop.hub.broker import Retention
from wsloop.hub.naming import NAMESPACE_BOUNDARY, PRIVATE_PREFIX, USER_BOUNDARY, USER_SEPARATOR
from wsloop.hub.patterns import WILDCARD, is_allowed, is_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME_BYTES = 255
"""In UTF-8; the SDKs' servers have this limit."""

MAX_NAMESPACE_CHARS = 64
NAMESPACE_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAMESPACE_CHARS}}}+")
"""What a namespace may be called: nothing that means something else in a channel's name, and short
enough to leave room for the rest."""


MAX_REGEX_CHARS = 512
"""Enough for any rule about names; a longer one is a list, which belongs into tokens."""

Regex = Annotated[str, msgspec.Meta(max_length=MAX_REGEX_CHARS)]
SlowPolicy = Literal["close", "drop-oldest", "conflate"]
Kept = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""Publications; each is an object in memory, so a larger number is a slip of the finger."""

Lifetime = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365, extra={"unit": "s"})]
"""Seconds; `extra` tells the reader of a configuration that other units may be written."""


class Namespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of all channels of one namespace. The defaults allow nothing but receiving.

    The comment behind an option is its documentation, here and in the reference. In `allow_ACTION_for_WHOM`
    client is anybody with a user, subscriber anybody in the channel, and anonymous extends the other
    two to clients without a user. Positioning is gap detection; it and recovery need history.
    """

    presence: bool = False  # who is in the channel can be asked
    join_leave: bool = False  # comings and goings are pushed to clients that ask for it
    force_push_join_leave: bool = False  # and to all others
    history_size: Kept = 0  # publications kept; 0 keeps and numbers none
    history_ttl_s: Lifetime = 0.0  # seconds each is kept; 0 keeps none
    history_meta_ttl_s: Lifetime = 3600.0  # seconds an unused stream's epoch and top offset are remembered
    recovery_mode: Literal["stream", "cache"] = "stream"  # who comes back gets all it missed, or the newest
    channel_regex: Regex = ""  # what names must match, behind the namespace; lets them be other than ASCII
    allowed_delta_types: tuple[Literal["fossil"], ...] = ()  # differences that subscribers may ask for
    delta_publish: bool = False  # differences for all publications, not only for those published so
    allow_tags_filter: bool = False  # subscribers may ask for a part of the publications, by their tags
    allow_wildcard: bool = False  # a subscription may name many channels with `*`
    allow_channel_compaction: bool = False  # pushes may carry a number instead of the channel's name
    slow_policy: SlowPolicy = "close"  # who reads slowly is closed, loses the oldest, or all but the newest
    subscribe_proxy: bool = False  # the backend is asked who may subscribe
    publish_proxy: bool = False  # the backend is asked who may publish, and may change it
    sub_refresh_proxy: bool = False  # the backend is asked whether a subscription may go on
    allow_positioning: bool = False  # clients may ask for gap detection
    force_positioning: bool = False  # and get it unasked
    allow_recovery: bool = False  # clients may ask for what they missed
    force_recovery: bool = False  # and get it unasked
    allow_user_limited_channels: bool = False  # users may subscribe to channels that name them
    allow_subscribe_for_client: bool = False  # clients with a user may subscribe
    allow_subscribe_for_anonymous: bool = False  # and anonymous ones
    allow_publish_for_client: bool = False  # clients with a user may publish
    allow_publish_for_subscriber: bool = False  # if they are subscribed
    allow_publish_for_anonymous: bool = False  # what is allowed above holds for anonymous ones
    allow_presence_for_client: bool = False  # clients with a user may ask who is there
    allow_presence_for_subscriber: bool = False  # if they are subscribed
    allow_presence_for_anonymous: bool = False  # what is allowed above holds for anonymous ones
    allow_history_for_client: bool = False  # clients with a user may read history
    allow_history_for_subscriber: bool = False  # if they are subscribed
    allow_history_for_anonymous: bool = False  # what is allowed above holds for anonymous ones

    @property
    def retention(self) -> Retention:
        """What the broker keeps; `Namespaces` computes it once."""
        if self.history_size <= 0 or self.history_ttl_s <= 0:
            return Retention()
        return Retention(self.history_size, self.history_ttl_s, self.history_meta_ttl_s)


class ChannelRules(msgspec.Struct, frozen=True):
    """A namespace's options with what is derived from them, looked up once per command.

    `is_wildcard`: they are those of a pattern, which names many channels and has nothing of its own.
    `is_over`: the namespace is gone since somebody came in, and nobody may come any more.
    """

    options: Namespace
    retention: Retention
    pattern: re.Pattern[str] | None = None
    is_wildcard: bool = False
    is_over: bool = False

    @property
    def has_history(self) -> bool:
        """Whether publications are numbered and kept."""
        return self.retention.size > 0


def rules_for(options: Namespace) -> ChannelRules:
    """Return the rules that options make. Raises re.error for a `channel_regex` that is none."""
    pattern = re.compile(options.channel_regex) if options.channel_regex else None
    return ChannelRules(options, options.retention, pattern)


def rules_for_patterns(options: Namespace) -> ChannelRules:
    """Return the rules of a namespace's patterns.

    A pattern has no stream and no members of its own: neither history, positions, presence, joins nor
    deltas, and nothing can be published to it.
    """
    stripped = Namespace(
        allow_tags_filter=options.allow_tags_filter,
        allow_channel_compaction=options.allow_channel_compaction,
        slow_policy=options.slow_policy,
        subscribe_proxy=options.subscribe_proxy,
        sub_refresh_proxy=options.sub_refresh_proxy,
        allow_subscribe_for_client=options.allow_subscribe_for_client,
        allow_subscribe_for_anonymous=options.allow_subscribe_for_anonymous,
    )
    return ChannelRules(stripped, stripped.retention, is_wildcard=True)


class Namespaces:
    """The configured namespaces. Argument: name -> options; "" is the default namespace."""

    __slots__ = ("_pattern_rules", "_rules")

    def __init__(self, options: Mapping[str, Namespace]) -> None:
        self._rules = {name: rules_for(option) for name, option in options.items()}
        self._pattern_rules = {
            name: rules_for_patterns(option) for name, option in options.items() if option.allow_wildcard
        }

    def rules_to_subscribe(self, name: str) -> ChannelRules:
        """Return the rules for a channel or, where the namespace allows wildcards, for a pattern.

        Raises ReplyError as `rules_of` does, and 107 for a pattern beyond the limits.
        """
        if WILDCARD in name:
            rules = self._pattern_rules.get(namespace_of(name))
            if rules is not None and is_pattern(name):
                if len(name) > MAX_NAME_BYTES or not name.isascii() or not is_allowed(name):
                    raise codes.ReplyError(codes.BAD_REQUEST)
                return rules
        return self.rules_of(name)

    def rules_of(self, channel: str) -> ChannelRules:
        """Return the rules for a channel.

        Raises ReplyError 102 if its namespace is not configured, 108 for a pattern where there are
        such: nothing can be done with it but to subscribe; 107 if the name is too long,
        does not match the namespace's `channel_regex` or, where there is none, is not ASCII. The
        regex is about what stands behind the namespace and its boundary, or behind the `$` of a
        private channel without namespace.
        """
        is_ascii = channel.isascii()
        if (len(channel) if is_ascii else len(channel.encode(errors="replace"))) > MAX_NAME_BYTES:
            raise codes.ReplyError(codes.BAD_REQUEST)
        whole = channel.removeprefix(PRIVATE_PREFIX)
        name, boundary, rest = whole.partition(NAMESPACE_BOUNDARY)
        rules = self._rules.get(name if boundary else "")
        if rules is None or (boundary and not name):
            raise codes.ReplyError(codes.UNKNOWN_CHANNEL)
        if rules.options.allow_wildcard and is_pattern(channel):
            raise codes.ReplyError(codes.NOT_AVAILABLE)
        pattern = rules.pattern
        if not is_ascii if pattern is None else not pattern.fullmatch(rest if boundary else whole):
            raise codes.ReplyError(codes.BAD_REQUEST)
        return rules


def namespace_of(channel: str) -> str:
    """Return the name of a channel's namespace, "" for the default one."""
    name, boundary, _ = channel.removeprefix(PRIVATE_PREFIX).partition(NAMESPACE_BOUNDARY)
    return name if boundary else ""


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
        allowed_delta_types=("fossil",),
        delta_publish=True,
        allow_tags_filter=True,
        allow_wildcard=True,
        allow_channel_compaction=True,
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
