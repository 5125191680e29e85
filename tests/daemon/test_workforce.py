"""The number of workers and their sockets, on real sockets and a crew of processes that only seem to be."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.daemon.test_crew import Scene
from wsloop.daemon.channel import Leave, Listen, Resized
from wsloop.daemon.roles import Kind
from wsloop.daemon.slots import Slot
from wsloop.daemon.sockets import Purpose, Sockets
from wsloop.daemon.workforce import Workforce
from wsloop.errors import StartupError
from wsloop.transport.bind import FdBind, TcpBind
from wsloop.transport.port_group import DEALS_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not DEALS_OUT, reason="this kernel gives all connections to one socket")

HUB, ONE, TWO = 100, 101, 102


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets(16)
    made.open(Purpose.CLIENTS, TcpBind("127.0.0.1", 0), 2)
    yield made
    made.close()


@pytest.fixture
def scene() -> Scene:
    return Scene(workers=0)


@pytest.fixture
def workforce(sockets: Sockets, scene: Scene) -> Workforce:
    made = Workforce(sockets, 2)
    made.begin(scene.crew)
    return made


def binds(workforce: Workforce, number: int) -> tuple[FdBind, ...]:
    return workforce.binds_of(Slot(Kind.WORKER, number))


def test_each_worker_has_a_socket(workforce: Workforce, sockets: Sockets) -> None:
    first, second = sockets.places[0].descriptors
    assert binds(workforce, 0) == (FdBind(first),)
    assert binds(workforce, 1) == (FdBind(second),)


def test_one_more_gets_a_new_socket(workforce: Workforce, sockets: Sockets, scene: Scene) -> None:
    assert workforce.add() == "worker-2 was added: there are 3 workers"
    assert len(sockets.places[0].descriptors) == 3
    assert binds(workforce, 2) == (FdBind(sockets.places[0].descriptors[2]),)
    assert [slot.number for slot in scene.crew.workers()] == [0, 1, 2]


def test_who_goes_leaves_its_socket_to_another_and_who_comes_gets_it_back(
    workforce: Workforce, sockets: Sockets, scene: Scene
) -> None:
    _, second = sockets.places[0].descriptors
    assert workforce.remove() == "worker-1 drains for good: 1 left"
    assert scene.processes.signals == [(TWO, signal.SIGTERM)]
    assert scene.processes.lines[ONE].said == [Listen((second,)), Resized(1)]
    assert workforce.add() == "worker-2 was added: there are 2 workers"  # 1 has not gone yet
    assert scene.processes.lines[ONE].said[2:] == [Leave((second,)), Resized(2)]
    assert binds(workforce, 2) == (FdBind(second),)
    assert len(sockets.places[0].descriptors) == 2


def test_the_last_one_stays(workforce: Workforce) -> None:
    workforce.remove()
    assert workforce.remove() == "no worker was removed: it is the last one"
    assert workforce.count == 1


def test_without_a_socket_there_is_no_worker_more(
    workforce: Workforce, sockets: Sockets, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StartupError("no permission to listen on port 80")

    monkeypatch.setattr(sockets, "grow", fail)
    assert workforce.add() == "no worker was added: no permission to listen on port 80"
    assert workforce.count == 2
    assert binds(workforce, 2) == ()
    assert len(scene.crew.workers()) == 2


@pytest.mark.parametrize(
    ("by", "is_done", "count"), [(2, True, 4), (-1, True, 1), (-5, False, 1), (0, True, 2)]
)
def test_several_steps_are_one_answer(workforce: Workforce, by: int, is_done: bool, count: int) -> None:
    told: list[tuple[bool, str]] = []
    workforce.resize(by, lambda *what: told.append(what))
    assert [done for done, _ in told] == [is_done]
    assert workforce.count == count


def test_one_that_drains_by_itself_leaves_its_sockets_to_another_number(
    workforce: Workforce, sockets: Sockets, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    workforce.replace(scene.crew.children[ONE])
    assert "worker-0 (pid 101) drains; worker-2 takes its place" in caplog.text
    assert binds(workforce, 2) == (FdBind(sockets.places[0].descriptors[0]),)
    assert binds(workforce, 0) == ()
    scene.run_for(1)
    assert [slot.name for slot in scene.crew.workers()] == ["worker-1", "worker-2"]
    assert scene.pids()[-1] == 103
