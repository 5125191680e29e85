"""A whole server in virtual time with the operator's application behind it: every question, from the wire."""

from __future__ import annotations

import errno
import functools
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.kit import PLACE
from tests.client.test_spool_file import AtOnce, Later
from wsloop.client.application import Application, ProxyOptions, SpoolOptions, TellOptions
from wsloop.client.backend import QUESTIONS
from wsloop.client.breaker import BreakerRules
from wsloop.client.hooks import HookOptions, HttpHooks
from wsloop.client.pool import HttpLimits
from wsloop.client.spool import Overflow, Spool
from wsloop.client.spool_file import FileStore
from wsloop.client.urls import parse_url
from wsloop.errors import StartupError
from wsloop.hub.dispatcher import VERDICTS_AT_ONCE
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.observe.metrics import METRICS
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.http_backend import CUT_OFF, GARBAGE, HANG, RESET, Answer, MemoryHttpBackend
from wsloop.testing.server import MemoryServer
from wsloop.testing.spool_store import MemorySpoolStore
from wsloop.transport.path_lock import PathLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wsloop.testing.http_backend import ReceivedRequest

NAMESPACES = {
    "": Namespace(allow_subscribe_for_client=True, allow_publish_for_client=True),
    "ask": Namespace(
        subscribe_proxy=True,
        publish_proxy=True,
        sub_refresh_proxy=True,
        presence=True,
        allow_presence_for_subscriber=True,
        history_size=10,
        history_ttl_s=60,
        allow_recovery=True,
    ),
}


def address_of(name: str) -> Any:
    return parse_url(f"http://127.0.0.1:{PLACE.port}/{name}", "test")


class Site:
    """`answers` by the question's name; `asked` are the bodies of one question."""

    def __init__(self, *, rules: BreakerRules | None = None, limits: HttpLimits | None = None) -> None:
        self.store = MemorySpoolStore()
        proxy = ProxyOptions(
            {name: address_of(name) for name in QUESTIONS},
            limits=limits or HttpLimits(),
            rules=rules or BreakerRules(max_failures=1000),
        )
        tell = TellOptions(address_of("hooks"), HookOptions(vacated_grace_s=1.0), store=self.store)
        switches = HubOptions(connect_proxy=True, refresh_proxy=True, rpc_proxy=True, send_proxy=True)
        self.server = MemoryServer(
            options=Options(
                namespaces=NAMESPACES,
                hub=switches,
                outside=functools.partial(Application, proxy=proxy, tell=tell),
                forwarded_headers=frozenset({"cookie"}),
            )
        )
        self.answers: dict[str, Answer | Callable[[ReceivedRequest], Answer]] = {
            "connect": Answer({"result": {"user": "42"}})
        }
        self.backend = self.listen()

    def listen(self) -> MemoryHttpBackend:
        return MemoryHttpBackend(self.server.reactor, self.server.network, PLACE, self._answer)

    def _answer(self, request: ReceivedRequest) -> Answer:
        answer = self.answers.get(request.target[1:], Answer())
        return answer if isinstance(answer, Answer) else answer(request)

    def asked(self, name: str) -> list[Any]:
        return [request.json() for request in self.backend.requests if request.target == f"/{name}"]

    def told(self) -> list[dict[str, Any]]:
        return [event for batch in self.asked("hooks") for event in batch]

    def dial(self, **connect: object) -> MessagingMemoryClient:
        client = self.server.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH, (("Cookie", "session=1"), ("Authorization", "Bearer hidden")))
        number = client.command(connect=connect)
        self.server.run_until(lambda: number in client.replies or client.is_gone)
        return client

    def ask(self, client: MessagingMemoryClient, **command: object) -> dict[str, Any]:
        return self.server.ask(client, **command)

    def close(self) -> None:
        self.backend.close()
        self.server.close()
        assert self.server.network.open_descriptors() == {}


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def code_of(reply: dict[str, Any]) -> int:
    code: int = reply["error"]["code"]
    return code


# -- connect -----------------------------------------------------------------------------------


