"""What a corpus begins with: inputs that a target's own strategy draws, the same ones each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings

if TYPE_CHECKING:
    from tools.fuzz.table import Target

COUNT = 300
"""Enough for each kind to be among them; `--minimise` keeps those that reach something new."""


def of(target: Target, count: int = COUNT) -> list[bytes]:
    """Return different inputs of a target, `count` at most."""
    module = target.load()
    found: dict[bytes, None] = {}

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(module.inputs())
    def draw(data: bytes) -> None:
        if len(data) <= target.max_bytes:
            found[data] = None

    draw()
    return list(found)
