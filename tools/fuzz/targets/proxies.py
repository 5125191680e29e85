"""What stands in X-Forwarded-For and Forwarded: never an exception, and only addresses come out.

The first byte: bit 0 which header counts, bit 1 who the peer is, bit 2 whether it came over TLS. Then the
lines of the headers.
"""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, promise
from wsloop.protocol.events import Request
from wsloop.server.forwarded import Proxies, Sender

LISTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix")
PROXIES = (Proxies(LISTED, "x-forwarded-for"), Proxies(LISTED, "forwarded"))
NOBODY = Proxies()
PEERS = ("10.0.0.1", "unix")


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    how, lines = data[0], data[1:].split(b"\n")
    pairs = tuple(
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
    )
    request = Request("GET", "/", "/", "", pairs)
    peer, is_secure = PEERS[how >> 1 & 1], bool(how & 4)
    proxies = PROXIES[how & 1]
    sender = proxies.sender(request, peer, is_secure=is_secure)
    if sender.host != peer:
        agree(str(ipaddress.ip_address(sender.host)), sender.host, "a client that is no address")
    agree(proxies.sender(request, peer, is_secure=is_secure), sender, "twice, and not the same")
    stranger = Sender("192.0.2.9", is_secure)
    agree(proxies.sender(request, stranger.host, is_secure=is_secure), stranger, "a stranger is believed")
    promise(
        NOBODY.sender(request, peer, is_secure=is_secure).host == peer,
        "nobody is listed, and one is believed",
    )


ADDRESSES = (
    "192.0.2.1", "10.9.9.9", "2001:db8::1", "[2001:db8:1::7]", '"[::ffff:10.0.0.1]:80"',
    "203.0.113.9:4711", "_hidden", "unknown", "::1%eth0", "256.1.1.1", '"192.0.2.1:8"', "",
)  # fmt: skip


def inputs() -> st.SearchStrategy[bytes]:
    """Draw headers as proxies write them, several times and in both ways."""
    address = st.sampled_from(ADDRESSES)
    pair = st.one_of(
        address.map(lambda text: f"for={text}"),
        st.sampled_from(("proto=https", "PROTO=http", "by=_a", 'host="a;b,c"', "secret", "for=a;for=b")),
    )
    forwarded = st.lists(st.lists(pair, max_size=3).map(";".join), max_size=4).map(", ".join)
    line = st.one_of(
        st.lists(address, max_size=5).map(lambda each: f"X-Forwarded-For: {', '.join(each)}"),
        forwarded.map(lambda text: f"Forwarded: {text}"),
        st.sampled_from(("X-Forwarded-Proto: https", "X-Forwarded-Proto: wss, http", "X-Forwarded-Proto: x")),
    )
    lines = st.lists(line, max_size=4).map("\n".join)
    return st.builds(lambda how, text: bytes([48 + how]) + text.encode(), st.integers(0, 7), lines)
