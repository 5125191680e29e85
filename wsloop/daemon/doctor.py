"""`wsloop doctor`: is this machine fit for the settings? Each finding with the command that helps.

Only looks; changes nothing. Everything is read through a `Machine`, so that each finding can be shown.
The checks of ports and certificates are in `doctor_service.py`.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon.compose import RESERVED_DESCRIPTORS
from wsloop.daemon.tables import spelled_bytes

if TYPE_CHECKING:
    from wsloop.daemon.settings import Settings

OK, WARN, FAIL = "ok", "warn", "FAIL"

CONNECTION_BYTES = 3_000
"""Of this process, for an idle messaging client with one subscription, without TLS: measured with 102,400 of
them (`make show-100k`, docs/operate/sizing.md)."""

KERNEL_BYTES = 5_200
"""Of the kernel, for its TCP connection: socket, file and epoll entry, with empty buffers. Measured there, as
half of what `Slab` grew by, since both ends of each connection were on that machine."""

PROCESS_BYTES = 64 * 1024 * 1024
"""What a daemon takes before anybody connects, with room to work."""

FEW_DESCRIPTORS = 4_096
"""Below it a daemon is full before a core is warm; systemd's default hard limit is 524,288."""

FEW_PORTS = 20_000
"""Linux has 28,232 by default. Each connection of a proxy on this machine to the daemon takes one."""

RELEASED_UNIX_S = 1_767_225_600
"""2026-01-01: a clock that is before it is wrong, and tokens would be judged by it."""

QUICK_CLOCKS = frozenset({"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen"})
"""Read without a system call; others take a microsecond, each turn."""

EXTRAS = {
    "isal": "compression is slower without it: pip install 'wsloop[fast]'",
    "numpy": "large messages are unmasked more slowly without it: pip install 'wsloop[fast]'",
    "cryptography": "tokens signed with RSA or EC keys need it: pip install 'wsloop[jwt]'",
    "hiredis": "several machines, over Redis, need it: pip install 'wsloop[redis]'",
}
"""Packages that are used where they are installed, and what is different without them."""


class Finding(msgspec.Struct, frozen=True):
    """What was found of one thing; `fix` is the one command that helps, "" if all is well."""

    level: str
    name: str
    text: str
    fix: str = ""


def _is_installed(name: str) -> bool:
    return find_spec(name) is not None


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at: the kernel's files below `proc` and `sys`, limits, clocks, packages."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    descriptors: tuple[int, int] = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE))
    user_id: int = field(default_factory=os.geteuid)
    unix_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
    is_installed: Callable[[str], bool] = _is_installed

    def numbers(self, path: str) -> list[int]:
        """Return the numbers in a file below /proc/sys, [] if there is none."""
        try:
            return [int(word) for word in (self.proc / "sys" / path).read_text(encoding="ascii").split()]
        except (OSError, ValueError):  # ENOENT: off Linux, or not loaded; EACCES: a hardened container
            return []

    def text(self, path: Path) -> str:
        """Return a file's text, "" if it cannot be read."""
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    @property
    def room(self) -> int:
        """How many clients the descriptors of one process reach for."""
        _, hard = self.descriptors
        limit = 1_000_000 if hard == resource.RLIM_INFINITY else hard
        return max(1, limit - RESERVED_DESCRIPTORS)


Check = Callable[[Machine, "Settings"], Iterator[Finding]]


