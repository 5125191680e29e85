"""OpenSSL between two buffers: bytes in, bytes out, no socket and no opinion.

What the `ssl` module reports by a dozen exceptions is here one of three things: it is done, it
wants input, or it is a `TransportError` with OpenSSL's own name for what went wrong. Those names
come from tables of the library; nothing of the peer's bytes is in them.

Who feeds it, and when, is told in `tls.py`.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from wsloop.errors import TransportError
from wsloop.transport.tls_records import RecordCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.buffers.outbox import Piece

RECORD_BYTES = 16_384
"""Most plaintext in a record (RFC 8446 section 5.1). The engine is read, and written, by as much."""

FEED_BYTES = RECORD_BYTES + 512
"""Ciphertext that the engine is fed at a time: a full record with head and tail (22 bytes in TLS 1.3).
The engine's buffers never shrink again: fed 64 KiB, an idle connection could keep 87 KiB."""

_KINDS = {kind.value: kind.name for kind in ssl.SSLErrorNumber}


class TlsEngine:
    """One end of a TLS connection. `wrap` makes the SSLObject of an incoming and an outgoing buffer."""

    __slots__ = ("_counter", "_incoming", "_outgoing", "_ssl")

    def __init__(self, wrap: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = wrap(self._incoming, self._outgoing)
        self._counter = RecordCounter()

    @property
    def input_bytes(self) -> int:
        """How much of what it was fed it has not looked at."""
        return self._incoming.pending

    @property
    def output_bytes(self) -> int:
        """How much it has to say to the peer."""
        return self._outgoing.pending

    def feed(self, ciphertext: Piece, max_records: int) -> tuple[int, int]:
        """Give it the next of what the peer sent; return how many bytes it took, and how many records.

        Takes `FEED_BYTES` and `max_records` (at least 1) of them at most. Only the records that
        end in these bytes are counted.
        """
        count, records = self._counter.walk(ciphertext, FEED_BYTES, max_records)
        self._incoming.write(ciphertext if count == len(ciphertext) else memoryview(ciphertext)[:count])
        return count, records

    def drop_input(self) -> None:
        """Forget what it has not looked at."""
        self._incoming.read()

    def take_output(self) -> bytes:
        """Return what must be sent to the peer, b"" if nothing."""
        return self._outgoing.read()

    def shake(self) -> bool:
        """Go on with the handshake; False if it wants input. Raises TransportError."""
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise fault(error) from None
        return True

    def open_record(self) -> bytes | None:
        """Return the plaintext of one record, b"" at the peer's close_notify, None if it wants input.

        Always a whole record, so that no plaintext is left inside. Raises TransportError.
        """
        try:
            return self._ssl.read(RECORD_BYTES)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:  # if our own close_notify was sent before
            return b""
        except ssl.SSLError as error:
            raise fault(error) from None

    def seal(self, plaintext: Piece) -> bytes | None:
        """Return at most `RECORD_BYTES` of plaintext, encrypted; None if it wants input first.

        What else it had to say comes before. Raises TransportError.
        """
        try:
            self._ssl.write(plaintext)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            raise fault(error) from None
        return self._outgoing.read()

    def end(self) -> None:
        """Add a close_notify to the output; reading goes on. Raises TransportError.

        `unwrap` calls SSL_shutdown twice; the second looks for the peer's own close_notify, and
        fails for good over data that waits before it (APPLICATION_DATA_AFTER_CLOSE_NOTIFY). So
        it is shown an empty buffer.
        """
        held = self._incoming.read()
        try:
            self._ssl.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise fault(error) from None
        finally:
            self._incoming.write(held)


def fault(error: ssl.SSLError) -> TransportError:
    """Return a TransportError with the library's name of `error`: BAD_RECORD_MAC, UNEXPECTED_EOF ...

    For some there is no reason, as when OpenSSL 3.0 meets a record of TLS 1.2 that is too short for
    its tag ("internal error"); these have the name of what SSL_get_error says: SSL_ERROR_SSL.
    """
    return TransportError(error.reason or _KINDS.get(error.errno or 0, "SSL_ERROR_SSL"))
