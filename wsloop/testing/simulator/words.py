"""What a trace noted, as lines for people: when, what, of whom; frames by their names, text as text.

A piece of a connection's bytes is read for itself, whatever came before: where it does not begin with a frame
and end with one, it is shown as bytes.
"""

from __future__ import annotations

from wsloop.testing.simulator.people.frames import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT

SHOWN = 160
"""Of a value in a line: characters of text, or bytes."""

SHOWN_FRAMES = 4

NAMES = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}

Note = tuple[str | int | float | bytes | None, ...]


def line(note: Note) -> str:
    """Return a note, its time first, in words."""
    time, kind, *values = map(_word, note)
    return f"{time:>14}  {kind:<9} {'  '.join(values)}".rstrip()


def _word(value: str | int | float | bytes | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return _bytes(value) if isinstance(value, bytes) else str(value)


def _bytes(data: bytes) -> str:
    """Return the frames that a piece consists of, or the piece."""
    start = 0
    frames: list[str] = []
    while start < len(data) or not frames:
        frame, start = _frame(data, start)
        if not frame:
            return _cut(data)
        frames.append(frame)
    more = [f"... {len(frames)} frames"] if len(frames) > SHOWN_FRAMES else []
    return ", ".join(frames[:SHOWN_FRAMES] + more)


def _frame(data: bytes, start: int) -> tuple[str, int]:
    """Return the frame that begins at `start`, and where it ends; "" if there is no whole one."""
    head = data[start : start + 2].ljust(2, b"\0")
    name, length = NAMES.get(head[0] & 0xF, ""), head[1] & 0x7F
    begin = start + 2
    if length > 125:
        width = 2 if length == 126 else 8
        length = int.from_bytes(data[begin : begin + width], "big")
        begin += width
    mask = data[begin : begin + 4] if head[1] & 0x80 else b""
    begin += len(mask)
    end = begin + length
    if not name or head[0] & ~RSV1 & 0xF0 != FIN or end > len(data):
        return "", len(data)
    payload = _unmasked(data[begin:end], mask) if any(mask) else data[begin:end]
    if head[0] & RSV1:
        return f"deflated {name} {_cut(payload)}", end
    if name != "text":
        return f"{name} {_cut(payload)}", end
    text = repr(payload.decode(errors="backslashreplace"))[1:-1]
    more = f"... {len(payload)} bytes" if len(text) > SHOWN else ""
    return f"{name} {text[:SHOWN]}{more}", end


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """See RFC 6455 section 5.3."""
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def _cut(data: bytes) -> str:
    more = f"... {len(data)} bytes" if len(data) > SHOWN else ""
    return repr(data[:SHOWN]) + more
