"""What the targets make of their first bytes: choices, so that one input is one whole story."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from wsloop.testing.wire import cut_at, cut_every

if TYPE_CHECKING:
    from wsloop.testing.wire import Cutting

CUTTINGS = 8
_SIZES = (0, 1, 2, 7, 64, 131)


class DisagreementError(AssertionError):
    """Two ways that have to lead to the same have not, or what was promised of a result does not hold."""


def agree(left: object, right: object, about: str) -> None:
    """Raise DisagreementError unless both are equal."""
    if left != right:
        raise DisagreementError(f"{about}:\n  {left!r}\n  {right!r}")


def promise(kept: bool, about: str) -> None:
    """Raise DisagreementError unless a promise is kept."""
    if not kept:
        raise DisagreementError(about)


def promise_reason(error: ValueError) -> None:
    """Raise DisagreementError unless an error was raised on purpose: with a reason, and no kind of its own.

    UnicodeError and others that Python and its libraries raise are kinds of ValueError, too.
    """
    promise(type(error).__module__.startswith("wsloop.") or type(error) is ValueError, f"an error {error!r}")
    promise(bool(str(error)), "a fault without a reason")


def cutting(choice: int, data: bytes) -> Cutting:
    """Return one of CUTTINGS ways to cut `data`; the last two depend on it."""
    choice %= CUTTINGS
    if choice < len(_SIZES):
        return cut_every(_SIZES[choice]) if choice else cut_at()
    seed = crc32(data, choice)
    return cut_at(*(seed >> shift & 0xFFF for shift in (0, 7, 13, 20)))
