"""Standard streams that are closed, and input that is no text; with real processes: tests/system."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import streams
from wsloop.errors import UsageError


def test_whatever_is_closed_is_open_afterwards() -> None:
    """In a process of its own: the streams of this one are pytest's."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.closerange(0, 3)
            for name in ("stdin", "stdout", "stderr"):
                setattr(sys, name, None)  # as Python has it then
            streams.open_missing()
            null = os.stat(os.devnull)
            found = [os.path.samestat(os.fstat(fd), null) for fd in range(3)]
            sys.stdout.write("nobody reads this")
            sys.stderr.write("nor this")
            code = 0 if all(found) and not sys.stdin.read() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@given(st.binary(max_size=40))
def test_input_is_utf_8_in_every_locale_and_any_bytes_can_be_read(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii", newline=""))
        assert streams.read_input().encode("utf-8", "surrogateescape") == data


def test_input_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys, "stdin", Broken())
    with pytest.raises(UsageError, match="cannot read standard input: Input/output error"):
        streams.read_input()
