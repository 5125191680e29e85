"""Where to listen: the three kinds of address, and the sockets port that opens them.

`parse_bind` reads what an operator writes, `Network.listen` opens it, `local_bind` tells what
it became (port 0 is a real port then). Whatever goes wrong here goes wrong at start, before a
client is there: each failure is a `StartupError` with one line and a hint, never a traceback.

Must not know of connections; read `listener.py` next.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wsloop.errors import ConfigError, StartupError
from wsloop.transport.accepting import ListeningSocket
from wsloop.transport.path_lock import PathClaim, PathLock
from wsloop.transport.spare import DescriptorSpare, Spare

if TYPE_CHECKING:
    from wsloop.transport.base import SocketAddress, SocketLike

BACKLOG = 2_048
"""Connections that may wait for accept(2): ten seconds' worth at 200 new ones a second. The kernel
lowers it to net.core.somaxconn (4,096). nginx uses 511, uvicorn 2,048."""

UNIX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""Longest path of a Unix socket: sun_path holds 108 bytes (104 on BSD), one of them the final NUL."""

PATH_HINT = f"a socket path holds at most {UNIX_PATH_BYTES} bytes; use a shorter one, such as under /run"
"""What an operator can do about a longer one."""

UNIX_MODE = 0o660
"""Owner and group may connect: a reverse proxy is put in the group, other users stay out."""

MAX_PORT = 65_535

FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_UNIX})
"""What an inherited socket may be: peers of others (AF_VSOCK ...) have no address that limits count."""


@dataclass(frozen=True, slots=True)
class TcpBind:
    """Listen on `host`, a name or an IPv4 or IPv6 address, and `port`; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixBind:
    """Listen on a Unix stream socket at `path`, whose file gets `mode`."""

    path: str
    mode: int = field(default=UNIX_MODE, compare=False)

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class FdBind:
    """Listen on the socket that a supervisor or systemd left open as descriptor `fd`."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


Bind = TcpBind | UnixBind | FdBind


class AddressInUseError(StartupError):
    """Somebody listens there already. `host` and `port` say where; a Unix path is `host` with port 0."""

    def __init__(self, host: str, port: int) -> None:
        if port:
            hint = f"try --port {port + 10 if port + 10 <= MAX_PORT else port - 10}"
            super().__init__(f"port {port} is already in use", hint)
        else:
            super().__init__(f"socket {host} is already in use", "stop that process or choose another path")
        self.host = host
        self.port = port


class Network(Protocol):
    """The sockets port: what opens sockets, to listen and to connect. In memory: `MemoryNetwork`."""

    def listen(self, bind: Bind, backlog: int = BACKLOG) -> SocketLike:
        """Return a non-blocking, close-on-exec listening socket; the caller closes it.

        `backlog`, at least 1, bounds the connections waiting for accept. Raises StartupError.
        """
        ...

    def connect(self, address: TcpBind | UnixBind, /) -> SocketLike:
        """Return a non-blocking, close-on-exec socket that connects to `address`, its host an IP address.

        It is writable once that is decided; see `connecting.py`. Raises OSError with what socket(2)
        or connect(2) says at once.
        """
        ...

    def spare(self) -> Spare:
        """Return a spare descriptor for a listener, not yet taken."""
        ...


