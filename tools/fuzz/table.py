"""The targets, by their names, and where each keeps its files. Imports none of them before `load`.

That matters: atheris can follow only what is imported under its eyes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

HERE = Path(__file__).parent

CORPUS_FILES = 200
"""Most files of one target's corpus: each is read again at every run of the tests."""

CORPUS_BYTES = 200_000
"""Most bytes of them together: they are part of the repository for ever."""


class TargetModule(Protocol):
    """What a file in `targets/` has."""

    @staticmethod
    def one_input(data: bytes) -> None:
        """Read any bytes; raise only for a bug."""

    @staticmethod
    def inputs() -> SearchStrategy[bytes]:
        """Draw what it is meant for."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `max_bytes`: longer inputs are not tried; what they would show, a shorter one does."""

    name: str
    about: str
    max_bytes: int = 2048

    @property
    def corpus(self) -> Path:
        """Where its inputs are kept, in the repository."""
        return HERE / "corpus" / self.name

    @property
    def found(self) -> Path:
        """Where a run keeps what it finds of interest."""
        return HERE / "build" / self.name

    @property
    def crashes(self) -> Path:
        """Where a run keeps what breaks the rule."""
        return HERE / "build" / "crashes" / self.name

    def load(self) -> TargetModule:
        """Import it."""
        return cast("TargetModule", importlib.import_module(f"tools.fuzz.targets.{self.name}"))

    def kept(self) -> list[Path]:
        """Return the files of its corpus."""
        return sorted(self.corpus.iterdir()) if self.corpus.is_dir() else []


TARGETS = {
    target.name: target
    for target in (
        Target("handshake", "a request's bytes, to 101 or a refusal"),
        Target("frames", "a client's bytes through three sessions, one of them without fast path"),
        Target("deflate", "offers of compression, and compressed messages under a cap"),
        Target("commands", "messages of clients, JSON and MessagePack, to a real hub"),
        Target("config", "a file, variables and amounts, to settings"),
        Target("jwt", "tokens and key sets, with signatures that hold"),
        Target("link", "what a worker and the hub process say to each other"),
        Target("recordings", "the file of a flight recorder, replayed and redacted"),
        Target("proxies", "X-Forwarded-For, Forwarded and the PROXY protocol"),
        Target("api", "requests of the server API to a real hub"),
        Target("deltas", "differences between two publications"),
        Target("tags", "filters by tags, and what they say of publications"),
        Target("patterns", "expressions and patterns that an operator writes"),
        Target("answers", "what servers answer to our own clients"),
    )
}
"""In the order in which they run."""
