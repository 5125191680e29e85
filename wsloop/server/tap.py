"""A transport that tells somebody what goes through it: put around a connection's own, and taken off again.

While nothing is recorded there is none, so that recording costs nothing then, not even a question. Satisfies
`Transport`; behind TLS what is told is in the clear. Next: `recorder.py`, its user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.transport.base import FLUSH_BYTES, flush

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.buffers.outbox import Outbox, Piece
    from wsloop.transport.base import Transport

    Told = Callable[[bool, bytes], object]
    """Gets whether it is the server's, and the bytes."""


class Tap:
    """Around `inner`: `told` gets what was read, and what was taken to be written.

    `ended` is called when it is closed, perhaps twice. Neither may raise.
    """

    __slots__ = ("_ended", "_told", "inner")

    def __init__(self, inner: Transport, told: Told, ended: Callable[[], object]) -> None:
        self.inner = inner
        self._told = told
        self._ended = ended

    @property
    def is_secure(self) -> bool:
        """See `Transport.is_secure`."""
        return self.inner.is_secure

    @property
    def has_input(self) -> bool:
        """See `Transport.has_input`."""
        return self.inner.has_input

    @property
    def has_output(self) -> bool:
        """See `Transport.has_output`."""
        return self.inner.has_output

    @property
    def peer(self) -> str:
        """See `Transport.peer`."""
        return self.inner.peer

    @property
    def peer_host(self) -> str:
        """See `Transport.peer_host`."""
        return self.inner.peer_host

    def fileno(self) -> int:
        """See `Transport.fileno`."""
        return self.inner.fileno()

    def read(self, max_bytes: int) -> bytes | None:
        """See `Transport.read`."""
        data = self.inner.read(max_bytes)
        if data:
            self._told(False, data)
        return data

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport.read_into`."""
        count = self.inner.read_into(buffer)
        if count:
            self._told(False, bytes(buffer[:count]))
        return count

    def write(self, data: Piece) -> int:
        """See `Transport.write`."""
        count = self.inner.write(data)
        if count:
            self._told(True, bytes(data[:count]))
        return count

    def write_many(self, views: Sequence[Piece]) -> int:
        """See `Transport.write_many`."""
        count = self.inner.write_many(views)
        if count:
            self._told(True, b"".join(views)[:count])
        return count

    def flush(self, outbox: Outbox, max_bytes: int = FLUSH_BYTES) -> bool:
        """See `Transport.flush`."""
        if not outbox.size:
            return self.inner.flush(outbox, max_bytes)
        return flush(self, outbox, max_bytes) and not self.inner.has_output

    def shutdown_write(self) -> None:
        """See `Transport.shutdown_write`."""
        self.inner.shutdown_write()

    def close(self) -> None:
        """See `Transport.close`."""
        self.inner.close()
        self._ended()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.inner.abort()
        self._ended()
