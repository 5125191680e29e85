"""Who is behind a proxy: addresses that listed proxies tell of, and nobody else's word.

A proxy in front is the peer of every connection, so limits by address, logs and the API would know
nobody but it. It writes down whom it serves, in `X-Forwarded-For` or in `Forwarded` (RFC 7239), behind
what its own peer has sent: only the right end of the list is sure to be its word. So the list is
walked from the right, past every proxy that the operator has listed; the first address that is not
listed is the client, for a listed proxy has seen it with its own eyes. What stands left of it is hearsay.

Two headers say the same, and a proxy that writes one passes the other on as the client sent it. Which one
counts is therefore the operator's choice, never the request's. It may also be neither, but what a proxy says
before the client's first byte (`vestibule.py`): then the peer is the client already.

Knows nothing of sockets. Next: `http_phase.py`, which asks about each request; `admission.py`, which counts.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wsloop.protocol.events import Request

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Header = Literal["x-forwarded-for", "forwarded", "proxy-protocol"]

UNIX = "unix"
"""How a Unix socket's peer is called, by transports and in the list."""

HOPS = 32
"""Most proxies between a client and here; a longer list is judged malformed. No real chain has ten, and
each costs some 5 us to look up."""

LISTED_HOSTS = 256
"""Peers whose place in the list is remembered: a proxy connects again and again."""

SECURE = {b"https": True, b"wss": True, b"http": False, b"ws": False}
"""What a proxy says of how it was reached; anything else says nothing."""

Hop = tuple[Address, bytes]
"""Whom a proxy has served, and by which protocol, b"" if it does not say."""

_PAIR = re.compile(rb'(?:[^;"]|"[^"]*")+')
"""RFC 7239 section 4: `name=value` between semicolons."""

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'


class _MalformedError(Exception):
    """A header does not say what it should."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom a request came from: an IP address or what the transport says, and whether it came over TLS."""

    host: str
    is_secure: bool


class Proxies:
    """The listed proxies: IP addresses, networks ("10.0.0.0/8") and "unix", all Unix sockets' peers.

    `header` is the one that counts, in lower case; "proxy-protocol": none, they speak
    first. Raises ValueError for another text (`network_of`).
    """

    def __init__(self, allowed: Iterable[str] = (), header: Header = "x-forwarded-for") -> None:
        texts = set(allowed)
        self._has_unix = UNIX in texts
        self._networks = [network_of(text) for text in sorted(texts - {UNIX})]
        self._header = header.encode()
        self._is_asked = bool(texts)
        self._lists = functools.lru_cache(LISTED_HOSTS)(self._look_up)

    @property
    def speak_first(self) -> bool:
        """Whether a connection of theirs begins with a header of the PROXY protocol."""
        return self._is_asked and self._header == b"proxy-protocol"

    def lists(self, host: str) -> bool:
        """Tell whether a peer is listed, by its `Transport.peer_host`."""
        return self._is_asked and self._lists(host)

    def hides(self, host: str) -> bool:
        """Tell whether somebody else is behind a peer, by `peer_host`, of whom only requests tell."""
        return not self.speak_first and self.lists(host)

    def _look_up(self, host: str) -> bool:
        if host == UNIX:
            return self._has_unix
        try:
            return self._has(ipaddress.ip_address(host.partition("%")[0]))
        except ValueError:  # "?": it was gone before it could be asked
            return False

    def _has(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def sender(self, request: Request, peer_host: str, *, is_secure: bool) -> Sender:
        """Return whom a request came from; the two are what the transport says of its peer.

        It is the peer itself unless that is listed, and where the header is absent or malformed. Never
        raises for what a peer sent.
        """
        if not self.hides(peer_host):
            return Sender(peer_host, is_secure)
        value = request.header(self._header)
        by_forwarded = self._header == b"forwarded"
        try:
            hops = _forwarded_hops(value) if by_forwarded else _x_forwarded_hops(value)
            host, proto = self._client(hops, peer_host)
        except _MalformedError:
            host, proto = peer_host, b""
        if not by_forwarded:
            proto = (request.header(b"x-forwarded-proto") or b"").rpartition(b",")[2].strip().lower()
        return Sender(host, SECURE.get(proto, is_secure))

    def _client(self, hops: Iterator[Hop], peer_host: str) -> tuple[str, bytes]:
        """Return the first hop's address that is not listed, else the last one's; and its protocol.

        `hops` are the nearest first. Nothing left of the client is looked at.
        """
        host, proto = peer_host, b""
        for address, said in hops:
            host, proto = str(address), said
            if not self._has(address):
                break
        return host, proto


def network_of(text: str) -> Network:
    """Return the network that an address or a network in the operator's list means.

    Raises ValueError, whose text says what is wrong, for anything else.
    """
    if "%" in text:
        raise ValueError("an address must not name an interface")
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError("write an IPv4 address as such: its clients are known by that")
    return network


def _x_forwarded_hops(value: bytes | None) -> Iterator[Hop]:
    """Yield the hops of `X-Forwarded-For`, the nearest first; of the protocol it tells nothing."""
    for piece in _pieces(value):
        yield _address_of(piece), b""


def _forwarded_hops(value: bytes | None) -> Iterator[Hop]:
    """Yield the hops of `Forwarded`, the nearest first."""
    for piece in _pieces(value):
        pairs: dict[bytes, bytes] = {}
        for pair in _PAIR.findall(piece):
            name, equals, text = pair.strip(b" \t").partition(b"=")
            name = name.lower()
            if not equals or name in pairs:
                raise _MalformedError
            pairs[name] = text
        yield _address_of(_unquoted(pairs.get(b"for", b""))), _unquoted(pairs.get(b"proto", b"")).lower()


def _pieces(value: bytes | None) -> Iterator[bytes]:
    """Yield what stands between the commas of a list, the right-most first; not at commas in quotes.

    Quotes are paired from the right: what a client wrote at the left, however it is quoted, cannot
    swallow what proxies have put behind it. Escapes are malformed: no address needs one.
    """
    if value is None:
        return
    end = start = len(value)
    is_quoted, hops = False, 0
    while start > 0:
        start -= 1
        byte = value[start]
        if byte == _QUOTE:
            is_quoted = not is_quoted
        elif byte == _BACKSLASH or hops > HOPS:
            raise _MalformedError
        elif byte == _COMMA and not is_quoted:
            yield value[start + 1 : end].strip(b" \t")
            end = start
            hops += 1
    if is_quoted:
        raise _MalformedError
    yield value[:end].strip(b" \t")


def _unquoted(text: bytes) -> bytes:
    return text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text


def _address_of(node: bytes) -> Address:
    """Return the address in a text such as "192.0.2.1:80", "2001:db8::1" or "[2001:db8::1]:80".

    The port may be absent. Raises _MalformedError for everything else, "unknown" and made-up names
    (RFC 7239 section 6) included.
    """
    text = node.decode("latin-1")
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or ":" not in text:
            raise _MalformedError
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _MalformedError from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:  # any text, and meaningless on another machine
            raise _MalformedError
        return address.ipv4_mapped or address
    return address
