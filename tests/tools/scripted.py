"""A WebSocket server that answers as a test tells it to: the faults a generator must notice."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reply = Callable[[int, bytes], bytes]
    """Takes (opcode, payload) of a client's frame; returns the bytes to send back."""

LIMIT_S = 60.0
"""For a run that takes a few seconds, or for a byte of it, on a machine that has much else to do."""


def frame(first: int, payload: bytes) -> bytes:
    """Return a server's frame with `first` as its first byte; at most 65535 bytes of payload."""
    size = len(payload)
    head = bytes([first, size]) if size < 126 else bytes([first, 126]) + size.to_bytes(2, "big")
    return head + payload


def accept_value(head: bytes) -> bytes:
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    text = key.partition(b":")[2].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(text).digest())


def upgraded(head: bytes) -> bytes:
    """Return the answer that accepts the request `head`."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
        b"sec-websocket-accept: " + accept_value(head) + b"\r\n\r\n"
    )


def read_frames(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield the client's frames until it goes."""
    stream = sock.makefile("rb")
    with stream:
        while len(start := stream.read(2)) == 2:
            assert start[1] & 0x80, "a client's frame is masked"
            size = start[1] & 127
            if size > 125:
                size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
            key = stream.read(4)
            data = stream.read(size)
            yield start[0] & 15, bytes(byte ^ key[at & 3] for at, byte in enumerate(data))


def closed(payload: bytes) -> bytes:
    """Return the answer to a close frame: the same."""
    return frame(0x88, payload)


@contextmanager
def scripted_server(
    reply: Reply,
    answer: Callable[[bytes], bytes] = upgraded,
    close: Callable[[bytes], bytes] = closed,
) -> Iterator[int]:
    """Serve connections in a thread, one after the other, each to its close frame; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:  # EINVAL: the test is over
                    return
                with sock:
                    sock.settimeout(LIMIT_S)
                    serve_one(sock, reply, answer, close)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join(LIMIT_S)
    assert not thread.is_alive()


def serve_one(
    sock: socket.socket,
    reply: Reply,
    answer: Callable[[bytes], bytes],
    close: Callable[[bytes], bytes],
) -> None:
    """Serve one connection until its close frame, or until the generator leaves after a fault."""
    head = b""
    try:
        while b"\r\n\r\n" not in head:
            if not (data := sock.recv(4096)):
                return
            head += data
        sock.sendall(answer(head))
        for opcode, payload in read_frames(sock):
            if opcode == 8:
                sock.sendall(close(payload))
                return
            sock.sendall(reply(opcode, payload))
    except (ConnectionResetError, BrokenPipeError):
        return
