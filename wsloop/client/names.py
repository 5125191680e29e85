"""From a host's name to its addresses, without the loop waiting.

An address is its own answer. A name is asked of the system (`getaddrinfo`, so that /etc/hosts and
nsswitch count) on the helper thread; questions for the same name share one lookup, and answers are
kept for a while, since getaddrinfo does not tell their time to live. Failures are kept shortly, so
that a dead name server is not asked with every command.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Protocol

from wsloop.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.threads import Helper

    Found = Callable[[tuple[str, ...] | HttpError], object]

KEEP_S = 30.0
"""How long addresses are used: what load balancers in DNS usually expect; a pooled connection lasts on."""

KEEP_FAILURE_S = 1.0
"""How long a failure counts: as long as a command may take at most, by default."""

MAX_NAMES = 256
"""Names kept; a configuration holds a dozen. Beyond it everything is forgotten and asked again."""

MAX_ADDRESSES = 8
"""Addresses of one name that are tried in turn."""


class Names(Protocol):
    """Tells addresses of hosts."""

    def resolve(self, host: str, found: Found) -> None:
        """Call `found` once, before returning or later, with addresses to try in turn, or an HttpError."""
        ...


def is_address(host: str) -> bool:
    """Return whether `host` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class OnlyAddresses:
    """`Names` of a world without names: an address is found, all else is not."""

    def resolve(self, host: str, found: Found) -> None:
        """See `Names.resolve`."""
        found((host,) if is_address(host) else HttpError("no such host"))


class SystemNames:
    """`Names` by the system's resolver on `helper`; `now` tells the loop's time."""

    def __init__(self, helper: Helper, now: Callable[[], float]) -> None:
        self._helper = helper
        self._now = now
        self._known: dict[str, tuple[float, tuple[str, ...] | HttpError]] = {}
        self._asked: dict[str, list[Found]] = {}

    def resolve(self, host: str, found: Found) -> None:
        """See `Names.resolve`."""
        if is_address(host):
            found((host,))
            return
        known = self._known.get(host)
        if known is not None and known[0] > self._now():
            found(known[1])
        elif host in self._asked:
            self._asked[host].append(found)
        else:
            self._asked[host] = [found]
            if not self._helper.run(lambda: look_up(host), lambda result: self._on_result(host, result)):
                del self._asked[host]
                found(HttpError("too many names are being looked up", was_tried=False))

    def _on_result(self, host: str, result: tuple[str, ...] | Exception) -> None:
        answer: tuple[str, ...] | HttpError
        if isinstance(result, tuple) and result:
            answer, keep_s = result, KEEP_S
        else:
            # gaierror, or UnicodeError of a label that is too long
            answer, keep_s = HttpError("no such host"), KEEP_FAILURE_S
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[host] = (self._now() + keep_s, answer)
        for found in self._asked.pop(host):
            found(answer)


def look_up(host: str) -> tuple[str, ...]:
    """Return addresses of `host` in the system's order (RFC 6724), each once. Blocks; raises OSError."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in infos))[:MAX_ADDRESSES]
