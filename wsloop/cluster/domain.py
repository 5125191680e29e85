"""A server's messaging domain where there are several processes: a worker's, and the hub process's.

Both are what `Options.domain` of `server/assembly.py` makes; the daemon decides which by its role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.cluster.remote import RemoteBroker, RemotePresence
from wsloop.cluster.service import Service
from wsloop.cluster.uplink import Uplink

if TYPE_CHECKING:
    from wsloop.cluster.link_states import LinkLimits
    from wsloop.cluster.uplink_states import UplinkRules
    from wsloop.hub.memory_broker import BrokerLimits
    from wsloop.hub.operations.core import Operations
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import Ports
    from wsloop.transport.bind import Bind, TcpBind, UnixBind


class WorkerDomain:
    """The domain of the worker in `slot`: broker and presence of the hub process at `address`.

    `link` is the way there, for the operations: `link.ask`, `link.handler`.
    """

    def __init__(
        self,
        reactor: Reactor,
        ports: Ports,
        address: UnixBind | TcpBind,
        slot: int,
        *,
        limits: LinkLimits | None = None,
        rules: UplinkRules | None = None,
    ) -> None:
        self.link = Uplink(
            reactor, ports.network, address, slot=slot, entropy=ports.entropy, limits=limits, rules=rules
        )
        self.broker = RemoteBroker(self.link)
        self.presence = RemotePresence(self.link)

    @property
    def link_up(self) -> bool:
        """Whether the broker answers."""
        return self.link.is_up

    def limit_history(self, memory_bytes: int) -> None:
        """See `Domain.limit_history`: the hub process keeps it."""

    def join(self, operations: Operations) -> None:
        """See `Domain.join`: connect, from the next turn on."""
        self.link.start()

    def reasons(self) -> list[str]:
        """Return why messaging does not work, for `Health`; the empty list if it does."""
        reason = self.link.reason()
        return [reason] if reason else []

    def close(self) -> None:
        """See `Domain.close`."""
        self.link.close()


class HubDomain:
    """The domain of the hub process: it has the broker itself, and answers workers on `bind`.

    `service` is for the operations: `service.call_all`, `cast_all`, `on_link`, `handler`. Raises StartupError
    if it cannot listen.
    """

    def __init__(
        self,
        reactor: Reactor,
        ports: Ports,
        bind: Bind,
        *,
        broker_limits: BrokerLimits | None = None,
        limits: LinkLimits | None = None,
    ) -> None:
        self.service = Service(reactor, ports.entropy, broker_limits=broker_limits, limits=limits)
        self.broker = self.service.broker
        self.presence = self.service.presence
        self._ports = ports
        self._sock = ports.network.listen(bind)

    @property
    def link_up(self) -> bool:
        """Whether the broker answers: it is here."""
        return True

    def limit_history(self, memory_bytes: int) -> None:
        """See `Domain.limit_history`."""
        self.service.shared.broker.limit_memory(memory_bytes)

    def join(self, operations: Operations) -> None:
        """See `Domain.join`: take links, from the next turn on."""
        self.service.listen(self._sock, self._ports.network.spare())

    def reasons(self) -> list[str]:
        """Return which workers are silent, for `Health`."""
        return self.service.reasons()

    def close(self) -> None:
        """See `Domain.close`."""
        self.service.close()
        self._sock.close()  # the service's own, unless nobody has joined
