"""Options that contradict each other: a literal table, asked before a server starts with them.

An option that could have no effect is a mistake too: whoever wrote it believes that it has one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub.codes import ReplyError
from wsloop.hub.namespaces import NAMESPACE_NAME, Namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.hub.namespaces import Namespace
    from wsloop.hub.options import HubOptions


class Mistake(msgspec.Struct, frozen=True):
    """`key`: which option, dotted behind the name of its table; `fault` and `hint`: for the operator."""

    key: str
    fault: str
    hint: str


class Check(msgspec.Struct, frozen=True):
    """`is_broken` tells whether the option `key` contradicts others."""

    key: str
    is_broken: Callable[[Namespace], bool]
    fault: str
    hint: str


def _keeps_none(options: Namespace) -> bool:
    return not options.retention.size


HISTORY_HINT = "set history_size and history_ttl_s"
NO_HISTORY = "has no effect without history"
ALONE = "has no effect alone"

CHECKS = (
    Check("history_size", lambda n: n.history_size > 0 and not n.history_ttl_s,
          "keeps nothing without history_ttl_s", "set both, or neither"),
    Check("history_ttl_s", lambda n: n.history_ttl_s > 0 and not n.history_size,
          "keeps nothing without history_size", "set both, or neither"),
    Check("history_meta_ttl_s", lambda n: n.history_meta_ttl_s < n.history_ttl_s,
          "must not be less than history_ttl_s", "a stream outlives its publications"),
    Check("force_recovery", lambda n: n.force_recovery and _keeps_none(n), NO_HISTORY, HISTORY_HINT),
    Check("allow_recovery", lambda n: n.allow_recovery and _keeps_none(n), NO_HISTORY, HISTORY_HINT),
    Check("force_positioning", lambda n: n.force_positioning and _keeps_none(n), NO_HISTORY, HISTORY_HINT),
    Check("allow_positioning", lambda n: n.allow_positioning and _keeps_none(n), NO_HISTORY, HISTORY_HINT),
    Check("allow_history_for_client", lambda n: n.allow_history_for_client and _keeps_none(n),
          NO_HISTORY, HISTORY_HINT),
    Check("allow_history_for_subscriber", lambda n: n.allow_history_for_subscriber and _keeps_none(n),
          NO_HISTORY, HISTORY_HINT),
    Check("recovery_mode",
          lambda n: n.recovery_mode == "cache" and not (n.allow_recovery or n.force_recovery),
          "has no effect without recovery", "set allow_recovery or force_recovery"),
    Check("force_push_join_leave", lambda n: n.force_push_join_leave and not n.join_leave,
          "has no effect without join_leave", "set join_leave"),
    Check("delta_publish", lambda n: n.delta_publish and not n.allowed_delta_types,
          "has no effect without allowed_delta_types", 'set allowed_delta_types = ["fossil"]'),
    Check("allow_presence_for_client", lambda n: n.allow_presence_for_client and not n.presence,
          "has no effect without presence", "set presence"),
    Check("allow_presence_for_subscriber", lambda n: n.allow_presence_for_subscriber and not n.presence,
          "has no effect without presence", "set presence"),
    Check("allow_subscribe_for_anonymous",
          lambda n: n.allow_subscribe_for_anonymous and not n.allow_subscribe_for_client,
          ALONE, "set allow_subscribe_for_client"),
    Check("allow_publish_for_anonymous",
          lambda n: n.allow_publish_for_anonymous
          and not (n.allow_publish_for_client or n.allow_publish_for_subscriber),
          ALONE, "set allow_publish_for_client or allow_publish_for_subscriber"),
    Check("allow_presence_for_anonymous",
          lambda n: n.allow_presence_for_anonymous
          and not (n.allow_presence_for_client or n.allow_presence_for_subscriber),
          ALONE, "set allow_presence_for_client or allow_presence_for_subscriber"),
    Check("allow_history_for_anonymous",
          lambda n: n.allow_history_for_anonymous
          and not (n.allow_history_for_client or n.allow_history_for_subscriber),
          ALONE, "set allow_history_for_client or allow_history_for_subscriber"),
)  # fmt: skip
"""The first that is broken is told."""


def namespace_mistake(options: Namespace) -> Mistake | None:
    """Return what is wrong with one namespace's options, None if nothing is."""
    try:
        re.compile(options.channel_regex)
    except (re.error, OverflowError, RecursionError) as error:
        return Mistake("channel_regex", f"is no regular expression: {error}", "Python's syntax")
    for check in CHECKS:
        if check.is_broken(options):
            return Mistake(check.key, check.fault, check.hint)
    return None


def name_mistake(name: str) -> Mistake | None:
    """Return what is wrong with a namespace's name, None if nothing is."""
    if NAMESPACE_NAME.fullmatch(name):
        return None
    return Mistake("", f"a namespace cannot be called {name!r}", "letters, digits and _ . - only, 64 at most")


def client_mistake(options: HubOptions, namespaces: Mapping[str, Namespace]) -> Mistake | None:
    """Return what the options of the hub name that is not there, None if all is."""
    known = ", ".join(sorted(name for name in namespaces if name)) or "none"
    if options.personal_channel and options.personal_namespace not in namespaces:
        fault = f"no namespace {options.personal_namespace!r} is configured"
        return Mistake("personal_namespace", fault, f"configured: {known}")
    if options.broadcast_channel:
        try:
            Namespaces(namespaces).rules_of(options.broadcast_channel)
        except ReplyError as error:
            fault = f"no channel can have this name: {error.error.message}"
            return Mistake("broadcast_channel", fault, f"namespaces configured: {known}")
    return None
