"""What has arrived of a message, piece by piece, held without more around it than there is in it.

A str or bytes object takes some 50 bytes besides what it holds. A peer that sends a message a few
bytes at a time, in 1,024 fragments or in a frame that trickles, would so make a megabyte cost
thirty (CVE-2026-48779). So every `RUN` pieces become one: each byte is copied once more, however
small the pieces are, and what wraps a long message stays below its own size. Pure.
"""

from __future__ import annotations

from typing import Generic, TypeVar

AnyPiece = TypeVar("AnyPiece", str, bytes)

RUN = 256
"""Pieces kept as they came: some 20 KB of objects at most."""


class Pieces(Generic[AnyPiece]):
    """A message that grows at its end. Argument: `empty`, "" or b"", which says of what kind it is."""

    __slots__ = ("_empty", "_joined", "_run")

    def __init__(self, empty: AnyPiece) -> None:
        self._empty: AnyPiece = empty
        self._joined: list[AnyPiece] = []
        self._run: list[AnyPiece] = []

    def append(self, piece: AnyPiece) -> None:
        """Add `piece`, which is kept, behind all before it."""
        run = self._run
        run.append(piece)
        if len(run) == RUN:
            self._joined.append(self._empty.join(run))
            run.clear()

    def join(self) -> AnyPiece:
        """Return all of it in one."""
        return self._empty.join(self._joined + self._run)