def test_the_backend_says_who_a_client_is(site: Site) -> None:
    site.answers["connect"] = Answer(
        {"result": {"user": "42", "info": {"n": "Ann"}, "data": {"hi": 1}, "channels": ["ask:a"]}}
    )
    client = site.dial(data={"key": 1}, name="app")
    reply = client.replies[1]["connect"]
    assert reply["data"] == {"hi": 1}
    assert list(reply["subs"]) == ["ask:a"]
    (question,) = site.asked("connect")
    assert question["data"] == {"key": 1}
    assert question["name"] == "app"
    assert question["client"] == reply["client"]
    presence = site.ask(client, presence={"channel": "ask:a"})["presence"]["presence"]
    assert presence[reply["client"]] == {"user": "42", "client": reply["client"], "conn_info": {"n": "Ann"}}


def test_only_headers_that_are_let_through_go_along(site: Site) -> None:
    site.dial()
    headers = site.backend.requests[0].headers
    assert headers["cookie"] == "session=1"
    assert "authorization" not in headers


def test_a_refused_connect_is_an_error(site: Site) -> None:
    site.answers["connect"] = Answer({"error": {"code": 401, "message": "who?"}})
    assert site.dial().replies[1]["error"] == {"code": 401, "message": "who?"}


def test_a_disconnect_is_a_close(site: Site) -> None:
    site.answers["connect"] = Answer({"disconnect": {"code": 4501, "reason": "gone"}})
    assert site.dial().close_frame == (4501, "gone")


@pytest.mark.parametrize("bad", [HANG, GARBAGE, CUT_OFF, RESET, Answer(status=500), Answer(b"x" * 2_000_000)])
def test_a_bad_answer_harms_only_who_waits_for_it(site: Site, bad: Answer) -> None:
    good = site.dial()
    site.answers["connect"] = bad
    client = site.server.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    client.command(connect={})
    site.server.run_for(0.05)
    assert site.ask(good, publish={"channel": "news", "data": 1})["publish"] == {}
    site.server.run_until(lambda: 1 in client.replies)
    assert client.replies[1]["error"]["code"] == 100
    assert client.replies[1]["error"]["temporary"]


def test_who_is_gone_before_the_answer_hurts_nobody(site: Site) -> None:
    site.answers["connect"] = Answer({"result": {"user": "42"}}, delay_s=0.5)
    client = site.server.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    client.command(connect={})
    site.server.run_for(0.2)
    client.reset()
    site.server.run_for(1.0)
    assert site.server.hub.statistics().clients == 0


def test_a_wrong_token_costs_no_question(site: Site) -> None:
    client = site.dial(token="a.b.c")
    assert client.close_frame is not None
    assert client.close_frame[0] == 3500
    good = site.dial()
    assert code_of(site.ask(good, subscribe={"channel": "ask:a", "token": "a.b.c"})) == 103
    assert len(site.asked("connect")) == 1
    assert not site.asked("subscribe")


# -- refresh -----------------------------------------------------------------------------------


def expiring(site: Site, in_s: int = 10) -> MessagingMemoryClient:
    site.answers["connect"] = Answer(
        {"result": {"user": "42", "expire_at": int(site.server.clock.unix_s()) + in_s, "meta": {"m": 1}}}
    )
    return site.dial()


def test_the_backend_prolongs_a_connection(site: Site) -> None:
    client = expiring(site)
    assert "expires" not in client.replies[1]["connect"]
    later_s = int(site.server.clock.unix_s()) + 100
    site.answers["refresh"] = Answer({"result": {"expire_at": later_s}})
    site.server.run_for(50.0)
    assert not client.is_gone
    (question,) = site.asked("refresh")
    assert question["user"] == "42"
    assert question["meta"] == {"m": 1}
    site.answers["refresh"] = Answer({"result": {"expired": True}})
    site.server.run_for(60.0)
    assert client.close_frame is not None
    assert client.close_frame[0] == 3005


@pytest.mark.parametrize("bad", [HANG, GARBAGE, CUT_OFF, RESET, Answer(status=500)])
def test_a_backend_that_cannot_be_asked_costs_nobody_the_connection(site: Site, bad: Answer) -> None:
    client = expiring(site)
    site.answers["refresh"] = bad
    site.server.run_for(50.0)
    assert not client.is_gone
    site.answers["refresh"] = Answer({"disconnect": {"code": 4000, "reason": ""}})
    site.server.run_for(100.0)
    assert client.close_frame == (4000, "")


