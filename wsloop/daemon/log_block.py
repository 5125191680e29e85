"""A record with a block of lines below it: a stack, a state. It counts as one line for the rate limit."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from wsloop.server import dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.server.assembly import House

log = logging.getLogger("wsloop.daemon")


def warn(text: str, *arguments: object, block: str) -> None:
    """Log a warning with `block` below it."""
    _log(logging.WARNING, text, arguments, block)


def state_logger(house: House) -> Callable[[], None]:
    """Return what logs the state of the loop (USR2)."""
    return functools.partial(_log_state, house)


def _log_state(house: House) -> None:
    _log(logging.INFO, "the state of the loop:", (), dump.state_of(house))


def _log(level: int, text: str, arguments: tuple[object, ...], block: str) -> None:
    if log.isEnabledFor(level):
        log.handle(log.makeRecord(log.name, level, __file__, 0, text, arguments, None, sinfo=block))
