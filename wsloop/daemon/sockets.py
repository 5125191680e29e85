"""The listening sockets of a daemon, held by its first process for as long as the daemon lives.

Workers come and go; what they listen on stays, so that a connection that waits to be accepted is never
lost with the one that would have accepted it. Each address is a `Place`, known by the name that the
settings give it: by it a successor finds the sockets that it inherits (`handover.py`).

Descriptors are kept as numbers: a forked process has the same ones.
"""

from __future__ import annotations

import enum
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsloop.daemon.port_holder import holder_of
from wsloop.errors import StartupError
from wsloop.transport.bind import (
    AddressInUseError,
    FdBind,
    SocketNetwork,
    TcpBind,
    UnixListeningSocket,
    local_bind,
    parse_bind,
)
from wsloop.transport.port_group import DEALS_OUT, extend_group, listen_group

if TYPE_CHECKING:
    from wsloop.transport.bind import Bind, UnixBind
    from wsloop.transport.path_lock import PathClaim


class Purpose(enum.Enum):
    """Who is served on a socket."""

    CLIENTS = "clients"
    ADMIN = "admin"
    CONTROL = "control"


@dataclass(slots=True)
class Place:
    """An address that is listened on, by one socket or a group of them.

    `name` is the address as the settings have it, `bind` where it really is. `claim` is what keeps a
    Unix path. `is_activated`: systemd opened it. `is_borrowed`: a predecessor still serves on it too, and its
    path is the predecessor's to remove.
    """

    purpose: Purpose
    name: str
    bind: TcpBind | UnixBind
    descriptors: list[int] = field(default_factory=list)
    claim: PathClaim | None = None
    is_activated: bool = False
    is_borrowed: bool = False


class Sockets:
    """All places of this daemon; `inherited` are those of a predecessor, or systemd's."""

    def __init__(self, backlog: int, inherited: list[Place] | None = None) -> None:
        self.places: list[Place] = []
        self._backlog = backlog
        self._inherited = inherited or []
        self._is_lent = False

    def open(self, purpose: Purpose, bind: Bind, count: int = 1) -> Place:
        """Listen on `bind` with `count` sockets, where the kernel deals connections out, else with one.

        A place that was inherited under this name is taken over, and gets what it lacks. Raises
        StartupError, with who holds a port that is in use.
        """
        place = self._take_over(purpose, str(bind)) or self._open(purpose, bind, count)
        if isinstance(place.bind, TcpBind) and DEALS_OUT and not place.is_activated:
            self.grow(place, count - len(place.descriptors))
        self.places.append(place)
        return place

    def of(self, purpose: Purpose) -> list[Place]:
        """Return the places for `purpose`."""
        return [place for place in self.places if place.purpose is purpose]

    def bind_for(self, purpose: Purpose) -> FdBind | None:
        """Return the socket of the only place for `purpose`, None if there is none."""
        places = self.of(purpose)
        return FdBind(places[0].descriptors[0]) if places else None

    def grow(self, place: Place, count: int) -> list[int]:
        """Open `count` sockets more for a TCP place, and return them; raises StartupError."""
        if count <= 0:
            return []
        assert isinstance(place.bind, TcpBind)
        for descriptor in place.descriptors:
            _admit_others(descriptor)
        more = [sock.detach() for sock in extend_group(place.bind, count, self._backlog)]
        place.descriptors += more
        return more

    def activated(self, purpose: Purpose) -> list[Bind]:
        """Return the sockets for `purpose` that systemd opened and that were not taken over yet."""
        return [
            parse_bind(place.name)
            for place in self._inherited
            if place.is_activated and place.purpose is purpose
        ]

    def confirm(self) -> None:
        """Be told that this daemon serves: what it inherited is its own, and what it does not use closed."""
        for place in self._inherited:
            _close_place(place)
        self._inherited = []
        for place in self.places:
            place.is_borrowed = False

    def lend(self) -> None:
        """Leave the descriptors to the server of this process, which closes them; their numbers are kept."""
        self._is_lent = True

    def close(self, *purposes: Purpose) -> None:
        """Close the places for `purposes`, or all; paths of Unix sockets are removed. Idempotent.

        What is still a predecessor's goes on being that.
        """
        for place in [each for each in self.places if not purposes or each.purpose in purposes]:
            self.places.remove(place)
            self._close_descriptors(place)
            if place.claim is not None:
                (place.claim.abandon if place.is_borrowed else place.claim.close)()

    def hand_over(self) -> None:
        """Leave everything to a successor, who has inherited it."""
        for place in self.places:
            self._close_descriptors(place)
            if place.claim is not None:
                place.claim.abandon()
        self.places = []

    def close_copies(self, kept: tuple[int, ...]) -> None:
        """Close, in a forked process, all but the descriptors `kept`; the first process holds them on."""
        for place in self.places:
            for descriptor in place.descriptors:
                if descriptor not in kept:
                    os.close(descriptor)
            if place.claim is not None:
                place.claim.abandon()
        self.places = []

    def _close_descriptors(self, place: Place) -> None:
        if not self._is_lent:
            for descriptor in place.descriptors:
                os.close(descriptor)

    def _take_over(self, purpose: Purpose, name: str) -> Place | None:
        for place in self._inherited:
            if place.purpose is purpose and place.name == name:
                self._inherited.remove(place)
                return place
        return None

    def _open(self, purpose: Purpose, bind: Bind, count: int) -> Place:
        try:
            if isinstance(bind, TcpBind):
                opened = listen_group(bind, count, self._backlog)
            else:
                opened = [SocketNetwork().listen(bind, self._backlog)]
        except AddressInUseError as error:
            raise _with_holder(error) from None
        claim = opened[0].take_claim() if isinstance(opened[0], UnixListeningSocket) else None
        return Place(purpose, str(bind), local_bind(opened[0]), [sock.detach() for sock in opened], claim)


def _with_holder(error: AddressInUseError) -> AddressInUseError:
    """Return the error with who holds the port, where that can be told."""
    holder = holder_of(error.port) if error.port else ""
    if holder:
        error.message = f"{error.message} ({holder})"
    return error


def _admit_others(descriptor: int) -> None:
    """Let more sockets share the port of one that was opened alone."""
    sock = socket.socket(fileno=descriptor)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        raise StartupError(f"the port cannot be shared by several workers: {error.strerror}") from error
    finally:
        sock.detach()


def _close_place(place: Place) -> None:
    for descriptor in place.descriptors:
        os.close(descriptor)
    if place.claim is not None:
        place.claim.close()
