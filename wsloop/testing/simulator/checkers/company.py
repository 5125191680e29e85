"""Who is told of comings and goings: whoever came later is known to who was there, and who has gone is not.

Judged at rest, and only where nothing is lost on the way: a join or a leave that is lost is not said again.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.scene import Scene

Told = Mapping[str, AbstractSet[str]]
"""Each client that is in a channel -> those of whom it was told that they came, and not that they went."""


def check_company(scene: Scene, channel: str, told: Told) -> None:
    """Judge what those in a channel know of each other."""
    for client, company in told.items():
        gone = sorted(company - told.keys())
        if gone:
            scene.broken("company", f"{client} in {channel} was not told that {', '.join(gone)} left")
    for one, other in combinations(told, 2):
        if one not in told[other] and other not in told[one]:
            scene.broken("company", f"of {one} and {other} in {channel} neither was told that the other came")
