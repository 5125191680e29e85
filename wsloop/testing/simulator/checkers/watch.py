"""What is looked at when: after every turn, every so many, in the calm, at rest, and at the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.presence import MemoryPresence
from wsloop.testing.simulator.checkers import bounds, deadlines, p6_detection, p6_positions, p8_liveness, rest
from wsloop.testing.simulator.checkers.budgets import Budgets, Probe
from wsloop.testing.simulator.checkers.company import check_company
from wsloop.testing.simulator.checkers.links import LinkTap, LinkWatch
from wsloop.testing.simulator.checkers.states import States, check_freed
from wsloop.testing.simulator.checkers.taps import BrokerTap
from wsloop.testing.simulator.checkers.wire import WireTap
from wsloop.testing.simulator.people.channels import namespace_of
from wsloop.testing.simulator.people.operator import Operator
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

LOSING_S = 0.05
"""In an aftershock, how long what is said may be lost; and the way from one process to another."""

FINDING_S = p6_detection.WITHIN_S + p6_detection.UNDER_WAY_S + 3.0
"""Within which a loss was found, and whoever was told has come back."""

SETTLING_TURNS = 100
"""Turns within which the loops have nothing queued for once."""

HUB = "hub"


class Life:
    """What is watched of one life of a process. `own_timers`, `own_descriptors`: those of the server itself.

    `links`: None if it is the only process.
    """

    __slots__ = (
        "budgets", "health", "house", "links", "name", "own_descriptors", "own_timers", "probe", "process",
        "states", "tap",
    )  # fmt: skip

    def __init__(
        self,
        world: World,
        town: Town,
        process: Process,
        house: House,
        taps: dict[SimulatedSocket, LinkTap],
    ) -> None:
        self.process = process
        self.health = p6_positions.Health(world, process, house)
        self.house = house
        self.name = process.name
        self.budgets = Budgets(town.scene, process.name, house)
        self.states = States(town.scene, process.name, house.server.registry)
        self.own_timers = house.reactor.statistics().timers
        self.own_descriptors = len(process.network.descriptors)
        self.links = LinkWatch(town.scene, process, house, taps) if world.shape != "one" else None
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
        self._links: dict[SimulatedSocket, LinkTap] = {}
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
        self._lives[process.name] = Life(self._world, town, process, house, self._links)
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
                if life.links is not None:
                    life.links.look()
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
        self._look_at_positions()
        if not self._world.storm["wall-backward"].is_on:
            self._look_at_rights()
        if town.is_quiet and not town.is_over:
            self._look_for_losses()

    def _look_at_positions(self) -> None:
        """P6 at the servers."""
        late_s = p6_positions.SPIKE_S if self._world.storm["spike"].is_on else 0.0
        for life in self._lives.values():
            if life.process.house is life.house:
                since_s, ledger = life.health.since_s(), self._town.ledger
                p6_positions.check_house(self._scene, ledger, life.name, life.house, since_s, late_s)

    def _look_at_rights(self) -> None:
        """Nobody is there whose right has ended; a wall clock that goes back on the way prolongs it."""
        for person in self._town.people:
            life = self._lives[person.door.name] if person.client and person.door is not None else None
            if life is not None and life.process.house is life.house:
                client = life.house.hub._clients.get(person.client)
                if client is not None and client.is_open:
                    ends_s, since_s = person.right_ends_s, life.health.since_s()
                    deadlines.check_right(self._scene, person.name, ends_s, since_s)

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
        self._check_all_there()
        if world.weather.aftershock():
            self._check_detection()
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

    def _check_all_there(self) -> None:
        """P8, and that nothing is left of anybody else."""
        self._settle()
        self._check_alive()
        self._check_left({person.client: person.channels() for person in self._town.people})
        if self._scene.is_lossless:
            self._check_company()

    def _check_company(self) -> None:
        """Who was told of whom, in the channels that tell of it."""
        told: dict[str, dict[str, set[str]]] = {}
        for person in self._town.people:
            for each in person.memberships.values():
                if namespace_of(each.channel).force_push_join_leave:
                    told.setdefault(each.channel, {})[person.client] = each.company
        for channel, clients in told.items():
            check_company(self._scene, channel, clients)

    def _check_detection(self) -> None:
        """P6: what is lost while nobody speaks is found, and then everybody is where they were."""
        world = self._world
        for actor in world.actors:
            if isinstance(actor, Operator):
                actor.break_the_silence()
        world.run_for(LOSING_S + world.cable.link_delay_s)
        world.weather.end_aftershock()
        world.run_for(FINDING_S)
        self._town.moment()
        self._look_for_losses()
        self._check_all_there()

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
                descriptors, connections = life.process.network.descriptors, len(life.house.server.registry)
                rest.check_descriptors(
                    self._scene, life.name, len(descriptors), life.own_descriptors, connections
                )
            broker = broker_of(life.house)
            if broker is not None:
                rest.check_domain(self._scene, life.name, broker, presence_of(life.house), channels)