def parse_bind(text: str) -> Bind:
    """Return the address that `text` names.

    "127.0.0.1:8765", "[::1]:8765", "name:8765", "unix:path" or "fd://3". Raises ConfigError.
    """
    if text.startswith("unix:"):
        if not text[5:] or "\0" in text:
            raise _bad_bind(text, "write unix:/run/wsloop/wsloop.sock")
        return UnixBind(text[5:])
    if text.startswith("fd://"):
        if not _is_number(text[5:]):
            raise _bad_bind(text, "write fd://3 for descriptor 3")
        return FdBind(int(text[5:]))
    host, colon, port = text.rpartition(":")
    if not colon or not _is_number(port) or int(port) > MAX_PORT:
        raise _bad_bind(text, f"write host:port, with a port from 0 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _bad_bind(text, f"write an IPv6 address in brackets: [{host}]:{port}")
    if not host:
        raise _bad_bind(text, f"write 0.0.0.0:{port} for every IPv4 address, [::]:{port} for IPv6")
    return TcpBind(host, int(port))


def local_bind(sock: SocketLike) -> TcpBind | UnixBind:
    """Return where `sock` really listens: port 0 has become a port, a name an address."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return UnixBind(os.fsdecode(address))
    return TcpBind(address[0], address[1])


class SocketNetwork:
    """The real sockets; satisfies `Network`."""

    __slots__ = ()

    def spare(self) -> DescriptorSpare:
        """See `Network.spare`."""
        return DescriptorSpare()

    def listen(self, bind: Bind, backlog: int = BACKLOG) -> socket.socket:
        """Open `bind`; see `Network.listen`."""
        if isinstance(bind, TcpBind):
            return listen_tcp(bind, backlog)
        if isinstance(bind, UnixBind):
            return _listen_unix(bind, backlog)
        return _listen_fd(bind, backlog)

    def connect(self, address: TcpBind | UnixBind, /) -> socket.socket:
        """Begin a connection; see `Network.connect`."""
        if isinstance(address, UnixBind):
            return _begin_connect(socket.AF_UNIX, address.path)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return _begin_connect(family, (address.host, address.port))


class UnixListeningSocket(ListeningSocket):
    """A listening Unix socket that keeps `path` to itself, and takes it away when it is closed.

    Only in the process that bound it: a worker that closes an inherited copy leaves it alone.
    And only while the path is still this socket's, not that of a successor.
    """

    __slots__ = ("_claim", "_mode")

    def __init__(self, path: str, mode: int = UNIX_MODE) -> None:
        """Lock `path`; raises BlockingIOError if another daemon has it, OSError if it cannot be locked."""
        self._claim: PathClaim | None = PathClaim(path, PathLock(path))
        self._mode = mode
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)

    def bind(self, address: SocketAddress) -> None:
        """Bind to the path `address`, and remember it. Raises OSError."""
        super().bind(address)
        os.chmod(address, self._mode)
        assert self._claim is not None
        self._claim.bound()

    def take_claim(self) -> PathClaim | None:
        """Return the claim to the path, which the caller closes from now on; None if it was taken before."""
        claim, self._claim = self._claim, None
        return claim

    def close(self) -> None:
        """Remove the path, unless the claim was taken, and close the socket. Idempotent."""
        claim = self.take_claim()
        super().close()
        if claim is not None:
            claim.close()


def _begin_connect(family: int, target: SocketAddress) -> socket.socket:
    """Return a socket that is connecting to `target`; raises OSError if it has failed already."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(target)
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            sock.close()
            raise
    return sock


def _bad_bind(text: str, hint: str) -> ConfigError:
    return ConfigError(f"{text!r} is not an address to listen on", hint)


def _is_number(text: str) -> bool:
    """Return whether `text` is one to five ASCII digits."""
    return text.isascii() and text.isdigit() and len(text) <= 5


def listen_tcp(bind: TcpBind, backlog: int, *, shares_port: bool = False) -> socket.socket:
    """Listen on the first address of the host that this machine can bind; raises StartupError.

    With `shares_port` others of this user that ask for the same may listen there too (SO_REUSEPORT).
    """
    try:
        found = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        hint = "check the spelling of --host, or give an address"
        raise StartupError(f"host {bind.host!r} is not known: {error}", hint) from error
    # A name such as localhost has several addresses; one family may be switched off here.
    for family, kind, protocol, _, address in found[:-1]:
        try:
            return _bind_tcp(
                ListeningSocket(family, kind, protocol), address, backlog, shares_port=shares_port
            )
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise _tcp_error(bind, error) from error
    family, kind, protocol, _, address = found[-1]
    try:
        return _bind_tcp(ListeningSocket(family, kind, protocol), address, backlog, shares_port=shares_port)
    except OSError as error:
        raise _tcp_error(bind, error) from error


def _bind_tcp(
    sock: socket.socket, address: SocketAddress, backlog: int, *, shares_port: bool
) -> socket.socket:
    """Return `sock` listening on `address`; closes it and raises OSError when that fails."""
    try:
        # Without it a restart within a minute of the last close fails: TIME_WAIT holds the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            # [::] and 0.0.0.0 can then be listed side by side, whatever the sysctl says.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        # With SO_REUSEADDR it may be listen(2), not bind(2), that reports EADDRINUSE.
        return _start(sock, backlog)
    except OSError:
        sock.close()
        raise


def _start(sock: socket.socket, backlog: int) -> socket.socket:
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def _tcp_error(bind: TcpBind, error: OSError) -> StartupError:
    """Return what an operator is told about a failed bind(2) or listen(2)."""
    if error.errno == errno.EADDRINUSE:
        return AddressInUseError(bind.host, bind.port)
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "choose a port from 1024 up, such as --port 8765, or grant CAP_NET_BIND_SERVICE"
        return StartupError(f"no permission to listen on port {bind.port}", hint)
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        hint = "use 127.0.0.1 for this machine only, 0.0.0.0 for every address it has"
        return StartupError(f"{bind.host} is not an address of this machine", hint)
    return StartupError(f"cannot listen on {bind}: {error.strerror}")


def _listen_unix(bind: UnixBind, backlog: int) -> socket.socket:
    """Listen on a path, removing a stale socket file first."""
    if len(os.fsencode(bind.path)) > UNIX_PATH_BYTES:
        raise StartupError(f"the socket path {bind.path} is too long", PATH_HINT)
    try:
        sock = UnixListeningSocket(bind.path, bind.mode)
    except BlockingIOError:  # EAGAIN: the lock is another's
        raise AddressInUseError(bind.path, 0) from None
    except OSError as error:
        raise _unix_error(bind.path, error) from error
    try:
        _remove_stale(bind.path)
        # Between bind(2) and listen(2) every connect(2) is refused, so the file's mode is right
        # before anybody can use it, and the process-wide umask stays as it is.
        sock.bind(bind.path)
        return _start(sock, backlog)
    except OSError as error:
        sock.close()
        raise _unix_error(bind.path, error) from error
    except StartupError:
        sock.close()
        raise


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on.

    Raises AddressInUseError if somebody does, StartupError if it is no socket, else OSError.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartupError(f"{path} exists and is not a socket", "remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # EAGAIN: a listener whose backlog is full
            pass
    raise AddressInUseError(path, 0)


def _unix_error(path: str, error: OSError) -> StartupError:
    """Return what an operator is told about a path that cannot be bound."""
    if error.errno == errno.ENOENT:
        return StartupError(f"the directory of {path} does not exist", "create it first")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StartupError(f"no permission to create {path}", "choose a directory the daemon may write to")
    if error.errno == errno.EADDRINUSE:
        return AddressInUseError(path, 0)
    return StartupError(f"cannot listen on {path}: {error.strerror}")


def _listen_fd(bind: FdBind, backlog: int) -> socket.socket:
    """Take over an inherited socket; it is left open if it cannot be used."""
    hint = "systemd passes sockets from descriptor 3 up; check the socket unit"
    try:
        sock = ListeningSocket(fileno=bind.fd)
    except OSError as error:  # EBADF, ENOTSOCK
        raise StartupError(f"{bind} is not an open socket: {error.strerror}", hint) from error
    if sock.type != socket.SOCK_STREAM or sock.family not in FAMILIES:
        sock.detach()
        raise StartupError(f"{bind} is not a stream socket of TCP or Unix", hint)
    try:
        # A no-op but for the backlog where the socket listens already; EINVAL on a connected one.
        _start(sock, backlog)
        sock.set_inheritable(False)
    except OSError as error:
        sock.detach()
        raise StartupError(f"cannot listen on {bind}: {error.strerror}", hint) from error
    return sock
