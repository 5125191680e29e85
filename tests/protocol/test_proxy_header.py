"""The PROXY protocol, versions 1 and 2; the words in quotes are the specification's."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol.proxy_header import (
    MAX_LINE_BYTES,
    MAX_MORE_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyHeaderError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Source = tuple[str, int] | None

ports = st.integers(0, 65535)
v4 = st.ip_addresses(v=4)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address).filter(lambda address: not address.ipv4_mapped)


def line(family: str, source: object, destination: object, port: int, other: int) -> bytes:
    return f"PROXY {family} {source} {destination} {port} {other}\r\n".encode()


def binary(family: int, more: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(more).to_bytes(2, "big") + more


def addresses(source: object, destination: object, port: int, other: int) -> bytes:
    packed = [ipaddress.ip_address(str(each)).packed for each in (source, destination)]
    return b"".join([*packed, port.to_bytes(2, "big"), other.to_bytes(2, "big")])


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, Source]:
    """Draw a good header and whom it names."""
    is_v6 = draw(st.booleans())
    source, destination = draw(v6 if is_v6 else v4), draw(v6 if is_v6 else v4)
    port, other = draw(ports), draw(ports)
    named: Source = (str(source), port)
    packed = addresses(source, destination, port, other)
    more = draw(st.binary(max_size=100))
    return draw(
        st.sampled_from(
            [
                (line("TCP6" if is_v6 else "TCP4", source, destination, port, other), named),
                (b"PROXY UNKNOWN\r\n", None),
                (line("UNKNOWN", "ffff::1", "anything", port, other), None),
                (binary(0x21 if is_v6 else 0x11, packed + more), named),
                (binary(0x11, packed + more, command=0x20), None),  # LOCAL
                (binary(0x00, more), None),  # UNSPEC
                (binary(0x31, b"/client".ljust(108, b"\0") + b"/here".ljust(108, b"\0")), None),
                (binary(0x22 if is_v6 else 0x12, packed), None),  # datagrams
            ]
        )
    )


def read(data: bytes, take: Callable[[int], int] = lambda wanted: wanted) -> tuple[ProxyHeader, int]:
    """Give the header what it wants of `data`, in pieces as `take` says; return it and what was read."""
    header, read_bytes = ProxyHeader(), 0
    while not header.is_done and read_bytes < len(data):
        assert header.wanted > 0
        piece = data[read_bytes : read_bytes + take(header.wanted)]
        read_bytes += len(piece)
        header.receive(piece)
    return header, read_bytes


@given(headers(), st.binary(max_size=200), st.randoms(use_true_random=False))
def test_in_any_pieces_it_names_the_client_and_reads_nothing_behind_itself(
    made: tuple[bytes, Source], behind: bytes, chance: object
) -> None:
    data, named = made
    takes: list[Callable[[int], int]] = [
        lambda wanted: wanted,
        lambda _wanted: 1,
        lambda wanted: chance.randint(1, wanted),  # type: ignore[attr-defined]
    ]
    for take in takes:
        header, read_bytes = read(data + behind, take)
        assert header.is_done
        assert (header.source, read_bytes) == (named, len(data))


@given(headers(), st.data())
def test_half_a_header_is_none_yet(made: tuple[bytes, Source], data: st.DataObject) -> None:
    whole, _ = made
    header, read_bytes = read(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert not header.is_done
    assert read_bytes + header.wanted <= len(whole)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: SIGNATURE + tail)))
def test_whatever_is_said_is_bounded(data: bytes) -> None:
    try:
        header, read_bytes = read(data)
    except ProxyHeaderError:
        return
    assert read_bytes <= max(MAX_LINE_BYTES, 16 + MAX_MORE_BYTES)
    assert header.is_done or read_bytes == len(data)


GOOD = addresses("192.0.2.7", "192.0.2.1", 4711, 443)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "does not begin"),
        (b"\x16\x03\x01\x02\x00", "does not begin"),
        (b"\r\n\r\n\x00\r\nQUIX", "does not begin"),
        (b"PROXY\tTCP4", "does not begin"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n", "malformed"),
        (b"PROXY TCP4  192.0.2.7 192.0.2.1 4711 443\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 04711 443\r\n", "malformed"),
        (b"PROXY UDP4 192.0.2.7 192.0.2.1 4711 443\r\n", "malformed"),
        (b"PROXY UNKNOWNS\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443 \r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7\n192.0.2.1 4711 443\r\n", "malformed"),
        (b"PROXY TCP4 ::1 ::1 4711 443\r\n", "no addresses"),
        (b"PROXY TCP6 192.0.2.7 192.0.2.1 4711 443\r\n", "no addresses"),
        (b"PROXY TCP4 192.0.2.777 192.0.2.1 4711 443\r\n", "no addresses"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 70000 443\r\n", "no ports"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 70000\r\n", "no ports"),
        (b"PROXY UNKNOWN " + b"x" * 200, "too long"),
        (binary(0x11, GOOD, command=0x11), "version or command"),
        (binary(0x11, GOOD, command=0x22), "version or command"),
        (binary(0x41, GOOD), "family"),
        (binary(0x13, GOOD), "family"),
        (binary(0x11, GOOD[:-1]), "cut off"),
        (binary(0x21, GOOD), "cut off"),
        (binary(0x11, b"x" * (MAX_MORE_BYTES + 1)), "too long"),
    ],
)
def test_what_is_no_header_is_told(data: bytes, said: str) -> None:
    with pytest.raises(ProxyHeaderError, match=said):
        read(data)


def test_a_client_of_ipv4_is_known_by_that_however_it_is_written() -> None:
    mapped = "::ffff:192.0.2.7"
    assert read(line("TCP6", mapped, "::1", 1, 2))[0].source == ("192.0.2.7", 1)
    assert read(binary(0x21, addresses(mapped, "::1", 1, 2)))[0].source == ("192.0.2.7", 1)


def test_the_longest_line_passes() -> None:
    """Section 2.1: "TCP/IPv6 ... => 5 + 1 + 4 + 1 + 39 + 1 + 39 + 1 + 5 + 1 + 5 + 2 = 104 chars"."""
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    whole = line("TCP6", longest, longest, 65535, 65535)
    assert len(whole) == 104
    assert read(whole)[0].source == (longest, 65535)
    unknown = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(unknown) == MAX_LINE_BYTES
    assert read(unknown)[0].is_done
