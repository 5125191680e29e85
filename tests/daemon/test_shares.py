"""What each process goes by: channel events are told once, questions asked by workers, files kept apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import memory
from wsloop.daemon.roles import Kind, Role
from wsloop.daemon.settings import HookSettings, ProxySettings, ServerSettings, Settings
from wsloop.daemon.shares import Share

URL = "http://127.0.0.1:9/hooks"
SETTINGS = Settings(
    proxy=ProxySettings(connect="http://127.0.0.1:9/connect", timeout=3.0),
    hooks=HookSettings(url=URL, spool="/var/lib/events", timeout=7.0),
)
HUB, FIRST, SECOND = Role(Kind.HUB), Role(Kind.WORKER, slot=0), Role(Kind.WORKER, slot=1)


def test_a_daemon_of_one_process_goes_by_all() -> None:
    assert Share(Role()).of(SETTINGS) is SETTINGS


def test_each_event_is_told_by_one_kind_of_process() -> None:
    told = {role.name: Share(role).of(SETTINGS).hooks.events for role in (HUB, FIRST, SECOND)}
    assert set(told["hub"]) == {"occupied", "vacated"}
    assert set(told["worker-0"]) == set(told["worker-1"]) == {"disconnect", "unsubscribe"}


def test_each_process_has_a_spool_of_its_own_and_the_other_options() -> None:
    shares = [Share(role).of(SETTINGS).hooks for role in (HUB, FIRST, SECOND)]
    assert [hooks.spool for hooks in shares] == [
        "/var/lib/events.hub", "/var/lib/events.worker-0", "/var/lib/events.worker-1",
    ]  # fmt: skip
    assert {(hooks.url, hooks.timeout) for hooks in shares} == {(URL, 7.0)}


def test_only_workers_ask() -> None:
    assert Share(FIRST).of(SETTINGS).proxy == SETTINGS.proxy
    assert Share(HUB).of(SETTINGS).proxy.connect == ""
    assert Share(HUB).of(SETTINGS).proxy.timeout == 3.0


@pytest.mark.parametrize(
    "hooks", [HookSettings(), HookSettings(url=URL, events=("disconnect",), spool="/var/lib/events")]
)
def test_a_process_without_events_opens_nothing(hooks: HookSettings) -> None:
    assert Share(HUB).of(Settings(hooks=hooks)).hooks == HookSettings()


@given(st.integers(1, 2**40), st.lists(st.integers(1, 512), max_size=5))
def test_the_ceiling_of_memory_is_divided_by_as_many_as_there_are(limit_bytes: int, sizes: list[int]) -> None:
    settings = Settings(server=ServerSettings(memory_limit=limit_bytes))
    shares = [Share(Role(kind, workers=2)) for kind in (Kind.WORKER, Kind.HUB)]
    gauges = [share.gauge(settings) for share in shares]
    for size in (2, *sizes):
        for share in shares:
            share.resize(size, settings)
            assert share.of(settings).server.memory_limit == limit_bytes // (size + 1)
        for gauge in gauges:
            assert gauge is None or gauge.limit_bytes == limit_bytes // (size + 1)


def test_without_a_ceiling_there_is_nothing_to_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "gauge", lambda limit_bytes: limit_bytes)  # no control group
    share = Share(FIRST)
    assert share.gauge(SETTINGS) is None
    share.resize(7, SETTINGS)
    assert share.of(SETTINGS).server.memory_limit is None


def test_the_only_process_has_all_of_it() -> None:
    settings = Settings(server=ServerSettings(memory_limit=2**30))
    gauge = Share(Role()).gauge(settings)
    assert gauge is None or gauge.limit_bytes == 2**30
