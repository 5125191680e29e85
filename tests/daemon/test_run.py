from __future__ import annotations

import os

import pytest

from wsloop.daemon.config import Sources, read
from wsloop.daemon.run import worker_count
from wsloop.errors import ConfigError


def test_auto_is_a_worker_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2, 3}, raising=False)
    assert worker_count("auto") == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert worker_count("auto") == 1
    assert worker_count(7) == 7


@pytest.mark.parametrize(
    ("environ", "flags", "expected"),
    [
        ({}, {}, 1),
        ({"WEB_CONCURRENCY": "4"}, {}, 4),
        ({"WEB_CONCURRENCY": ""}, {}, 1),
        ({"WEB_CONCURRENCY": "auto"}, {}, "auto"),
        ({"WEB_CONCURRENCY": "4", "WSLOOP_SERVER__WORKERS": "3"}, {}, 3),
        ({"WEB_CONCURRENCY": "4"}, {"server": {"workers": 2}}, 2),
    ],
)
def test_workers_are_counted_by_flag_then_variables_then_default(
    environ: dict[str, str], flags: dict[str, dict[str, object]], expected: int | str
) -> None:
    assert read(Sources(flags=flags, environ=environ)).settings.server.workers == expected


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "513"])
def test_a_number_of_workers_that_is_none_is_told_with_its_variable(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^\$WEB_CONCURRENCY: "):
        read(Sources(environ={"WEB_CONCURRENCY": text}))
