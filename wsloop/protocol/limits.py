"""Every limit that the protocol core enforces: its name, unit, reason and precedent.

This file knows numbers only. Deadlines, rates and queue sizes belong to the server, which
has a clock and an outbox; `docs/reference/limits.md` lists all of them. Next: `handshake.py`
and `session.py`, which enforce what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

MIN_WHOLE_FRAME_BYTES = 131
"""A control frame is never cut: 2 bytes, a mask of 4, a payload of 125 (RFC 6455 section 5.5)."""

MAX_WHOLE_FRAME_BYTES = 64 * 1024 - 1
"""Less than a ring of 64 KiB holds, else a full ring could wait for a frame for ever."""

MAX_LENGTH = 2**63 - 1
"""The largest payload length that a frame header may declare (RFC 6455 section 5.2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask of this process, in bytes or counts.

    All fields are positive integers. Raises ValueError, with a text that names the field, if
    one is out of range or contradicts another.
    """

    head_bytes: int = 16 * 1024
    """Request line and headers of one request. Breach: 431. Bounds what a client without a
    name can make the process store, and still holds a cookie jar and a token. Precedents: h11
    and Node.js 16 KiB; nginx 4 x 8 KiB."""

    headers: int = 128
    """Header lines in one request. Breach: 431. Each becomes three objects. Precedents:
    Apache 100; websockets 128."""

    line_bytes: int = 8 * 1024
    """One line of a head, its CR included. Breach: 414 on the request line, else 431. RFC 9112
    section 3 asks for at least 8,000. Precedents: Apache, nginx, websockets 8 KiB."""

    body_bytes: int = 64 * 1024
    """Body of a plain request as sent, chunk headers included; it is read and discarded, so
    that the connection can be kept. Breach: 413 and close. Precedent: Go's net/http discards
    up to 256 KiB for the same purpose."""

    message_bytes: int = 1024 * 1024
    """Payload of one message over all its fragments. Breach: 1009, from the header alone. Bounds
    the memory that one peer can hold. Precedents: websockets 1 MiB; uvicorn 16 MiB; Centrifugo
    64 KiB (what the messaging route sets)."""

    fragments: int = 1024
    """Frames in one message, empty ones included. Breach: 1008. An empty fragment costs its
    sender 6 bytes and adds nothing to `message_bytes`. No precedent: 1,024 fragments of 1 KiB
    fill the default message."""

    control_frames_per_s: int = 10
    """Pings and pongs of a client's, in the long run. Breach: 1008. A ping of 6 bytes costs its
    sender nothing: 1.5 MB of them a second would keep a core busy. Precedent: Node.js and Go
    limit HTTP/2 control frames after the floods of CVE-2019-9512."""

    control_burst: int = 50
    """Pings and pongs of a client's at once, on top of that pace. Breach: 1008. The Autobahn cases
    send ten in one go; what a proxy held back for seconds may come at once."""

    whole_frame_bytes: int = 32 * 1024
    """A frame up to this size, header included, waits in the caller's buffer until it is whole;
    a longer one is taken piece by piece. Half a ring, so that a frame is seldom straightened;
    large enough for a message of 16 KiB to be decoded in one go."""

    def __post_init__(self) -> None:
        """Check every field; see the class."""
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 1 <= value <= MAX_LENGTH:
                raise ValueError(f"{field.name} must be a whole number from 1 to 2**63 - 1, not {value!r}")
        if self.line_bytes > self.head_bytes:
            raise ValueError(f"line_bytes ({self.line_bytes}) must not exceed head_bytes ({self.head_bytes})")
        if not MIN_WHOLE_FRAME_BYTES <= self.whole_frame_bytes <= MAX_WHOLE_FRAME_BYTES:
            raise ValueError(
                f"whole_frame_bytes must be from {MIN_WHOLE_FRAME_BYTES} to {MAX_WHOLE_FRAME_BYTES}, "
                f"not {self.whole_frame_bytes}"
            )
