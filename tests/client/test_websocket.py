"""An outbound WebSocket in virtual time: frames both ways, every way to fail, every way to end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.messaging_kit import ADDRESS
from tests.transport.tls_kit import HOST, authority, certificates
from wsloop.client.backoff import Backoff, fraction
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer, Ending, WebSocket, WsState, WsStep
from wsloop.errors import ConfigError, HttpError, StateError, UsageError
from wsloop.server.assembly import Options
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wsloop.client.names import Found

ECHO = "/echo"


class Hosts:
    """Names with the addresses that the test says."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def resolve(self, _host: str, found: Found) -> None:
        found(self.hosts or HttpError("no such host"))


class Peer:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.opened = 0
        self.messages: list[str | bytes | bytearray] = []
        self.ended: list[Ending] = []

    def on_open(self, _ws: WebSocket) -> None:
        self.opened += 1

    def on_message(self, _ws: WebSocket, message: str | bytes | bytearray) -> None:
        self.messages.append(message)

    def on_closed(self, _ws: WebSocket, ending: Ending) -> None:
        self.ended.append(ending)


class World(MemoryServer):
    def dialer(self, *hosts: str, ca_file: str = "") -> Dialer:
        names = Hosts(*(hosts or ("127.0.0.1",)))
        return Dialer(self.reactor, self.network, names, random.Random(5).randbytes, ca_file=ca_file)

    def opened(self, url: str = ADDRESS, *, dialer: Dialer | None = None) -> tuple[WebSocket, Peer]:
        peer = Peer()
        ws = (dialer or self.dialer()).dial(parse_ws_url(url, ECHO), peer)
        self.run_until(lambda: peer.opened or peer.ended)
        return ws, peer


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


@given(
    st.integers(0, 2**32),
    st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=20), st.just(b"x" * 70_000)), max_size=6),
    st.builds(
        NetworkFaults,
        max_delay_s=st.sampled_from([0.0, 0.1]),
        max_read_bytes=st.sampled_from([None, 300, 5000]),
        max_write_bytes=st.sampled_from([None, 3000]),
        eagain_chance=st.sampled_from([0.0, 0.2]),
    ),
)
@settings(max_examples=20, deadline=None)
def test_what_is_sent_comes_back_whatever_the_cuts(
    seed: int, messages: list[str | bytes], faults: NetworkFaults
) -> None:
    with World(seed, faults=faults) as world:
        ws, peer = world.opened()
        for message in messages:
            if isinstance(message, str):
                ws.send_text(message)
            else:
                ws.send_binary(message)
        world.run_until(lambda: len(peer.messages) == len(messages))
        assert peer.messages == messages
        assert ws.waiting_bytes == 0
        ws.ping(b"there?")
        ws.close(1000, "done")
        world.run_until(lambda: peer.ended)
        assert peer.ended == [Ending(1000, "", is_peers=True)]


def test_a_unix_socket_is_dialled_by_its_path(world: World) -> None:
    world.server.listen(UnixBind("/run/wsloop.sock"))
    ws, _ = world.opened("unix:/run/wsloop.sock")
    assert ws.state is WsState.OPEN


def test_a_second_address_is_tried_where_the_first_refuses(world: World) -> None:
    ws, peer = world.opened("ws://somewhere:8765", dialer=world.dialer("127.0.0.9", "127.0.0.1"))
    assert (ws.state, peer.ended) == (WsState.OPEN, [])


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "unix:/nowhere"])
def test_a_server_that_is_not_there(world: World, url: str) -> None:
    _, peer = world.opened(url)
    assert peer.ended == [Ending(1006, "ECONNREFUSED")]


def test_a_name_that_is_not_known(world: World) -> None:
    dialer = world.dialer()
    dialer.names = Hosts()
    _, peer = world.opened("ws://nowhere.test", dialer=dialer)
    assert peer.ended == [Ending(1006, "no such host")]


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(world: World) -> None:
    world.network.listen(TcpBind("127.0.0.1", 9999))
    peer, started_s = Peer(), world.clock.now()
    world.dialer().dial(parse_ws_url("ws://127.0.0.1:9999", ECHO), peer)
    world.run_until(lambda: peer.ended)
    assert peer.ended == [Ending(1006, "timed out while connecting")]
    assert 10.0 <= world.clock.now() - started_s < 10.1