# -- subscribe and publish ----------------------------------------------------------------------


def test_the_backend_lets_into_a_channel(site: Site) -> None:
    client = site.dial()
    site.answers["subscribe"] = Answer({"result": {"info": {"role": "mod"}, "data": {"topic": "x"}}})
    reply = site.ask(client, subscribe={"channel": "ask:a", "data": {"q": 1}})
    assert reply["subscribe"]["data"] == {"topic": "x"}
    (question,) = site.asked("subscribe")
    assert (question["channel"], question["data"], question["user"]) == ("ask:a", {"q": 1}, "42")
    presence = site.ask(client, presence={"channel": "ask:a"})["presence"]["presence"]
    assert [entry["chan_info"] for entry in presence.values()] == [{"role": "mod"}]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer({"error": {"code": 403, "message": "no"}}), 403),
        (HANG, 100),
        (GARBAGE, 100),
        (CUT_OFF, 100),
        (RESET, 100),
        (Answer(status=500), 100),
        (Answer({"result": {"info": 1}, "x": 1}, delay_s=2.0), 100),
    ],
)
@pytest.mark.parametrize(
    ("question", "command"),
    [
        ("subscribe", {"subscribe": {"channel": "ask:a"}}),
        ("publish", {"publish": {"channel": "ask:a", "data": 1}}),
        ("rpc", {"rpc": {"method": "m", "data": 1}}),
    ],
)
def test_what_goes_wrong_is_an_error_of_the_command(
    site: Site, question: str, command: dict[str, object], answer: Answer, code: int
) -> None:
    client = site.dial()
    site.answers[question] = answer
    number = client.command(**command)
    assert "rpc" in site.ask(site.dial(), rpc={"method": "m"}) or question == "rpc"
    site.server.run_until(lambda: number in client.replies)
    assert code_of(client.replies[number]) == code
    site.answers[question] = Answer()
    assert "error" not in site.ask(client, **command)


def test_the_backend_changes_what_is_published(site: Site) -> None:
    client = site.dial()
    site.ask(client, subscribe={"channel": "ask:a"})
    site.answers["publish"] = Answer({"result": {"data": {"clean": True}}})
    site.ask(client, publish={"channel": "ask:a", "data": {"rude": True}})
    site.answers["publish"] = Answer({"result": {"skip_history": True}})
    site.ask(client, publish={"channel": "ask:a", "data": "kept by nobody"})
    site.server.run_for(0.1)
    assert client.publications("ask:a") == [{"clean": True}, "kept by nobody"]


def test_publications_keep_their_order_whatever_the_backend_takes(site: Site) -> None:
    client = site.dial()
    site.ask(client, subscribe={"channel": "ask:a"})
    chance = random.Random(4)
    site.answers["publish"] = lambda _request: Answer(delay_s=chance.uniform(0.0, 0.9))
    numbers = [client.command(publish={"channel": "ask:a", "data": number}) for number in range(16)]
    site.server.run_until(lambda: all(number in client.replies for number in numbers))
    site.server.run_for(0.1)
    assert client.publications("ask:a") == list(range(16))


def test_a_publication_that_is_refused_holds_nobody_up(site: Site) -> None:
    client = site.dial()
    site.ask(client, subscribe={"channel": "ask:a"})

    def every_other(request: ReceivedRequest) -> Answer:
        return HANG if request.json()["data"] % 2 else Answer()

    site.answers["publish"] = every_other
    for number in range(8):
        client.command(publish={"channel": "ask:a", "data": number})
    site.server.run_for(3.0)
    assert client.publications("ask:a") == [0, 2, 4, 6]


