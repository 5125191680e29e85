"""What is looked at when: after every turn, every so many, in the calm, at rest, and at the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.presence import MemoryPresence
from wsloop.testing.simulator.checkers import bounds, p6_detection, p6_positions, p8_liveness, rest
from wsloop.testing.simulator.checkers.budgets import Budgets, Probe
from wsloop.testing.simulator.checkers.states import States, check_freed
from wsloop.testing.simulator.checkers.taps import BrokerTap
from wsloop.testing.simulator.checkers.wire import WireTap
from wsloop.testing.simulator.people.reader import CountingReader

if TYPE_CHECKING:
    from wsloop.server.assembly import House
    from wsloop.server.connection import Connection
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.sockets import SimulatedSocket
    from wsloop.testing.simulator.world import World

LOOK_EVERY = 64
"""Turns between two walks over all connections, and in the calm over all people."""

PROBE_EVERY = 1500
"""Turns between two probes of the loop's budgets."""

GOING_S = 8.0
"""After everybody has gone home, nothing of them is left within this time."""

SETTLING_TURNS = 100
"""Turns within which the loops have nothing queued for once."""

HUB = "hub"


class Life:
    """What is watched of one life of a process. `own_timers`: those of the server itself."""

    __slots__ = ("budgets", "health", "house", "name", "own_timers", "probe", "process", "states", "tap")

    def __init__(self, world: World, town: Town, process: Process, house: House) -> None:
        self.process = process
        self.health = p6_positions.Health(world, process, house)
        self.house = house
        self.name = process.name
        self.budgets = Budgets(town.scene, process.name, house)
        self.states = States(town.scene, process.name, house.server.registry)
        self.own_timers = house.reactor.statistics().timers
        self.probe: Probe | None = None
        self.tap: BrokerTap | None = None
        broker = broker_of(house)
        if broker is not None:
            self.tap = BrokerTap(town.ledger, broker)


def broker_of(house: House) -> MemoryBroker | None:
    """Return the memory broker that a process has, None if another one has it."""
    domain = getattr(house.domain, "inner", house.domain)
    service = getattr(domain, "service", None)
    broker = domain.broker if service is None else service.shared.broker
    return broker if isinstance(broker, MemoryBroker) else None


def presence_of(house: House) -> MemoryPresence:
    """Return the presence of the process that has the broker."""
    domain = getattr(house.domain, "inner", house.domain)
    service = getattr(domain, "service", None)
    presence = domain.presence if service is None else service.presence
    assert isinstance(presence, MemoryPresence)
    return presence


