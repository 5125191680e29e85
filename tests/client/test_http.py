"""The HTTP client against every kind of backend, in virtual time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.kit import PLACE, URL, World
from wsloop.client.pool import HttpLimits
from wsloop.errors import HttpError
from wsloop.protocol.http_client import HttpRequest, HttpResponse
from wsloop.testing.http_backend import CUT_OFF, GARBAGE, HANG, RESET, Answer
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.client.names import Found
    from wsloop.testing.memory_socket import MemorySocket
    from wsloop.transport.bind import Bind


def reason(outcome: HttpResponse | HttpError) -> str:
    assert isinstance(outcome, HttpError)
    return outcome.reason


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def test_a_call_gets_its_response(world: World) -> None:
    outcome = world.get(b'{"a":1}')
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body) == (200, b'{"result": {}}')
    (request,) = world.there.requests
    assert (request.method, request.target, request.json()) == ("POST", "/ask", {"a": 1})
    assert request.headers["host"] == "127.0.0.1:9000"


def test_the_next_call_uses_the_same_connection(world: World) -> None:
    world.get()
    world.get()
    assert [request.connection for request in world.there.requests] == [1, 1]


def test_an_idle_connection_is_let_go_before_the_backend_does(world: World) -> None:
    world.get()
    world.run_for(HttpLimits().idle_s + 0.1)
    world.get()
    assert [request.connection for request in world.there.requests] == [1, 2]


def test_a_connection_that_the_backend_has_closed_is_not_used(world: World) -> None:
    world.get()
    world.there.close_idle()
    world.run_for(0.1)
    assert isinstance(world.get(), HttpResponse)
    assert world.there.connections == 2


def test_who_may_be_asked_twice_is_asked_again_where_a_kept_connection_turns_out_dead(world: World) -> None:
    world.get()
    world.there.answer = lambda request: RESET if request.connection == 1 else Answer()
    assert isinstance(world.get(idempotent=True), HttpResponse)


def test_who_must_not_be_asked_twice_is_not(world: World) -> None:
    world.get()
    world.there.answer = lambda request: RESET if request.connection == 1 else Answer()
    assert reason(world.get()) == "ECONNRESET"
    assert len(world.there.requests) == 2


def test_a_first_connection_that_dies_is_not_tried_again(world: World) -> None:
    world.answer = RESET
    assert isinstance(world.get(idempotent=True), HttpError)
    assert world.there.connections == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HANG, "timed out"),
        (GARBAGE, "the answer is not valid HTTP"),
        (CUT_OFF, "closed in the middle of the answer"),
        (RESET, "ECONNRESET"),
        (Answer(raw=b"", closes=True), "closed without an answer"),
        (
            Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            "the answer is too large",
        ),
        (Answer(body=b"x" * 1024 * 1024 + b"x"), "the answer is too large"),
        (Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 9), "too many interim responses"),
        (
            Answer(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            "the answer is not valid HTTP",
        ),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "the answer is not valid HTTP"),
    ],
)
def test_a_bad_answer_fails_its_call_and_no_other(world: World, answer: Answer, expected: str) -> None:
    world.answer = answer
    assert reason(world.get()) == expected
    world.answer = Answer()
    assert isinstance(world.get(), HttpResponse)


def test_a_chunked_body_without_end_is_too_large(world: World) -> None:
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    world.answer = Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 65)
    assert reason(world.get()) == "the answer is too large"


def test_a_redirect_is_an_answer_like_another(world: World) -> None:
    world.answer = Answer(status=302)
    outcome = world.get()
    assert isinstance(outcome, HttpResponse)
    assert outcome.status == 302
    assert len(world.there.requests) == 1


def test_bytes_behind_an_answer_close_the_connection(world: World) -> None:
    world.answer = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert isinstance(world.get(), HttpResponse)
    world.answer = Answer()
    assert isinstance(world.get(), HttpResponse)
    assert world.there.connections == 2


def test_nobody_listens() -> None:
    world = World(listens=False)
    assert reason(world.get()) == "ECONNREFUSED"
    world.close()


def test_what_is_under_way_and_what_waits_is_bounded() -> None:
    world = World(HANG, limits=HttpLimits(max_in_flight=3, max_waiting=2))
    for _ in range(7):
        world.ask(timeout_s=5.0)
    assert [reason(outcome) for outcome in world.outcomes] == ["too many requests are waiting"] * 2
    world.run_for(1.0)
    assert (len(world.there.requests), world.there.connections) == (3, 3)
    world.run_for(5.0)
    assert len(world.outcomes) == 7
    world.close()


def test_who_waits_is_served_in_turn_on_a_free_connection() -> None:
    world = World(Answer(delay_s=0.1), limits=HttpLimits(max_in_flight=1))
    for number in range(5):
        world.ask(b"%d" % number)
    world.run_until(lambda: len(world.outcomes) == 5)
    assert [request.body for request in world.there.requests] == [b"0", b"1", b"2", b"3", b"4"]
    assert world.there.connections == 1
    world.close()


def test_a_call_that_times_out_while_it_waits_is_never_sent() -> None:
    world = World(Answer(delay_s=3.0), limits=HttpLimits(max_in_flight=1))
    world.ask(b"first", timeout_s=10.0)
    world.ask(b"second", timeout_s=1.0)
    world.run_until(lambda: len(world.outcomes) == 2)
    assert [request.body for request in world.there.requests] == [b"first"]
    world.close()


def test_a_cancelled_call_is_not_completed(world: World) -> None:
    world.answer = HANG
    world.ask()
    world.run_for(0.1)
    world.client.close()
    assert [reason(outcome) for outcome in world.outcomes] == ["shutting down"]
    world.run_for(5.0)
    assert len(world.outcomes) == 1


def test_many_who_wait_for_one_that_dies_all_hear_of_it() -> None:
    world = World(HANG, limits=HttpLimits(max_in_flight=1, max_waiting=2_000))
    for _ in range(2_000):
        world.ask(timeout_s=5.0)
    world.run_for(0.1)
    world.there.close()
    world.run_for(1.0)
    assert len(world.outcomes) == 2_000
    assert {reason(outcome) for outcome in world.outcomes} == {"closed without an answer", "ECONNREFUSED"}
    world.close()


def test_after_the_end_nobody_is_asked() -> None:
    world = World()
    world.client.close()
    world.ask()
    assert [reason(outcome) for outcome in world.outcomes] == ["shutting down"]
    world.close()


def test_a_cancelled_call_is_forgotten_wherever_it_stands() -> None:
    world = World(HANG, limits=HttpLimits(max_in_flight=1))
    calls = [
        world.client.call(URL, HttpRequest("GET", "/", "app"), 1.0, world.outcomes.append) for _ in range(2)
    ]
    world.run_for(0.1)
    for call in calls:
        call.cancel()
        call.cancel()
    world.run_for(2.0)
    assert world.outcomes == []
    world.answer = Answer()
    assert isinstance(world.get(), HttpResponse)
    world.close()


def test_what_is_no_http_fails_its_call_only(world: World) -> None:
    bad = HttpRequest("GET", "/", "app", (("X", "a\r\nEvil: 1"),))
    world.client.call(URL, bad, 1.0, world.outcomes.append)
    world.run_for(0.1)
    assert [reason(outcome) for outcome in world.outcomes] == ["the request is not valid HTTP"]
    assert isinstance(world.get(), HttpResponse)
    world.client.call(URL, bad, 1.0, world.outcomes.append)
    world.run_for(0.1)
    assert reason(world.outcomes[-1]) == "the request is not valid HTTP"
    assert all("evil" not in request.headers for request in world.there.requests)


class NoNames:
    def resolve(self, host: str, found: Found) -> None:
        found(HttpError("no such host"))


class LateNames:
    def __init__(self) -> None:
        self.asked: list[Found] = []

    def resolve(self, host: str, found: Found) -> None:
        self.asked.append(found)


def test_a_name_without_addresses_fails_the_call() -> None:
    world = World(names=NoNames())
    assert reason(world.get()) == "no such host"
    world.close()


def test_a_name_that_is_found_too_late_opens_nothing() -> None:
    names = LateNames()
    world = World(names=names)
    assert reason(world.get()) == "timed out"
    names.asked[0](("127.0.0.1",))
    world.run_for(0.1)
    assert world.there.connections == 0
    world.close()


def test_what_is_done_with_an_answer_may_raise(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_outcome: object) -> None:
        raise RuntimeError("a bug")

    world.client.call(URL, HttpRequest("GET", "/", "app"), 1.0, fail)
    world.run_for(0.1)
    assert "what was to be done with an answer" in caplog.text
    assert isinstance(world.get(), HttpResponse)


class TwoPlaces:
    def resolve(self, host: str, found: Found) -> None:
        found(("::1", host))


def test_the_next_address_is_tried_and_remembered() -> None:
    world = World(names=TwoPlaces())
    assert isinstance(world.get(), HttpResponse)
    other = world.listen(TcpBind("::1", PLACE.port))
    world.there.close_idle()
    world.run_for(0.1)
    assert isinstance(world.get(), HttpResponse)
    assert not other.requests
    other.close()
    world.close()


class SilentPlaces(MemoryNetwork):
    """Connections to other addresses than PLACE's are never decided, as if a firewall dropped them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.silent: list[MemorySocket] = []

    def connect(self, bind: Bind, source_host: str = "127.0.0.1") -> MemorySocket:
        if bind == PLACE:
            return super().connect(bind, source_host)
        ours, theirs = self.pair()
        self.silent.append(theirs)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 65_536)
        return ours


