"""What every `Transport` must do, whatever it runs on: real sockets, memory, TLS over either.

Subclass `TransportContract` in a test module, give the class a name that starts with `Test`,
and implement `connected`. The suite needs no test library: plain assertions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.loop.poller import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from wsloop.transport.base import Transport

PATIENT_FLUSHES = 20
ENOUGH_BYTES = 16 << 20
"""More than any pair of sockets takes without a reader."""


@dataclass(slots=True)
class Wire:
    """Two connected transports, any handshake of theirs done. The context manager that made it closes both.

    `wait` returns once a transport is ready for READ (1) or WRITE (2): a poller with a bounded
    patience, or a clock that is moved. `has_reset` tells whether `abort` can be seen by the peer.
    """

    left: Transport
    right: Transport
    wait: Callable[[Transport, int], object]
    has_reset: bool = True

    def receive(self, transport: Transport, count_bytes: int) -> bytes:
        """Return the next `count_bytes` bytes that arrive, or fewer if the stream ends."""
        received = bytearray()
        while len(received) < count_bytes:
            data = transport.read(count_bytes - len(received))
            if data == b"":
                break
            if data is None:
                self.push()
                self.wait(transport, READ)
            else:
                received += data
        return bytes(received)

    def push(self) -> None:
        """Offer the kernel what waits inside the transports; often, for faults may say EAGAIN."""
        for transport in (self.left, self.right):
            for _ in range(PATIENT_FLUSHES):
                if not transport.has_output or transport.flush(Outbox()):
                    break

    def send(self, transport: Transport, data: bytes) -> None:
        """Send all of `data`, which must fit into the buffers."""
        rest = memoryview(data)
        while rest:
            taken = transport.write(rest)
            if not taken:
                self.wait(transport, WRITE)
            rest = rest[taken:]
        while transport.has_output:
            self.wait(transport, WRITE)
            transport.flush(Outbox())

    def fill(self, transport: Transport) -> bytes:
        """Write until the kernel takes no more, and return what it took."""
        sent = bytearray()
        chunk = bytes(range(256)) * 256
        refusals = 0
        while refusals < 3:
            taken = transport.write(chunk)
            sent += chunk[:taken]
            refusals = 0 if taken else refusals + 1
            assert len(sent) < ENOUGH_BYTES, "a transport without back-pressure"
        return bytes(sent)


class TransportContract(ABC):
    """The suite. Every test opens its own wire."""

    @abstractmethod
    def connected(self) -> AbstractContextManager[Wire]:
        """Return a context manager that opens a `Wire` and closes both ends."""

    def test_bytes_arrive_in_order_in_both_directions(self) -> None:
        """A stream is a stream, whatever the sizes of the writes."""
        with self.connected() as wire:
            for sender, receiver in ((wire.left, wire.right), (wire.right, wire.left)):
                for piece in (b"a", b"bc", b"def" * 100):
                    wire.send(sender, piece)
                assert wire.receive(receiver, 303) == b"abc" + b"def" * 100

    def test_a_read_with_nothing_there_is_none(self) -> None:
        """EAGAIN is a result, not an exception."""
        with self.connected() as wire:
            assert wire.left.read(100) is None
            assert wire.left.read_into(memoryview(bytearray(100))) is None

    def test_a_read_returns_at_most_what_was_asked(self) -> None:
        """The rest stays for the next read."""
        with self.connected() as wire:
            wire.send(wire.left, b"0123456789")
            first = None
            while first is None:
                if not wire.right.has_input:
                    wire.wait(wire.right, READ)
                first = wire.right.read(4)
            assert 1 <= len(first) <= 4
            assert first + wire.receive(wire.right, 10 - len(first)) == b"0123456789"

    def test_read_into_fills_the_front_of_the_buffer_only(self) -> None:
        """Bytes behind the returned count are not touched."""
        with self.connected() as wire:
            wire.send(wire.left, b"abc")
            wire.wait(wire.right, READ)
            buffer = bytearray(b"." * 8)
            count = None
            while count is None:
                count = wire.right.read_into(memoryview(buffer))
            assert 1 <= count <= 3
            assert buffer == b"abc"[:count] + b"." * (8 - count)

    def test_half_close_ends_one_direction_only(self) -> None:
        """After FIN the peer reads the end, for ever, and may still talk."""
        with self.connected() as wire:
            wire.send(wire.left, b"last words")
            wire.left.shutdown_write()
            assert wire.receive(wire.right, 100) == b"last words"
            assert wire.right.read(10) == b""
            assert wire.right.read_into(memoryview(bytearray(4))) == 0
            wire.send(wire.right, b"answer")
            assert wire.receive(wire.left, 6) == b"answer"

    def test_close_delivers_what_was_taken_then_the_end(self) -> None:
        """An orderly close loses nothing."""
        with self.connected() as wire:
            wire.send(wire.left, b"bye")
            wire.left.close()
            assert wire.receive(wire.right, 100) == b"bye"
            assert wire.right.read(10) == b""

    def test_a_write_is_refused_when_full_and_goes_on_after_a_read(self) -> None:
        """Back-pressure: 0, then writable again, and not a byte is lost."""
        with self.connected() as wire:
            sent = wire.fill(wire.left)
            assert wire.left.write_many([b"a", b"b"]) == 0
            assert wire.receive(wire.right, len(sent)) == sent
            wire.wait(wire.left, WRITE)
            wire.send(wire.left, b"more")
            assert wire.receive(wire.right, 4) == b"more"

    def test_write_many_sends_its_pieces_in_order(self) -> None:
        """The count is over all pieces."""
        with self.connected() as wire:
            taken = 0
            while not taken:
                taken = wire.left.write_many([b"ab", memoryview(b"cde"), b"f"])
            assert wire.receive(wire.right, taken) == b"abcdef"[:taken]

    def test_flush_sends_pieces_of_every_size_to_a_slow_reader(self) -> None:
        """Single, joined and gathered pieces, over partial writes and EAGAIN: the same bytes."""
        chance = Random(7)
        sizes = [0, 1, 5, 125, 4_000, 16_383, 16_384, 70_000, 300_000]
        pieces = [chance.randbytes(chance.choice(sizes)) for _ in range(60)]
        expected = b"".join(pieces)
        received = bytearray()
        outbox = Outbox()
        idle_rounds = 0
        with self.connected() as wire:
            while pieces or outbox:
                for piece in pieces[:7]:
                    outbox.append(piece)
                del pieces[:7]
                before_bytes = outbox.size
                wire.left.flush(outbox)
                data = wire.right.read(chance.choice((100, 50_000, 200_000))) or b""
                received += data
                idle_rounds = 0 if data or outbox.size < before_bytes else idle_rounds + 1
                if idle_rounds > 5 and not wire.right.has_input:
                    wire.wait(wire.right, READ)
            assert bytes(received) + wire.receive(wire.right, len(expected) - len(received)) == expected

    def test_flush_tells_whether_all_was_sent(self) -> None:
        """True when empty; False while the kernel is full, with the rest kept."""
        with self.connected() as wire:
            outbox = Outbox()
            assert wire.left.flush(outbox)
            sent = wire.fill(wire.left)
            outbox.append(b"rest")
            assert not wire.left.flush(outbox)
            assert outbox.size == 4
            wire.receive(wire.right, len(sent))
            wire.wait(wire.left, WRITE)
            while not wire.left.flush(outbox):
                pass
            assert not wire.left.has_output
            assert wire.receive(wire.right, 4) == b"rest"

    def test_what_waits_inside_is_told_and_flushed_without_an_outbox(self) -> None:
        """`has_output` is true for as long as the kernel lacks bytes that were taken; and they arrive."""
        with self.connected() as wire:
            sent = wire.fill(wire.left)
            received = wire.receive(wire.right, len(sent))
            assert received == sent
            for _ in range(1_000):
                if wire.left.flush(Outbox()):
                    break
                wire.wait(wire.left, WRITE)
            assert not wire.left.has_output

    def test_what_a_read_left_inside_is_told_and_read_next(self) -> None:
        """`has_input` is true while a read brings something although nothing more arrives."""
        with self.connected() as wire:
            wire.send(wire.left, b"0123456789" * 100)
            assert wire.receive(wire.right, 1) == b"0"
            received = bytearray(b"0")
            while len(received) < 1_000:
                if not wire.right.has_input:
                    wire.wait(wire.right, READ)
                data = wire.right.read(3)
                assert data or not wire.right.has_input
                received += data or b""
            assert received == b"0123456789" * 100
            assert wire.right.read(3) is None
            assert not wire.right.has_input

    def test_nothing_waits_inside_after_close_or_abort(self) -> None:
        """Whoever asks afterwards, in the same turn, is not sent back."""
        with self.connected() as wire:
            wire.fill(wire.left)
            wire.left.abort()
            wire.right.close()
            for transport in (wire.left, wire.right):
                assert not transport.has_input
                assert not transport.has_output

    def test_flush_keeps_to_its_budget(self) -> None:
        """One call hands over at most `max_bytes`, of one long piece or of many short ones."""
        for pieces in ([bytes(5_000)], [bytes(50)] * 100, [bytes(20_000)] * 2):
            with self.connected() as wire:
                outbox = Outbox()
                for piece in pieces:
                    outbox.append(piece)
                before_bytes = outbox.size
                assert not wire.left.flush(outbox, 1_000)
                assert before_bytes - 1_000 <= outbox.size

    def test_the_peer_of_an_abort_sees_a_reset(self) -> None:
        """Reading raises TransportError once; where no reset exists, the stream just ends."""
        with self.connected() as wire:
            wire.left.abort()
            wire.wait(wire.right, READ)
            if wire.has_reset:
                _expect_gone(lambda: wire.right.read(10))
            assert wire.right.read(10) == b""
            wire.right.shutdown_write()

    def test_writing_to_a_closed_peer_raises_transport_error(self) -> None:
        """The first write may still be taken; soon the stream is gone, by its name."""
        with self.connected() as wire:
            wire.right.close()
            _expect_gone(lambda: self._write_until_gone(wire))
            _expect_gone(lambda: wire.left.write_many([b"x", b"y"]))

    def test_close_and_abort_are_idempotent(self) -> None:
        """And a closed transport has no descriptor."""
        with self.connected() as wire:
            assert wire.left.fileno() >= 0
            for _ in range(2):
                wire.left.close()
                wire.left.abort()
                wire.right.abort()
                wire.right.close()
            assert wire.left.fileno() == wire.right.fileno() == -1

    def test_the_peer_is_named_in_printable_ascii(self) -> None:
        """Names go into logs."""
        with self.connected() as wire:
            for transport in (wire.left, wire.right):
                assert transport.peer.isascii()
                assert transport.peer.isprintable()
                assert transport.peer_host
                assert transport.peer_host in transport.peer

    @staticmethod
    def _write_until_gone(wire: Wire) -> None:
        for _ in range(100):
            wire.left.write(bytes(20_000))
            wire.wait(wire.left, WRITE)


def _expect_gone(call: Callable[[], object]) -> None:
    """Assert that `call` raises a TransportError that names an errno."""
    try:
        call()
    except TransportError as error:
        assert error.errno_name.startswith("E"), error.errno_name
    else:
        raise AssertionError("no TransportError")
