"""What the people of one world have in common: the moment, the ledger, who lives here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import Ledger
from wsloop.testing.simulator.model.scene import Scene
from wsloop.testing.simulator.people.channels import CHANNELS, EVERYBODY, rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from wsloop.testing.simulator.actors import Actor
    from wsloop.testing.simulator.people.person import Person
    from wsloop.testing.simulator.world import World

KEY_WINDOW_S = 300.0
"""How long the broker remembers keys: its default."""

QUIET_AFTER_S = (0.0, 0.15, 0.15, 4.0)
"""So long into the calm people still publish, come and go: what they say last is waited for as everything
else. With 0 nothing is said any more that would show what was lost before; with 0.15 the last is said while a
link begins anew."""

TOPIC_S = (0.5, 8.0)
"""How long people talk in one channel, before they go on in another. What was lost in the first stays lost
then, unless the server finds out by itself."""

TOPICS = (*CHANNELS, EVERYBODY, EVERYBODY)
"""What is talked in: the channel that has the most listeners more often than the others."""

PACES = (1.0, 1.0, 8.0)
"""How much longer everybody's pauses are in one town: where little is said, more depends on timers."""

LONGEST_PAUSE_S = 8.0
"""Of echoers, rogues and the operator: everybody is up several times in the calm."""

FOCUSED_SHARE = 0.5
"""Of towns, in which all else is quiet."""

LAST_TOPIC_S = (0.1, 0.5)
"""The same in the calm: something is said in each channel, so that who does not hear of it is found out."""

CAPACITIES = (1_500, 65_536)
"""Of the network towards each of the people, in bytes: a narrow one is full when somebody looks away."""

GRIDS_S = (0.0, 0.0, 0.01, 0.1)
"""In some towns people act when the clock strikes, all at once: then a turn has several of them to serve."""


class Town:
    """The people of `world`.

    `is_over`: they have gone home, and do nothing any more. `calm_since_s`: when faults stopped, infinity
    before. `capacity_bytes`: so much is under way to anybody, at most. `grid_s`: between two strokes of the
    town's clock, 0 if it has none. `topic`: the channel that is talked in now. `pace`: by how much pauses are
    longer than elsewhere. `is_focused`: nobody talks of anything else than the topic, so that what was lost
    in another channel stays lost there, unless the server finds out by itself. `chance` is for what concerns
    all of them.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.choices.stream("town")
        is_orderly = not world.storm.has_unruly_broker
        self.scene = Scene(is_lossless=is_orderly and world.shape == "one", is_orderly=is_orderly)
        self.ledger = Ledger(self.scene, rules_of, KEY_WINDOW_S)
        self.people: list[Person] = []
        self.is_over = False
        self.calm_since_s = float("inf")
        self.capacity_bytes = self.chance.choice(CAPACITIES)
        self.topic = self.chance.choice(TOPICS)
        self.pace = self.chance.choice(PACES)
        self.is_focused = self.chance.random() < FOCUSED_SHARE
        self._topic_until_s = 0.0
        self.grid_s = self.chance.choice(GRIDS_S)
        self._quiet_after_s = self.chance.choice(QUIET_AFTER_S)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody begins anything new any more."""
        return self.scene.now_s >= self.calm_since_s + self._quiet_after_s

    def elsewhere(self, channels: Sequence[str], chance: Random) -> str:
        """Return what somebody talks in who does not think of the topic: any of `channels`, if one may."""
        return self.topic if self.is_focused else chance.choice(channels)

    def wake(self, actor: Actor, pause_s: float) -> None:
        """Call `actor` in about `pause_s`, or when the town's clock strikes next after that."""
        grid_s, world = self.grid_s, self.world
        if grid_s:
            now_s = world.clock.now()
            pause_s = (int((now_s + pause_s) / grid_s) + 1) * grid_s - now_s
        world.wake(actor, pause_s)

    def pause_s(self, chance: Random, mean_s: float) -> float:
        """Return how long somebody who mostly waits for `mean_s` waits this time: nobody sleeps for long."""
        return min(chance.expovariate(1) * mean_s * self.pace, LONGEST_PAUSE_S)

    def moment(self) -> None:
        """Take note of the time, and of the calm when it comes."""
        world, scene = self.world, self.scene
        scene.now_s = world.clock.now()
        if scene.now_s > self._topic_until_s:
            self._topic_until_s = scene.now_s + self.chance.uniform(
                *(LAST_TOPIC_S if world.is_calm else TOPIC_S)
            )
            self.topic = self.chance.choice(TOPICS)
        if world.is_calm and scene.now_s < self.calm_since_s:
            self.calm_since_s = scene.now_s
