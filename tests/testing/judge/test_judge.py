"""The judge finds every planted fault, tells it by a short conversation, and nothing where nothing is."""

from __future__ import annotations

import functools
import socket
import threading
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.testing.judge.servers import EchoSocket, dialer
from wsloop.testing.deflating import DeflateParameters
from wsloop.testing.judge import __main__ as program
from wsloop.testing.judge import player as players
from wsloop.testing.judge.agreements import IllegalAnswerError, agreement, objection
from wsloop.testing.judge.conversation import OPEN, Answer, Conversation, Transcript
from wsloop.testing.judge.player import Player, parse_address
from wsloop.testing.judge.report import report
from wsloop.testing.judge.search import Case, search
from wsloop.testing.strategies.conversing import groups
from wsloop.testing.wire import Frame, binary, ping, text

GROUPS = groups("localhost", "/")


PATIENCE_S = 60.0
"""No test waits for it: the sockets time out at once. It is more than a busy machine takes to read."""


def player(*faults: str, deflates: bool = True) -> Player:
    return Player(cast(Any, dialer(*faults, deflates=deflates)), PATIENCE_S, lambda _: None)


def judge(group: str, *faults: str, count: int = 40, most: int = 2) -> list[Case]:
    return search(player(*faults).play, GROUPS[group], set(), count=count, seed=1, most=most)


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_is_found_where_nothing_is(group: str) -> None:
    assert search(player().play, GROUPS[group], set(), count=25, seed=1) == []
    assert search(player(deflates=False).play, GROUPS[group], set(), count=10, seed=2) == []


def test_what_has_come_is_read_though_time_is_over() -> None:
    late = Player(cast(Any, dialer()), 0.0, lambda _: None)
    assert search(late.play, GROUPS["messages"], set(), count=25, seed=1) == []


def test_a_server_that_says_nothing_in_time_has_not_reset_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assert Player(lambda: ours, 0.0).play(Conversation((ping(b"?"),))).end == OPEN


@pytest.mark.parametrize(
    ("fault", "group", "level", "rule"),
    [
        ("no handshake", "handshakes", "must", "a right handshake is answered with 400"),
        ("other accept", "handshakes", "must", "Sec-WebSocket-Accept is not that of the key"),
        ("unasked extension", "handshakes", "must", "an extension is agreed to that was not offered"),
        ("unasked protocol", "handshakes", "must", "a subprotocol is chosen that was not offered"),
        ("masks", "messages", "must", "the server's own frames: a server's frame is masked"),
        ("loses a byte", "messages", "must", "a message comes back changed, or out of order"),
        ("loses the second", "messages", "must", "a message does not come back"),
        ("no pong", "messages", "must", "a ping is not answered"),
        ("no close frame", "messages", "must", "a close frame is not answered with one"),
        ("stays open", "messages", "must", "the connection is not ended after both close frames"),
    ],
)
def test_a_planted_fault_is_found(fault: str, group: str, level: str, rule: str) -> None:
    found = [(case.finding.level, case.finding.rule) for case in judge(group, fault)]
    assert (level, rule) in found


def test_a_window_larger_than_agreed_is_found() -> None:
    [case] = judge("compression", "larger window", count=200, most=1)
    assert (
        case.finding.rule == "the server's own frames: compressed data refers back beyond the agreed window"
    )
    assert any("server_max_window_bits" in each for _, each in case.heard.answer.headers)


def test_a_server_that_cuts_large_messages_is_found() -> None:
    [case] = judge("large messages", "cuts large ones", most=1)
    assert case.finding.rule == "a message comes back changed, or out of order"
    assert case.said.frames in ((text("a" * 65536),), (binary(bytes(65536)),))
    assert "client: text('a' * 65536)" in report([case]) or "client: binary(b'\\x00' * 65536)" in report(
        [case]
    )


def test_a_server_that_agrees_to_broken_offers_is_told_so() -> None:
    found = {case.finding.rule for case in judge("broken handshakes", "any offer", count=60, most=2)}
    assert any(rule.startswith("an offer is agreed to though") for rule in found), found


