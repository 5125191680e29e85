"""Several workers are one messaging server: real processes, real clients, real deaths."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.crowd import Crowd
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.family import children_of
from tests.system.test_admin import call, port_of
from wsloop.client.messages import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.client.messaging import MessagingClient

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes"),
]

SETTINGS = """
[admin]
port = 0
api_key = "a-key-of-the-tests"

[client]
allow_anonymous = true

[token]
hmac_secret_key = "a-secret-of-the-tests-long-enough"

[channels]
history_size = 1000
history_ttl_s = 300
presence = true
join_leave = true
allow_recovery = true
force_recovery = true
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_client = true
allow_publish_for_anonymous = true
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    file = tmp_path / "wsloop.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    with Daemon("-c", str(file), "--workers", "2", dev=False) as made:
        yield made


@pytest.fixture
def crowd(daemon: Daemon) -> Iterator[Crowd]:
    with Crowd(daemon.url("/connection/websocket")) as made:
        yield made


def children(daemon: Daemon) -> list[int]:
    """Return the processes that a supervisor has, the hub process, which is forked first, in front."""
    return children_of(daemon.pid)


def ask(daemon: Daemon, method: str, **fields: object) -> Any:
    """Call a method of the server API; return its result."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
    status, body = call(connection, method, fields)
    connection.close()
    assert status == 200, body
    return json.loads(body).get("result")


def status_of(daemon: Daemon, path: str) -> int:
    """Return what the public listener answers to GET."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE_S)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def wait_for(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def join_both(daemon: Daemon, crowd: Crowd, channel: str) -> list[MessagingClient]:
    """Return clients of which each worker has some: the kernel deals them out by chance."""
    made = crowd.join(channel, 4)
    while min(node["num_clients"] for node in ask(daemon, "info")["nodes"]) < 2:
        made += crowd.join(channel)
        assert len(made) < 100
    return made


