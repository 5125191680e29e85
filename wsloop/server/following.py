"""A running server is given other options: what an operator may change without a restart.

Everything that can fail was done before: options are values, and certificates are loaded. Connections that
are open keep what was agreed with them: the largest message, compression, the pace of pings. All else is
looked up when it is needed, and counts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.server import assembly

if TYPE_CHECKING:
    from wsloop.server.assembly import House, Options


def follow(house: House, options: Options, *, has_other_namespaces: bool = True) -> None:
    """Let a house go by other options.

    Listeners, the application outside, and the domain stay as they are. `has_other_namespaces` False spares
    a walk over all channels.
    """
    server, hub = house.server, house.hub
    server.deadlines = options.deadlines
    server.outbox = options.outbox
    server.fan_out.follow(options.messages_per_frame, options.batch_delay_s)
    server.messages_per_frame = options.messages_per_frame
    server.limit_admission(options.max_connections, options.max_per_host, options.max_accepts_per_s)
    if server.certificates is not None and options.certificates is not None:
        server.certificates.adopt(options.certificates)
    hub.follow(
        assembly.hub_options(options),
        assembly.namespaces(options) if has_other_namespaces else None,
        options.verifier,
        options.rate_limits,
    )
    server.app = assembly.public_app(options, hub, server.fan_out, house.health)
    house.api.key = options.api_key
    house.domain.limit_history(options.broker.memory_bytes)