def test_a_server_that_takes_any_handshake_is_told_each_rule() -> None:
    found = {case.finding.rule for case in judge("broken handshakes", "any handshake", most=8)}
    assert "a handshake is accepted though there is no Host" in found
    assert "a handshake is accepted though the key is not 16 bytes in base64" in found
    assert len(found) >= 6


@pytest.mark.parametrize(
    ("fault", "level", "ending"),
    [
        ("never fails", "must", "the connection is not failed"),
        ("takes it for a message", "must", "it is taken for a message"),
        ("fails silently", "should", "a connection is failed without a close frame"),
        ("other code", "should", "the close code is 1011, not 1002"),
    ],
)
def test_a_fault_that_is_not_met_rightly_is_found(fault: str, level: str, ending: str) -> None:
    cases = judge("broken frames", fault, count=30, most=1)
    assert any(case.finding.level == level and case.finding.rule.endswith(ending) for case in cases), [
        case.finding for case in cases
    ]


@pytest.mark.parametrize("plays", [0, 5, 30])
def test_when_its_time_is_over_a_group_ends_with_what_was_found(plays: int) -> None:
    silent = player("stays open")
    found = search(
        silent.play,
        GROUPS["messages"],
        set(),
        count=40,
        seed=1,
        is_over=lambda: silent.played >= plays,
    )
    assert silent.played == plays
    assert [case.finding.rule for case in found] == [
        "the connection is not ended after both close frames"
    ] * bool(plays)
    assert all(case.is_steady for case in found)


def test_the_conversation_told_is_the_shortest() -> None:
    [case] = judge("messages", "loses a byte", count=100, most=1)
    assert case.said.frames in ((text("0"),), (binary(b"\0"),))
    [frame] = case.said.frames
    assert isinstance(frame, Frame)
    assert case.is_steady
    assert report([case]).splitlines()[1:] == [
        "1. must: a message comes back changed, or out of order (this is an echo server)",
        f"   client: {frame}",
        f"   server: {Frame(frame.opcode)}",
        "   server: close(1000)",
        "           (end of the connection)",
    ]


def test_what_is_cut_and_said_at_once_is_told() -> None:
    said = Conversation((ping(b"?"), Frame(3)), at_once=True, offer=DeflateParameters(client_limits=True))
    heard = player().play(said)
    told = report([Case(judge("messages", "no pong")[0].finding, said, heard, False)])
    assert "client: offers permessage-deflate; client_max_window_bits" in told
    assert "(all at once, without waiting for answers)" in told
    assert "(not each time)" in told


def test_a_busy_server_is_asked_again() -> None:
    class Busy(EchoSocket):
        left = 3

        def sendall(self, data: bytes) -> None:
            if Busy.left:
                Busy.left -= 1
                self._output += b"HTTP/1.1 503 Busy\r\n\r\n"
                self._is_ended = True
            else:
                super().sendall(data)

    waited: list[float] = []
    heard = Player(cast(Any, Busy), 0.01, waited.append).play(Conversation((text("a"),)))
    assert heard.answer.status == 101
    assert waited.count(players.RETRY_S) == 3


def test_a_reset_is_told_and_no_fault_by_itself() -> None:
    class Resets(EchoSocket):
        def recv(self, count: int) -> bytes:
            if self._is_ended:
                raise ConnectionResetError
            return super().recv(count)

    heard = Player(cast(Any, Resets), 0.01, lambda _: None).play(Conversation((Frame(3),)))
    assert heard.end == "the connection is reset"


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("x-other", "was not offered"),
        ("permessage-deflate, permessage-deflate", "more than one"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "named twice"),
        ("permessage-deflate; server_max_window_bits=16", "from 8 to 15"),
        ("permessage-deflate; server_max_window_bits", "from 8 to 15"),
        ("permessage-deflate; server_no_context_takeover=1", "has one"),
        ("permessage-deflate; windows=9", "not known"),
    ],
)
def test_an_illegal_answer_to_an_offer(header: str, why: str) -> None:
    with pytest.raises(IllegalAnswerError, match=why):
        agreement(Answer(101, (("sec-websocket-extensions", header),)))


