"""A listening socket that accepts at the price of the system call.

`socket.accept` of the stdlib looks up the listener's family and type as enumerations, makes an
object of a Python class, and consults the default timeout: 3 us on top of the system call's 4. A
server that knows its listener needs none of it. The accepted socket is an instance of
`socket.SocketType`, the C class underneath: the same methods, a smaller object, and closed by one
call instead of three.

Read `bind.py` for who makes listening sockets, `listener.py` for who uses them.
"""

from __future__ import annotations

import socket
from socket import SocketType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from wsloop.transport.base import SocketAddress, SocketLike


class ListeningSocket(socket.socket):
    """`socket.socket` with a cheap `accept`."""

    __slots__ = ("_kind",)

    def __init__(
        self, family: int = -1, kind: int = -1, protocol: int = -1, fileno: int | None = None
    ) -> None:
        super().__init__(family, kind, protocol, fileno)
        self._kind = (int(self.family), int(self.type), self.proto)

    def accept(self) -> tuple[SocketLike, SocketAddress]:  # type: ignore[override] # that is its point
        """Return the next connection, close-on-exec and blocking, and its peer's address.

        Raises what accept(2) raises.
        """
        # Not in the documentation, but what `socket.accept` stands on since Python 3.4.
        fd, address = self._accept()  # type: ignore[attr-defined]
        # It has no `accept` of its own: it is connected.
        return cast("SocketLike", SocketType(*self._kind, fd)), address
