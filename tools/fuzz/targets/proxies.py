"""What proxies say of clients: X-Forwarded-For, Forwarded and the PROXY protocol. Only addresses come out.

The first byte: bit 0 which header counts, bit 1 who the peer is, bit 2 whether it came over TLS; then the
lines of the headers. Or bit 3: what follows is a header of the PROXY protocol, and bits 0 to 2 say how it
is cut.
"""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.protocol.events import Request
from wsloop.protocol.proxy_header import PREFIX, SIGNATURE, ProxyHeader, ProxyHeaderError
from wsloop.server.forwarded import Proxies, Sender

LISTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix")
PROXIES = (Proxies(LISTED, "x-forwarded-for"), Proxies(LISTED, "forwarded"))
NOBODY = Proxies()
PROXY_PROTOCOL = 8
SHORTEST = b"PROXY UNKNOWN\r\n"
PEERS = ("10.0.0.1", "unix")


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    if data[0] & PROXY_PROTOCOL:
        whole = _proxy_header(data[1:], 0)
        agree(_proxy_header(data[1:], data[0]), whole, "cuts change what a proxy says")
    else:
        _headers(data[0], data[1:].split(b"\n"))


def _proxy_header(data: bytes, choice: int) -> tuple[object, int] | str:
    """Return what a header names and where it ends, or why it is none."""
    header = ProxyHeader()
    offset = 0
    try:
        for piece in cutting(choice, data).pieces(data):
            while piece and not header.is_done:
                taken = piece[: header.wanted]
                header.receive(taken)
                piece = piece[len(taken) :]
                offset += len(taken)
    except ProxyHeaderError as error:
        promise(not data.startswith(SHORTEST), "a line that names nobody is refused")
        return str(error)
    promise(header.is_done or header.wanted > 0, "neither done nor in want of more")
    promise(header.is_done or not data.startswith(SHORTEST), "a whole line, and more is wanted")
    if header.is_done:
        end = data.index(b"\r\n") + 2 if data.startswith(PREFIX) else 16 + int.from_bytes(data[14:16], "big")
        agree(offset, end, "not a byte more than the header is read")
    if header.source is not None:
        host, port = header.source
        agree(str(ipaddress.ip_address(host)), host, "a client that is no address")
        promise(0 <= port <= 65535, f"port {port}")
    return header.source, offset


def _headers(how: int, lines: list[bytes]) -> None:
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
    _check_chain(request, sender.host, peer)
    stranger = Sender("192.0.2.9", is_secure)
    agree(proxies.sender(request, stranger.host, is_secure=is_secure), stranger, "a stranger is believed")
    promise(
        NOBODY.sender(request, peer, is_secure=is_secure).host == peer,
        "nobody is listed, and one is believed",
    )


def _check_chain(request: Request, host: str, peer: str) -> None:
    """See that nobody is believed whom no listed proxy has seen: right of the client all are listed."""
    said = (request.header(b"x-forwarded-for") or b"").split(b",")
    try:
        chain = [_plain(each.strip().decode("ascii")) for each in reversed(said)]
    except ValueError:
        return  # with ports, in brackets, or nonsense
    if request.header(b"forwarded") is None and host != peer:
        promise(host in chain, "an address that nobody said")
        promise(all(PROXIES[0].lists(each) for each in chain[: chain.index(host)]), "a stranger is believed")
        is_listed = PROXIES[0].lists(host)
        promise(
            not is_listed or all(PROXIES[0].lists(each) for each in chain), "a proxy is taken for a client"
        )


def _plain(text: str) -> str:
    """Return an address as clients are known by; raises ValueError."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


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
    packed = st.builds(
        lambda command, family, more: (
            SIGNATURE + bytes([command, family]) + len(more).to_bytes(2, "big") + more
        ),
        st.sampled_from((0x20, 0x21, 0x22)),
        st.sampled_from((0x00, 0x11, 0x21, 0x31, 0x99)),
        st.sampled_from((12, 36, 5, 60)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    )
    said = st.sampled_from(
        (
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET",
            b"PROXY TCP6 2001:db8::1 ::1 1 65536\r\n",
            b"PROXY UNKNOWN ffff::1 x\r\n",
            b"PROXY TCP4 ::1 10.0.0.1 0 0\r\n",
            b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
        )
    )
    return st.one_of(
        st.builds(lambda how, text: bytes([48 + how]) + text.encode(), st.integers(0, 7), lines),
        st.builds(lambda how, data: bytes([56 + how]) + data, st.integers(0, 7), packed | said),
    )
