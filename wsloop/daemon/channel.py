"""The line between the supervisor and one of its processes: a socketpair with small messages.

MessagePack with four bytes of length before it. A listening socket can go along (SCM_RIGHTS), to a
worker that takes over what another has left. The end of the line is the end of the process at the other
end, however it came: the kernel tells.

Next: `heartbeat.py` for the worker's end, `crew.py` for the supervisor's.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from wsloop.loop.poller import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A beat has some 30 bytes; the longest is the roster. Each of 512 workers, and of as many that drain, has
200 in it, and two texts of 1,024 characters (`heartbeat.MAX_REASON`), at worst 6 bytes each: 13 MB. Longer is
a fault: it would end the line, and with it the process at its other end."""

MAX_QUEUED = 64
"""Messages that wait for a process that does not read, which is soon killed for it; more are dropped."""

READ_BYTES = 64 * 1024
READ_DESCRIPTORS = 64

LENGTH_BYTES = 4


class _Message(msgspec.Struct, frozen=True, array_like=True):
    """What is said on the line."""


class Beat(_Message, frozen=True, tag="beat"):
    """A process is alive: its turn goes around. Said every second.

    `is_up` while nothing but load keeps clients away (`Health.is_up`), `is_ready` while it lets them in.
    `connections` are the clients'; `is_draining` once it accepts no more, and then `draining_left` are
    those that have not gone; `rss` its resident memory in bytes; `reason` why it is not ready; `warning` what
    is wrong although it serves.
    """

    connections: int = 0
    is_draining: bool = False
    draining_left: int = 0
    is_up: bool = False
    is_ready: bool = False
    rss: int = 0
    reason: str = ""
    warning: str = ""


class Ask(_Message, frozen=True, tag="ask"):
    """A process asks the supervisor for something, such as "restart"; answered with the same `number`."""

    number: int
    what: str
    argument: str = ""


class Failed(_Message, frozen=True, tag="failed"):
    """A process ends since it could not start, and why: the last that it says."""

    reason: str


class Keep(_Message, frozen=True, tag="keep"):
    """The hub process leaves what another one needs to go on with its metrics (`observe/ledger.py`)."""

    left: bytes


class Answer(_Message, frozen=True, tag="answer"):
    """What became of it, in one line."""

    number: int
    is_done: bool
    text: str


class Drain(_Message, frozen=True, tag="drain"):
    """Accept no more, take leave of everybody, and end: what TERM means to a worker."""


class HandOver(_Message, frozen=True, tag="hand-over"):
    """Accept nobody any more, since a successor does; if it `drains`, drain when those who came are in."""

    drains: bool = True


class Listen(_Message, frozen=True, tag="listen"):
    """Listen on the sockets that come along, one for each key, beside those you have."""

    keys: tuple[int, ...]


class Leave(_Message, frozen=True, tag="leave"):
    """Listen no more on the sockets with these keys: another does."""

    keys: tuple[int, ...]


class Resized(_Message, frozen=True, tag="resized"):
    """There are so many workers now: what all share is divided anew."""

    workers: int


class Stopping(_Message, frozen=True, tag="stopping"):
    """The workers drain: told to the hub process, which answers for all of them whether they are ready."""


Message = Beat | Ask | Failed | Keep | Answer | Drain | HandOver | Listen | Leave | Resized | Stopping

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return the message as it goes over the line; raises ValueError for one that the other end refuses."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body)} bytes")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class Unframer:
    """Bytes in, messages out, however the bytes are cut."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete now; raises ValueError for what is none."""
        buffer = self._bytes
        buffer += data
        messages: list[Message] = []
        while len(buffer) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(buffer[:LENGTH_BYTES], "big")
            if end > LENGTH_BYTES + MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {end - LENGTH_BYTES} bytes")
            if len(buffer) < end:
                break
            messages.append(_decoder.decode(buffer[LENGTH_BYTES:end]))
            del buffer[:end]
        return messages


class Channel:
    """One end of the line `sock`, which it owns, on `reactor`.

    `on_message` is given each message, and the descriptors that came with it, which it owns; `on_end` is
    called once, when the other end is gone or talks nonsense. Neither is called after `close`.
    """

    __slots__ = ("_descriptors", "_on_end", "_on_message", "_queue", "_reactor", "_sock", "_unframer")

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        on_message: Callable[[Message, list[int]], object],
        on_end: Callable[[], object],
    ) -> None:
        sock.setblocking(False)
        self._reactor = reactor
        self._sock: socket.socket | None = sock
        self._on_message = on_message
        self._on_end = on_end
        self._unframer = Unframer()
        self._queue: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._descriptors: list[int] = []
        reactor.register(sock.fileno(), READ, self._on_ready)

    @property
    def is_stuck(self) -> bool:
        """Whether something waits for the other end to read."""
        return bool(self._queue)

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Say `message`, at once or when the other end reads; `descriptors` stay open until then.

        Dropped if the line has ended, or too much waits.
        """
        if self._sock is None or len(self._queue) >= MAX_QUEUED:
            return
        self._queue.append((memoryview(encode(message)), descriptors))
        self._flush(self._sock)

    def close(self) -> None:
        """End the line. Idempotent."""
        if self._sock is not None:
            with contextlib.suppress(KeyError):  # the reactor forgot it: a fault in here was logged
                self._reactor.unregister(self._sock.fileno())
            self._sock.close()
            self._sock = None
            _close_all(self._descriptors)

    def finish(self) -> None:
        """Hand out what a process has said that is gone now, and end the line."""
        while self._sock is not None and self._receive(self._sock):
            pass
        self.close()

    def detach(self) -> None:
        """Close this copy of the line in a forked process; the reactor, the parent's, is left alone."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _flush(self, sock: socket.socket) -> None:
        try:
            while self._queue:
                data, descriptors = self._queue[0]
                sent = socket.send_fds(sock, [data], list(descriptors)) if descriptors else sock.send(data)
                if sent == len(data):
                    self._queue.popleft()
                else:  # the descriptors went with the first byte
                    self._queue[0] = (data[sent:], ())
        except BlockingIOError:  # EAGAIN
            pass
        except OSError:  # EPIPE, ECONNRESET: its end is told by reading
            self._queue.clear()
        self._reactor.set_interest(sock.fileno(), READ | WRITE if self._queue else READ)

    def _on_ready(self, events: int) -> None:
        sock = self._sock
        if sock is not None and events & WRITE:
            self._flush(sock)
        if sock is not None and events & READ:
            self._receive(sock)

    def _receive(self, sock: socket.socket) -> bool:
        """Read once, and hand out what is complete; return whether there was anything."""
        try:
            data, descriptors, _, _ = socket.recv_fds(sock, READ_BYTES, READ_DESCRIPTORS)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self._descriptors += descriptors
            messages = self._unframer.feed(data)
        except BlockingIOError:  # EAGAIN: the readiness was for writing
            return False
        except (OSError, ValueError, msgspec.MsgspecError):  # ECONNRESET; nonsense
            data, messages = b"", []
        for message in messages:
            if self._sock is None:
                return False
            self._on_message(message, self._take_descriptors(message))
        if not data and self._sock is not None:
            self.close()
            self._on_end()
        return bool(data)

    def _take_descriptors(self, message: Message) -> list[int]:
        count = len(message.keys) if isinstance(message, Listen) else 0
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return taken


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
