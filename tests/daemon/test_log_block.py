"""Lines of the log with a block of text behind them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.daemon import log_block
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    import pytest


def test_a_block_goes_along_with_its_line_and_neither_is_made_in_vain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for level, count in ((logging.WARNING, 1), (logging.ERROR, 0)):
        caplog.clear()
        caplog.set_level(level, "wsloop")
        log_block.warn("held up for %d ms", 12, block="one\ntwo")
        assert len(caplog.records) == count
        assert all(record.getMessage() == "held up for 12 ms" for record in caplog.records)
        assert all(record.stack_info == "one\ntwo" for record in caplog.records)


def test_the_state_of_the_loop_is_a_block(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsloop")
    with MemoryServer() as made:
        log_block.state_logger(made.house)()
    (record,) = [each for each in caplog.records if each.getMessage() == "the state of the loop:"]
    assert record.stack_info is not None
    assert record.stack_info.startswith("turns: ")
