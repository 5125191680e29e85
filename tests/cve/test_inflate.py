"""permessage-deflate: little on the wire, much behind it; whole, in fragments, in drops, with context."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import (
    KIB,
    MIB,
    close_code,
    frame,
    header,
    holding_at_most,
    is_linear,
    masked,
    stands_for,
    trickle,
    upgrade_request,
    work,
)
from wsloop.protocol.deflate import DeflateOptions
from wsloop.server.assembly import Options

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.client import MemoryClient
    from wsloop.testing.server import MemoryServer

RSV1 = 0x40
TEXT, BINARY, LAST = 0x81, 0x82, 0x80
FIRST_BINARY, NEXT = 0x02, 0x00

OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
WITH_CONTEXT = f"{OFFER}; client_max_window_bits"
TOO_BIG = "failed: 1009 a message is larger than 1048576 bytes"

HELD = 4 * MIB
"""What may be held for a message of at most 1 MiB: it, its copy for the handler, and a step of zlib's."""


@pytest.fixture
def options() -> Options:
    # The client in memory does not inflate, so nothing is ever worth compressing for it.
    deflate = DeflateOptions(client_context_takeover=True, min_bytes=2**31 - 1)
    return Options(dev=True, echo_deflate=deflate)


def deflated(data: bytes, stream: zlib._Compress | None = None) -> bytes:
    """Return `data` as RFC 7692 section 7.2.1 sends it; `stream` carries the context of earlier messages."""
    stream = stream or zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def bomb(size: int) -> bytes:
    """Return what inflates to `size` zeros."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [stream.compress(bytes(MIB)) for _ in range(size // MIB)]
    return (b"".join(parts) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


BOMB = bomb(64 * MIB)


def connect(house: MemoryServer, offer: str = OFFER) -> MemoryClient:
    """Return a client whose connection has the extension."""
    client = house.dial()
    client.send_bytes(upgrade_request(offer))
    house.run_until(lambda: client.is_open)
    assert b"sec-websocket-extensions: permessage-deflate" in client.http.lower()
    return client


def is_refused(house: MemoryServer, client: MemoryClient, log: Log) -> bool:
    """Run until `client` is closed; tell whether that was for the size of its message."""
    house.run_until(lambda: client.is_gone)
    log.only(TOO_BIG)
    return close_code(client) == 1009


@stands_for(
    "CVE-2018-1000518",
    "CVE-2016-10544",
    where="websockets (PyPI), uws",
    fault="the limit of a message was applied to what came over the wire, not to what it inflated to",
    answer="1009 as soon as 1 MiB has come out",
)
def test_a_bomb_in_one_frame(house: MemoryServer, log: Log) -> None:
    client = connect(house)
    assert len(BOMB) < 80 * KIB
    with holding_at_most(HELD):
        client.send_bytes(frame(BINARY | RSV1, BOMB))
        assert is_refused(house, client, log)


@stands_for(
    "CVE-2026-1526",
    where="undici",
    fault="what came out of many small compressed frames was added up without a limit",
    answer="1009 in the fragment that goes over the limit",
)
def test_a_bomb_in_fragments(house: MemoryServer, log: Log) -> None:
    client = connect(house)
    pieces = [BOMB[at : at + 100] for at in range(0, len(BOMB), 100)]
    with holding_at_most(HELD):
        client.send_bytes(
            frame(FIRST_BINARY | RSV1, pieces[0]) + b"".join(frame(NEXT, p) for p in pieces[1:])
        )
        assert is_refused(house, client, log)


@stands_for(
    "CVE-2025-69223",
    where="aiohttp",
    fault="a compressed body was inflated as it came, and held until it was complete",
    answer="1009 as soon as 1 MiB has come out, however slowly it goes in",
)
def test_a_bomb_in_drops(house: MemoryServer, log: Log) -> None:
    client = connect(house)
    with holding_at_most(HELD):
        trickle(house, client, header(BINARY | RSV1, len(BOMB)) + masked(BOMB), piece_bytes=64)
        assert is_refused(house, client, log)


@stands_for(
    "CVE-2020-11612",
    where="Netty",
    fault="a decoder that was kept for the connection could be made to allocate without a bound",
    answer="between messages a window is kept, no more; each message is counted from zero",
)
def test_messages_that_refer_to_earlier_ones(house: MemoryServer, log: Log) -> None:
    client = connect(house, WITH_CONTEXT)
    assert b"client_no_context_takeover" not in client.http
    stream = zlib.compressobj(9, zlib.DEFLATED, -12)
    message = bytes(range(256)) * 16 * 16
    frames = [frame(BINARY | RSV1, deflated(message, stream)) for _ in range(60)]
    for one in frames[:10]:
        client.send_bytes(one)
        house.run_until(lambda: client.binaries)
        assert client.binaries.pop() == message
    with holding_at_most(HELD):
        for one in frames[10:]:
            client.send_bytes(one)
            house.run_until(lambda: client.binaries)
            client.binaries.clear()
    client.send_bytes(frame(BINARY | RSV1, deflated(bytes(2 * MIB), stream)))
    assert is_refused(house, client, log)


@stands_for(
    "CVE-2026-116579",
    where="Autobahn|Python",
    fault="the limit was looked at when a whole frame had been inflated",
    answer="zlib is never asked for more than 64 KiB at once",
)
@pytest.mark.parametrize("size", [4 * MIB, 64 * MIB])
def test_what_is_held_does_not_depend_on_the_bomb(house: MemoryServer, log: Log, size: int) -> None:
    client = connect(house)
    data = frame(TEXT | RSV1, bomb(size))
    with holding_at_most(HELD):
        client.send_bytes(data)
        assert is_refused(house, client, log)


@stands_for(
    "CVE-2026-128131",
    where="aiohttp",
    fault="what followed the end of a stream was copied to a new decompressor, again and again",
    answer="1008 for more than 64 streams in a message; the work grows with its length",
)
@pytest.mark.parametrize(
    ("unit", "code"),
    [(b"\x03\x00", 1008), (b"\x01\x00\x00\xff\xff", 1008), (b"\x00\x00\x00\xff\xff", None)],
    ids=["final, fixed", "final, stored", "not final"],
)
def test_many_streams_in_a_message(house: MemoryServer, unit: bytes, code: int | None) -> None:
    def measure(count: int) -> int:
        client = connect(house)
        client.send_bytes(frame(BINARY | RSV1, unit * count + b"\x00"))
        calls = work(lambda: house.run_until(lambda: client.is_gone or client.binaries))
        assert close_code(client) == code
        assert client.binaries == ([b""] if code is None else [])
        client.close()
        house.run_until(lambda: len(house.server.registry) == 1)
        return calls

    assert is_linear(measure, 1000)


@stands_for(
    "CVE-2026-2229",
    where="undici",
    fault="a window size out of range raised in zlib, where nobody caught it",
    answer="the offer is declined: 101 without the extension, or with a later offer",
)
@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", ["7", "16", "0", "-1", "08", "1000", "x", "9" * 50, '"16"', "1.5"])
def test_a_window_out_of_range(house: MemoryServer, name: str, value: str) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request(f"{OFFER}; {name}={value}"))
    house.run_until(lambda: client.is_open or client.is_gone)
    assert client.is_open
    assert b"sec-websocket-extensions" not in client.http.lower()
    client.close()
    client = house.dial()
    client.send_bytes(upgrade_request(f"{OFFER}; {name}={value}, permessage-deflate"))
    house.run_until(lambda: client.is_open)
    assert b"sec-websocket-extensions: permessage-deflate" in client.http.lower()
    client.close()


@pytest.mark.parametrize("damaged", [b"\xff\xff\xff", b"\x07", b"\x05\x00", deflated(b"hello" * 100)[:-3]])
def test_damaged_data_is_1007(house: MemoryServer, log: Log, damaged: bytes) -> None:
    client = connect(house)
    client.send_bytes(frame(TEXT | RSV1, damaged))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1007
    log.only("failed: 1007")


@pytest.mark.parametrize("where", [frame(0x89 | RSV1, b"x"), frame(FIRST_BINARY | RSV1) + frame(LAST | RSV1)])
def test_rsv1_where_it_has_no_meaning_is_1002(house: MemoryServer, where: bytes) -> None:
    client = connect(house)
    client.send_bytes(where)
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1002


def test_compressed_text_that_is_not_utf_8_is_1007(house: MemoryServer, log: Log) -> None:
    client = connect(house)
    client.send_bytes(frame(TEXT | RSV1, deflated(b"\xff" * 1000)))
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1007
    log.only("failed: 1007 text is not valid UTF-8")
