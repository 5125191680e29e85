"""A transport that speaks TLS over a stream socket, with `ssl.MemoryBIO` on both sides.

`ssl.SSLSocket` is not used: it cannot `sendmsg`, it owns the socket, and it knows no other. Here
the engine (`ssl.SSLObject`) turns bytes into bytes between two buffers, and a `TcpTransport`
carries them, over a real socket or one in memory.

Three things are different from plain TCP, and a caller must know of two:

- `has_input`: bytes may wait inside although the socket is not readable. Read again, next turn.
- `has_output`: bytes were taken, encrypted, and wait for the kernel, though the outbox be empty.
  Watch for writability and flush. It appears after reads as well: a key update wants an answer.
- The handshake runs inside `read`, which returns None until it is done. One that fails is told
  to the log and to the peer; then the peer is read to its end, and `read` returns b"" after it.

What is held is bounded: `RECEIVE_BYTES` of ciphertext and a record of plaintext on the way in,
`BATCH_BYTES` with their records' heads and tails on the way out. Nothing is read while something
waits, nothing is encrypted while ciphertext does: what the peer does not take stays in the
outbox, where the limits see it. Read `tls_state.py` for the table that is followed here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.transport.base import FLUSH_BYTES, MAX_VIEWS
from wsloop.transport.client_hello import HelloScanner, Verdict
from wsloop.transport.tcp import TcpTransport
from wsloop.transport.tls_engine import RECORD_BYTES, TlsEngine
from wsloop.transport.tls_state import DECRYPTING, ENCRYPTING, ENDED, SHAKING, TlsState, TlsStep, tls_step

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.transport.base import SocketAddress, SocketLike

RECEIVE_BYTES = 65_536
"""Ciphertext per `recv`, like what a plain connection reads in one turn."""

BATCH_BYTES = 65_536
"""Plaintext encrypted before the kernel is asked to take it: four records for one `sendmsg`. As
much may wait, encrypted, for each slow peer; a larger batch gains nothing (see the docs)."""

WAITING_BYTES = BATCH_BYTES + 32_768
"""Most that may wait for the kernel: a batch with its records' heads and tails, and answers to what
the peer sends meanwhile without reading them. More is a peer that wants memory, not an answer."""

RECORDS_PER_READ = 64
"""Most records given to the engine in one read; the rest waits for the next turn. Of key updates,
the dearest kind, these are 1.6 ms; of 64 KiB full of them, 60 ms."""

RECORD_CREDIT = 256
"""By how many the records without data may outnumber those with data before a peer is given up."""

_HTTP_REASON = b"this port speaks TLS: use https:// or wss://\n"
HTTP_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_HTTP_REASON), _HTTP_REASON)
)
"""What a browser shows that was sent to http:// by mistake; without it, it would say that the
server sends garbage."""

_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02"
NO_APPLICATION_PROTOCOL = _FATAL_ALERT + bytes([120])
"""RFC 7301 section 3.2."""
DECODE_ERROR = _FATAL_ALERT + bytes([50])
"""RFC 8446 section 6.2."""

REFUSALS: dict[Verdict, tuple[str, bytes]] = {
    Verdict.PLAIN_HTTP: ("HTTP_REQUEST", HTTP_REFUSAL),
    Verdict.NO_COMMON_PROTOCOL: ("NO_APPLICATION_PROTOCOL", NO_APPLICATION_PROTOCOL),
    Verdict.TOO_LARGE: ("EXCESSIVE_MESSAGE_SIZE", DECODE_ERROR),
}
"""Reason, in the style of OpenSSL's names, and last words for who is refused before an engine is made."""


