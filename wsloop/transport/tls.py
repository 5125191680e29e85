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
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.transport.base import FLUSH_BYTES, MAX_VIEWS
from wsloop.transport.client_hello import REFUSALS, HelloScanner, Verdict
from wsloop.transport.tcp import TcpTransport
from wsloop.transport.tls_engine import RECORD_BYTES, TlsEngine
from wsloop.transport.tls_state import DECRYPTING, ENCRYPTING, ENDED, SHAKING, TlsState, TlsStep, tls_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.transport.base import SocketAddress, SocketLike
    from wsloop.transport.tls_side import TlsSide

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
        "_arrived", "_credit", "_engine", "_fault", "_fin_wanted", "_is_decrypting", "_is_encrypting",
        "_plain", "_records_left", "_scanner", "_side", "_tcp", "_waiting", "state",
    )  # fmt: skip

    is_secure = True

    def __init__(self, sock: SocketLike, address: SocketAddress, side: TlsSide) -> None:
        self._tcp = TcpTransport(sock, address, is_prompt=True)
        self.state = TlsState.AWAITING_HELLO
        self._side = side
        self._scanner: HelloScanner | None = None
        self._engine: TlsEngine | None = None
        self._arrived: Piece = b""  # ciphertext that the engine was not fed yet
        self._plain: Piece = b""  # of a record that was too long for the last read
        self._waiting = Outbox()  # ciphertext for the kernel
        self._fault = ""  # to be raised by the next read
        self._fin_wanted = False
        self._is_decrypting = self._is_encrypting = False  # what `state` says, for the hot path
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

    @property
    def peer(self) -> str:
        """The peer's address for logs."""
        return self._tcp.peer

    @property
    def peer_host(self) -> str:
        """The part of it that limits are counted by."""
        return self._tcp.peer_host

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._tcp.fileno()

    # -- bytes in ----------------------------------------------------------------------------

    def read(self, max_bytes: int) -> bytes | None:
        """Read once from the socket, unless something waits inside, and return what it decrypts to.

        The common case, a lone record, takes no list and no loop: 2 us less.
        """
        self._fetch()
        plain = self._plain
        if plain and not self._arrived and len(plain) <= max_bytes:
            self._plain = b""
            return bytes(plain)
        return b"".join(self._decrypt(max_bytes)) or self._nothing()

    def read_into(self, buffer: memoryview) -> int | None:
        """Read into `buffer`, which stays the caller's; one copy more than plain TCP needs."""
        self._fetch()
        count = 0
        for piece in self._decrypt(len(buffer)):
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count or (None if self._nothing() is None else 0)

    def _nothing(self) -> bytes | None:
        """Return what a read without plaintext says: the end, or not yet; or raise what ended it."""
        if self._fault:
            reason, self._fault = self._fault, ""
            raise TransportError(reason)
        return b"" if self.state in ENDED else None

    def _fetch(self) -> None:
        """Do one recv, unless something waits inside; then have a record's plaintext, if there is one.

        Raises TransportError, and nothing that was decrypted is lost by it.
        """
        self._records_left = RECORDS_PER_READ
        if self.has_input:
            if self.state is TlsState.HANDSHAKING and self._arrived:
                self._shake()
            return
        if not self._is_decrypting and self.state in ENDED:
            return
        data = self._tcp.read(RECEIVE_BYTES)
        if data == b"":
            self._on_cut_off()
        elif data is not None and not self._is_decrypting:
            if self.state in SHAKING:
                self._greet(data)
            # What a refused peer still says is dropped.
        elif data is not None:
            self._arrived = data
            self._plain = self._next_record()

    def _decrypt(self, room: int) -> list[Piece]:
        """Return plaintext of what is inside, at most `room` bytes."""
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
        return pieces

    def _next_record(self) -> bytes:
        """Return the next record's plaintext; b"" if there is none now, or none any more."""
        engine = self._engine
        while self._is_decrypting and engine is not None:
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
                if self._credit < RECORD_CREDIT:
                    self._credit += 2
                return record
            if record is None:
                self._on_barren()
            else:
                self._step(TlsStep.NOTIFY_RECEIVED)
                self._drop_input()
        return b""

    def _on_barren(self) -> None:
        """Follow input without plaintext: part of a record, or a flood of work that says nothing."""
        self._step(TlsStep.READ_WANTS_INPUT)
        if self._credit < 0:
            self._fail("TOO_MANY_KEY_UPDATES")
        elif self._waiting.size > WAITING_BYTES:
            self._fail("EXCESSIVE_OUTPUT")

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
        """Encrypt some of `data`, if nothing waits, and offer it to the kernel.

        The common case, a record at most, is written out here and in `flush`: 4 us less.
        """
        if len(data) > RECORD_BYTES or self._waiting.size or not self._is_encrypting:
            return self._write([data])
        sealed = self._seal_record(data)
        sent_bytes = self._tcp.write(sealed)
        if sent_bytes < len(sealed):
            self._waiting.append(memoryview(sealed)[sent_bytes:])
        return len(data)

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
        first = outbox.peek()
        if first is None or len(first) != outbox.size or len(first) > min(max_bytes, RECORD_BYTES):
            return self._flush(outbox, max_bytes)
        outbox.advance(self.write(first))
        return not outbox.size and not self._waiting.size

    def _flush(self, outbox: Outbox, max_bytes: int) -> bool:
        """Carry out `flush` for any outbox."""
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
        if self._is_encrypting:
            return True
        if self.state not in SHAKING:
            raise TransportError(self._fault or "EPIPE")
        if not self._side.is_server and self._engine is None:
            self._shake()
        self._step(TlsStep.WRITE_WANTS_INPUT)
        return False

    def _seal(self, data: Piece) -> int:
        """Encrypt all of `data`, record by record, and return its length. Raises TransportError."""
        if len(data) <= RECORD_BYTES:
            self._waiting.append(self._seal_record(data))
        else:
            view = memoryview(data)
            for start in range(0, len(view), RECORD_BYTES):
                self._waiting.append(self._seal_record(view[start : start + RECORD_BYTES]))
        return len(data)

    def _seal_record(self, data: Piece) -> bytes:
        """Return `data` encrypted. Raises TransportError, and the stream is at its end."""
        assert self._engine is not None
        try:
            sealed = self._engine.seal(data)
        except TransportError:
            self._step(TlsStep.FAULT)
            raise
        if sealed is None:
            self._step(TlsStep.WRITE_WANTS_INPUT)
            raise TransportError("WANT_READ")
        return sealed

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
        if self._is_encrypting:
            self._say_end()
        self._fin_wanted = True
        self._push_quietly()

    def close(self) -> None:
        """Send close_notify, if the kernel takes it with what waits, and close the socket."""
        if self.state is TlsState.RELEASED:
            return
        self._note_unfinished("UNFINISHED")
        if self._is_encrypting:
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
        self._is_decrypting = self.state in DECRYPTING
        self._is_encrypting = self.state in ENCRYPTING