def test_a_subscription_is_prolonged_by_the_backend(site: Site) -> None:
    client = site.dial()
    soon_s = int(site.server.clock.unix_s()) + 10
    site.answers["subscribe"] = Answer({"result": {"expire_at": soon_s}})
    site.answers["sub_refresh"] = Answer({"result": {"expire_at": soon_s + 50}})
    site.ask(client, subscribe={"channel": "ask:a"})
    site.server.run_for(30.0)
    assert [question["channel"] for question in site.asked("sub_refresh")] == ["ask:a"]
    assert not client.pushes
    site.answers["sub_refresh"] = Answer({"result": {"expired": True}})
    site.server.run_for(40.0)
    assert client.pushes[-1]["unsubscribe"]["code"] == 2501


# -- rpc and send ------------------------------------------------------------------------------


def test_a_method_is_called(site: Site) -> None:
    client = site.dial()
    site.answers["rpc"] = lambda request: Answer({"result": {"data": sum(request.json()["data"])}})
    assert site.ask(client, rpc={"method": "sum", "data": [1, 2]})["rpc"] == {"data": 3}
    site.answers["rpc"] = Answer()
    assert site.ask(client, rpc={"method": "none"})["rpc"] == {}


def test_a_message_is_handed_over(site: Site) -> None:
    client = site.dial()
    client.send_text('{"send":{"data":{"typing":true}}}')
    site.server.run_for(0.5)
    (message,) = site.asked("send")
    assert message["data"] == {"typing": True}
    assert not client.is_gone


# -- the breaker -------------------------------------------------------------------------------


def test_a_dead_backend_is_left_alone_and_found_again() -> None:
    site = Site(rules=BreakerRules(max_failures=3, open_s=1.0))
    client = site.dial()
    site.backend.close()
    for _ in range(3):
        assert code_of(site.ask(client, rpc={"method": "m"})) == 100
    site.backend = site.listen()
    assert code_of(site.ask(client, rpc={"method": "m"})) == 100
    assert site.asked("rpc") == []
    site.server.run_for(2.0)
    assert "rpc" in site.ask(client, rpc={"method": "m"})
    assert "rpc" in site.ask(client, rpc={"method": "m"})
    site.close()


def test_one_endpoint_that_hangs_leaves_the_others_alone() -> None:
    site = Site(rules=BreakerRules(max_failures=3, open_s=60.0))
    client = site.dial()
    site.answers["rpc"] = HANG
    for _ in range(3):
        assert code_of(site.ask(client, rpc={"method": "m"})) == 100
    before_s = site.server.clock.now()
    assert code_of(site.ask(client, rpc={"method": "m"})) == 100
    assert site.server.clock.now() == before_s
    assert "subscribe" in site.ask(client, subscribe={"channel": "ask:a"})
    site.close()


# -- hooks -------------------------------------------------------------------------------------


def test_what_happens_is_told(site: Site) -> None:
    client = site.dial()
    site.ask(client, subscribe={"channel": "ask:a"})
    site.ask(client, unsubscribe={"channel": "ask:a"})
    site.server.run_for(2.0)
    site.ask(client, subscribe={"channel": "news"})
    client.send_close(1000)
    site.server.run_for(3.0)
    told = site.told()
    assert [(event["type"], event.get("channel", "")) for event in told] == [
        ("start", ""),
        ("occupied", "ask:a"),
        ("unsubscribe", "ask:a"),
        ("vacated", "ask:a"),
        ("occupied", "news"),
        ("unsubscribe", "news"),
        ("disconnect", ""),
        ("vacated", "news"),
    ]
    assert [event["seq"] for event in told] == list(range(1, 9))
    assert {event["user"] for event in told if "user" in event} == {"42"}


def test_numbers_are_those_of_what_there_is(site: Site) -> None:
    site.dial()
    outside = site.server.house.outside
    assert outside is not None
    numbers = outside.numbers()
    assert set(numbers) == {name for name in METRICS if "_backend_" in name or "_hook_" in name}
    questions = numbers["wsloop_backend_failures_total"]
    assert isinstance(questions, dict)
    assert set(questions) == set(QUESTIONS)
    neither = functools.partial(Application, proxy=None, tell=None)
    with MemoryServer(options=Options(outside=neither)) as server:
        assert server.house.outside is not None
        assert server.house.outside.numbers() == {}


