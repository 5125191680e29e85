"""What the people of one world have in common: the moment, the ledger, who lives here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import Ledger
from wsloop.testing.simulator.model.scene import Scene
from wsloop.testing.simulator.people.channels import rules_of

if TYPE_CHECKING:
    from wsloop.testing.simulator.people.person import Person
    from wsloop.testing.simulator.world import World

KEY_WINDOW_S = 300.0
"""How long the broker remembers keys: its default."""

QUIET_S = 4.0
"""So long into the calm people still publish: what they say last is waited for as everything else."""


class Town:
    """The people of `world`. `is_over`: they have gone home, and do nothing any more.

    `calm_since_s`: when faults stopped, infinity before. `chance` is for what concerns all of them.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.choices.stream("town")
        self.scene = Scene(is_lossless=world.shape == "one")
        self.ledger = Ledger(self.scene, rules_of, KEY_WINDOW_S)
        self.people: list[Person] = []
        self.is_over = False
        self.calm_since_s = float("inf")

    @property
    def is_quiet(self) -> bool:
        """Whether nobody begins anything new any more."""
        return self.scene.now_s >= self.calm_since_s + QUIET_S

    def moment(self) -> None:
        """Take note of the time, and of the calm when it comes."""
        world, scene = self.world, self.scene
        scene.now_s = world.clock.now()
        scene.step = world.steps
        if world.is_calm and scene.now_s < self.calm_since_s:
            self.calm_since_s = scene.now_s
