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

LIMIT_S = 10.0


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
    """Serve one connection in a thread; yield the port. It ends after the client's close frame."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(LIMIT_S)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(4096)
                sock.sendall(answer(head))
                try:
                    for opcode, payload in read_frames(sock):
                        if opcode == 8:
                            sock.sendall(close(payload))
                            return
                        sock.sendall(reply(opcode, payload))
                except (ConnectionResetError, BrokenPipeError):
                    return  # the generator left after the fault

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            thread.join(LIMIT_S)
    assert not thread.is_alive()