def test_a_header_that_cannot_be_sent_ends_it(world: World) -> None:
    peer = Peer()
    world.dialer().dial(parse_ws_url(ADDRESS, ECHO), peer, (("X-A", "a\r\nb"),))
    world.run_until(lambda: peer.ended)
    assert peer.ended == [Ending(1006, "the request is not valid HTTP")]


def test_nothing_may_be_sent_before_it_is_open_nor_after_it_closes(world: World) -> None:
    peer = Peer()
    ws = world.dialer().dial(parse_ws_url(ADDRESS, ECHO), peer)
    with pytest.raises(StateError):
        ws.send_text("early")
    world.run_until(lambda: peer.opened)
    ws.close()
    ws.close()
    with pytest.raises(StateError):
        ws.send_binary(b"late")


def test_closing_before_it_is_open_is_told_and_aborting_is_not(world: World) -> None:
    closed, aborted = Peer(), Peer()
    world.dialer().dial(parse_ws_url(ADDRESS, ECHO), closed).close()
    ws = world.dialer().dial(parse_ws_url(ADDRESS, ECHO), aborted)
    ws.abort()
    ws.abort()
    world.run_for(20)
    assert [ending.reason for ending in closed.ended] == ["given up before it was open"]
    assert (aborted.opened, aborted.ended) == (0, [])


def test_a_peer_that_never_answers_our_close_is_dropped_in_time(world: World) -> None:
    ws, peer = world.opened()
    connection = world.server.registry.snapshot()[0]
    world.reactor.set_interest(connection._transport.fileno(), 0)
    started_s = world.clock.now()
    ws.close()
    world.run_until(lambda: peer.ended)
    assert peer.ended == [Ending(1006, "no close frame came")]
    assert 5.0 <= world.clock.now() - started_s < 5.1


def test_a_reset_is_an_end_without_a_code(world: World) -> None:
    _, peer = world.opened()
    world.server.registry.snapshot()[0].drop()
    world.run_until(lambda: peer.ended)
    assert peer.ended[0].code == 1006
    assert not peer.ended[0].is_peers


def test_an_owner_that_raises_ends_its_own_connection_only(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Peer):
        def on_message(self, _ws: WebSocket, message: str | bytes | bytearray) -> None:
            raise RuntimeError("a bug")

    peer, other = Broken(), Peer()
    ws = world.dialer().dial(parse_ws_url(ADDRESS, ECHO), peer)
    good = world.dialer().dial(parse_ws_url(ADDRESS, ECHO), other)
    world.run_until(lambda: peer.opened and other.opened)
    ws.send_text("boom")
    good.send_text("still here")
    world.run_until(lambda: peer.ended and other.messages)
    assert peer.ended == [Ending(1011, "internal error")]
    assert "a bug" in caplog.text


# -- over TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_read_bytes", [None, 13])
def test_wss_is_checked_against_the_authority(tmp_path: Path, max_read_bytes: int | None) -> None:
    faults = NetworkFaults(max_read_bytes=max_read_bytes)
    with World(faults=faults, options=Options(dev=True, certificates=certificates())) as world:
        ca_file = tmp_path / "ca.pem"
        authority().cert_pem.write_to_path(str(ca_file))
        url = f"wss://{HOST}:8765"
        dialer = world.dialer(ca_file=str(ca_file))
        world.opened(url, dialer=dialer)[0].abort()
        ws, peer = world.opened(url, dialer=dialer)
        ws.send_text("secret")
        world.run_until(lambda: peer.messages)
        assert peer.messages == ["secret"]
        ws.close()
        world.run_until(lambda: peer.ended)
        _, stranger = world.opened(url, dialer=world.dialer())
        assert stranger.ended[0].reason == "CERTIFICATE_VERIFY_FAILED"


