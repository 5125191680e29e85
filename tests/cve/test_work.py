"""Parsing that takes more than its input is worth: counted in calls at n, 2n and 4n, never in time.

What happens inside one regular expression is one call. So all patterns that see a peer's bytes are
looked at instead: one that never steps back reads every byte once.
"""

from __future__ import annotations

import importlib
import re
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

import pytest

from tests.cve.kit import exchange, is_linear, stands_for, status, upgrade_request, work
from wsloop.protocol.events import Request
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.server.auth import UpgradeAuth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

LINE = 8000
"""Just below the limit of a header line."""


def upgrade_work(house: MemoryServer, *headers: str) -> int:
    """Return the work of answering an upgrade request that has `headers` too."""
    client = house.dial()
    client.send_bytes(upgrade_request(*headers))
    calls = work(lambda: house.run_until(lambda: client.is_gone or client.is_open))
    client.close()
    house.run_until(lambda: len(house.server.registry) == 1)
    return calls


PATTERN_MODULES = (
    "wsloop.protocol.plain_request",
    "wsloop.protocol.redaction",
    "wsloop.protocol.upgrade",
    "wsloop.hub.commands",
    "wsloop.hub.tokens",
    "wsloop.hub.namespaces",
    "wsloop.server.pages",
)
"""Every module below the daemon that has a regular expression for something a peer sends."""

SAFE_REPEATS = ("POSSESSIVE_REPEAT",)


def ambiguous_repeats(parsed: Any) -> Iterator[object]:
    """Yield every repetition without a bound that the engine could give back bytes of."""
    for operation, argument in parsed:
        name = str(operation)
        if name.endswith("REPEAT"):
            least, most, inner = argument
            if name not in SAFE_REPEATS and least != most and most > 16:
                yield argument
            yield from ambiguous_repeats(inner)
        elif name == "ATOMIC_GROUP":
            # What is repeated in it, and nothing behind that, is not given back from outside.
            alone = len(argument) == 1 and str(argument[0][0]).endswith("REPEAT")
            yield from ambiguous_repeats(argument[0][1][2] if alone else argument)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from ambiguous_repeats(branch)
        elif name == "SUBPATTERN":
            yield from ambiguous_repeats(argument[3])


@stands_for(
    "CVE-2020-7662",
    "CVE-2020-7663",
    where="websocket-extensions (npm, RubyGems)",
    fault="a pattern stepped back for every byte of an unclosed quoted value",
    answer="no pattern that sees a peer's bytes can step back",
)
@pytest.mark.parametrize("module", PATTERN_MODULES)
def test_no_pattern_steps_back(module: str) -> None:
    found = importlib.import_module(module)
    patterns = {name: value for name, value in vars(found).items() if isinstance(value, re.Pattern)}
    for name, pattern in patterns.items():
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        assert not list(ambiguous_repeats(_parser.parse(text, pattern.flags))), f"{module}.{name}: {text}"


def test_the_look_at_patterns_sees_an_ambiguous_one() -> None:
    assert list(ambiguous_repeats(_parser.parse('a(?:\\w+|"[^"]*")*b')))
    assert list(ambiguous_repeats(_parser.parse("(?>(?:ab)*a)b")))
    assert list(ambiguous_repeats(_parser.parse("(?>(?:ab*)*)b")))
    assert not list(ambiguous_repeats(_parser.parse('a(?:\\w++|"[^"]*+")*+b{1,5}')))
    assert not list(ambiguous_repeats(_parser.parse('a(?>(?:\\w++|"[^"]*+")*)b{1,5}')))


