"""The only chance in a run: named streams, each a `random.Random` of its own.

A stream depends on the seed and its name alone, so what one part draws does not move what another one
does: a fault that is switched off leaves the draws of all others as they were. No stream depends on
PYTHONHASHSEED.
"""

from __future__ import annotations

import random


class Choices:
    """The streams of one seed, a number or a text such as "7.3"."""

    def __init__(self, seed: int | str) -> None:
        self.seed = str(seed)
        self._streams: dict[str, random.Random] = {}

    def stream(self, name: str) -> random.Random:
        """Return the stream of that name, the same each time."""
        stream = self._streams.get(name)
        if stream is None:
            # A text is hashed with SHA-512 here, never with hash().
            stream = self._streams[name] = random.Random(f"{self.seed}/{name}")
        return stream
