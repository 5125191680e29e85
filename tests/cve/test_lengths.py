"""Lengths that a peer writes into a frame's header: at every boundary, and far beyond what it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import KIB, MIB, attack, close_code, frame, header, holding_at_most, stands_for, work
from wsloop.testing.client import OPCODE_BINARY, OPCODE_PING

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

TEXT, BINARY, CONTINUATION, PING = 0x81, 0x82, 0x80, 0x89
FIRST_FRAGMENT = 0x02

TOO_BIG = "failed: 1009 a message is larger than 1048576 bytes"


@stands_for(
    "CVE-2020-13935",
    where="Apache Tomcat",
    fault="the top bit of a 64-bit length sent the frame reader into an endless loop",
    answer="1002 from the header alone",
)
@pytest.mark.parametrize("length", [2**63, 2**63 + 1, 2**64 - 1])
def test_a_length_with_the_top_bit_set_is_refused(house: MemoryServer, log: Log, length: int) -> None:
    client = attack(house, header(BINARY, length, bits=64))
    assert close_code(client) == 1002
    log.only("failed: 1002")


@stands_for(
    "CVE-2026-69210",
    where="http4s",
    fault="a length that is negative as a signed integer was read as an empty frame, for ever",
    answer="1002, in a handful of turns whatever follows",
)
def test_a_negative_length_takes_no_turns(house: MemoryServer) -> None:
    before = house.reactor.statistics().turns
    client = attack(house, header(BINARY, 2**64 - 1, bits=64) * 4000)
    assert close_code(client) == 1002
    assert house.reactor.statistics().turns - before < 30


@stands_for(
    "CVE-2020-27813",
    where="gorilla/websocket",
    fault="lengths of several fragments overflowed the counter of bytes that remain",
    answer="1009 at the header that goes over the limit",
)
@pytest.mark.parametrize("second", [2**62, 2**63 - 6, 2**63 - 1])
def test_fragments_do_not_overflow_the_sum(house: MemoryServer, log: Log, second: int) -> None:
    client = attack(house, frame(FIRST_FRAGMENT, b"start") + header(CONTINUATION, second, bits=64))
    assert close_code(client) == 1009
    log.only(TOO_BIG)


@stands_for(
    "CVE-2026-1528",
    where="undici",
    fault="a 64-bit length beyond what the language can count exactly crashed the parser",
    answer="1009 from the header alone",
)
@pytest.mark.parametrize("length", [MIB + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63 - 1])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_length_over_the_limit_is_refused(house: MemoryServer, log: Log, first: int, length: int) -> None:
    client = attack(house, header(first, length, bits=64))
    assert close_code(client) == 1009
    log.only(TOO_BIG)


@stands_for(
    "CVE-2018-21035",
    where="Qt WebSockets",
    fault="frames and messages of up to 2 GiB were accepted, and no smaller limit could be set",
    answer="1009 over the limit, which has a default and a setting",
)
def test_a_frame_of_two_gib_is_not_begun(house: MemoryServer) -> None:
    client = house.connect()
    with holding_at_most(64 * KIB):
        client.send_bytes(header(BINARY, 2**31, bits=64) + bytes(1000))
        house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1009


@stands_for(
    "CVE-2022-35922",
    where="rust-websocket",
    fault="a frame's whole length was allocated when its header had arrived",
    answer="memory follows what has arrived: 16 KiB for a header that announces 1 MiB",
)
@pytest.mark.parametrize("first", [TEXT, BINARY, FIRST_FRAGMENT])
def test_an_announced_length_is_not_allocated(house: MemoryServer, first: int) -> None:
    clients = [house.connect() for _ in range(20)]
    with holding_at_most(len(clients) * 96 * KIB):
        for client in clients:
            client.send_bytes(header(first, MIB, bits=64))
        house.run_for(0.1)
    for client in clients:
        client.close()


@stands_for(
    "CVE-2016-10542",
    where="ws (npm)",
    fault="messages of up to 256 MiB were buffered by default, enough of them to crash the process",
    answer="1009 over 1 MiB; a message of exactly the limit passes",
)
def test_the_default_limit_of_a_message_is_a_megabyte(house: MemoryServer, log: Log) -> None:
    client = house.connect()
    client.send_frame(OPCODE_BINARY, bytes(MIB))
    house.run_until(lambda: client.binaries)
    assert client.binaries == [bytes(MIB)]
    client.send_frame(OPCODE_BINARY, bytes(MIB + 1))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1009
    log.only(TOO_BIG)


@stands_for(
    "CVE-2026-103472",
    where="restbed",
    fault="the payload of a frame of any announced length was buffered as it came",
    answer="after the 1009 what still comes is read and thrown away, for at most 5 s",
)
def test_what_follows_a_refused_header_is_not_kept(house: MemoryServer) -> None:
    client = house.connect()
    with holding_at_most(1 * MIB):
        client.send_bytes(header(BINARY, 2**63 - 1, bits=64))
        began_s = house.clock.now()
        piece = bytes(32 * KIB)
        while not client.is_gone and house.clock.now() - began_s < 20:
            client.send_bytes(piece)
            house.run_for(0.05)
    assert house.clock.now() - began_s < 6
    client.close()


@stands_for(
    "CVE-2016-10518",
    where="ws (npm)",
    fault="a pong could be a buffer of another length than the ping's, with what was in memory before",
    answer="every ping is answered by exactly its own bytes; a longer one is 1002",
)
def test_a_pong_is_the_bytes_of_its_ping(house: MemoryServer) -> None:
    client = house.connect()
    payloads = [bytes(range(256))[:length] for length in (0, 1, 9, 124, 125)]
    for payload in payloads:
        client.send_frame(OPCODE_PING, payload)
    house.run_until(lambda: len(client.pongs) == len(payloads))
    assert client.pongs == payloads
    client.close()
    assert close_code(attack(house, header(PING, 126) + bytes(126))) == 1002


@stands_for(
    "CVE-2016-10542",
    where="ws (npm)",
    fault="the same, at the places where a length changes its form",
    answer="125, 126, 127, 65535 and 65536 bytes are echoed; a length in a longer form than needed is 1002",
)
@pytest.mark.parametrize(
    ("length", "too_wide"), [(0, 16), (125, 16), (126, 64), (127, 64), (65535, 64), (65536, None)]
)
def test_a_length_has_one_form(house: MemoryServer, length: int, too_wide: int | None) -> None:
    client = house.connect()
    client.send_frame(OPCODE_BINARY, b"x" * length)
    house.run_until(lambda: client.binaries)
    assert client.binaries == [b"x" * length]
    client.close()
    if too_wide is not None:
        wide = header(BINARY, length, bits=too_wide) + b"x" * length
        assert close_code(attack(house, wide)) == 1002


def test_the_work_for_a_header_does_not_depend_on_the_length_in_it(house: MemoryServer) -> None:
    def refuse(length: int) -> int:
        client = house.connect()
        client.send_bytes(header(BINARY, length, bits=64))
        calls = work(lambda: house.run_until(lambda: client.is_gone))
        client.close()
        return calls

    few, many = refuse(MIB + 1), refuse(2**63 - 1)
    assert many < few * 1.2