def test_without_a_spool_events_are_kept_in_memory_and_one_that_cannot_be_made_is_told(
    tmp_path: Path,
) -> None:
    tell = TellOptions(address_of("hooks"))
    with MemoryServer(options=Options(outside=functools.partial(Application, proxy=None, tell=tell))):
        pass
    nowhere = TellOptions(address_of("hooks"), spool=SpoolOptions(str(tmp_path / "no" / "spool")))
    with pytest.raises(StartupError, match="cannot open"):
        MemoryServer(options=Options(outside=functools.partial(Application, proxy=None, tell=nowhere)))


@pytest.mark.parametrize("kind", ["fifo", "foreign"])
def test_a_spool_that_cannot_be_read_is_left_alone_and_told(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "spool"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("somebody else's")
    tell = TellOptions(address_of("hooks"), spool=SpoolOptions(str(path)))
    with pytest.raises(StartupError, match="spool"):
        MemoryServer(options=Options(outside=functools.partial(Application, proxy=None, tell=tell)))
    assert [each.name for each in tmp_path.iterdir()] == ["spool"]


def test_a_stop_puts_the_last_disconnects_into_the_spool() -> None:
    site = Site()
    client = site.dial()
    site.ask(client, subscribe={"channel": "news"})
    site.server.run_for(1.0)
    seen = len(site.told())
    site.close()
    assert seen == 2
    for word in (b'"disconnect"', b'"vacated"'):
        assert word in site.store.synced


class Held:
    """What makes spools in files, of which another process has one: `is_held`."""

    def __init__(self) -> None:
        self.is_held = True
        self.store = MemorySpoolStore()

    def __call__(self, path: str, *_ports: object) -> MemorySpoolStore:
        if self.is_held:
            raise BlockingIOError(errno.EAGAIN, "held")
        return self.store


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    made = Held()
    monkeypatch.setattr("wsloop.client.application.FileStore", made)
    return made


def successor(*, is_one: bool = True) -> MemoryServer:
    tell = TellOptions(address_of("hooks"), HookOptions(vacated_grace_s=0), SpoolOptions("/spool"))
    made = functools.partial(Application, proxy=None, tell=tell, is_successor=is_one)
    return MemoryServer(options=Options(outside=made))


def hooks_of(server: MemoryServer) -> HttpHooks:
    outside = server.house.outside
    assert isinstance(outside, Application)
    assert outside.hooks is not None
    return outside.hooks


def spooled(store: MemorySpoolStore) -> list[bytes]:
    return [each.payload for each in Spool(store, 10_000, Overflow.NEWEST, os.urandom).batch(100, 10_000)]


def test_a_spool_that_another_daemon_has_is_refused(held: Held) -> None:
    with pytest.raises(StartupError, match="/spool is in use by another process"):
        successor(is_one=False)


def test_a_successor_takes_the_spool_over_when_the_one_that_drains_has_let_go_of_it(held: Held) -> None:
    left = Spool(held.store, 10_000, Overflow.NEWEST, lambda count: b"i" * count)
    left.append(b'{"seq":1,"type":"start","time":1}')
    left.close()
    with successor() as server:
        hooks_of(server).on_channel_occupied("a")
        server.run_for(5.0)
        assert len(spooled(held.store)) == 1
        held.is_held = False
        server.run_for(40.0)  # the receiver is away: a post may be under way at any moment
        hooks_of(server).on_channel_occupied("b")
        server.run_for(1.0)
        assert len(spooled(held.store)) == 4
        backend = MemoryHttpBackend(server.reactor, server.network, PLACE, lambda _: Answer({}))
        server.run_for(60.0)
        told = [event for request in backend.requests for event in request.json()]
        assert [(each["seq"], each["type"], each.get("channel")) for each in told] == [
            (1, "start", None), (2, "start", None), (3, "occupied", "a"), (4, "occupied", "b"),
        ]  # fmt: skip
        assert backend.requests[0].headers["wsloop-spool"] == "69" * 8


def test_a_successor_tells_at_once_what_happens_while_it_waits(held: Held) -> None:
    with successor() as server:
        backend = MemoryHttpBackend(server.reactor, server.network, PLACE, lambda _: Answer({}))
        hooks_of(server).on_channel_occupied("a")
        server.run_for(2.0)
        assert [len(request.json()) for request in backend.requests] == [2]
        assert held.store.data == b""


def test_a_successor_that_ends_meanwhile_leaves_what_it_has_in_the_spool(held: Held) -> None:
    server = successor()
    hooks_of(server).on_channel_occupied("a")
    server.run_for(0.3)
    held.is_held = False
    server.close()
    assert len(spooled(held.store)) == 2


def test_a_spool_that_cannot_be_taken_over_costs_no_more_than_that(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    with successor() as server:
        held.is_held = False
        held.store.data = b"somebody else's"
        server.run_for(5.0)
        assert caplog.text.count("events are kept in memory only") == 1
        backend = MemoryHttpBackend(server.reactor, server.network, PLACE, lambda _: Answer({}))
        server.run_for(60.0)
        assert len(backend.requests) == 1


def test_what_processes_have_left_that_are_gone_for_good_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def file_store(path: str, *_ports: object) -> FileStore:
        return FileStore(path, AtOnce(), Later())

    monkeypatch.setattr("wsloop.client.application.FileStore", file_store)
    long_ago = (1e9, 1e9)
    for name in (
        "events",
        "events.hub",
        "events.worker-12",
        "events.worker-1",
        "events.worker-0",
        "events.old",
    ):
        left = Spool(file_store(str(tmp_path / name)), 10_000, Overflow.NEWEST, os.urandom)
        left.append(b'{"seq":1,"type":"occupied","channel":"%b","time":1}' % name.encode())
        left.close()
        os.utime(tmp_path / name, long_ago)
    (tmp_path / "events.worker-3").write_bytes(b"somebody else's")
    os.utime(tmp_path / "events.worker-3", long_ago)
    os.utime(tmp_path / "events.hub")  # it was written to just now
    held = PathLock(str(tmp_path / "events.worker-1"))
    spool = SpoolOptions(str(tmp_path / "events.worker-0"), str(tmp_path / "events"))
    tell = TellOptions(address_of("hooks"), spool=spool)
    with MemoryServer(
        options=Options(outside=functools.partial(Application, proxy=None, tell=tell))
    ) as server:
        backend = MemoryHttpBackend(server.reactor, server.network, PLACE, lambda _: Answer({}))
        server.run_for(60.0)
        told = [event for request in backend.requests for event in request.json()]
        assert [(each["seq"], each["type"], each.get("channel")) for each in told] == [
            (1, "occupied", "events.worker-0"), (2, "start", None),
            (3, "occupied", "events"), (4, "occupied", "events.worker-12"),
        ]  # fmt: skip
    held.release(remove=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "events.hub", "events.old", "events.worker-0", "events.worker-1", "events.worker-3",
    ]  # fmt: skip


def test_an_orphan_waits_until_there_is_room_for_it() -> None:
    site = Site()
    site.backend.close()
    store = MemorySpoolStore()
    orphan = Spool(store, 10_000_000, Overflow.NEWEST, os.urandom)
    for _ in range(5):
        orphan.append(b'{"seq":1,"type":"occupied","channel":"%b","time":1}' % (b"x" * 900_000))
    before = hooks_of(site.server).waiting
    assert not hooks_of(site.server).take_in(orphan)
    assert hooks_of(site.server).waiting == before
    site.close()
    assert not hooks_of(site.server).take_in(Spool(store, 1000, Overflow.NEWEST, os.urandom))


def test_a_crowd_of_slow_calls_keeps_nobody_from_connecting(site: Site) -> None:
    site.answers["rpc"] = Answer({"result": {}}, delay_s=0.9)
    client = site.dial()
    for _ in range(1000):
        client.command(rpc={"method": "m"})
    site.server.run_for(0.1)
    assert "connect" in site.dial().replies[1]
    site.server.run_for(2.0)


def test_what_one_client_publishes_to_a_backend_that_hangs_is_bounded(site: Site) -> None:
    site.answers["publish"] = HANG
    client = site.dial()
    numbers = [client.command(publish={"channel": "ask:a", "data": n}) for n in range(VERDICTS_AT_ONCE + 9)]
    site.server.run_for(0.5)
    refused = [number for number in numbers if number in client.replies]
    assert refused == numbers[VERDICTS_AT_ONCE:]
    assert {client.replies[number]["error"]["code"] for number in refused} == {111}
    site.server.run_for(1.0)
    assert set(numbers) <= set(client.replies)
    site.answers["publish"] = Answer()
    assert "publish" in site.ask(client, publish={"channel": "ask:a", "data": 1})


def test_a_receiver_that_hangs_disturbs_nobody(site: Site) -> None:
    site.answers["hooks"] = HANG
    client = site.dial()
    for _ in range(20):
        assert "rpc" in site.ask(client, rpc={"method": "m"})
        site.ask(client, subscribe={"channel": "news"})
        site.ask(client, unsubscribe={"channel": "news"})
    site.server.run_for(20.0)
    assert "rpc" in site.ask(client, rpc={"method": "m"})


# -- traces --------------------------------------------------------------------------------------

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def parents(site: Site, name: str) -> list[list[str]]:
    requests = [request for request in site.backend.requests if request.target == f"/{name}"]
    return [request.headers["traceparent"].split("-") for request in requests]


@pytest.mark.parametrize(
    ("parent", "states", "passed_on"),
    [
        (f"00-{TRACE_ID}-{SPAN}-01", ("congo=t61,rojo=00f0", "a@b=c"), "congo=t61,rojo=00f0, a@b=c"),
        (f"00-{TRACE_ID}-{SPAN}-01", ("congo",), ""),
        (f"00-{TRACE_ID}-{SPAN}-01", ("a=" + "x" * 200, "b=" + "x" * 200, "c=" + "x" * 200), ""),
        (f"ff-{TRACE_ID}-{SPAN}-01", ("congo=t61",), ""),
        ("", ("congo=t61",), ""),
    ],
)
def test_what_tracing_systems_noted_goes_along_if_it_and_the_trace_are_in_good_form(
    site: Site, parent: str, states: tuple[str, ...], passed_on: str
) -> None:
    client = site.server.dial(MessagingMemoryClient)
    headers = [("tracestate", state) for state in states]
    client.upgrade(CONNECTION_PATH, (*([("traceparent", parent)] if parent else []), *headers))
    client.command(connect={})
    site.server.run_until(lambda: 1 in client.replies)
    site.ask(client, rpc={"method": "m", "data": 1})
    client.close()
    site.server.run_until(lambda: len(site.told()) > 1)
    asked = [request for request in site.backend.requests if request.target in ("/connect", "/rpc")]
    assert [request.headers.get("tracestate", "") for request in asked] == [passed_on] * 2
    assert all("traceparent" in request.headers for request in asked)
    assert {event.get("tracestate", "") for event in site.told() if event["type"] == "disconnect"} == {
        passed_on
    }


def test_questions_and_events_belong_to_the_trace_of_the_upgrade(site: Site) -> None:
    client = site.server.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH, (("Traceparent", f"00-{TRACE_ID}-{SPAN}-00"),))
    client.command(connect={})
    site.server.run_until(lambda: 1 in client.replies)
    site.ask(client, rpc={"method": "m", "data": 1})
    client.close()
    site.server.run_until(lambda: len(site.told()) > 1)
    (connect,), (rpc,) = parents(site, "connect"), parents(site, "rpc")
    for version, trace_id, span, flags in (connect, rpc):
        assert (version, trace_id, flags) == ("00", TRACE_ID, "00")
        assert span != SPAN
    assert connect[2] != rpc[2]
    assert site.told()[-1]["trace_id"] == TRACE_ID


def test_without_one_they_belong_to_the_clients_own(site: Site) -> None:
    client = site.dial()
    client_id = client.replies[1]["connect"]["client"]
    client.close()
    site.server.run_until(lambda: len(site.told()) > 1)
    ((_, trace_id, _, flags),) = parents(site, "connect")
    assert trace_id == client_id.replace("-", "") == site.told()[-1]["trace_id"]
    assert flags == "01"
