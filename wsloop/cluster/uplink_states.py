"""The states of a worker's end, the rules of its attempts, and what it tells of itself."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from wsloop.cluster.link_states import LinkStatistics


class UplinkRules(msgspec.Struct, frozen=True):
    """When to try again and how long to wait.

    `first_delay_s` doubles up to `last_delay_s`, each with up to half of it more by chance, so that the
    workers do not come all at once. `answer_s`: a question is answered within it, or within a second more;
    SDKs wait 5 s for a reply.
    """

    first_delay_s: float = 0.1
    last_delay_s: float = 5.0
    answer_s: float = 4.0


class UplinkState(enum.Enum):
    """Where a worker's end stands."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    RESTORING = "restoring"
    READY = "ready"
    CLOSED = "closed"


class UplinkStep(enum.Enum):
    """What moves it on."""

    TRY = "try"
    WELCOMED = "welcomed"
    RESTORED = "restored"
    LOST = "lost"
    CLOSE = "close"


UPLINK_TRANSITIONS: dict[UplinkState, dict[UplinkStep, UplinkState]] = {
    UplinkState.WAITING: {
        UplinkStep.TRY: UplinkState.CONNECTING,
        UplinkStep.CLOSE: UplinkState.CLOSED,
    },
    UplinkState.CONNECTING: {
        UplinkStep.WELCOMED: UplinkState.RESTORING,
        UplinkStep.LOST: UplinkState.WAITING,
        UplinkStep.CLOSE: UplinkState.CLOSED,
    },
    UplinkState.RESTORING: {
        UplinkStep.RESTORED: UplinkState.READY,
        UplinkStep.LOST: UplinkState.WAITING,
        UplinkStep.CLOSE: UplinkState.CLOSED,
    },
    UplinkState.READY: {
        UplinkStep.LOST: UplinkState.WAITING,
        UplinkStep.CLOSE: UplinkState.CLOSED,
    },
    UplinkState.CLOSED: {},
}
"""TRY: the time between two attempts is over. RESTORED: what holds has been said again."""


class UplinkStatistics(msgspec.Struct, frozen=True):
    """A snapshot; totals only grow, over all links.

    `links`: how often it became READY; `lost`: how often it was READY no more. `overflows`: links ended since
    the other end did not read. `unanswered`: questions that were not answered in time; `questions` are
    under way. `link` is the present one, if any.
    """

    state: UplinkState
    links: int
    lost: int
    overflows: int
    unanswered: int
    questions: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    link: LinkStatistics | None
