"""The Codec port: how the house's own lines look on one client's wire.

Inside the hub everything a client is told is one line of JSON in the shapes of the Centrifugo client
protocol (`replies.py`), and everything it says becomes a `Command`. A codec stands between that
and the messages of a connection: `JsonCodec` is the identity, another one transcodes. Pushes
are encoded once for all receivers of one codec. `docs/how-to/codec.md` adds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsloop.hub import commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.commands import Command


class Codec(Protocol):
    """One encoding of the client protocol; stateless, shared by all clients that speak it."""

    name: str
    """The WebSocket subprotocol by which a client asks for it (RFC 6455 section 1.9)."""
    is_text: bool
    """Whether its messages are text; otherwise they are binary."""

    def split(self, message: str | bytes) -> list[str | bytes]:
        """Return the commands of one message, still encoded, the last one first.

        Raises ValueError for a message without a command, or one that cannot be divided.
        """
        ...

    def decode(self, command: str | bytes) -> Command:
        """Decode one command. Raises msgspec.DecodeError, UnicodeError, RecursionError or ValueError."""
        ...

    def is_pong(self, command: str | bytes) -> bool:
        """Tell whether what decoded as a command without id and method is the answer to a ping."""
        ...

    def encode(self, line: bytes) -> bytes:
        """Return a line of JSON as this codec writes it."""
        ...

    def join(self, encoded: Sequence[bytes]) -> bytes:
        """Return one message that holds all of what `encode` returned, in order."""
        ...


class JsonCodec(Codec):
    """`centrifuge-json`: lines of JSON, several of them joined with a line break."""

    __slots__ = ()

    name = "centrifuge-json"
    is_text = True

    def split(self, message: str | bytes) -> list[str | bytes]:
        """See `Codec.split`. JSON whitespace around the commands is allowed.

        An empty line between two commands stays, and fails as JSON.
        """
        text = message if isinstance(message, str) else message.decode()
        if "\n" in text:
            text = text.strip(" \t\r\n")
            if text:
                lines: list[str | bytes] = [*text.split("\n")]
                lines.reverse()
                return lines
        elif text:
            return [text]
        raise ValueError("empty message")

    def decode(self, command: str | bytes) -> Command:
        """See `Codec.decode`."""
        assert isinstance(command, str)
        return commands.decode_command(command)

    def is_pong(self, command: str | bytes) -> bool:
        """See `Codec.is_pong`."""
        assert isinstance(command, str)
        return commands.is_empty_object(command)

    def encode(self, line: bytes) -> bytes:
        """See `Codec.encode`: nothing is to be done."""
        return line

    def join(self, encoded: Sequence[bytes]) -> bytes:
        """See `Codec.join`."""
        return b"\n".join(encoded)


JSON = JsonCodec()
"""What a client speaks that asks for nothing else."""