class Watch:
    """All checkers of `town`. Satisfies `Checker`."""

    def __init__(self, world: World, town: Town) -> None:
        self._world = world
        self._town = town
        self._scene = town.scene
        self._lives: dict[str, Life] = {}
        self._cuts: dict[WireTap, None] = {}
        self._chance = world.choices.stream("probes")
        for process in world.processes:
            process.on_started = self._on_started
            self._on_started(process)

    def _on_started(self, process: Process) -> None:
        """Begin to watch another life of a process."""
        house, town = process.house, self._town
        assert house is not None
        had_broker = process.life > 1 and broker_of(house) is not None
        if had_broker:
            town.ledger.excuse_all()
        self._lives[process.name] = Life(self._world, town, process, house)
        house.server.on_accepted = partial(self._on_accepted, process)

    def _on_accepted(self, process: Process, connection: Connection) -> None:
        """Stand at the socket of a new connection."""
        sock: SimulatedSocket = process.network.descriptors.owner(connection.descriptor)  # type: ignore[assignment]
        WireTap(self._scene, connection, sock, self._cuts)
        close = sock.close

        def closed() -> None:
            if process.house is not None and sock.fileno() >= 0:
                check_freed(self._scene, process.name, connection.id)
            close()

        sock.close = closed  # type: ignore[method-assign]

    # -- turns ---------------------------------------------------------------------------------

    def after_turn(self, world: World) -> None:
        """See `Checker.after_turn`."""
        scene, turns = self._scene, world.turns
        if scene.found is not None:
            raise scene.found
        if self._cuts:
            cuts, self._cuts = list(self._cuts), {}
            for cut in cuts:
                cut.check_settled()
        for life in self._lives.values():
            if life.process.house is life.house:
                life.budgets.check()
                if life.probe is not None:
                    self._follow(life, life.probe)
        if not turns % LOOK_EVERY:
            self._look()
            if turns % PROBE_EVERY < LOOK_EVERY:
                self._begin_probe()
        # What happens from here on belongs to the next turn.
        scene.step = world.steps

    def _look(self) -> None:
        """Walk over all connections; in the calm, over all people."""
        town = self._town
        town.moment()
        for life in self._lives.values():
            if life.process.house is life.house:
                life.states.look()
                bounds.check_house(self._scene, life.name, life.house, life.budgets.peak)
                if life.probe is None and self._scene.is_orderly:
                    links = len(life.process.links())
                    bounds.check_timers(self._scene, life.name, life.house, life.own_timers, links)
        if self._scene.is_orderly:
            self._look_at_positions()
        if town.is_quiet and not town.is_over:
            self._look_for_losses()

    def _look_at_positions(self) -> None:
        """P6 at the servers."""
        late_s = p6_positions.SPIKE_S if self._world.storm["spike"].is_on else 0.0
        for life in self._lives.values():
            if life.process.house is life.house:
                since_s = life.health.since_s() + late_s
                p6_positions.check_house(self._scene, self._town.ledger, life.name, life.house, since_s)

    def _look_for_losses(self) -> None:
        """P6: everybody who is in stands at the top, once nothing has been in the way for long enough."""
        town = self._town
        for person in town.people:
            for membership in person.memberships.values():
                reader = membership.reader
                if isinstance(reader, CountingReader) and reader.is_live and person.is_connected:
                    since_s = max(town.calm_since_s, person.dialled_s)
                    p6_detection.check_place(self._scene, person.name, reader.book, reader.place, since_s)

    def _begin_probe(self) -> None:
        """Ask for more of a loop than its budget."""
        life = self._chance.choice(list(self._lives.values()))
        if life.process.house is life.house and life.probe is None and not self._world.is_calm:
            life.probe = Probe(self._scene, life.name, life.house.reactor, self._chance.choice((0.0, 0.3)))

    def _follow(self, life: Life, probe: Probe) -> None:
        probe.check()
        if probe.is_over:
            life.probe = None

    # -- the end -------------------------------------------------------------------------------

    def at_rest(self, world: World) -> None:
        """See `Checker.at_rest`: everybody is there; then everybody goes, and nothing is left of them."""
        town = self._town
        self._settle()
        self._check_alive()
        self._check_left({person.client: person.channels() for person in town.people})
        town.is_over = True
        for line in list(world.cable.lines.values()):
            line.leave()
        for person in town.people:
            person.go_home()
        world.run_for(GOING_S)
        self._settle()
        self._check_left({})

    def at_end(self, world: World) -> None:
        """See `Checker.at_end`."""
        for process in world.processes:
            open_ = process.network.descriptors.snapshot()
            rest.check_equal(self._scene, process.name, "open", open_, {})

    def _settle(self) -> None:
        """Let what was begun in this moment, such as a ping, be ended."""
        for _ in range(SETTLING_TURNS):
            if all(self._is_still(life) for life in self._lives.values()):
                break
            self._world.turn()
        self._town.moment()

    @staticmethod
    def _is_still(life: Life) -> bool:
        connections = life.house.server.registry.snapshot()
        return not life.house.reactor.is_busy and all(each.is_at_rest for each in connections)

    def _check_alive(self) -> None:
        """P8."""
        scene = self._scene
        for person in self._town.people:
            name = person.name
            p8_liveness.check_connected(scene, name, is_connected=person.is_connected)
            for membership in person.memberships.values():
                reader = membership.reader
                p8_liveness.check_member(scene, name, reader.book, membership.state)
                if isinstance(reader, CountingReader):
                    p8_liveness.check_top(scene, name, reader.book, reader.place)
            waiting = [f"message {each.number} to {each.channel}" for each in person.writer.waiting.values()]
            p8_liveness.check_acknowledged(scene, name, waiting)

    def _check_left(self, members: dict[str, list[str]]) -> None:
        """Judge what the processes know against who is there: client -> channels."""
        doors = {person.client: person.door for person in self._town.people if person.client in members}
        channels: dict[str, list[str]] = {}
        for client, names in members.items():
            for name in names:
                channels.setdefault(name, []).append(client)
        for life in self._lives.values():
            here = {client: names for client, names in members.items() if doors[client] is life.process}
            if life.name != HUB:
                rest.check_house(self._scene, life.name, life.house, here)
            if self._scene.is_lossless:
                rest.check_loop(self._scene, life.name, life.house, life.own_timers)
            broker = broker_of(life.house)
            if broker is not None:
                rest.check_domain(self._scene, life.name, broker, presence_of(life.house), channels)
