"""What a process hands over to the one that takes its place: sockets, locks, and a pipe to say "ready".

Descriptors are inherited through exec(2) under the same numbers; one variable of the environment says what
each is. `handover.py` tells when.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon import systemd
from wsloop.daemon.sockets import Place, Purpose
from wsloop.errors import StartupError
from wsloop.transport.bind import FdBind, SocketNetwork, UnixBind, local_bind
from wsloop.transport.path_lock import PathClaim, PathLock

if TYPE_CHECKING:
    from collections.abc import MutableMapping

log = logging.getLogger("wsloop.daemon")

VARIABLE = "_WSLOOP_HANDOVER"

READY = b"ready\n"

BY_NAME = {"admin": Purpose.ADMIN, "control": Purpose.CONTROL}
"""What a socket of systemd's is for, by its FileDescriptorName=; under any other it is for clients."""


class Heirloom(msgspec.Struct, frozen=True):
    """One place: see `sockets.Place`. `lock` is the descriptor that holds a Unix path's lock, or -1."""

    purpose: str
    name: str
    descriptors: tuple[int, ...]
    lock: int = -1
    is_activated: bool = False


class Inheritance(msgspec.Struct, frozen=True):
    """Everything. `ready` is the pipe's descriptor, `predecessor` its process; `pid_file_lock` or -1."""

    heirlooms: tuple[Heirloom, ...] = ()
    ready: int = -1
    predecessor: int = 0
    pid_file: str = ""
    pid_file_lock: int = -1

    def descriptors(self) -> tuple[int, ...]:
        """Return all descriptors that are to be inherited."""
        places = [number for each in self.heirlooms for number in (*each.descriptors, each.lock)]
        return tuple(number for number in (*places, self.ready, self.pid_file_lock) if number >= 0)

    def places(self) -> list[Place]:
        """Take the sockets over; raises StartupError if one is none."""
        return [_place(each) for each in self.heirlooms]


def bequeath(places: list[Place]) -> tuple[Heirloom, ...]:
    """Return what is said of places to a successor."""
    return tuple(
        Heirloom(
            place.purpose.value,
            place.name,
            tuple(place.descriptors),
            place.claim.lock_fileno() if place.claim is not None else -1,
            place.is_activated,
        )
        for place in places
    )


def take(environ: MutableMapping[str, str], pid: int) -> Inheritance:
    """Return what this process, `pid`, was left by a predecessor, or by systemd; variables are removed.

    None of the descriptors is inherited further. Raises StartupError.
    """
    activated = systemd.take_activated(environ, pid)
    text = environ.pop(VARIABLE, "")
    if text:
        try:
            left = msgspec.json.decode(text, type=Inheritance)
        except msgspec.MsgspecError as error:
            hint = "it is for the daemon's own use"
            raise StartupError(f"${VARIABLE} makes no sense: {error}", hint) from None
    else:
        left = Inheritance(
            tuple(
                Heirloom(BY_NAME.get(name, Purpose.CLIENTS).value, f"fd://{fd}", (fd,), is_activated=True)
                for name, fd in activated
            )
        )
    for descriptor in left.descriptors():
        with contextlib.suppress(OSError):  # EBADF: told when it is used
            os.set_inheritable(descriptor, False)
    return left


def say_ready(pipe: int) -> None:
    """Tell the predecessor that this process serves; `pipe` is closed. One that is gone needs no word."""
    try:
        os.write(pipe, READY)
    except OSError:  # EPIPE
        log.warning("the predecessor is gone")
    os.close(pipe)


def _place(left: Heirloom) -> Place:
    """Return the place, its sockets checked; what keeps a Unix path is this process's from now on."""
    for descriptor in left.descriptors:
        sock = SocketNetwork().listen(FdBind(descriptor))
        bind = local_bind(sock)
        sock.detach()
    claim = None
    if left.lock >= 0 and isinstance(bind, UnixBind):
        claim = PathClaim(bind.path, PathLock(bind.path, left.lock))
        claim.bound()
    return Place(
        Purpose(left.purpose),
        left.name,
        bind,
        list(left.descriptors),
        claim,
        is_activated=left.is_activated,
        is_borrowed=True,
    )
