"""Names: addresses at once, names by the helper, shared and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.client import names
from wsloop.client.names import KEEP_FAILURE_S, KEEP_S, OnlyAddresses, SystemNames, look_up
from wsloop.errors import HttpError
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class SlowHelper:
    """Keeps its jobs until it is told to finish them."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.is_full = False

    def run(self, job: Callable[[], object], done: Callable[..., object]) -> bool:
        if self.is_full:
            return False

        def work() -> None:
            try:
                result = job()
            except Exception as error:
                done(error)
            else:
                done(result)

        self.jobs.append(work)
        return True

    def finish(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    def close(self) -> None:
        self.jobs.clear()


def test_an_address_is_its_own_answer() -> None:
    found: list[object] = []
    OnlyAddresses().resolve("::1", found.append)
    OnlyAddresses().resolve("app", found.append)
    SystemNames(SlowHelper(), lambda: 0.0).resolve("127.0.0.1", found.append)
    assert found[0] == ("::1",)
    assert isinstance(found[1], HttpError)
    assert found[2] == ("127.0.0.1",)


def test_one_lookup_serves_all_who_ask_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def pretend(host: str) -> tuple[str, ...]:
        asked.append(host)
        if host == "lost":
            raise OSError(2, "no such name")
        return ("192.0.2.1",)

    monkeypatch.setattr(names, "look_up", pretend)
    clock, helper = FakeClock(), SlowHelper()
    system = SystemNames(helper, clock.now)
    found: list[object] = []
    for _ in range(3):
        system.resolve("app", found.append)
    assert found == []
    helper.finish()
    assert (found, asked) == ([("192.0.2.1",)] * 3, ["app"])
    system.resolve("app", found.append)
    assert len(found) == 4
    clock.advance(KEEP_S)
    system.resolve("app", found.append)
    helper.finish()
    assert asked == ["app", "app"]
    system.resolve("lost", found.append)
    helper.finish()
    system.resolve("lost", found.append)
    assert [str(error) for error in found[-2:]] == ["no such host"] * 2
    clock.advance(KEEP_FAILURE_S)
    system.resolve("lost", found.append)
    helper.finish()
    assert asked.count("lost") == 2


def test_a_full_helper_fails_the_question() -> None:
    helper = SlowHelper()
    helper.is_full = True
    found: list[object] = []
    SystemNames(helper, lambda: 0.0).resolve("app", found.append)
    assert isinstance(found[0], HttpError)


def test_the_system_knows_localhost() -> None:
    assert set(look_up("localhost")) <= {"127.0.0.1", "::1"}
