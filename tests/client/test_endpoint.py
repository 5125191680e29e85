"""An endpoint: what opens its breaker, what does not, and what the log hears."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.client.kit import URL, World
from wsloop.client.breaker import BreakerRules, BreakerState
from wsloop.client.endpoint import Endpoint
from wsloop.client.pool import HttpLimits
from wsloop.client.urls import parse_url
from wsloop.errors import HttpError
from wsloop.testing.http_backend import CUT_OFF, GARBAGE, HANG, RESET, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = BreakerRules(max_failures=3, open_s=1.0, max_open_s=4.0)


class Asked:
    def __init__(self, world: World) -> None:
        self.world = world
        self.endpoint = Endpoint(
            world.client,
            URL,
            name="rpc",
            timeout_s=1.0,
            now=lambda: world.reactor.now,
            entropy=lambda count: b"\x80" * count,
            rules=RULES,
        )
        self.outcomes: list[bytes | HttpError] = []

    def post(self) -> bytes | HttpError:
        self.outcomes.clear()
        self.endpoint.post(b"{}", self.outcomes.append)
        self.world.run_until(lambda: self.outcomes)
        return self.outcomes[0]


@pytest.fixture
def asked() -> Iterator[Asked]:
    world = World()
    yield Asked(world)
    world.close()


def test_a_good_answer_is_its_body(asked: Asked) -> None:
    assert asked.post() == b'{"result": {}}'
    headers = asked.world.there.requests[0].headers
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("wsloop/")


@pytest.mark.parametrize("answer", [HANG, GARBAGE, CUT_OFF, RESET, Answer(status=502), Answer(status=503)])
def test_who_is_not_there_is_left_alone_and_found_again(asked: Asked, answer: Answer) -> None:
    asked.world.answer = answer
    for _ in range(RULES.max_failures):
        assert isinstance(asked.post(), HttpError)
    assert asked.endpoint.state.value == "open"
    seen = len(asked.world.there.requests)
    for _ in range(20):
        assert isinstance(asked.post(), HttpError)
    assert len(asked.world.there.requests) == seen
    asked.world.answer = Answer()
    asked.world.run_for(1.1)
    assert isinstance(asked.post(), bytes)
    assert asked.endpoint.state is BreakerState.CLOSED


@pytest.mark.parametrize("status", [400, 401, 404, 500, 301])
def test_who_answers_badly_is_still_there(asked: Asked, status: int) -> None:
    asked.world.answer = Answer(status=status)
    for _ in range(RULES.max_failures * 3):
        outcome = asked.post()
        assert isinstance(outcome, HttpError)
        assert outcome.reason == f"answered with status {status}"
    assert asked.endpoint.state is BreakerState.CLOSED


def test_a_flood_of_calls_does_not_open_it() -> None:
    world = World(Answer(delay_s=0.01), limits=HttpLimits(max_in_flight=1, max_waiting=2))
    asked = Asked(world)
    for _ in range(100):
        asked.endpoint.post(b"{}", asked.outcomes.append)
    world.run_until(lambda: len(asked.outcomes) == 100)
    assert sum(isinstance(outcome, bytes) for outcome in asked.outcomes) == 3
    assert asked.endpoint.state is BreakerState.CLOSED
    world.close()


def test_failures_are_told_once_a_second_without_what_was_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(listens=False)
    url = parse_url("http://127.0.0.1:9000/ask?key=hidden", "test")
    endpoint = Endpoint(
        world.client,
        url,
        name="rpc",
        timeout_s=1.0,
        now=lambda: world.reactor.now,
        entropy=bytes,
        rules=BreakerRules(max_failures=1000),
    )
    with caplog.at_level(logging.INFO, "wsloop"):
        for _ in range(50):
            endpoint.post(b'{"secret":1}', lambda _outcome: None)
        world.run_for(1.5)
        endpoint.post(b'{"secret":1}', lambda _outcome: None)
        world.run_for(0.1)
    assert [record.getMessage() for record in caplog.records] == [
        "rpc at http://127.0.0.1:9000/ask: ECONNREFUSED",
        "rpc at http://127.0.0.1:9000/ask: ECONNREFUSED (and 49 more since the last)",
    ]
    world.close()


def test_a_probe_that_finds_no_room_leaves_the_way_open() -> None:
    world = World(RESET, limits=HttpLimits(max_in_flight=1, max_waiting=0))
    asked = Asked(world)
    for _ in range(RULES.max_failures):
        asked.post()
    world.answer = Answer(delay_s=2.0)
    world.run_for(1.5)
    world.ask(timeout_s=10.0, line="rpc")  # takes all the room there is
    outcome = asked.post()
    assert isinstance(outcome, HttpError)
    assert outcome.reason == "too many requests are waiting"
    world.run_for(3.0)
    world.answer = Answer()
    assert isinstance(asked.post(), bytes)
    world.close()
