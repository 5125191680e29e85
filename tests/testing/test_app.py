"""What people who write applications and clients test with: a server, its clients, virtual time."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Request, TextMessage

from wsloop.hub.grants import Identity
from wsloop.hub.namespaces import Namespace
from wsloop.hub.verifier import NoTokens
from wsloop.protocol.close import CloseCode
from wsloop.server.app import Route
from wsloop.server.assembly import Options
from wsloop.server.echo import EchoHandler
from wsloop.testing import (
    CommandRefused,
    ConnectionClosed,
    Server,
    TestClient,
    TestSocket,
    UpgradeRefused,
    VirtualClock,
)
from wsloop.testing.http_backend import HANG
from wsloop.testing.network import NetworkFaults

if TYPE_CHECKING:
    from wsloop.protocol.events import Request as UpgradeRequest
    from wsloop.server.connection import Connection


class Shout(EchoHandler):
    """Answers in capitals; fails at a question mark; hangs up at a full stop."""

    def __init__(self, connection: Connection, request: UpgradeRequest) -> None:
        super().__init__(connection, request)
        self.connection = connection

    def on_text(self, data: str) -> None:
        if data == ".":
            self.connection.close(4000, "enough")
            return
        assert data != "?"
        self.connection.send_text(data.upper())


@settings(max_examples=25)
@given(st.lists(st.text(max_size=300) | st.binary(max_size=300), max_size=8), st.integers(0, 2**32))
def test_whatever_is_sent_is_received_in_order(messages: list[str | bytes], seed: int) -> None:
    rough = NetworkFaults(max_delay_s=0.2, max_read_bytes=50, max_write_bytes=40, eagain_chance=0.2)
    with Server(seed=seed, faults=rough) as server, server.websocket() as socket:
        for message in messages:
            socket.send(message)
        assert [socket.receive() for _ in messages] == messages


def test_an_application_of_ones_own_is_a_route() -> None:
    with Server({"/shout": Shout, "/gated": Route(Shout, subprotocols=frozenset({"loud"}))}) as server:
        socket = server.websocket("/shout")
        socket.send("hello")
        assert socket.receive() == "HELLO"
        assert socket.subprotocol == ""
        assert server.websocket("/gated", subprotocols=("quiet", "loud")).subprotocol == "loud"
        with pytest.raises(UpgradeRefused) as refused:
            server.websocket("/nowhere")
        assert refused.value.status == 404


def test_a_fault_in_the_handler_closes_and_how_it_was_closed_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Server({"/shout": Shout}, raises_faults=False) as server:
        first, second = server.websocket("/shout"), server.websocket("/shout")
        first.send("?")
        with pytest.raises(ConnectionClosed) as closed:
            first.receive()
        assert (closed.value.code, closed.value.reason) == (CloseCode.INTERNAL_ERROR, "internal error")
        assert "AssertionError" in caplog.text
        second.send(".")
        assert second.wait_closed() == second.closed == (4000, "enough")
        with pytest.raises(ConnectionClosed):
            second.ping()


def test_both_sides_can_close_and_a_peer_can_misbehave() -> None:
    with Server() as server:
        polite, rude, broken = (server.websocket() for _ in range(3))
        assert polite.ping(b"there?") >= 0
        assert polite.is_open and polite.closed is None
        assert polite.close(1000, "bye")[0] == 1000
        assert polite.close()[0] == 1000
        rude.wire.reset()
        assert rude.wait_closed() == (CloseCode.ABNORMAL, "")
        broken.wire.send_frame(0x3, b"no such opcode")
        assert broken.wait_closed()[0] == CloseCode.PROTOCOL_ERROR


def test_a_fault_in_the_handler_fails_the_test_that_does_not_look() -> None:
    with pytest.raises(AssertionError), Server({"/shout": Shout}) as server:
        server.websocket("/shout").send("?")
        server.settle()
    with Server():
        pass  # and no later one


class Clumsy(EchoHandler):
    """Fails when it is told of the end."""

    def on_closed(self, code: int, reason: str) -> None:
        raise ValueError(code)


def test_a_fault_in_the_handler_at_the_servers_end_fails_the_test_too() -> None:
    with pytest.raises(ValueError, match="1006"), Server({"/clumsy": Clumsy}) as server:
        server.websocket("/clumsy")


def test_what_a_test_says_itself_comes_before_a_fault_in_the_handler() -> None:
    with pytest.raises(KeyError), Server({"/shout": Shout}) as server:
        server.websocket("/shout").send("?")
        server.settle()
        raise KeyError


def test_a_handshake_without_an_answer_is_told() -> None:
    with Server(faults=NetworkFaults(reset_chance=1.0)) as server:
        with pytest.raises(UpgradeRefused, match="ended in the handshake") as refused:
            server.websocket()
        assert (refused.value.status, refused.value.body) == (0, "")


def test_who_waits_in_vain_is_told_in_virtual_time() -> None:
    with Server() as server, server.websocket() as socket, server.client() as client:
        began_s = server.clock.now()
        with pytest.raises(TimeoutError, match=r"no message after 5\.0 s of virtual time"):
            socket.receive(within_s=5.0)
        with pytest.raises(TimeoutError, match="no publication in news after"):
            client.receive_publication("news", within_s=5.0)
        assert server.clock.now() - began_s == pytest.approx(10.0)


def test_clients_talk_and_the_operator_too() -> None:
    with Server() as server:
        anna, ben = server.client("anna", data={"nick": "a"}), TestClient(server, "ben")
        assert ben.connected["client"] != anna.connected["client"]
        for client in (anna, ben):
            client.subscribe("chat:lobby")
        assert {each["user"] for each in anna.presence("chat:lobby").values()} == {"anna", "ben"}
        assert anna.publish("chat:lobby", {"n": 1})["offset"] == 1
        server.publish("chat:lobby", {"n": 2})
        assert ben.receive_publication("chat:lobby") == {"n": 1}
        assert ben.publications() == [{"n": 2}]
        assert ben.publications("chat:lobby") == []
        assert len(anna.history("chat:lobby")["publications"]) == 2
        ben.unsubscribe("chat:lobby")
        assert any("leave" in push for push in anna.pushes)
        server.api("disconnect", user="ben")
        assert ben.wait_closed()[0] == 3503
        with pytest.raises(ConnectionClosed):
            ben.publish("chat:lobby", 3)
        with pytest.raises(ConnectionClosed):
            ben.receive_publication()


def test_what_was_missed_is_received_first() -> None:
    with Server() as server:
        anna = server.client("anna")
        position = anna.subscribe("news")
        anna.wire.vanish()
        for number in range(3):
            server.publish("news", number)
        again = server.client("anna")
        known = {"offset": position.get("offset", 0), "epoch": position["epoch"]}
        assert again.subscribe("news", recover=True, **known)["recovered"]
        server.publish("news", 3)
        assert [again.receive_publication() for _ in range(4)] == [0, 1, 2, 3]


def test_a_command_that_is_refused_says_why() -> None:
    with Server(namespaces={"": Namespace(allow_subscribe_for_client=True)}) as server:
        client = server.client()
        with pytest.raises(CommandRefused) as refused:
            client.subscribe("news")
        assert refused.value.code == 103
        assert server.client("anna").subscribe("news") is not None
        with pytest.raises(CommandRefused):
            server.api("publish", channel="", data=1)
        with pytest.raises(ConnectionClosed) as closed:
            server.client(token="another's")
        assert closed.value.code == 3500


class Doors(NoTokens):
    def verify_connection(self, token: str, unix_s: float) -> Identity:
        return Identity("of " + token)


def test_a_verifier_of_ones_own_judges() -> None:
    with Server(options=Options(dev=True, verifier=Doors())) as server:
        client = server.client(token="theirs")
        client.subscribe("news")
        assert [each["user"] for each in client.presence("news").values()] == ["of theirs"]


def test_functions_stand_for_the_operators_application() -> None:
    asked: list[Any] = []

    def rpc(question: Any) -> object:
        asked.append(question["method"])
        return {"result": {"data": sum(question["data"])}} if question["method"] == "sum" else HANG

    def subscribe(question: Any) -> object:
        if question["channel"] == "secret":
            return {"error": {"code": 403, "message": "not you"}}
        return {"result": {}}

    with Server(answers={"rpc": rpc, "subscribe": subscribe}) as server:
        client = server.client()
        assert client.rpc("sum", [1, 2, 3]) == 6
        with pytest.raises(CommandRefused, match="internal server error"):
            client.rpc("hang")
        assert asked == ["sum", "hang"]
        client.subscribe("open")
        with pytest.raises(CommandRefused, match="403 not you"):
            client.subscribe("secret")
    with pytest.raises(ValueError, match="nobody asks 'rcp'"):
        Server(answers={"rcp": rpc})


@pytest.mark.parametrize("answer", [lambda _: 1 / 0, lambda _: {"result": object()}])
def test_a_fault_in_such_a_function_is_logged_and_the_server_goes_on(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(answers={"rpc": answer}, raises_faults=False) as server:
        client = server.client()
        began_s = server.clock.now()
        with pytest.raises(CommandRefused, match="internal server error"):
            client.rpc("sum")
        assert server.clock.now() - began_s < 1, "it is not waited for"
        assert client.is_open
    assert "whoever answers /rpc raised" in caplog.text


def test_several_workers_are_one_domain() -> None:
    with Server(workers=2, seed=7) as server:
        anna, ben = server.client("anna", worker=0), server.client("ben", worker=1)
        ben.subscribe("chat:lobby")
        anna.publish("chat:lobby", "over there")
        assert ben.receive_publication() == "over there"
        server.api("disconnect", user="ben")
        assert ben.wait_closed()[0] == 3503
        assert anna.is_open


@pytest.mark.parametrize("channel", ["plain:x", "plain:*"])
def test_who_is_subscribed_on_a_worker_hears_of_what_is_published_from_then_on(channel: str) -> None:
    """Though nothing is kept, and whoever publishes is in another process: here the hub process itself."""
    rules = Namespace(allow_subscribe_for_client=True, allow_wildcard=True)
    with Server(namespaces={"plain": rules}, workers=2, seed=3) as server:
        for number in range(20):
            client = server.client(f"user {number}", worker=1)
            client.subscribe(channel)
            server.publish("plain:x", number)
            assert client.receive_publication(channel) == number
            client.close()


def test_a_worker_that_is_not_there_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        Server(workers=0)
    with Server(workers=2) as server, pytest.raises(ValueError, match="no worker 2: they are 0 to 1"):
        server.socket(worker=2)


def test_time_passes_only_when_it_is_waited_for() -> None:
    with Server() as server:
        assert isinstance(server.clock, VirtualClock)
        client = server.client()
        began_s, unix_s = server.clock.now(), server.clock.unix_s()
        server.clock.sleep(3600.0)
        assert server.clock.now() - began_s == pytest.approx(3600.0)
        assert server.clock.unix_s() - unix_s == pytest.approx(3600.0)
        assert client.is_open and client.wire.heartbeats > 100


def test_a_client_with_protocol_code_of_its_own_gets_a_socket() -> None:
    with Server() as server:
        sock = server.socket()
        theirs = WSConnection(ConnectionType.CLIENT)
        sock.send(theirs.send(Request(host="test", target="/echo")))
        server.settle()
        theirs.receive_data(sock.recv(65536))
        assert isinstance(next(iter(theirs.events())), AcceptConnection)
        sock.send(theirs.send(Message(data="hello")))
        server.settle()
        theirs.receive_data(sock.recv(65536))
        event = next(iter(theirs.events()))
        assert isinstance(event, TextMessage) and event.data == "hello"
        sock.close()


def test_a_socket_that_was_left_open_is_told() -> None:
    server = Server()
    server.socket()
    with pytest.raises(AssertionError, match="left open"):
        server.close()


def test_what_a_test_says_comes_before_what_it_left_open() -> None:
    with pytest.raises(ZeroDivisionError), Server() as server:
        server.socket()
        raise ZeroDivisionError


def test_one_seed_is_one_history() -> None:
    def history(seed: int) -> list[object]:
        rough = NetworkFaults(max_delay_s=0.5, max_read_bytes=20)
        with Server(seed=seed, faults=rough) as server:
            client = server.client("anna")
            client.subscribe("news")
            client.publish("news", 1)
            return [client.receive_publication(), server.clock.now(), client.connected["client"]]

    assert history(1) == history(1) != history(2)


def test_no_thread_runs_and_nothing_is_collected_as_a_test() -> None:
    with Server(answers={"rpc": lambda _: {"result": {}}}) as server:
        server.client().rpc("anything")
        assert threading.active_count() == 1 or "wsloop" not in str(threading.enumerate())
    assert TestClient.__test__ is TestSocket.__test__ is False


def test_the_package_loads_its_names_when_they_are_used() -> None:
    script = (
        "import sys, wsloop.testing as t\n"
        "print(sorted(m for m in sys.modules if m.startswith('wsloop')))\n"
        "print(all(getattr(t, name) for name in t.__all__), hasattr(t, 'Nobody'))\n"
        "print('hypothesis' in sys.modules, 'asyncio' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['wsloop', 'wsloop.testing']\nTrue False\nFalse False\n"