def descriptors(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Check how many files may be open: by the process, and by all of them."""
    soft, hard = machine.descriptors
    asked = settings.server.limit_concurrency or 0
    text = f"soft limit {soft:,}, hard limit {hard:,}: {machine.room:,} clients in a process"
    fix = "LimitNOFILE=1048576 in the systemd unit, or: ulimit -Hn 1048576"
    if asked > machine.room:
        yield Finding(FAIL, "descriptors", f"{text}, and limit_concurrency is {asked:,}", fix)
    elif machine.room < FEW_DESCRIPTORS:
        yield Finding(WARN, "descriptors", text, fix)
    else:
        yield Finding(OK, "descriptors", text)
    most = machine.numbers("fs/nr_open")
    if most and hard > most[0]:
        yield Finding(
            WARN, "fs.nr_open", f"{most[0]:,}, below the hard limit", f"sysctl -w fs.nr_open={hard}"
        )
    everybody = machine.numbers("fs/file-max")
    if everybody and everybody[0] < machine.room:
        fix = f"sysctl -w fs.file-max={2 * machine.room}"
        yield Finding(WARN, "fs.file-max", f"{everybody[0]:,} for the whole machine", fix)


def backlog(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Check that the kernel queues as many connections as the daemon asks for."""
    wanted = settings.server.backlog
    for name in ("net/core/somaxconn", "net/ipv4/tcp_max_syn_backlog"):
        found = machine.numbers(name)
        dotted = name.replace("/", ".")
        if found and found[0] < wanted:
            text = f"{found[0]:,}, and server.backlog is {wanted:,}: a burst of new clients waits a second"
            yield Finding(WARN, dotted, text, f"sysctl -w {dotted}={wanted}")
        elif found:
            yield Finding(OK, dotted, f"{found[0]:,}")


def network(machine: Machine, _settings: Settings) -> Iterator[Finding]:
    """Check ports for outgoing connections, TCP's memory and the firewall's table."""
    ports = machine.numbers("net/ipv4/ip_local_port_range")
    if len(ports) == 2:
        count = ports[1] - ports[0] + 1
        few = count < FEW_PORTS
        text = f"{count:,} ports for a proxy on this machine, or for what the daemon asks"
        fix = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"' if few else ""
        yield Finding(WARN if few else OK, "net.ipv4.ip_local_port_range", text, fix)
    pages = machine.numbers("net/ipv4/tcp_mem")
    if len(pages) == 3:
        limit_bytes = pages[2] * os.sysconf("SC_PAGE_SIZE")
        least = limit_bytes // KERNEL_BYTES
        is_low = least < min(machine.room, 100_000)
        fix = f'sysctl -w net.ipv4.tcp_mem="{2 * pages[0]} {2 * pages[1]} {2 * pages[2]}"' if is_low else ""
        text = f"{spelled_bytes(limit_bytes)} for all TCP buffers"
        yield Finding(WARN if is_low else OK, "net.ipv4.tcp_mem", text, fix)
    yield from _buffers(machine)
    tracked = machine.numbers("net/netfilter/nf_conntrack_max")
    if tracked:
        is_low = tracked[0] < min(machine.room, 100_000)
        fix = f"sysctl -w net.netfilter.nf_conntrack_max={2 * min(machine.room, 1_000_000)}" if is_low else ""
        text = f"the firewall keeps track of {tracked[0]:,} connections at most"
        yield Finding(WARN if is_low else OK, "nf_conntrack_max", text, fix)


def _buffers(machine: Machine) -> Iterator[Finding]:
    """Check that a socket does not begin with large buffers."""
    for name, usual in (("tcp_rmem", "4096 131072 6291456"), ("tcp_wmem", "4096 16384 4194304")):
        sizes = machine.numbers(f"net/ipv4/{name}")
        if len(sizes) == 3:
            is_large = sizes[1] > 1024 * 1024
            fix = f'sysctl -w net.ipv4.{name}="{usual}"' if is_large else ""
            text = f"a socket begins with {spelled_bytes(sizes[1])}"
            yield Finding(WARN if is_large else OK, f"net.ipv4.{name}", text, fix)


def clock(machine: Machine, _settings: Settings) -> Iterator[Finding]:
    """Check the two clocks: the one that judges tokens and the one that times the loop."""
    now_s = machine.unix_s()
    if now_s < RELEASED_UNIX_S:
        text = f"the clock shows {time.strftime('%Y-%m-%d', time.gmtime(now_s))}: tokens would be misjudged"
        yield Finding(FAIL, "clock", text, "timedatectl set-ntp true")
    elif machine.monotonic_s() > machine.monotonic_s():
        yield Finding(FAIL, "clock", "the monotonic clock goes backwards", "restart the machine")
    else:
        yield Finding(OK, "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s)))
    source = machine.text(machine.sys / "devices/system/clocksource/clocksource0/current_clocksource")
    if source and source not in QUICK_CLOCKS:
        fix = "boot with clocksource=tsc, if the machine's is stable"
        yield Finding(WARN, "clocksource", f"{source} takes a system call to read", fix)


def extras(machine: Machine, _settings: Settings) -> Iterator[Finding]:
    """Tell which optional packages are installed."""
    for name, loss in EXTRAS.items():
        is_there = machine.is_installed(name)
        yield Finding(OK, name, "installed" if is_there else f"not installed; {loss}")


def memory(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Tell how many connections there is memory for."""
    from wsloop.daemon.memory import ProcessMemory  # noqa: PLC0415 - with the checks only

    gauge = ProcessMemory(
        settings.server.memory_limit, proc=machine.proc / "self", cgroups=machine.sys / "fs/cgroup"
    )
    try:
        found = gauge.read()
    except OSError:  # ENOENT: no /proc
        found = None
    limit_bytes = found.limit_bytes if found is not None else _machines_bytes(machine)
    if not limit_bytes:
        return
    processes = settings.server.workers if isinstance(settings.server.workers, int) else 1
    room_bytes = max(0, int(0.8 * limit_bytes) - PROCESS_BYTES * processes)
    by_memory = room_bytes // (CONNECTION_BYTES + KERNEL_BYTES)
    by_descriptors = machine.room * processes
    count = min(by_memory, by_descriptors, settings.server.limit_concurrency or by_descriptors)
    what = "limit" if found is not None else "in the machine"
    limiting = (
        "memory" if count == by_memory else "descriptors" if count == by_descriptors else "the settings"
    )
    text = f"{spelled_bytes(limit_bytes)} {what}: about {count:,} connections, limited by {limiting}"
    if count < 1000 and limiting == "memory":
        yield Finding(
            WARN, "memory", text, "give the daemon more: MemoryMax= in the unit, memory: in the pod"
        )
    else:
        yield Finding(OK, "memory", text)


def _machines_bytes(machine: Machine) -> int:
    for line in machine.text(machine.proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) * 1024
    return 0


CHECKS: tuple[Check, ...] = (descriptors, backlog, network, clock, extras, memory)
"""In the order of the report; those of the service come behind."""
