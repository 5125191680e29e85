"""What the simulated servers are set to: limits so small that each is met in some thousand steps."""

from __future__ import annotations

from wsloop.cluster.link_states import LinkLimits
from wsloop.hub.history import PUBLICATION_BYTES
from wsloop.hub.memory_broker import STREAM_BYTES, BrokerLimits
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options

KEEP = 40
"""Publications kept of a channel."""

TTL_S = 60.0
META_TTL_S = 90.0

BROKER_LIMITS = BrokerLimits(memory_bytes=8 * STREAM_BYTES + 8 * (KEEP - 2) * (PUBLICATION_BYTES + 90))
"""Eight channels that are nearly full: the ceiling is met as well."""

LINK_LIMITS = LinkLimits(queue_bytes=100_000)
"""So small that a worker that is stopped for a while is cut off."""

OPTIONS = Options(
    dev=True,
    namespaces={
        "": Namespace(
            history_size=KEEP,
            history_ttl_s=TTL_S,
            history_meta_ttl_s=META_TTL_S,
            force_recovery=True,
            presence=True,
            join_leave=True,
            allow_subscribe_for_client=True,
            allow_subscribe_for_anonymous=True,
            allow_publish_for_client=True,
            allow_publish_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
    broker=BROKER_LIMITS,
)
