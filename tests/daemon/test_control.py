"""The control socket's service: every method, every refusal, in virtual time."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.api_kit import ApiHouse, is_complete
from wsloop.daemon import control
from wsloop.daemon.reload import Change, Outcome
from wsloop.daemon.steering import AloneSteering
from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.daemon.steward import Done
    from wsloop.testing.client import MessagingMemoryClient

PLACE = UnixBind("/run/ctl.sock")


class ControlledHouse(ApiHouse):
    """A server with a control socket; `ctl` is what `wsloop ctl` does."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome = Outcome((Change("ws.max_size", "1 -> 2"),))
        self.restarts: list[tuple[bool, str]] = [(True, "pid 7 serves")]
        self.drains = 0
        steering = AloneSteering(self.server, self._drain, lambda: self.outcome, self._restart)
        self.server.listen_admin(PLACE, control.app(self.house, steering))

    def _drain(self) -> None:
        self.drains += 1
        self.server.drain(lambda: None)

    def _restart(self, done: Done) -> None:
        done(*self.restarts[0])

    def subscribe(self, client: MessagingMemoryClient) -> None:
        assert "subscribe" in self.ask(client, subscribe={"channel": "chat:a"})

    def request(self, line: str, body: bytes = b"{}") -> tuple[int, Any]:
        client = self.dial(at=PLACE)
        client.send_bytes(
            f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        self.run_until(lambda: is_complete(client.http) or client.is_gone)
        head, _, answer = client.http.partition(b"\r\n\r\n")
        client.close()
        status = int(head.split(b" ", 2)[1])
        return status, json.loads(answer) if status == 200 else answer

    def ctl(self, method: str, /, **params: object) -> Any:
        status, answer = self.request(f"POST /ctl/{method}", json.dumps(params).encode())
        assert status == 200, answer
        return answer.get("result", answer.get("error"))


@pytest.fixture
def house() -> Iterator[ControlledHouse]:
    with ControlledHouse() as made:
        yield made


def test_stats_tell_the_version_and_each_node(house: ControlledHouse) -> None:
    house.user("ann")
    found = house.ctl("stats")
    assert found["pid"] == os.getpid()
    assert found["reasons"] == []
    assert found["draining"] is None
    assert [node["num_clients"] for node in found["nodes"]] == [1]


def test_connections_are_listed_with_what_is_known_of_them(house: ControlledHouse) -> None:
    ann = house.user("ann")
    house.subscribe(ann)
    house.connect("/echo")
    found = house.ctl("conns")
    assert found["total"] == 2
    assert [row["user"] for row in found["connections"]] == ["ann", ""]
    row = found["connections"][0]
    assert (row["client"], row["channels"], row["state"]) == (house.id_of(ann), 1, "open")
    assert row["node"] == house.house.operations.uid


def test_connections_are_filtered_and_sorted_and_paged(house: ControlledHouse) -> None:
    users = [house.user(name) for name in ("ann", "ben", "cem")]
    house.subscribe(users[1])
    house.run_for(5)
    house.user("dan")
    assert [row["user"] for row in house.ctl("conns", user="ben")["connections"]] == ["ben"]
    assert [row["user"] for row in house.ctl("conns", channel="chat:a")["connections"]] == ["ben"]
    assert house.ctl("conns", address="127.0.0.1")["total"] == 4
    assert house.ctl("conns", address="127.0.0.2")["total"] == 0
    oldest = [row["user"] for row in house.ctl("conns", sort="age")["connections"]]
    assert oldest == ["ann", "ben", "cem", "dan"]
    assert [row["user"] for row in house.ctl("conns", page=2, per_page=3)["connections"]] == ["dan"]
    assert house.ctl("conns", sort="outbox")["total"] == 4
    assert "filter" in house.ctl("conns", page=100_000)["hint"]
    assert "sort" in house.ctl("conns", sort="luck")["message"]


@pytest.mark.parametrize("how", ["user", "client", "connection"])
def test_kick_closes_whom_it_means_and_nobody_else(house: ControlledHouse, how: str) -> None:
    ann, ben = house.user("ann"), house.user("ben")
    number = house.ctl("conns", user="ann")["connections"][0]["connection"]
    whom = {"user": "ann", "client": house.id_of(ann), "connection": number}[how]
    assert house.ctl("kick", **{how: whom}, code=4001, reason="bye") == {"closed": 1}
    house.run_until(lambda: ann.is_gone)
    assert ann.close_frame == (4001, "bye")
    assert not ben.is_gone


def test_kick_finds_nobody_in_another_process_and_needs_one_name(house: ControlledHouse) -> None:
    house.user("ann")
    assert house.ctl("kick", user="ann", node="another") == {"closed": 0}
    assert house.ctl("kick", user="zoe") == {"closed": 0}
    assert "one of" in house.ctl("kick")["message"]
    assert "one of" in house.ctl("kick", user="a", client="b")["message"]
    assert "message" in house.ctl("kick", user="ann", code=1000)


def test_a_number_alone_is_not_enough_where_several_processes_count(house: ControlledHouse) -> None:
    class Others:
        def ask(self, *_arguments: object) -> None:
            raise AssertionError

    house.house.operations.everywhere = Others()
    assert "NODE/NUMBER" in house.ctl("kick", connection=1)["hint"]
    house.house.operations.everywhere = None


def test_publish_reaches_subscribers(house: ControlledHouse) -> None:
    ann = house.user("ann")
    house.subscribe(ann)
    assert house.ctl("publish", channel="chat:a", data={"x": 1})["offset"] == 1
    house.run_until(lambda: ann.publications("chat:a"))
    assert house.ctl("publish", channel="nope:a", data=1)["message"] == "unknown channel"


def test_a_drain_is_answered_begun_and_told_about(house: ControlledHouse) -> None:
    users = [house.user(name) for name in ("ann", "ben", "cem")]
    for user in users:
        user.stop_reading()  # so that they are still there
    assert house.ctl("progress") == {"pid": os.getpid(), "left": 0, "of": 0}
    assert house.ctl("drain") == {"lines": []}
    house.run_until(lambda: house.drains)
    assert house.ctl("progress") == {"pid": os.getpid(), "left": 3, "of": 3}
    assert house.ctl("workers")["workers"][0]["state"] == "draining"
    assert house.ctl("stats")["draining"] == {"left": 3, "of": 3}
    assert house.ctl("health")["reasons"] == ["draining"]


def test_a_reload_tells_the_difference_or_the_mistake(house: ControlledHouse) -> None:
    assert house.ctl("reload") == {"lines": ["ws.max_size: 1 -> 2"]}
    house.outcome = Outcome(error="x.toml:3: no", hint="do")
    assert house.ctl("reload") == {"message": "x.toml:3: no; nothing was changed", "hint": "do"}


def test_a_restart_is_passed_on(house: ControlledHouse) -> None:
    assert house.ctl("restart") == {"lines": ["pid 7 serves"]}
    house.restarts[0] = (False, "it ended")
    assert house.ctl("restart")["message"] == "it ended"
    refusal: list[Any] = []
    AloneSteering(house.server, lambda: None, Outcome).restart(refusal.append)
    assert "cannot" in refusal[0].message


def test_workers_are_one_row_where_there_is_one_process(house: ControlledHouse) -> None:
    house.user("ann")
    (row,) = house.ctl("workers")["workers"]
    assert (row["name"], row["pid"], row["state"], row["connections"]) == ("alone", os.getpid(), "serving", 1)


@pytest.mark.parametrize(
    ("line", "body", "status"),
    [
        ("POST /ctl/nothing", b"{}", 404),
        ("GET /ctl/stats", b"", 405),
        ("POST /elsewhere", b"{}", 404),
        ("POST /ctl/publish", b"x" * (1024 * 1024 + 1), 413),
    ],
)
def test_what_is_no_command_is_refused(house: ControlledHouse, line: str, body: bytes, status: int) -> None:
    assert house.request(line, body)[0] == status


@pytest.mark.parametrize("method", ["conns", "kick", "publish"])
@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'{"user": "\xff"}', b'{"page": "x", "user": 1, "channel": 1}']
)
def test_bad_json_is_an_answer_not_a_fault(
    house: ControlledHouse, method: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, answer = house.request(f"POST /ctl/{method}", body)
    assert status == 200
    assert answer["error"]["message"]
    assert "Traceback" not in caplog.text


# -- who may ask ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the kernel does not tell")
def test_the_kernel_is_asked_who_has_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert control.peer_user(ours.fileno()) == os.getuid()


class SomeTransport:
    def fileno(self) -> int:
        return 5


@pytest.mark.parametrize(("user_id", "may"), [(os.geteuid(), True), (0, True), (None, True), (54_321, False)])
def test_only_the_owner_and_root_may_steer(
    monkeypatch: pytest.MonkeyPatch, user_id: int | None, may: bool
) -> None:
    monkeypatch.setattr(control, "peer_user", lambda _fd: user_id)
    assert control.may_steer(SomeTransport()) is may  # type: ignore[arg-type] # all that is needed


def test_whom_the_socket_does_not_admit_is_dropped_at_once(house: ControlledHouse) -> None:
    place = UnixBind("/run/other.sock")
    house.server.listen_admin(place, house.admin, admits=lambda _transport: False)
    client = house.dial(at=place)
    client.send_bytes(b"POST /ctl/stats HTTP/1.1\r\nHost: a\r\n\r\n")
    house.run_until(lambda: client.is_gone)
    assert client.http == b""


def test_a_connection_is_recorded_by_rule_and_fetched(house: ControlledHouse) -> None:
    assert house.ctl("record", recording="r", user="ann") == {"processes": 1}
    assert "another recording" in house.ctl("record", recording="s", user="ann")["message"]
    ann = house.user("ann")
    house.subscribe(ann)
    house.run_for(1.0)
    found = house.ctl("recorded", recording="r", stop=True)
    assert found["over"] == "stopped"
    assert {line["c"].partition("/")[0] for line in found["lines"]} == {house.house.operations.uid}
    assert {line["kind"] for line in found["lines"]} == {"begin", "in", "out", "about"}
    assert "give one of" in house.ctl("record", recording="r")["message"]


def test_with_several_processes_a_connection_is_recorded_by_its_node_and_number(
    house: ControlledHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.house.operations, "everywhere", object())
    assert "NODE/NUMBER" in house.ctl("record", recording="r", connection=3)["hint"]
