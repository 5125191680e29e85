"""What the strategies draw is what they say, and what they find reads like a conversation."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import pretty

from wsloop.errors import HandshakeError
from wsloop.hub.dispatcher import COMMANDS
from wsloop.protocol.deflate_offers import parse_offer
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits
from wsloop.testing import commands as said_commands
from wsloop.testing import requests as said_requests
from wsloop.testing.commands import Command, Line
from wsloop.testing.oracle import Binary, Fault, Text, read
from wsloop.testing.requests import UpgradeRequest, accept_for, usual_request
from wsloop.testing.server import MemoryServer
from wsloop.testing.strategies import (
    binary_payloads,
    broken_handshakes,
    broken_sequences,
    close_frames,
    command_sequences,
    commands,
    compressed_messages,
    connects,
    cuttings,
    deflate_offers,
    encoded,
    handshakes,
    hostile_frames,
    invalid_utf8,
    large_payloads,
    messages,
    network_faults,
    repetitive_payloads,
    schedules,
    shortest,
    text_payloads,
    utf8_edge_cases,
    valid_sequences,
)
from wsloop.testing.wire import (
    Cutting,
    Frame,
    Schedule,
    close,
    cut_at,
    encode_frames,
    frame,
    more,
    text,
)

if TYPE_CHECKING:
    from wsloop.testing.deflating import DeflateParameters
    from wsloop.testing.network import NetworkFaults


@settings(deadline=None)
@given(messages())
def test_a_message_is_one_message(frames: tuple[Frame, ...]) -> None:
    reading = read(encode_frames(frames))
    assert reading.fault is None
    assert len(reading.messages) == 1
    assert reading.is_finished


@settings(deadline=None)
@given(broken_sequences())
def test_a_broken_sequence_breaks_one_rule_at_its_end(frames: tuple[Frame, ...]) -> None:
    assert read(encode_frames(frames)).fault is not None
    begun = next(n for n in range(len(frames) + 1) if read(encode_frames(frames[:n])).fault is not None)
    # Text in fragments may be found to be broken before its last.
    assert all(each.opcode == 0 for each in frames[begun:])


def test_every_rule_is_broken_by_some_sequence() -> None:
    rules: Counter[str] = Counter()

    def count(stream: bytes) -> None:
        fault = read(stream).fault
        assert fault is not None
        rules[fault.rule] += 1

    shortest(encoded(broken_sequences(max_messages=0)), count, count=400)
    assert len(rules) == 14, rules


@given(close_frames())
def test_a_close_frame_may_be_sent(said: Frame) -> None:
    assert read(said.encode()).close is not None


@given(invalid_utf8())
def test_invalid_utf8_is_invalid(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        data.decode()


@given(text_payloads(), utf8_edge_cases())
def test_texts_are_valid(data: bytes, said: str) -> None:
    assert data.decode().encode() == data
    assert said.encode().decode() == said


@given(hostile_frames(honest=True))
def test_an_honest_frame_is_whole(said: Frame) -> None:
    reading = read(said.encode())
    assert reading.fault is None or not reading.fault.is_cut


@given(deflate_offers())
def test_offers_are_legal(offer: DeflateParameters) -> None:
    assert parse_offer(offer.header()) is not None


@given(handshakes("chat.example", "/chat"), cuttings())
def test_right_handshakes_are_accepted_by_ours(said: UpgradeRequest, cutting: Cutting) -> None:
    handshake = Handshake(Limits())
    requests = [handshake.receive(piece) for piece in cutting.pieces(said.encode())]
    request = next(each for each in requests if each is not None)
    assert request.is_upgrade
    key = said.header("sec-websocket-key")
    assert key is not None
    assert accept_for(key).encode() in handshake.accept()


@given(broken_handshakes("chat.example", "/chat"))
def test_broken_handshakes_are_not(said: UpgradeRequest) -> None:
    assert said.wrong
    try:
        request = Handshake(Limits()).receive(said.encode())
    except HandshakeError:
        return
    assert request is None or not request.is_upgrade


@given(st.data(), st.integers(4, 300))
def test_sizes_are_kept(data: st.DataObject, size: int) -> None:
    assert len(data.draw(binary_payloads(size))) <= size
    assert len(data.draw(repetitive_payloads(size))) <= size
    assert len(data.draw(compressed_messages(size)).data) <= size
    assert len(data.draw(text_payloads(size)).decode()) <= size


@given(st.data(), st.integers(1, 4))
def test_fragments_are_counted(data: st.DataObject, most: int) -> None:
    assert len(data.draw(messages(interleaved=False, max_fragments=most))) <= most


def test_two_fragments_share_a_payload() -> None:
    halves = messages(interleaved=False, max_fragments=2)
    first, second = find(halves, lambda frames: len(frames) == 2 and all(each.payload for each in frames))
    assert not first.fin
    assert second.fin


def test_more_than_one_control_frame_may_stand_between_two_fragments() -> None:
    found = shortest(
        messages(), lambda frames: any(a.is_control and b.is_control for a, b in pairwise(frames)) or None
    )
    assert found is not None
    assert len(found.example) == 4
    assert sum(len(each.payload) for each in found.example) <= 2


def test_some_messages_need_the_third_form_of_a_length() -> None:
    found = shortest(
        messages(), lambda frames: any(len(each.payload) > 65535 for each in frames) or None, count=2000
    )
    assert found is not None
    assert repr(found.example) in ("(text('a' * 65536),)", "(binary(b'a' * 65536),)")


@given(large_payloads())
def test_a_large_payload_is_near_the_edge_and_printed_as_an_expression(drawn: tuple[int, bytes]) -> None:
    opcode, payload = drawn
    assert 65535 <= len(payload) <= 65537
    assert len(repr(Frame(opcode, payload))) < 40


def test_a_cut_may_be_far_away() -> None:
    cutting = find(cuttings(), lambda cutting: any(each > 100_000 for each in cutting.positions))
    assert repr(cutting) == "cut_at(100001)"


def test_nothing_is_nothing() -> None:
    assert find(text_payloads(0), lambda _: True) == find(binary_payloads(0), lambda _: True) == b""


def test_every_method_is_said() -> None:
    for name, _ in COMMANDS:
        if name != "connect":
            find(commands(), lambda each, name=name: each.method == name)  # type: ignore[misc]


@pytest.mark.parametrize(
    "field",
    ["idem", "seq", "positioned", "recoverable", "join_leave", "delta", "tf", "reverse", "recover", "flag"],
)
def test_every_field_is_said(field: str) -> None:
    find(commands(), lambda each: field in dict(each.fields))


def test_a_client_may_remember_subscriptions() -> None:
    find(connects(), lambda each: bool(dict(each.fields).get("subs")))


@given(handshakes() | broken_handshakes())
def test_a_request_is_shown_as_it_is_made(said: UpgradeRequest) -> None:
    assert eval(repr(said), vars(said_requests)) == said


def test_a_header_may_be_any_line() -> None:
    said = UpgradeRequest("GET / HTTP/1.1", ((" folded", None), ("X-Empty", "")))
    assert eval(repr(said), vars(said_requests)) == said


def test_the_key_of_the_rfc() -> None:
    assert accept_for("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert repr(usual_request("h")).startswith("upgrade_request('GET / HTTP/1.1', 'Host: h', ")


@settings(max_examples=25, deadline=None)
@given(valid_sequences(may_close=False), schedules(), network_faults(), st.integers(0, 99))
def test_a_server_echoes_over_any_network_at_any_pace(
    frames: tuple[Frame, ...], schedule: Schedule, faults: NetworkFaults, seed: int
) -> None:
    stream = encode_frames(frames)
    expected = read(stream).messages
    with MemoryServer(seed, faults=faults) as house:
        client = house.connect("/echo")
        for pause_s, piece in schedule.sends(stream):
            house.run_for(pause_s)
            client.send_bytes(piece)
        house.run_until(lambda: len(client.texts) + len(client.binaries) == len(expected))
        assert client.texts == [each.data for each in expected if isinstance(each, Text)]
        assert client.binaries == [each.data for each in expected if isinstance(each, Binary)]


@settings(max_examples=40, deadline=None)
@given(command_sequences(bad_lines=True))
def test_every_command_is_answered_once_or_the_connection_is_closed(said: tuple[Command | Line, ...]) -> None:
    with MemoryServer() as house:
        client = house.connect("/connection/websocket")
        for each in said:
            client.send_text(each.encode())
        client.send_ping(b"all said")
        house.run_until(lambda: client.is_gone or client.close_frame or b"all said" in client.pongs)
        lines = [json.loads(line) for line in "\n".join(client.texts).split("\n") if line]
        answered = Counter(line["id"] for line in lines if line.get("id"))
        asked = {each.id for each in said if isinstance(each, Command) and each.id}
        if client.close_frame is None and not client.is_gone:
            assert set(answered) >= asked, (answered, asked)
        assert all(times == 1 for times in answered.values())


@given(command_sequences())
def test_a_command_is_shown_as_it_is_made(said: tuple[Command | Line, ...]) -> None:
    assert eval(repr(said), vars(said_commands)) == said


# -- shrinking ------------------------------------------------------------------------------------


def shortest_of(strategy: st.SearchStrategy[tuple[Frame, ...]], rule: str) -> str:
    """The repr of the simplest example in which the oracle finds this fault."""

    def judge(frames: tuple[Frame, ...]) -> Fault | None:
        fault = read(encode_frames(frames)).fault
        return fault if fault is not None and fault.rule == rule else None

    found = shortest(strategy, judge, count=250)
    assert found is not None
    return repr(found.example)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("an opcode is reserved", "(frame(3),)"),
        ("a control frame is fragmented", "(ping(fin=False),)"),
        ("a client's frame is not masked", "(text(mask=None),)"),
        ("a text message is not UTF-8", "(text(b'\\x80'),)"),
        ("a close frame has half a code", "(close(payload=b'\\x00'),)"),
    ],
)
def test_a_fault_shrinks_to_one_frame(rule: str, expected: str) -> None:
    assert shortest_of(broken_sequences(), rule) == expected


def test_a_fragmented_message_shrinks_to_two_frames() -> None:
    found = shortest(
        valid_sequences(), lambda frames: any(not each.fin for each in frames) or None, count=200
    )
    assert found is not None
    assert len(found.example) == 2
    assert found.example[1].opcode == 0


def test_a_search_without_a_finding_and_one_that_is_not_steady() -> None:
    assert shortest(st.integers(), lambda _: None, count=20) is None
    verdicts = iter([None, "wrong"])
    found = shortest(st.integers(0, 9), lambda _: next(verdicts, None), count=20)
    assert found is not None
    assert found.verdict == "wrong"
    assert not found.is_steady


def test_what_a_deflated_message_says_is_shown() -> None:
    found = shortest(compressed_messages(), lambda each: each.cuts or None, count=200)
    assert found is not None
    assert repr(found.example) == "deflated_text('', cuts=(0,))"


def test_frames_are_shown_as_calls() -> None:
    assert repr((frame(3), more("x"), close(1000, "bye"), text("he", fin=False), cut_at(3))) == (
        "(frame(3), more('x'), close(1000, 'bye'), text('he', fin=False), cut_at(3))"
    )


def test_hypothesis_prints_what_repr_does() -> None:
    for made in (frame(3), cut_at(3), said_commands.command("ping", id=4), usual_request()):
        assert pretty([made]) == f"[{made!r}]"