class TlsSide(Protocol):
    """Which side of the handshake a transport is, and who keeps its certificate."""

    @property
    def is_server(self) -> bool:
        """Whether the peer speaks first."""
        ...

    def engine(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Return a new engine between two buffers."""
        ...

    def note_done(self) -> None:
        """Be told of a handshake that succeeded."""
        ...

    def note_failed(self, peer: str, reason: str) -> None:
        """Be told of one that did not; `reason` is a name, never a peer's text."""
        ...


class ClientSide:
    """A client's side: verifies the server's certificate as `context` says, for `hostname`."""

    is_server = False

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._context = context
        self._hostname = hostname

    def engine(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """See `TlsSide.engine`."""
        return self._context.wrap_bio(incoming, outgoing, server_hostname=self._hostname)

    def note_done(self) -> None:
        """Nothing is counted."""

    def note_failed(self, peer: str, reason: str) -> None:
        """Nothing is counted: the caller gets a TransportError."""


class TlsTransport:
    """One connected stream socket with TLS on it; satisfies `Transport`, which has the contracts.

    Arguments: `sock`, which the transport owns from here on; `address`, the peer's as accept(2)
    gave it, or None; `side`, where the engine comes from. No engine is made, and no byte sent,
    before the first call that reads or writes; a server's is made when the client has said hello.

    Where the contract says that the kernel has taken bytes, here they are encrypted as well, and
    `has_output` tells whether the kernel has them all. A fault of the peer's raises TransportError
    with OpenSSL's name for it, once; as with a reset, what came before it is read first.
    """

    __slots__ = (
        "_arrived", "_credit", "_engine", "_fault", "_fin_wanted", "_plain", "_records_left", "_scanner",
        "_side", "_tcp", "_waiting", "peer", "peer_host", "state",
    )  # fmt: skip

    is_secure = True

    def __init__(self, sock: SocketLike, address: SocketAddress, side: TlsSide) -> None:
        self._tcp = TcpTransport(sock, address, is_prompt=True)
        self.peer, self.peer_host = self._tcp.peer, self._tcp.peer_host
        self.state = TlsState.AWAITING_HELLO
        self._side = side
        self._scanner: HelloScanner | None = None
        self._engine: TlsEngine | None = None
        self._arrived: Piece = b""  # ciphertext that the engine was not fed yet
        self._plain: Piece = b""  # of a record that was too long for the last read
        self._waiting = Outbox()  # ciphertext for the kernel
        self._fault = ""  # to be raised by the next read
        self._fin_wanted = False
        self._credit = RECORD_CREDIT
        self._records_left = 0  # of this read's RECORDS_PER_READ

    @property
    def has_input(self) -> bool:
        """Whether a read may bring something although the socket is not readable."""
        if self._plain or self._arrived or self._fault:
            return True
        return self._engine is not None and self._engine.input_bytes > 0

    @property
    def has_output(self) -> bool:
        """Whether bytes wait here for the kernel; `flush` sends them."""
        if self.state is TlsState.AWAITING_HELLO:
            return not self._side.is_server
        return self._waiting.size > 0

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._tcp.fileno()

    # -- bytes in ----------------------------------------------------------------------------

    def read(self, max_bytes: int) -> bytes | None:
        """Read once from the socket, unless something waits inside, and return what it decrypts to."""
        pieces = self._decrypt(max_bytes)
        if len(pieces) == 1:
            return bytes(pieces[0])
        return b"".join(pieces) or self._nothing()

    def read_into(self, buffer: memoryview) -> int | None:
        """Read into `buffer`, which stays the caller's; one copy more than plain TCP needs."""
        count = 0
        for piece in self._decrypt(len(buffer)):
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count or (None if self._nothing() is None else 0)

    def _nothing(self) -> bytes | None:
        """Return what a read without plaintext says: the end, or not yet."""
        return b"" if self.state in ENDED else None

    def _decrypt(self, room: int) -> list[Piece]:
        """Return plaintext, at most `room` bytes of it."""
        self._records_left = RECORDS_PER_READ
        if not self.has_input and self.state not in ENDED:
            self._receive()
        elif self.state is TlsState.HANDSHAKING and self._arrived:
            self._shake()
        pieces: list[Piece] = []
        while room > 0:
            plain = self._plain or self._next_record()
            if not plain:
                break
            self._plain = b""
            if len(plain) > room:
                plain = memoryview(plain)
                plain, self._plain = plain[:room], plain[room:]
            pieces.append(plain)
            room -= len(plain)
        if self._fault and not pieces:
            reason, self._fault = self._fault, ""
            raise TransportError(reason)
        return pieces

    def _next_record(self) -> bytes:
        """Return the next record's plaintext; b"" if there is none now, or none any more."""
        engine = self._engine
        while engine is not None and self.state in DECRYPTING:
            if not engine.input_bytes:
                if not self._arrived or not self._records_left:
                    break
                self._feed(engine)
            try:
                record = engine.open_record()
            except TransportError as error:
                self._fail(error.errno_name)
                break
            if engine.output_bytes:
                self._answer(engine)
            if record:
                self._credit = min(self._credit + 2, RECORD_CREDIT)
                return record
            if record is None:
                self._step(TlsStep.READ_WANTS_INPUT)
                if self._credit < 0:
                    self._fail("TOO_MANY_KEY_UPDATES")
                elif self._waiting.size > WAITING_BYTES:
                    self._fail("EXCESSIVE_OUTPUT")
            else:
                self._step(TlsStep.NOTIFY_RECEIVED)
                self._drop_input()
        return b""

    def _receive(self) -> None:
        """Do one recv. Raises TransportError, and nothing that was decrypted is lost by it."""
        data = self._tcp.read(RECEIVE_BYTES)
        if data == b"":
            self._on_cut_off()
        elif data and self.state in SHAKING:
            self._greet(data)
        elif data and self.state in DECRYPTING:
            self._arrived = data
        # What a refused peer still says is dropped.

    def _feed(self, engine: TlsEngine) -> None:
        """Give the engine the next piece of what has arrived."""
        arrived = self._arrived
        count, records = engine.feed(arrived, self._records_left)
        self._arrived = memoryview(arrived)[count:] if count < len(arrived) else b""
        self._records_left -= records
        self._credit -= records

    def _on_cut_off(self) -> None:
        """Note the peer's FIN without a close_notify: a truncation (RFC 8446 section 6.1).

        To the caller it is an end like another: WebSocket and HTTP both tell by themselves
        whether a message was complete, and many clients never send a close_notify.
        """
        self._note_unfinished("UNEXPECTED_EOF")
        self._step(TlsStep.CUT_OFF)

    # -- the handshake -----------------------------------------------------------------------

    def _greet(self, data: bytes) -> None:
        """Take handshake bytes; the first of them are judged before there is an engine."""
        if self._engine is None and self._side.is_server:
            self._scanner = scanner = self._scanner or HelloScanner()
            verdict = scanner.receive(data)
            if verdict is Verdict.UNFINISHED:
                return
            self._scanner, data = None, bytes(scanner.received)
            if verdict in REFUSALS:
                self._refuse(*REFUSALS[verdict])
                return
        self._arrived = data
        self._shake()

    def _shake(self) -> None:
        """Go on with the handshake as far as the input reaches, and send what it says."""
        if self._engine is None:
            self._engine = TlsEngine(self._side.engine)
            self._step(TlsStep.HELLO)
        engine = self._engine
        while self.state is TlsState.HANDSHAKING:
            if self._arrived:
                self._feed(engine)
            try:
                is_done = engine.shake()
            except TransportError as error:
                self._refuse(error.errno_name, engine.take_output())
                return
            if is_done:
                self._side.note_done()
                self._answer(engine)
                self._step(TlsStep.DONE)
                self._credit = RECORD_CREDIT
            else:
                self._step(TlsStep.READ_WANTS_INPUT)
                if not self._arrived or not self._records_left:
                    self._answer(engine)
                    break

    def _refuse(self, reason: str, last_words: bytes) -> None:
        """End a handshake: tell the log, the peer, and a client's caller."""
        self._step(TlsStep.FAULT)
        self._side.note_failed(self.peer, reason)
        self._engine = None
        self._drop_input()
        if not self._side.is_server:
            self._fault = reason
        self._waiting.append(last_words)
        self._fin_wanted = True
        self._push_quietly()

    def _note_unfinished(self, reason: str) -> None:
        """Tell of a handshake that ends half-way; a peer that never said a word is none."""
        if self.state in SHAKING and (self._scanner is not None or self._engine is not None):
            self._side.note_failed(self.peer, reason)

    # -- bytes out ---------------------------------------------------------------------------

    def write(self, data: Piece) -> int:
        """Encrypt some of `data`, if nothing waits, and offer it to the kernel."""
        return self._write([data])

    def write_many(self, views: Sequence[Piece]) -> int:
        """Like `write`; the pieces are joined, for fewer and longer records."""
        return self._write(views)

    def _write(self, views: Sequence[Piece]) -> int:
        if not (self._push() and self._may_seal()):
            return 0
        data = views[0] if len(views) == 1 else b"".join(views)
        taken = self._seal(data if len(data) <= BATCH_BYTES else memoryview(data)[:BATCH_BYTES])
        self._push()
        return taken

    def flush(self, outbox: Outbox, max_bytes: int = FLUSH_BYTES) -> bool:
        """Send what waits, then from `outbox`, a batch at a time, for as long as the kernel takes it all."""
        while self._push():
            if not outbox.size and not self.has_output:
                return True
            if max_bytes <= 0 or not self._may_seal():
                return False
            views = outbox.gather(MAX_VIEWS, min(max_bytes, BATCH_BYTES))
            taken = self._seal(views[0] if len(views) == 1 else b"".join(views))
            outbox.advance(taken)
            max_bytes -= taken
        return False

    def _may_seal(self) -> bool:
        """Return whether the handshake is done; a client's begins here, if it has not yet.

        Raises TransportError when nothing may be written any more.
        """
        if self.state in SHAKING:
            if not self._side.is_server and self._engine is None:
                self._shake()
            self._step(TlsStep.WRITE_WANTS_INPUT)
            return False
        if self.state not in ENCRYPTING:
            raise TransportError(self._fault or "EPIPE")
        return True

    def _seal(self, data: Piece) -> int:
        """Encrypt all of `data`, record by record, and return its length. Raises TransportError."""
        engine = self._engine
        assert engine is not None
        for start in range(0, len(data), RECORD_BYTES):
            part = data if len(data) <= RECORD_BYTES else memoryview(data)[start : start + RECORD_BYTES]
            try:
                sealed = engine.seal(part)
            except TransportError:
                self._step(TlsStep.FAULT)
                raise
            if sealed is None:
                self._step(TlsStep.WRITE_WANTS_INPUT)
                raise TransportError("WANT_READ")
            self._waiting.append(sealed)
        return len(data)

    def _answer(self, engine: TlsEngine) -> None:
        """Send what the engine says of itself: its part of the handshake, a key update, an alert."""
        if not engine.output_bytes:
            return
        self._step(TlsStep.READ_MAKES_OUTPUT)
        self._waiting.append(engine.take_output())
        self._push_quietly()

    def _push(self) -> bool:
        """Offer what waits to the kernel; return whether it took all. Then comes the FIN, if wanted.

        Raises TransportError when the stream is gone.
        """
        if not self._tcp.flush(self._waiting):
            return False
        if self._fin_wanted:
            self._fin_wanted = False
            self._tcp.shutdown_write()
        return True

    def _push_quietly(self) -> None:
        """Like `_push`, in the middle of something else: that the stream is gone is told by the next call."""
        with contextlib.suppress(TransportError):
            self._push()

    # -- the end -----------------------------------------------------------------------------

    def shutdown_write(self) -> None:
        """Send close_notify, then FIN, behind what waits; not before the handshake is done: FIN only."""
        if self.state in ENCRYPTING:
            self._say_end()
        self._fin_wanted = True
        self._push_quietly()

    def close(self) -> None:
        """Send close_notify, if the kernel takes it with what waits, and close the socket."""
        if self.state is TlsState.RELEASED:
            return
        self._note_unfinished("UNFINISHED")
        if self.state in ENCRYPTING:
            self._say_end()
        self._push_quietly()
        self._tcp.close()
        self._release()

    def abort(self) -> None:
        """Reset the stream; what waits is lost."""
        if self.state is not TlsState.RELEASED:
            self._tcp.abort()
            self._release()

    def _say_end(self) -> None:
        """Queue a close_notify (RFC 8446 section 6.1); the peer may go on talking."""
        assert self._engine is not None
        try:
            self._engine.end()
        except TransportError:
            self._step(TlsStep.FAULT)
            return
        self._waiting.append(self._engine.take_output())
        self._step(TlsStep.NOTIFY_SENT)

    def _fail(self, reason: str) -> None:
        """Give the peer up: its alert is sent if the kernel takes it, and the next read raises."""
        assert self._engine is not None
        self._step(TlsStep.FAULT)
        self._waiting.append(self._engine.take_output())
        self._push_quietly()
        self._fault = reason
        self._drop_input()

    def _drop_input(self) -> None:
        self._arrived = b""
        if self._engine is not None:
            self._engine.drop_input()

    def _release(self) -> None:
        self._step(TlsStep.RELEASE)
        self._scanner = self._engine = None
        self._arrived = self._plain = b""
        self._fault = ""
        self._waiting.clear()

    def _step(self, taken: TlsStep) -> None:
        self.state = tls_step(self.state, taken)