def test_an_authority_that_cannot_be_read_is_told_at_once(world: World) -> None:
    with pytest.raises(ConfigError):
        world.opened("wss://127.0.0.1", dialer=world.dialer(ca_file="/nowhere.pem"))


# -- addresses and waits --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ws://a", "http://a:80/default"),
        ("ws://a/", "http://a:80/default"),
        ("wss://a:9/x?y", "https://a:9/x"),
        ("unix:/run/a.sock", "http://unix:/run/a.sock/default"),
        ("unix:/run/a.sock:/x", "http://unix:/run/a.sock/x"),
        ("ws://[::1]:7", "http://[::1]:7/default"),
    ],
)
def test_an_address_of_a_websocket(text: str, told: str) -> None:
    assert str(parse_ws_url(text, "/default")) == told


@pytest.mark.parametrize("text", ["", "a", "http://a", "ws://", "ws://u:p@a", "unix:relative", "ws://a:0"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        parse_ws_url(text, "/")


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_a_wait_is_never_shorter_or_longer_than_it_may_be(failures: int, entropy: bytes) -> None:
    assert 0.5 <= Backoff().delay_s(failures, fraction(entropy)) <= 20.0


def test_a_ping_is_answered(world: World) -> None:
    ws, peer = world.opened()
    connection = world.server.registry.snapshot()[0]
    connection.send_ping()
    world.run_for(60.0)  # a peer that does not answer is closed
    assert (ws.state, peer.ended) == (WsState.OPEN, [])


def test_our_own_ping_is_answered_and_nobody_is_told(world: World) -> None:
    ws, peer = world.opened()
    ws.ping(b"there?")
    world.run_for(1.0)
    assert (ws.state, peer.messages, peer.ended) == (WsState.OPEN, [], [])


def test_an_address_that_is_found_too_late_is_not_dialled(world: World) -> None:
    waiting: list[Found] = []

    class Slow:
        def resolve(self, _host: str, found: Found) -> None:
            waiting.append(found)

    dialer, peer = world.dialer(), Peer()
    dialer.names = Slow()
    ws = dialer.dial(parse_ws_url("ws://somewhere:8765", ECHO), peer)
    world.run_until(lambda: waiting)
    ws.close()
    ws.close()
    world.run_for(1.0)
    waiting.pop()(("127.0.0.1",))
    world.run_for(1.0)
    assert [ending.reason for ending in peer.ended] == ["given up before it was open"]
    assert world.server.registry.snapshot() == []


def test_an_owner_that_aborts_hears_no_more(world: World) -> None:
    class Impatient(Peer):
        def on_message(self, ws: WebSocket, message: str | bytes | bytearray) -> None:
            super().on_message(ws, message)
            ws.abort()

    peer = Impatient()
    ws = world.dialer().dial(parse_ws_url(ADDRESS, ECHO), peer)
    world.run_until(lambda: peer.opened)
    for text in ("one", "two", "three"):
        ws.send_text(text)
    world.run_for(1.0)
    assert (peer.messages, peer.ended) == (["one"], [])


def test_an_answer_before_the_question_is_none(world: World) -> None:
    """Whoever sends at once is no server of WebSocket."""
    listener = world.network.listen(TcpBind("127.0.0.1", 9999))
    peer = Peer()
    world.dialer().dial(parse_ws_url("ws://127.0.0.1:9999", ECHO), peer)
    accepted: list[object] = []

    def greet() -> bool:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return False
        sock.send(b"220 mail.example ESMTP\r\n\r\n")
        accepted.append(sock)
        return True

    world.run_until(greet)
    world.run_until(lambda: peer.ended)
    assert peer.opened == 0
    assert accepted


def test_a_step_that_the_table_does_not_have_is_a_mistake(world: World) -> None:
    ws, _ = world.opened()
    ws.abort()
    with pytest.raises(StateError):
        ws._step(WsStep.TAKEN)