@pytest.mark.parametrize(
    ("offer", "agreed", "why"),
    [
        (DeflateParameters(server_no_takeover=True), DeflateParameters(), "server_no_context_takeover"),
        (DeflateParameters(server_bits=9), DeflateParameters(server_bits=10), "server's window"),
        (DeflateParameters(), DeflateParameters(client_bits=10), "did not offer"),
        (DeflateParameters(client_bits=9), DeflateParameters(client_bits=10), "client's window"),
        (None, DeflateParameters(), "was not offered"),
    ],
)
def test_an_answer_that_does_not_fit(
    offer: DeflateParameters | None, agreed: DeflateParameters, why: str
) -> None:
    assert why in (objection(offer, agreed) or "")
    assert objection(offer, None) is None


def test_addresses() -> None:
    assert parse_address("ws://h/a?b").target == "/a?b"
    assert parse_address("ws://h").authority == "h:80"
    assert parse_address("wss://h:1/").is_tls
    for url in ("http://h/", "ws:///x", "h", "ws://h:0/"):
        with pytest.raises(ValueError, match="not a WebSocket address"):
            parse_address(url)
    assert parse_address("ws://[::1]:80/").authority == "[::1]:80"
    assert parse_address("ws://h/\u20ac?a=%20[b]").target == "/%E2%82%AC?a=%20[b]"
    with pytest.raises(ValueError, match="not the name of a host"):
        parse_address("ws://.../")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program.main, arguments)


def test_the_command_ends_with_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "ws://127.0.0.1:1/"
    fast = functools.partial(Player, sleep=lambda _: None)
    monkeypatch.setattr(program, "Player", lambda dial, patience: fast(dial, 0.01))
    monkeypatch.setattr(program, "dial", lambda *_: EchoSocket())
    right = run(url, "--count", "5")
    assert right.exit_code == 0, right.output
    assert "broken compression" in right.output
    monkeypatch.setattr(program, "dial", lambda *_: EchoSocket(("fails silently",)))
    monkeypatch.setattr(program, "search", functools.partial(search, most=1))
    wrong = run(url, "--count", "5", "--only", "broken frames")
    assert wrong.exit_code == 1
    assert "failed without a close frame" in wrong.output
    assert "should: the RFCs say SHOULD" in wrong.output
    mild = run(url, "--count", "5", "--only", "broken frames", "--level", "must")
    assert mild.exit_code == 0, mild.output


def test_the_command_refuses_what_it_cannot_do() -> None:
    assert run("http://x/").exit_code == 2
    assert "there are handshakes" in run("ws://127.0.0.1:1/", "--only", "nothing").output
    nobody = run("ws://127.0.0.1:1/", "--count", "1")
    assert nobody.exit_code == 3
    assert "does not answer" in nobody.output


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "a plain handshake is not answered"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "a plain handshake is answered with 404"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "a plain message does not come back"),
    ],
)
def test_nobody_is_judged_who_is_no_echo_server(
    answer: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(EchoSocket):
        def sendall(self, _data: bytes) -> None:
            if not self._is_ended:
                self._output, self._is_ended = answer, True

    monkeypatch.setattr(program, "dial", lambda *_: Other())
    given_up = run("ws://127.0.0.1:1/there")
    assert given_up.exit_code == 3
    assert told in given_up.output
    assert "/there" in given_up.output


def test_a_real_socket_is_dialled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []
        thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
        thread.start()
        address = parse_address(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        with players.dial(address) as sock:
            thread.join()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            accepted[0].close()
            assert sock.recv(1) == b""


def test_a_transcript_without_frames_has_no_fault() -> None:
    assert Transcript(Answer(400)).fault is None
