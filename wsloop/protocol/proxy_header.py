"""What a proxy says of a client before the client's first byte: the PROXY protocol, versions 1 and 2.

After "The PROXY protocol, versions 1 & 2" (haproxy.org, 2.9), whose sections are named here. Version 1 is a
line of text, version 2 a binary head. Read as many bytes as are `wanted` and give them to `receive`, until
none are: so not a byte of what follows, the client's own, is ever read.

Who may say it is not decided here: whoever speaks first could claim any address (section 2: "the receiver
MUST NOT try to guess"). Next: `server/vestibule.py`, which listens to listed proxies.
"""

from __future__ import annotations

import enum
import ipaddress
import re

from wsloop.errors import WsloopError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""Section 2.2: how version 2 begins. It is no beginning of anything that a client says."""

PREFIX = b"PROXY "
"""Section 2.1: how version 1 begins."""

MAX_LINE_BYTES = 107
"""Section 2.1: the longest line of version 1, its end included."""

MAX_MORE_BYTES = 4096
"""Of addresses and extensions (section 2.2.x) behind the fixed part of version 2. They are 36 for IPv6; a
client's certificate, the longest extension, takes some 2,000."""

_FIXED_BYTES = 16
_SHORTEST_LINE = b"PROXY UNKNOWN\r\n"
_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
"""Of the families that name a client of ours, TCP over IPv4 and IPv6, the length of one address."""

_FAMILIES = frozenset({0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32})
_MAX_PORT = 65_535


class ProxyHeaderError(WsloopError):
    """The bytes are no header of a proxy's, or one that must not be believed; the text says why."""

    peer_fault = True


class _Stage(enum.Enum):
    """What is read next."""

    SIGNATURE = "signature"
    LINE = "line"
    FIXED = "fixed"
    MORE = "more"
    DONE = "done"


class ProxyHeader:
    """Takes one header, in any pieces. `source`: the client's address and port, None if it names none.

    It names none for the proxy's own connections, such as health checks (LOCAL, UNKNOWN), and for clients of
    another kind (Unix sockets, datagrams): then whoever has connected is meant. `wanted`: bytes to be read
    next.
    """

    __slots__ = ("_bytes", "_stage", "source", "wanted")

    def __init__(self) -> None:
        self._bytes = b""
        self._stage = _Stage.SIGNATURE
        self.source: tuple[str, int] | None = None
        self.wanted = len(SIGNATURE)

    @property
    def is_done(self) -> bool:
        """Whether the header is there, and the next byte is the client's."""
        return self._stage is _Stage.DONE

    def receive(self, data: bytes) -> None:
        """Take 1 to `wanted` bytes; raises ProxyHeaderError as soon as they cannot be a header."""
        self._bytes += data
        self.wanted -= len(data)
        begin = self._bytes[: len(SIGNATURE)]
        if not SIGNATURE.startswith(begin) and not begin.startswith(PREFIX[: len(begin)]):
            raise ProxyHeaderError("it does not begin like one")
        while not self.wanted and self._stage is not _Stage.DONE:
            if self._stage is _Stage.SIGNATURE and self._bytes == SIGNATURE:
                self._want(_Stage.FIXED, _FIXED_BYTES - len(SIGNATURE))
            elif self._stage is _Stage.FIXED:
                self._take_fixed()
            elif self._stage is _Stage.MORE:
                self._take_addresses()
            else:
                self._take_line()

    def _want(self, stage: _Stage, count: int) -> None:
        self._stage, self.wanted = stage, count

    def _take_line(self) -> None:
        """Look whether the line is complete; if not, want as few bytes as there must come still."""
        line = self._bytes
        if line.endswith(b"\r\n"):
            self._stage = _Stage.DONE
            self.source = _source_in(line)
            return
        missing = 1 if line.endswith(b"\r") else max(2, len(_SHORTEST_LINE) - len(line))
        if len(line) + missing > MAX_LINE_BYTES:
            raise ProxyHeaderError("its line is too long")
        self._want(_Stage.LINE, missing)

    def _take_fixed(self) -> None:
        """Section 2.2: version and command, family, and how much follows."""
        version_command, family = self._bytes[12], self._bytes[13]
        more = int.from_bytes(self._bytes[14:16], "big")
        if version_command not in (0x20, 0x21):
            raise ProxyHeaderError("its version or command is unknown")
        if family not in _FAMILIES:
            raise ProxyHeaderError("its family is unknown")
        if more > MAX_MORE_BYTES:
            raise ProxyHeaderError("it is too long")
        self._want(_Stage.MORE, more)

    def _take_addresses(self) -> None:
        """Section 2.2: source, destination and both ports; extensions behind them are left alone."""
        self._stage = _Stage.DONE
        size = _ADDRESS_BYTES.get(self._bytes[13])
        if self._bytes[12] == 0x20 or size is None:
            return
        rest = self._bytes[_FIXED_BYTES:]
        if len(rest) < 2 * size + 4:
            raise ProxyHeaderError("its addresses are cut off")
        port = int.from_bytes(rest[2 * size : 2 * size + 2], "big")
        self.source = _text_of(ipaddress.ip_address(rest[:size])), port


def _source_in(line: bytes) -> tuple[str, int] | None:
    """Return the client that a line of version 1 names; raises ProxyHeaderError."""
    if line.startswith(b"PROXY UNKNOWN") and line[13:14] in b" \r":
        return None  # "the receiver must ignore anything presented before the CRLF"
    found = _LINE.fullmatch(line)
    if found is None:
        raise ProxyHeaderError("its line is malformed")
    family, source, destination, port, other_port = found.groups()
    kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
    try:
        address, _ = kind(source.decode()), kind(destination.decode())
    except ValueError:
        raise ProxyHeaderError("its line has no addresses") from None
    if max(int(port), int(other_port)) > _MAX_PORT:
        raise ProxyHeaderError("its line has no ports")
    return _text_of(address), int(port)


def _text_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address as clients are known by: one of IPv4 that is written as IPv6 is that of IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