class ThreePlaces:
    def resolve(self, host: str, found: Found) -> None:
        found(("::1", "::2", host))


@pytest.mark.parametrize("timeout_s", [1.0, 10.0], ids=["the call's time", "the time to connect"])
def test_addresses_that_say_nothing_cost_one_call_each(
    timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.client.kit.MemoryNetwork", SilentPlaces)
    world = World(names=ThreePlaces())
    for _ in range(4):
        world.ask(timeout_s=timeout_s)
        world.run_for(timeout_s + 1)
    assert [isinstance(outcome, HttpResponse) for outcome in world.outcomes] == [False, False, True, True]
    assert isinstance(world.network, SilentPlaces)
    for sock in world.network.silent:
        sock.close()
    world.close()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kinds=st.lists(
        st.sampled_from([Answer(), HANG, GARBAGE, CUT_OFF, RESET, Answer(delay_s=0.2)]),
        min_size=1,
        max_size=12,
    ),
    eagain=st.sampled_from([0.0, 0.3]),
    resets=st.sampled_from([0.0, 0.1]),
)
def test_every_call_is_completed_once_and_nothing_leaks(
    seed: int, kinds: list[Answer], eagain: float, resets: float
) -> None:
    faults = NetworkFaults(
        max_delay_s=0.05, max_read_bytes=50, max_write_bytes=50, eagain_chance=eagain, reset_chance=resets
    )
    world = World(seed=seed, faults=faults, limits=HttpLimits(max_in_flight=2))
    answers = iter(kinds * 3)
    world.there.answer = lambda _request: next(answers, Answer())
    for number in range(len(kinds)):
        world.ask(b"%d" % number, idempotent=number % 2 == 0)
        world.run_for(0.03)
    world.run_for(3.0)
    assert len(world.outcomes) == len(kinds)
    bodies = [request.body for request in world.there.requests]
    for number in range(1, len(kinds), 2):
        assert bodies.count(b"%d" % number) <= 1
    world.there.close()
    world.run_for(1.0)
    world.close()
