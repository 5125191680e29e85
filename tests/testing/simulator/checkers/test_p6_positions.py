"""P6 at the servers as a check: where a subscription stands, and since when nothing has been in its way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.testing.simulator.checkers.by_hand import book, broken, ledger, scene, text
from wsloop.cluster.domain import WorkerDomain
from wsloop.hub.audiences import NOT_POSITIONED
from wsloop.hub.channels import LOST
from wsloop.testing.simulator.broker import UnrulyDomain
from wsloop.testing.simulator.checkers import p6_positions
from wsloop.testing.simulator.faults import FaultPlan
from wsloop.testing.simulator.people.operator import Operator
from wsloop.testing.simulator.world import World

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Ledger


def house(offset: int, epoch: str = "e", *, is_open: bool = True) -> Any:
    """Return a process with one subscription, of `ben`, to the channel `room`."""
    subscription = SimpleNamespace(offset=offset, client=SimpleNamespace(user="ben", is_open=is_open))
    channel = SimpleNamespace(epoch=epoch, subscriptions=lambda: [subscription])
    return SimpleNamespace(
        domain=None, hub=SimpleNamespace(channel_names=lambda: ["room", "new"], channel=lambda _: channel)
    )


def of_room(count: int = 3) -> Ledger:
    made = ledger()
    made.books["room"] = book(count)
    return made


def test_who_is_at_the_top_or_does_not_count_has_lost_nothing() -> None:
    for offset in (3, NOT_POSITIONED, LOST):
        p6_positions.check_house(scene(1000.0), of_room(), "server", house(offset), 0.0)
    p6_positions.check_house(scene(1000.0), of_room(), "server", house(2, is_open=False), 0.0)


def test_there_is_time_to_find_a_loss() -> None:
    p6_positions.check_house(scene(14.0), of_room(), "server", house(2), 0.0)
    p6_positions.check_house(scene(22.0), of_room(), "server", house(2), 10.0)


def test_a_loss_that_a_server_does_not_find_is_found() -> None:
    with broken("P6", "ben of server is at offset 2 of epoch e of room", "offset 3"):
        p6_positions.check_house(scene(14.1), of_room(), "server", house(2), 0.0)


def test_an_unruly_broker_has_more_time_and_begins_anew_where_it_did_not_answer() -> None:
    behind, unanswered_s = house(2), {"room": 4.0, "new": 900.0}
    behind.domain = UnrulyDomain.__new__(UnrulyDomain)
    behind.domain.broker = SimpleNamespace(unanswered_s=unanswered_s)
    p6_positions.check_house(scene(22.0), of_room(), "server", behind, 0.0)
    with broken("P6", "ben of server is at offset 2", "quiet for 18.1 s"):
        p6_positions.check_house(scene(22.1), of_room(), "server", behind, 0.0)


def test_who_is_left_in_a_life_that_is_over_is_found() -> None:
    books = of_room()
    p6_positions.check_house(scene(1000.0), books, "server", house(3, "unknown"), 0.0)
    room = books.book("room")
    room.append(room.begin("new"), text(9).encode(), text(9), 20.0)
    p6_positions.check_house(scene(32.0), books, "server", house(3), 0.0)
    with broken("P6", "ben of server is at offset 3 of epoch e of room", "another epoch 12.1 s ago"):
        p6_positions.check_house(scene(32.1), books, "server", house(3), 0.0)


def test_what_is_in_the_way_is_known() -> None:
    world = World("p6", "cluster", FaultPlan(frozenset()))
    worker, hub = world.doors[0], world.process("hub")
    (operator, *_) = world.actors
    assert isinstance(operator, Operator)
    operator.town.is_over = True  # nobody does anything
    assert worker.house is not None
    assert isinstance(worker.house.domain, WorkerDomain)
    health = p6_positions.Health(world, worker, worker.house)

    def healthy_for_s() -> float:
        world.run_for(3.0)
        return world.clock.now() - health.since_s()

    assert healthy_for_s() == 0.0  # it has just got its link
    assert healthy_for_s() > 2.9
    world.weather.cut_a_link(world.choices.stream("cut"))
    (link,) = worker.links()
    link.reset()
    assert healthy_for_s() == 0.0  # it has another one
    assert healthy_for_s() > 2.9
    for end in worker.links():
        end.delay_s = 0.1
    assert healthy_for_s() == 0.0
    for end in worker.links():
        end.delay_s = 0.0
    world.weather.troubled_s = world.clock.now() + 1.0
    assert 1.9 < healthy_for_s() < 2.1
    hub.stopped_until_s = world.clock.now() + 1.0
    assert 1.9 < healthy_for_s() < 2.1
    hub.kill()
    assert healthy_for_s() == 0.0
