"""The flight recorder: what it keeps of whom, what it costs nobody else, and that it ends."""

from __future__ import annotations

import base64
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.tls_client import TlsMemoryClient, tls_server
from tests.transport.tls_kit import write_pair
from wsloop.hub.operations.requests import RecordRequest
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.frames import RSV1
from wsloop.protocol.limits import Limits
from wsloop.server import recorder
from wsloop.server.assembly import Options
from wsloop.server.forwarded import Proxies
from wsloop.testing import CommandRefused, Server, UpgradeRefused
from wsloop.testing.client import masked_frame
from wsloop.testing.deflating import deflated
from wsloop.testing.network import NetworkFaults
from wsloop.transport.certificates import Certificates
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from wsloop.testing import TestSocket


class Tape:
    """A recording of a server's, as `wsloop ctl record` makes it."""

    def __init__(self, server: Server, **order: object) -> None:
        self.server = server
        self.lines: list[dict[str, Any]] = []
        self.over = ""
        self.begun = server.api("record", recording="r1", **order)

    def take(self, *, stop: bool = False) -> None:
        found = self.server.api("recorded", recording="r1", stop=stop)
        self.lines += found["lines"]
        self.over = found.get("over", "")

    def finish(self) -> Tape:
        self.take(stop=True)
        while not self.over:
            self.take()
        return self

    def stream(self, kind: str, connection: str = "") -> bytes:
        """Return all that went one way, of one connection if it is named."""
        lines = [line for line in self.lines if line["kind"] == kind and line["c"].endswith(connection)]
        lines.sort(key=lambda line: int(line["n"]))
        return b"".join(base64.b64decode(line["data"]) for line in lines)

    def kinds(self) -> Counter[str]:
        return Counter(line["kind"] for line in self.lines)

    def about(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = next(line["about"] for line in self.lines if line["kind"] == kind)
        return found


def wire_bytes(socket: TestSocket) -> tuple[list[bytes], list[bytes]]:
    """Return what a client will have sent and received from here on, at its own end."""
    sent: list[bytes] = []
    received: list[bytes] = []
    sock = socket.wire.sock

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

        def send(self, data: bytes) -> int:
            count = sock.send(data)
            sent.append(data[:count])
            return count

        def recv(self, size: int) -> bytes:
            received.append(sock.recv(size))
            return received[-1]

    socket.wire.sock = Listening()  # type: ignore[assignment]
    return sent, received


@settings(max_examples=25)
@given(st.lists(st.text(max_size=400) | st.binary(max_size=400), min_size=1, max_size=6), st.integers(0, 999))
def test_what_is_recorded_is_what_went_over_the_wire(messages: list[str | bytes], seed: int) -> None:
    rough = NetworkFaults(max_delay_s=0.1, max_read_bytes=70, max_write_bytes=60, eagain_chance=0.1)
    with Server(seed=seed, faults=rough) as server:
        socket = server.websocket()
        tape = Tape(server, address="127.0.0.1", redact=False)
        sent, received = wire_bytes(socket)
        for message in messages:
            socket.send(message)
        assert [socket.receive() for _ in messages] == messages
        tape.finish()
        assert tape.stream("in") == b"".join(sent)
        assert tape.stream("out") == b"".join(received)
        assert tape.about("begin")["is_whole"] is False
        socket.send("not any more")
        assert socket.receive() == "not any more"
        assert tape.over == "stopped"


def test_a_user_is_recorded_from_the_first_byte_and_nobody_else() -> None:
    with Server() as server:
        early = server.client("ben")
        tape = Tape(server, user="anna")
        anna, other = server.client("anna"), server.client("ben")
        for client in (anna, other, early):
            client.subscribe("news")
        server.clock.sleep(1.0)
        tape.take()
        anna.close()
        server.clock.sleep(1.0)
        tape.finish()
        assert len({line["c"] for line in tape.lines}) == 1
        assert tape.stream("in").startswith(b"GET /connection/websocket HTTP/1.1\r\n")
        assert tape.stream("out").startswith(b"HTTP/1.1 101 ")
        assert tape.about("begin")["user"] == "anna"
        assert tape.about("begin")["is_whole"] is True
        assert tape.about("end")["state"] == "closed"
        assert tape.kinds()["begin"] == tape.kinds()["end"] == 1


def test_who_was_there_before_is_recorded_from_a_messages_beginning() -> None:
    with Server() as server:
        client, socket = server.client("anna"), server.websocket()
        anna = client.connected["client"]
        socket.wire.send_frame(0x1, b"half a ", fin=False)
        server.settle()
        tape = Tape(server, address="127.0.0.1")
        client.publish("news", 1)
        socket.wire.send_frame(0x0, b"message")
        assert socket.receive() == "half a message"
        server.clock.sleep(0.5)
        socket.send("whole")
        assert socket.receive() == "whole"
        tape.finish()
        abouts = {line["c"]: line["about"] for line in tape.lines if line["kind"] == "begin"}
        mine = next(name for name, about in abouts.items() if about["client"] == anna)
        other = next(name for name in abouts if name != mine)
        assert b"publish" in tape.stream("out", mine)
        assert tape.stream("out", other)[2:] == b"whole"
        assert tape.kinds()["about"] == 2


def test_by_default_secrets_are_blotted_out_and_can_be_kept() -> None:
    with Server(options=Options(dev=True, messaging_deflate=DeflateOptions(min_bytes=1))) as server:
        for redact in (True, False):
            tape = Tape(server, user="anna", redact=redact)
            client = server.client("anna", headers=(("Authorization", "Bearer s3cret"),))
            server.clock.sleep(0.5)
            tape.finish()
            client.close()
            assert (b"Bearer s3cret" in tape.stream("in")) is not redact


@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_is_inflated_beyond_what_its_connection_takes(is_open: bool) -> None:
    deflate = DeflateOptions(min_bytes=2**31 - 1)  # the client in memory does not inflate
    options = Options(dev=True, echo_deflate=deflate, echo_limits=Limits(message_bytes=1000))
    offer = (("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover"),)
    with Server(options=options) as server:
        early = server.websocket("/echo", headers=offer) if is_open else None
        tape = Tape(server, address="127.0.0.1")
        socket = early or server.websocket("/echo", headers=offer)
        small, large = (deflated(b"{}".ljust(size)) for size in (1000, 1001))
        for packed in (small, large):
            frame = masked_frame(0x1, packed, b"\0\0\0\0")
            socket.wire.send_bytes(bytes([frame[0] | RSV1]) + frame[1:])
        assert socket.wait_closed()[0] == 1009
        tape.finish()
        assert small in tape.stream("in")
        assert tape.stream("in").endswith(b"*" * len(large))


def test_a_refused_upgrade_is_recorded() -> None:
    with Server() as server:
        tape = Tape(server, address="127.0.0.1")
        with pytest.raises(UpgradeRefused):
            server.websocket("/nowhere")
        server.clock.sleep(0.2)
        tape.finish()
        assert tape.stream("in").startswith(b"GET /nowhere")
        assert tape.stream("out").startswith(b"HTTP/1.1 404 ")


def test_behind_a_listed_proxy_the_address_is_the_clients() -> None:
    with Server(options=Options(dev=True, proxies=Proxies(["10.0.0.1"]))) as server:
        tape = Tape(server, address="192.0.2.7")
        for host in ("192.0.2.7", "192.0.2.8"):
            server.websocket(headers=(("X-Forwarded-For", host),), source_host="10.0.0.1")
        server.clock.sleep(0.5)
        tape.finish()
        assert tape.kinds()["begin"] == 1
        assert b"X-Forwarded-For: 192.0.2.7" in tape.stream("in")


def test_it_is_bounded_in_bytes() -> None:
    with Server() as server:
        socket = server.websocket()
        tape = Tape(server, address="127.0.0.1", max_bytes=1000)
        for _ in range(5):
            socket.send(b"x" * 300)
            socket.receive()
        tape.take()
        assert len(tape.stream("in")) + len(tape.stream("out")) == 1000
        assert tape.over == "it is full"
        tape = Tape(server, user="anna", max_bytes=100)
        server.client("anna")
        server.clock.sleep(0.5)
        tape.take()
        assert len(tape.stream("in")) + len(tape.stream("out")) == 100
        assert tape.over == "it is full"


def test_it_is_bounded_in_time_and_by_being_asked_for() -> None:
    with Server() as server:
        tape = Tape(server, user="nobody", seconds=5.0)
        server.clock.sleep(5.5)
        tape.take()
        assert tape.over == "its time is over"
        Tape(server, user="nobody", seconds=600.0)
        with pytest.raises(CommandRefused, match="another recording"):
            server.api("record", recording="r2", user="anna")
        server.clock.sleep(recorder.ABANDONED_S + 1.0)
        Tape(server, user="nobody").finish()
        assert server.api("recorded", recording="r9")["over"] == recorder.NO_SUCH


def test_one_connection_can_be_asked_for_and_what_it_is_about_must_be_said() -> None:
    with Server() as server:
        first, second = server.websocket(), server.websocket()
        number = max(each["connection"] for each in server.api("peers")["connections"])
        tape = Tape(server, connection=number)
        server.websocket()
        first.wire.send_frame(0x9, b"beat")
        for socket in (first, second):
            socket.send("hello")
            socket.receive()
        tape.finish()
        assert {line["c"].rpartition("/")[2] for line in tape.lines} == {str(number)}
        assert server.api("record", recording="r", node="another", user="anna") == {"processes": 0}
        with pytest.raises(CommandRefused, match="107"):
            server.api("record", recording="r")


def test_a_few_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(recorder, "MAX_UNKNOWN", 1)
    monkeypatch.setattr(recorder, "CONNECTIONS_PER_TURN", 1)
    with Server() as server:
        before = [server.client("anna") for _ in range(3)]
        tape = Tape(server, user="anna")
        server.clock.sleep(0.5)
        after = [server.client("anna") for _ in range(2)]
        server.clock.sleep(0.5)
        tape.finish()
        assert tape.kinds()["begin"] == 2
        assert all(client.is_open for client in before + after)


def taps(server: Server) -> int:
    """Return how many connections have another transport than the network's."""
    transports = [each._transport for each in server._workers[0].server.registry.snapshot()]
    return sum(type(each) is not TcpTransport for each in transports)


def test_who_does_not_say_who_it_is_is_let_go() -> None:
    with Server() as server:
        tape = Tape(server, user="anna", seconds=60.0)
        quiet, loud = server.websocket(), server.websocket()
        loud.send(b"x" * 20_000)
        assert len(loud.receive()) == 20_000
        assert taps(server) == 1
        for _ in range(4):
            server.clock.sleep(5.0)
            tape.take()
        assert taps(server) == 0
        quiet.close()
        tape.finish()
        assert tape.lines == []


def test_while_nothing_is_recorded_it_is_not_there() -> None:
    """No cost per message: the very same functions are called before the first recording and after it."""

    def calls() -> Counter[str]:
        seen: Counter[str] = Counter()

        def count(frame: FrameType, event: str, _argument: object) -> None:
            if event == "call" and "/wsloop/server/" in frame.f_code.co_filename:
                seen[f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"] += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            socket.send("hello")
            socket.receive()
        finally:
            sys.setprofile(before)
        return seen

    def recording(names: Counter[str]) -> set[str]:
        return {name for name in names if name.split(":")[0].endswith(("tap.py", "recorder.py", "strip.py"))}

    with Server() as server:
        socket = server.websocket()
        calls()
        before = calls()
        assert before and not recording(before)
        assert taps(server) == 0
        tape = Tape(server, address="127.0.0.1")
        assert recording(calls())
        assert taps(server) == 1
        tape.finish()
        assert taps(server) == 0
        assert server._workers[0].server.on_accepted is None
        assert calls() == before


def test_a_fault_of_the_recorder_ends_the_recording_not_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object, **_kwargs: object) -> bytes:
        raise ZeroDivisionError

    with Server(raises_faults=False) as server:
        socket = server.websocket()
        tape = Tape(server, address="127.0.0.1")
        monkeypatch.setattr(recorder.Recording, "admit", broken)
        socket.send("hello")
        assert socket.receive() == "hello"
        tape.finish()
        assert tape.over.startswith("the recorder failed")
        assert "ZeroDivisionError" in caplog.text
        assert socket.is_open
        monkeypatch.undo()
        monkeypatch.setattr(recorder.Recording, "note_end", broken)
        tape = Tape(server, address="127.0.0.1")
        socket.close()
        assert tape.finish().over.startswith("the recorder failed")


def test_several_workers_record_together() -> None:
    with Server(workers=2) as server:
        tape = Tape(server, user="anna")
        assert tape.begun == {"processes": 2}
        for worker in (0, 1):
            server.client("anna", worker=worker).subscribe("news")
        server.clock.sleep(0.5)
        tape.finish()
        assert len({line["c"].split("/")[0] for line in tape.lines}) == 2


def test_the_bounds_of_an_order_are_its_types() -> None:
    assert RecordRequest(recording="r").redact
    orders: list[dict[str, object]] = [
        {"seconds": 0},
        {"seconds": 4000},
        {"max_bytes": 2**40},
        {"max_bytes": 0},
    ]
    with Server() as server:
        for wrong in orders:
            with pytest.raises(CommandRefused):
                server.api("record", recording="r", user="anna", **wrong)


def test_over_tls_it_is_in_the_clear(tmp_path: Path) -> None:
    side = Certificates(*write_pair(tmp_path))
    with tls_server(seed=3, side=side, options=Options(dev=True)) as house:
        tape = house.house.operations.peers.recorder
        tape.begin(RecordRequest(recording="r", address="127.0.0.1"))
        client = house.dial(TlsMemoryClient)
        client.upgrade("/echo")
        house.run_until(lambda: client.is_open)
        for size in (10, 200_000):
            client.send_binary(b"x" * size)
            house.run_until(lambda: sum(map(len, client.binaries)) in (10, 200_010))
        house.run_until(lambda: len(client.binaries) == 2)
        client.send_close()
        house.run_until(lambda: client.is_gone)
        lines, over = tape.take("r", stop=True)
        lines.sort(key=lambda line: line.n)
        sent, heard = (b"".join(each.data for each in lines if each.kind == kind) for kind in ("out", "in"))
        assert sent.startswith(b"HTTP/1.1 101 ")
        assert sent.endswith(b"x" * 200_000 + b"\x88\x02\x03\xe8")
        assert heard.startswith(b"GET /echo HTTP/1.1\r\n")
        assert len(heard) > 200_000
        assert over == "stopped"
