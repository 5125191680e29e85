"""The channels of a world, and what the server is told of them: small histories, so that each limit is met.

Every name's first letter says its kind. The table is the server's setting and the checkers' truth at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.testing.simulator.model.ledger import Rules

if TYPE_CHECKING:
    from random import Random

_OPEN = Namespace(
    presence=True,
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


def _with(**options: object) -> Namespace:
    return Namespace(**{name: getattr(_OPEN, name) for name in _OPEN.__struct_fields__} | options)


_STREAM = {"history_size": 12, "history_ttl_s": 20.0, "history_meta_ttl_s": 45.0, "force_recovery": True}

NAMESPACES: dict[str, Namespace] = {
    # Personal channels, which the server subscribes their users to.
    "": _with(**_STREAM),
    # Streams: counted, recovered, slow readers are closed.
    "s": _with(**_STREAM),
    # A large one, for those who were away for long.
    "l": _with(**_STREAM | {"history_size": 120, "history_ttl_s": 90.0, "history_meta_ttl_s": 120.0}),
    # Who comes back is given the newest only.
    "c": _with(**_STREAM | {"history_size": 3, "recovery_mode": "cache"}),
    # Nothing is kept, nor numbered; everybody hears of comings and goings.
    "n": _with(join_leave=True, force_push_join_leave=True),
    # Who reads slowly loses the oldest: counted if one wishes, else told how many.
    "d": _with(history_size=20, history_ttl_s=30.0, allow_recovery=True, slow_policy="drop-oldest"),
    # Or all but the newest.
    "f": _with(history_size=20, history_ttl_s=30.0, allow_recovery=True, slow_policy="conflate"),
}

CHANNELS = ("s:a", "s:b", "l:a", "c:a", "n:a", "d:a", "f:a")
"""Those that clients subscribe to by themselves; few, so that there is company in each."""

EVERYBODY = "s:all"
"""The one that the server subscribes everybody to."""

MESSAGE_BYTES = 16 * 1024
"""Of one message to the server: so little that a peer who reads slowly is soon far behind."""

MOST_RECOVERED = 16
"""Publications of one recovery: more than most channels keep, and far less than the large one does."""

HUB = HubOptions(
    allow_anonymous=True,
    personal_channel=True,
    broadcast_channel=EVERYBODY,
    expired_grace_s=5.0,
    recovery_limit=MOST_RECOVERED,
)


def namespace_of(channel: str) -> Namespace:
    """Return the options of a channel."""
    name, boundary, _ = channel.partition(":")
    return NAMESPACES[name if boundary else ""]


def rules_of(channel: str) -> Rules:
    """Return what a channel keeps, for its book."""
    options = namespace_of(channel)
    return Rules(
        options.history_size,
        options.history_ttl_s,
        options.history_meta_ttl_s,
        is_cache=options.recovery_mode == "cache",
        is_lossy=options.slow_policy != "close",
        most_recovered=MOST_RECOVERED,
    )


def choose(chance: Random, count: int) -> list[str]:
    """Return so many channels for somebody to be in."""
    return chance.sample(CHANNELS, count)
