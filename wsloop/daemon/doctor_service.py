"""The part of `wsloop doctor` that is about this service: its ports and its certificate."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING

from wsloop.daemon.doctor import FAIL, OK, WARN, Finding
from wsloop.daemon.port_holder import holder_of
from wsloop.errors import ConfigError
from wsloop.transport.bind import TcpBind, UnixBind, parse_bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.daemon.doctor import Machine
    from wsloop.daemon.settings import Settings

CAP_NET_BIND_SERVICE = 10
"""Linux, capabilities(7): the bit of the right to ports below 1,024."""

SOON_S = 14 * 86_400
"""A certificate that ends so soon should have been renewed: Let's Encrypt renews at 30 days."""


def ports(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Check that every address is free, and may be taken."""
    server, admin = settings.server, settings.admin
    binds = [parse_bind(text) for text in server.bind] or [TcpBind(server.host, server.port)]
    if admin.enabled:
        binds.append(TcpBind(admin.host, 8766 if admin.port is None else admin.port))
    for bind in binds:
        if isinstance(bind, TcpBind) and bind.port:
            yield _port(machine, bind)
        elif isinstance(bind, UnixBind):
            directory = os.path.dirname(bind.path) or "."
            if os.path.isdir(directory):
                yield Finding(OK, str(bind), "its directory is there")
            else:
                yield Finding(FAIL, str(bind), f"{directory} does not exist", f"mkdir -p {directory}")


def _port(machine: Machine, bind: TcpBind) -> Finding:
    name = f"port {bind.port}"
    if not _may_take(machine, bind.port):
        fix = "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a port from 1024 up behind a proxy"
        return Finding(FAIL, name, f"no right to ports below {_first_free_port(machine)}", fix)
    try:
        found = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Finding(FAIL, name, f"cannot listen on {bind}: {error.strerror}", "check server.host")
        return _held(machine, name, bind.port)
    return Finding(OK, name, "free")


def _held(machine: Machine, name: str, port: int) -> Finding:
    """Tell who has a port; that it is a wsloop daemon is how it should be."""
    holder = holder_of(port, machine.proc)
    pid = holder.removeprefix("pid ").partition(",")[0]
    if pid and b"wsloop" in _command_line(machine, pid):
        return Finding(OK, name, f"a wsloop daemon has it ({holder})")
    fix = f"end that process, or choose another: --port {port + 10}"
    return Finding(FAIL, name, f"in use ({holder or 'by another user'})", fix)


def _command_line(machine: Machine, pid: str) -> bytes:
    try:
        return (machine.proc / pid / "cmdline").read_bytes()
    except OSError:  # ENOENT: it has ended
        return b""


def _may_take(machine: Machine, port: int) -> bool:
    if port >= _first_free_port(machine) or machine.user_id == 0:
        return True
    for line in machine.text(machine.proc / "self/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_BIND_SERVICE & 1)
    return False


def _first_free_port(machine: Machine) -> int:
    found = machine.numbers("net/ipv4/ip_unprivileged_port_start")
    return found[0] if found else 1024


def certificate(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Check that the certificate fits its key, and for how long it is good."""
    if not settings.tls.certfile:
        return
    from wsloop.daemon.compose import certificates  # noqa: PLC0415 - with TLS only

    try:
        certificates(settings.tls)
    except ConfigError as error:
        yield Finding(FAIL, "certificate", error.message, error.hint)
        return
    # The standard library reads a certificate's fields for its own tests, and has no other name for it.
    fields = ssl._ssl._test_decode_cert(settings.tls.certfile)  # type: ignore[attr-defined]
    left_s = ssl.cert_time_to_seconds(fields["notAfter"]) - machine.unix_s()
    until = time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(fields["notAfter"])))
    fix = "renew it, then: wsloop ctl reload"
    if left_s <= 0:
        yield Finding(FAIL, "certificate", f"expired on {until}", fix)
    elif left_s < SOON_S:
        yield Finding(WARN, "certificate", f"expires on {until}, in {left_s / 86_400:.0f} days", fix)
    else:
        yield Finding(OK, "certificate", f"good until {until}")


CHECKS = (ports, certificate)
