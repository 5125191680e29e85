"""What each process goes by: channel events are told once, questions asked by workers, files kept apart."""

from __future__ import annotations

import pytest

from wsloop.daemon.roles import Kind, Role
from wsloop.daemon.settings import HookSettings, ProxySettings, Settings
from wsloop.daemon.shares import share_of

URL = "http://127.0.0.1:9/hooks"
SETTINGS = Settings(
    proxy=ProxySettings(connect="http://127.0.0.1:9/connect", timeout=3.0),
    hooks=HookSettings(url=URL, spool="/var/lib/events", timeout=7.0),
)
HUB, FIRST, SECOND = Role(Kind.HUB), Role(Kind.WORKER, slot=0), Role(Kind.WORKER, slot=1)


def test_a_daemon_of_one_process_goes_by_all() -> None:
    assert share_of(SETTINGS, Role()) is SETTINGS


def test_each_event_is_told_by_one_kind_of_process() -> None:
    told = {role.name: share_of(SETTINGS, role).hooks.events for role in (HUB, FIRST, SECOND)}
    assert set(told["hub"]) == {"occupied", "vacated"}
    assert set(told["worker-0"]) == set(told["worker-1"]) == {"disconnect", "unsubscribe"}


def test_each_process_has_a_spool_of_its_own_and_the_other_options() -> None:
    shares = [share_of(SETTINGS, role).hooks for role in (HUB, FIRST, SECOND)]
    assert [hooks.spool for hooks in shares] == [
        "/var/lib/events.hub", "/var/lib/events.worker-0", "/var/lib/events.worker-1",
    ]  # fmt: skip
    assert {(hooks.url, hooks.timeout) for hooks in shares} == {(URL, 7.0)}


def test_only_workers_ask() -> None:
    assert share_of(SETTINGS, FIRST).proxy == SETTINGS.proxy
    assert share_of(SETTINGS, HUB).proxy.connect == ""
    assert share_of(SETTINGS, HUB).proxy.timeout == 3.0


@pytest.mark.parametrize(
    "hooks", [HookSettings(), HookSettings(url=URL, events=("disconnect",), spool="/var/lib/events")]
)
def test_a_process_without_events_opens_nothing(hooks: HookSettings) -> None:
    assert share_of(Settings(hooks=hooks), HUB).hooks == HookSettings()