def test_clients_of_all_workers_meet(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    for number, client in enumerate(clients):
        assert crowd.publish(client, "room", number).offset == number + 1
    numbers = list(range(len(clients)))
    crowd.run_until(lambda: all(heard == numbers for heard in crowd.heard("room")))
    ids = {client.client_id for client in clients}
    assert set(ask(daemon, "presence", channel="room")["presence"]) == ids
    assert ask(daemon, "channels")["channels"] == {"room": {"num_clients": len(clients)}}
    assert set(ask(daemon, "connections")["connections"]) == ids
    assert [
        each["data"] for each in ask(daemon, "history", channel="room", limit=-1)["publications"]
    ] == numbers
    (late,) = crowd.join("room")
    for client in clients:
        crowd.run_until(lambda: ("join", "room", late.client_id) in crowd.told[client].events)  # noqa: B023


def test_a_call_reaches_every_worker(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    assert ask(daemon, "publish", channel="room", data="news")["offset"] == 1
    crowd.run_until(lambda: all(heard == ["news"] for heard in crowd.heard("room")))
    for client in clients:
        ask(daemon, "disconnect", client=client.client_id, disconnect={"code": 4500, "reason": "enough"})
    crowd.run_until(lambda: all(client.is_closed for client in clients))
    crowd.run_until(lambda: not ask(daemon, "presence", channel="room")["presence"])


def test_a_killed_worker_loses_nothing_and_the_others_do_not_notice(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    sent: list[int] = []

    def has_lost(client: MessagingClient) -> bool:
        return "connecting" in crowd.told[client].names()[1:]

    for victim in children(daemon)[1:]:
        os.kill(victim, signal.SIGKILL)
        for _ in range(20):
            sent.append(len(sent))
            crowd.publish(clients[0], "room", sent[-1])
        crowd.run_until(lambda: len(children(daemon)) == 3 and all(each.is_connected for each in clients))
        crowd.run_until(lambda: all(heard == sent for heard in crowd.heard("room")))
        if len(sent) == 20:
            assert 2 <= sum(map(has_lost, clients)) <= len(clients) - 2
    crowd.run_until(lambda: len(ask(daemon, "presence", channel="room")["presence"]) == len(clients))
    assert {client.client_id for client in clients} == set(
        ask(daemon, "presence", channel="room")["presence"]
    )


def test_a_killed_hub_process_is_a_new_epoch_and_everybody_is_told(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    crowd.publish(clients[0], "room", "before")
    crowd.run_until(lambda: all(heard == ["before"] for heard in crowd.heard("room")))
    hub, *workers = children(daemon)
    os.kill(hub, signal.SIGKILL)

    def results(client: MessagingClient) -> list[Any]:
        return [event[2] for event in crowd.told[client].events if event[0] == "subscribed"]

    crowd.run_until(lambda: all(len(results(client)) == 2 for client in clients))
    for client in clients:
        first, second = results(client)
        assert first.epoch != second.epoch
        assert second.was_recovering
        assert not second.recovered
        assert "connecting" not in crowd.told[client].names()[1:]  # its connection was left alone
    assert set(workers) < set(children(daemon))
    crowd.publish(clients[0], "room", "after")
    crowd.run_until(lambda: all(heard == ["before", "after"] for heard in crowd.heard("room")))


def test_a_stopped_hub_process_is_told_of_and_loses_nothing(daemon: Daemon, crowd: Crowd) -> None:
    (client,) = crowd.join("room")
    crowd.publish(client, "room", "before")
    hub = children(daemon)[0]
    os.kill(hub, signal.SIGSTOP)
    try:
        refused: list[object] = []
        client.publish("room", b'"meanwhile"', refused.append, key="once")
        crowd.run_until(lambda: refused)
        assert isinstance(refused[0], CallError)
        wait_for(lambda: status_of(daemon, "/readyz") == 503)
    finally:
        os.kill(hub, signal.SIGCONT)
    wait_for(lambda: status_of(daemon, "/readyz") == 200)
    again: list[object] = []
    client.publish("room", b'"meanwhile"', again.append, key="once")
    crowd.run_until(lambda: again)
    assert not isinstance(again[0], CallError)
    crowd.publish(client, "room", "after")
    crowd.run_until(lambda: crowd.heard("room") == [["before", "meanwhile", "after"]])
    assert len([event for event in crowd.told[client].events if event[0] == "connected"]) == 1


def test_who_is_blocked_stays_blocked_for_a_worker_that_begins_later(daemon: Daemon, crowd: Crowd) -> None:
    import jwt

    token = jwt.encode({"sub": "eve"}, "a-secret-of-the-tests-long-enough", "HS256")
    (eve,) = crowd.join("room", token=token)
    ask(daemon, "block_user", user="eve")
    crowd.run_until(lambda: eve.is_closed)
    assert ("disconnected", 3503) in [event[:2] for event in crowd.told[eve].events]
    for worker in children(daemon)[1:]:
        os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(children(daemon)) == 3 and len(ask(daemon, "info")["nodes"]) == 2)
    eve.connect()
    crowd.run_until(lambda: eve.is_closed)
    assert crowd.told[eve].events[-1][:2] == ("disconnected", 3507)


def test_metrics_are_those_of_all(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().split("\n")
    assert f"wsloop_websockets {float(len(clients))}" in lines
    for process in ("hub", "worker-0", "worker-1"):
        assert any(
            line.startswith(f'wsloop_process_cpu_seconds_total{{process="{process}"}}') for line in lines
        )
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"ready\n")
    connection.close()


def test_term_drains_all_of_them_and_leaves_nobody(daemon: Daemon, crowd: Crowd) -> None:
    clients = join_both(daemon, crowd, "room")
    processes = children(daemon)
    daemon.send_signal(signal.SIGTERM)
    crowd.run_until(
        lambda: all(("connecting", 3001, "shutdown") in crowd.told[each].events for each in clients)
    )
    assert daemon.wait() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    assert "Traceback" not in daemon.stderr()
