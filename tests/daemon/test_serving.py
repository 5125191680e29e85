"""The end of a process that served; its life, with real ones: tests/system."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from wsloop.daemon import serving
from wsloop.testing.server import MemoryServer


@pytest.mark.parametrize("has_application", [False, True])
def test_whoever_is_left_is_dropped_and_all_is_closed(has_application: bool) -> None:
    closed: list[str] = []

    class Application:
        def close(self) -> None:
            closed.append("application")

    made = MemoryServer()
    peer = made.connect()
    outside = cast("Any", Application()) if has_application else None
    serving._tear_down(dataclasses.replace(made.house, outside=outside))
    assert closed == ["application"] * has_application
    assert made.server.registry.snapshot() == []
    assert peer is not None
