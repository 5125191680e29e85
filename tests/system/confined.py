"""Run a command under the restrictions of a systemd unit that the kernel enforces without systemd.

    python tests/system/confined.py ALLOWED COMMAND...

ALLOWED is a file with the names of the system calls that are allowed, one a line; any other fails with
EPERM, and so does socket(2) for a family but AF_UNIX, AF_INET and AF_INET6. Memory is writable or
executable, never both, if the kernel can (Linux 6.3). What systemd does with SystemCallFilter=,
SystemCallErrorNumber=EPERM, RestrictAddressFamilies=, MemoryDenyWriteExecute= and NoNewPrivileges= comes
to the same: a filter of libseccomp, and prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 38, 65, 1
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_CMP_EQ = 0x7FFF0000, 0x00050000, 4
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`: an argument of a system call beside a number."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def main() -> None:
    """Become the command; raises OSError if the kernel or libseccomp does not take the restrictions."""
    allowed, command = Path(sys.argv[1]).read_text(encoding="ascii").split(), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        sys.stderr.write("this kernel has no PR_SET_MDWE (Linux 6.3)\n")
    _filter(allowed)
    os.execv(command[0], command)


def _filter(allowed: list[str]) -> None:
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(SCMP_ACT_ERRNO | errno.EPERM))
    for name in allowed:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0 or name == "socket":  # of another architecture, or judged below
            continue
        _check(lib.seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 0, None))
    number = lib.seccomp_syscall_resolve_name(b"socket")
    for family in FAMILIES:
        rule = Comparison(0, SCMP_CMP_EQ, family, 0)
        _check(lib.seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 1, ctypes.byref(rule)))
    _check(lib.seccomp_load(context))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))


if __name__ == "__main__":
    main()
