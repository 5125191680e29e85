"""What takes too long is ended: a frame that does not end, a right that nobody has renewed.

Whoever asks says since when nothing has kept the server from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.people.channels import HUB
from wsloop.testing.simulator.setting import OPTIONS

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.scene import Scene

SLACK_S = 4.0
"""For bytes under way, and for what the server looks at once a second only."""


def check_frame(scene: Scene, who: str, since_s: float) -> None:
    """Judge that `who`, a frame of whose has been under way since `since_s`, is still connected."""
    lasts_s = scene.now_s - since_s
    if lasts_s > OPTIONS.deadlines.frame_s + SLACK_S:
        scene.broken("deadline", f"{who} has been let send one frame for {lasts_s:.1f} s")


def check_right(scene: Scene, who: str, ends_s: float, healthy_since_s: float) -> None:
    """Judge that `who`, whose right to be there ended at `ends_s`, is still there."""
    due_s = max(ends_s + HUB.expired_grace_s, healthy_since_s) + SLACK_S
    if scene.now_s > due_s:
        scene.broken("deadline", f"{who} is still there {scene.now_s - ends_s:.1f} s after their right ended")
