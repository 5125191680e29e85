"""TERM, INT and QUIT: how a daemon stops, seen from outside."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.system.daemon import Daemon
from tests.system.peers import close_of, open_echo, open_messaging, raw, says
from wsloop.daemon.signals import SAME_WITHIN_S
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_TEXT

pytestmark = pytest.mark.system

MESSAGING_SHUTDOWN = (3001, "shutdown")
ECHO_SHUTDOWN = (1012, "shutdown")
IN_TIME = "stopped"
CUT_SHORT = "stopping now"


def assert_ended_well(daemon: Daemon, *, cut_short: bool) -> None:
    assert daemon.wait() == 0
    log = daemon.stderr()
    assert "Traceback" not in log
    assert IN_TIME in log
    assert (CUT_SHORT in log) is cut_short, log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_close_every_client_in_its_own_words_and_exit_with_0(number: signal.Signals) -> None:
    with (
        Daemon() as daemon,
        open_echo(daemon) as echo,
        open_messaging(daemon) as ann,
        open_messaging(daemon) as ben,
    ):
        daemon.send_signal(number)
        assert close_of(echo) == ECHO_SHUTDOWN
        assert close_of(ann) == MESSAGING_SHUTDOWN
        assert close_of(ben) == MESSAGING_SHUTDOWN
        assert_ended_well(daemon, cut_short=False)


def test_without_clients_it_ends_at_once() -> None:
    with Daemon() as daemon:
        daemon.send_signal(signal.SIGTERM)
        assert_ended_well(daemon, cut_short=False)


def test_what_was_asked_before_the_signal_is_answered_before_the_close() -> None:
    with Daemon() as daemon, raw(daemon) as peer:
        peer.send(OPCODE_TEXT, b"one")
        assert peer.read_frame() == (OPCODE_TEXT, b"one")
        daemon.send_signal(signal.SIGTERM)
        assert peer.read_frame() == (OPCODE_CLOSE, b"\x03\xf4shutdown")
        peer.send(OPCODE_CLOSE, b"\x03\xf4")
        assert peer.read_to_end() == b""
        assert_ended_well(daemon, cut_short=False)


def test_while_it_drains_nobody_new_is_let_in() -> None:
    with Daemon() as daemon, raw(daemon) as stubborn:
        daemon.send_signal(signal.SIGTERM)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE  # so the drain has begun, and waits for an answer
        assert daemon.is_running
        with pytest.raises(ConnectionRefusedError):
            daemon.connect()
        stubborn.send(OPCODE_CLOSE, b"\x03\xf4")
        assert_ended_well(daemon, cut_short=False)


def test_a_peer_that_does_not_answer_the_close_is_dropped_long_before_the_window_ends() -> None:
    with Daemon("--timeout-graceful-shutdown", "3600") as daemon, raw(daemon) as stubborn:
        daemon.send_signal(signal.SIGTERM)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE
        assert stubborn.read_to_end() == b""  # nothing is sent: only the close deadline can end this
        assert_ended_well(daemon, cut_short=False)


@pytest.mark.usefixtures("measured")
def test_when_the_window_is_over_those_who_are_left_are_dropped() -> None:
    with Daemon("--timeout-graceful-shutdown", "0.1") as daemon, raw(daemon) as stubborn:
        daemon.send_signal(signal.SIGTERM)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE
        assert stubborn.read_to_end() == b""
        assert_ended_well(daemon, cut_short=True)
        assert "1 connections dropped" in daemon.stderr()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_the_drain_at_once(second: signal.Signals) -> None:
    with Daemon("--timeout-graceful-shutdown", "3600") as daemon, raw(daemon) as stubborn:
        daemon.send_signal(signal.SIGINT)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE
        time.sleep(SAME_WITHIN_S)
        daemon.send_signal(second)
        assert_ended_well(daemon, cut_short=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_wish_that_two_pass_on_is_a_drain(workers: str) -> None:
    with Daemon("--workers", workers) as daemon, raw(daemon) as peer:
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGTERM)
        assert peer.read_frame() == (OPCODE_CLOSE, b"\x03\xf4shutdown")
        daemon.send_signal(signal.SIGINT)
        peer.send(OPCODE_CLOSE, b"\x03\xf4")
        assert peer.read_to_end() == b""
        assert_ended_well(daemon, cut_short=False)


def test_quit_stops_without_a_word() -> None:
    with Daemon() as daemon, raw(daemon) as peer:
        daemon.send_signal(signal.SIGQUIT)
        assert peer.read_to_end() == b""
        assert_ended_well(daemon, cut_short=True)


def test_a_connection_in_the_middle_of_its_request_does_not_hold_up_the_end() -> None:
    with Daemon() as daemon, open_echo(daemon) as polite, daemon.connect() as sock:
        sock.sendall(b"GET /echo HTTP/1.1\r\nHost:")
        assert says(polite, "accepted by now?") == "accepted by now?"
        daemon.send_signal(signal.SIGTERM)
        assert close_of(polite) == ECHO_SHUTDOWN
        assert_ended_well(daemon, cut_short=False)


def test_the_unix_socket_is_gone_after_a_drain_and_a_stale_one_is_replaced_after_a_kill() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wsloop.sock"
        with Daemon(uds=str(path)) as daemon:
            assert path.is_socket()
            daemon.kill()
            assert path.is_socket()
            daemon.start()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU])
@pytest.mark.usefixtures("measured")
def test_a_daemon_of_one_process_says_that_it_has_no_workers_and_goes_on(number: signal.Signals) -> None:
    with Daemon() as daemon, open_echo(daemon) as echo:
        daemon.send_signal(number)
        assert says(echo, "?") == "?"
        daemon.send_signal(signal.SIGTERM)
        assert close_of(echo) == ECHO_SHUTDOWN
        assert_ended_well(daemon, cut_short=False)
        assert "the daemon was started with one process" in daemon.stderr()
