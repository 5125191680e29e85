"""Fragments: without an end, without a byte, and so small that what wraps them is all there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import (
    KIB,
    MIB,
    attack,
    close_code,
    frame,
    header,
    holding_at_most,
    is_linear,
    masked,
    stands_for,
    trickle,
    work,
)

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

TEXT, BINARY, LAST = 0x81, 0x82, 0x80
FIRST_TEXT, FIRST_BINARY, NEXT = 0x01, 0x02, 0x00
FRAGMENTS = 1024
"""The default of `--ws-max-fragments`."""


@stands_for(
    "CVE-2014-0193",
    where="Netty",
    fault="a text frame followed by continuation frames without end was collected without a limit",
    answer="1009 when the message passes 1 MiB",
)
@pytest.mark.parametrize("first", [FIRST_TEXT, FIRST_BINARY])
def test_a_message_that_never_ends_ends_at_its_limit(house: MemoryServer, log: Log, first: int) -> None:
    client = house.connect()
    client.send_bytes(frame(first, bytes(4 * KIB)))
    with holding_at_most(4 * MIB):
        while not client.is_gone:
            client.send_bytes(frame(NEXT, bytes(4 * KIB)))
            house.run_for(0.001)
    assert close_code(client) == 1009
    log.only("failed: 1009 a message is larger")


@stands_for(
    "CVE-2026-12151",
    where="undici",
    fault="empty continuation frames passed every limit on bytes, and their number had none",
    answer="1008 at the 1,025th frame of a message",
)
def test_empty_fragments_count(house: MemoryServer, log: Log) -> None:
    client = house.connect()
    client.send_bytes(frame(FIRST_TEXT) + frame(NEXT) * (FRAGMENTS - 1))
    house.run_for(1)
    assert not client.is_gone
    client.send_bytes(frame(NEXT))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1008
    log.only("failed: 1008 a message has more than 1024 fragments")


@stands_for(
    "CVE-2026-9675",
    where="undici",
    fault="the limit was applied to each fragment, not to their sum",
    answer="1009 at the header of the fragment that goes over the limit",
)
def test_the_sum_of_the_fragments_counts(house: MemoryServer, log: Log) -> None:
    half = frame(FIRST_BINARY, bytes(MIB // 2))
    client = house.connect()
    client.send_bytes(half + frame(LAST, bytes(MIB // 2)))
    house.run_until(lambda: client.binaries)
    client.send_bytes(half + header(NEXT, MIB // 2 + 1))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1009
    log.only("failed: 1009 a message is larger")


@stands_for(
    "CVE-2026-62389",
    where="ws (npm)",
    fault="each of many small fragments was kept as an object of its own, many times its size",
    answer="at most 1,024 fragments are kept; an unfinished message of one byte each holds 512 KiB at most",
)
@pytest.mark.parametrize("first", [FIRST_TEXT, FIRST_BINARY])
def test_small_fragments_hold_little(house: MemoryServer, first: int) -> None:
    client = house.connect()
    with holding_at_most(512 * KIB):
        client.send_bytes(frame(first, b"x") + frame(NEXT, b"x") * (FRAGMENTS - 1))
        house.run_for(1)
    client.send_bytes(frame(NEXT, b"x"))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1008


@stands_for(
    "CVE-2026-48779",
    where="ws (npm)",
    fault="a frame that came in tiny pieces was kept as so many objects that they outgrew the limit by far",
    answer="what is held for a message stays within four times its limit, however its bytes arrive",
)
@pytest.mark.parametrize(
    ("first", "payload"),
    [
        pytest.param(BINARY, bytes(18_000), id="binary"),
        pytest.param(TEXT, "€".encode() * 6_000, id="text"),
        pytest.param(FIRST_TEXT, "€".encode() * 6_000, id="fragmented text"),
        pytest.param(FIRST_BINARY, bytes(18_000), id="fragmented binary"),
    ],
)
def test_a_frame_in_tiny_pieces_holds_little(house: MemoryServer, first: int, payload: bytes) -> None:
    client = house.connect()
    data = header(first, len(payload)) + masked(payload)
    with holding_at_most(4 * len(payload) + 128 * KIB):
        trickle(house, client, data[:-3], piece_bytes=3)
    client.close()


@stands_for(
    "CVE-2019-9518",
    where="HTTP/2 servers (empty frames flood)",
    fault="frames without a byte of payload cost time, and no limit counted them",
    answer="a budget of frames per connection and turn: others are served in between",
)
def test_a_flood_of_empty_messages_leaves_turns_for_others(house: MemoryServer) -> None:
    polite = house.connect()
    flooding = house.connect()
    flooding.send_bytes(frame(TEXT) * 20_000)
    house.reactor.run_once()
    before = house.reactor.statistics().turns
    polite.send_text("my turn?")
    house.run_until(lambda: polite.texts)
    assert house.reactor.statistics().turns - before <= 6
    house.run_until(lambda: len(flooding.texts) == 20_000)
    polite.close()
    flooding.close()


@stands_for(
    "CVE-2020-36049",
    where="socket.io-parser",
    fault="parts of a message were joined anew with every part that came",
    answer="the work for a message grows with its length, whether it comes in fragments or in small pieces",
)
def test_joining_fragments_is_linear(house: MemoryServer) -> None:
    def receive(count: int) -> int:
        client = house.connect()
        client.send_bytes(frame(FIRST_TEXT, b"x" * 64) + frame(NEXT, b"x" * 64) * count + frame(LAST))
        calls = work(lambda: house.run_until(lambda: client.texts))
        client.close()
        return calls

    assert is_linear(receive, 200)


def test_joining_small_pieces_is_linear(house: MemoryServer) -> None:
    def receive(size: int) -> int:
        client = house.connect()
        data = frame(BINARY, bytes(size))
        calls = work(lambda: trickle(house, client, data, piece_bytes=16))
        house.run_until(lambda: client.binaries)
        client.close()
        return calls

    assert is_linear(receive, 8 * KIB)


def test_a_frame_that_continues_nothing_is_refused(house: MemoryServer) -> None:
    assert close_code(attack(house, frame(LAST, b"x"))) == 1002
    assert close_code(attack(house, frame(FIRST_TEXT, b"x") + frame(TEXT, b"x"))) == 1002
