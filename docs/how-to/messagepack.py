"""A codec for MessagePack: the same messages as in JSON, each behind its length in four bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import commands
from wsloop.hub.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.commands import Command

LENGTH = struct.Struct(">I")


class MessagePackCodec(Codec):
    """Transcodes between the hub's lines of JSON and MessagePack."""

    name = "centrifuge-msgpack"
    is_text = False

    def split(self, message: str | bytes) -> list[str | bytes]:
        """See `Codec.split`."""
        assert isinstance(message, bytes)
        parts: list[str | bytes] = []
        at = 0
        while at < len(message):
            begin = at + LENGTH.size
            if begin > len(message):
                raise ValueError("half a length")
            at = begin + LENGTH.unpack_from(message, begin - LENGTH.size)[0]
            if at > len(message):
                raise ValueError("half a command")
            parts.append(message[begin:at])
        if not parts:
            raise ValueError("empty message")
        parts.reverse()
        return parts

    def decode(self, command: str | bytes) -> Command:
        """See `Codec.decode`: a payload becomes JSON, in which others may read it."""
        assert isinstance(command, bytes)
        try:
            line = msgspec.json.encode(msgspec.msgpack.decode(command))
        except TypeError as error:  # an extension type, or a key that is no text
            raise ValueError(f"has no JSON: {error}") from None
        return commands.decode_command(line.decode())

    def is_pong(self, command: str | bytes) -> bool:
        """See `Codec.is_pong`."""
        assert isinstance(command, bytes)
        return not msgspec.msgpack.decode(command)

    def encode(self, line: bytes) -> bytes:
        """See `Codec.encode`."""
        packed = msgspec.msgpack.encode(msgspec.json.decode(line))
        return LENGTH.pack(len(packed)) + packed

    def join(self, encoded: Sequence[bytes]) -> bytes:
        """See `Codec.join`: the lengths tell where each ends."""
        return b"".join(encoded)


MESSAGE_PACK = MessagePackCodec()