@stands_for(
    "CVE-2020-7662",
    "CVE-2020-7663",
    where="websocket-extensions (npm, RubyGems)",
    fault="the same: the work for Sec-WebSocket-Extensions grew with the square of its length",
    answer="400 or 101; the work grows with the length",
)
@pytest.mark.parametrize(
    "unit", ['\\"', "a=b;", "a,", "a; ", " ", ";", '"', ",", "a;b=", "permessage-deflate,"]
)
def test_extensions_are_parsed_in_one_pass(house: MemoryServer, unit: str) -> None:
    def measure(size: int) -> int:
        return upgrade_work(house, f'Sec-WebSocket-Extensions: a; b="{unit * (size // len(unit))}')

    assert is_linear(measure, LINE // 4)


@stands_for(
    "CVE-2021-32640",
    where="ws (npm)",
    fault="trimming a subprotocol stepped back for every space in it",
    answer="400 or 101; the work grows with the length",
)
@pytest.mark.parametrize("unit", [" ", "a ", "a,", ", ", "\t"])
def test_subprotocols_are_parsed_in_one_pass(house: MemoryServer, unit: str) -> None:
    def measure(size: int) -> int:
        return upgrade_work(house, f"Sec-WebSocket-Protocol: b{unit * (size // len(unit))}x")

    assert is_linear(measure, LINE // 4)


@stands_for(
    "CVE-2024-52804",
    where="Tornado",
    fault="a Cookie with many escapes was decoded in time that grew with its square",
    answer="no cookie is read, unless tokens are looked for in one; then in one pass, and nothing is decoded",
)
@pytest.mark.parametrize("unit", ['"\\', "\\073", "a=b; ", ";"])
def test_cookies_cost_nothing(house: MemoryServer, unit: str) -> None:
    def least(count: int) -> int:
        """A timer of the server's may be due within one measurement, not within three."""
        return min(upgrade_work(house, f"Cookie: {unit * count}") for _ in range(3))

    assert least(LINE // len(unit)) <= least(1)


@pytest.mark.parametrize("unit", ['"\\', "\\073", "a=b; ", ";", "sid", "=", "sid=;"])
def test_a_token_is_looked_for_in_cookies_in_one_pass(unit: str) -> None:
    places = UpgradeAuth(cookie="sid")

    def measure(size: int) -> int:
        cookie = (unit * (size // len(unit))).encode()
        return work(lambda: places.token(Request("GET", "/", "/", "", ((b"cookie", cookie),))))

    assert is_linear(measure, LINE // 4)


@stands_for(
    "CVE-2025-62727",
    where="Starlette",
    fault="the parts of a Range header were merged in time that grew with their square",
    answer="Range is ignored, as every server may",
)
def test_ranges_are_not_read(house: MemoryServer) -> None:
    ranges = ",".join(f"{number}-{number}" for number in range(700))
    client = house.dial()
    client.send_bytes(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nRange: bytes={ranges}\r\n\r\n".encode())
    house.run_until(lambda: client.http)
    assert status(client.http.decode()) == 200
    client.close()


@stands_for(
    "CVE-2023-43669",
    where="tungstenite",
    fault="a long handshake was parsed anew from its start with every piece that came",
    answer="the work grows with the length; 431 at 16 KiB",
)
def test_a_head_in_small_pieces_is_scanned_once(house: MemoryServer, log: Log) -> None:
    def measure(count: int) -> int:
        request = upgrade_request(*(f"X-{number:03}: {'y' * 50}" for number in range(count)))
        return work(lambda: exchange_until_open(request))

    def exchange_until_open(request: bytes) -> None:
        client = house.dial()
        for at in range(0, len(request), 8):
            client.sock.send(request[at : at + 8])
            house.reactor.run_once()
        house.run_until(lambda: client.is_open)
        client.close()

    assert is_linear(measure, 25)
    huge = upgrade_request(*(f"X-{number:03}: {'y' * 500}" for number in range(40)))
    assert status(exchange(house, huge, cut_at_bytes=100)) == 431
    log.only("refused: 431 the request head is larger than 16384 bytes")


@stands_for(
    "CVE-2023-43669",
    where="tungstenite",
    fault="the same, with empty lines in front of the request",
    answer="each is dropped as it is seen; the deadline of the handshake stands",
)
def test_empty_lines_are_dropped_in_one_pass(house: MemoryServer) -> None:
    def measure(count: int) -> int:
        client = house.dial()
        client.send_bytes(b"\r\n" * count + upgrade_request())
        calls = work(lambda: house.run_until(lambda: client.is_open))
        client.close()
        return calls

    assert is_linear(measure, 4000)


@stands_for(
    "CVE-2020-36049",
    where="socket.io-parser",
    fault="a packet of many parts took time that grew with their square",
    answer="the work for a message grows with the number of commands in it",
)
@pytest.mark.parametrize("line", ["{}", '{"id":9,"dance":{}}', '{"id":9,"presence":{"channel":"chat:x"}}'])
def test_commands_in_one_message_are_linear(house: MemoryServer, line: str) -> None:
    def measure(count: int) -> int:
        client = house.connect(CONNECTION_PATH)
        client.send_text('{"id":1,"connect":{}}')
        client.send_text("\n".join([line] * count + ['{"id":2,"ping":{}}']))
        calls = work(lambda: house.run_until(lambda: client.texts and '"id":2' in client.texts[-1]))
        client.close()
        house.run_until(lambda: len(house.server.registry) == 1)
        return calls

    assert is_linear(measure, 100)
