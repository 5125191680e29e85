"""What the promises say, as a model that is told what each client sent and saw.

Knows no server. A violated promise is an AssertionError that names it:

- P1 what was acknowledged stands at the position that the acknowledgement named;
- P2 a message sent twice with one key is appended once in a life of the server;
- P3 one order for all, and each publisher's messages in its own order;
- P4 a subscriber sees k, k + 1, k + 2 of one epoch, or is told first that it was not recovered;
- P5 what lies between two positions that a subscriber has had without being told of a gap, it has seen, once;
- P7 another epoch is never recovered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Position(NamedTuple):
    """A place in a stream."""

    epoch: str
    offset: int


class Message(NamedTuple):
    """What is published: the n-th message of a publisher; no two are alike."""

    publisher: str
    number: int

    def __str__(self) -> str:
        return f"{self.publisher}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> Message:
        """Read what `str` wrote."""
        publisher, _, number = text.partition("/")
        return cls(publisher, int(number))


@dataclass
class History:
    """All that anybody has seen of one channel, in any of its lives."""

    lives: dict[str, dict[int, Message]] = field(default_factory=dict)
    """epoch -> offset -> message."""
    born_in: dict[str, int] = field(default_factory=dict)
    """epoch -> the life of the server in which it began."""

    def note(self, position: Position, message: Message, server_life: int) -> None:
        """Take note that a message stands somewhere."""
        life = self.lives.setdefault(position.epoch, {})
        self.born_in.setdefault(position.epoch, server_life)
        known = life.setdefault(position.offset, message)
        assert known == message, f"P3: {position} holds {known} for one and {message} for another"
        for epoch, other in self.lives.items():
            if self.born_in[epoch] == self.born_in[position.epoch]:
                elsewhere = [offset for offset, found in other.items() if found == message]
                allowed = [position.offset] if epoch == position.epoch else []
                assert elsewhere in ([], allowed), f"P2: {message} stands at {elsewhere} and at {position}"
        self._check_order(life, position.offset, message)

    def _check_order(self, life: dict[int, Message], offset: int, message: Message) -> None:
        for other_offset, other in life.items():
            if other.publisher == message.publisher and other != message:
                in_order = (other_offset < offset) == (other.number < message.number)
                assert in_order, f"P3: {other} at {other_offset}, {message} at {offset}"


@dataclass
class Reader:
    """One subscriber, through all its connections: what its callback was given."""

    history: History
    position: Position | None = None
    seen: list[tuple[Position, Message]] = field(default_factory=list)
    gaps_told: int = 0

    def subscribed(
        self,
        top: Position,
        publications: list[tuple[int, Message]],
        *,
        asked: Position | None,
        recovered: bool,
        server_life: int,
    ) -> None:
        """Take a subscribe reply; `asked` is the position it wanted to recover from.

        `top` is the position the reply names: that of the stream, or where it was recovered from.
        """
        if not recovered:
            assert not publications, "publications without recovery"
            self.gaps_told += self.position is not None and self.position != top
            self.position = top
            return
        assert asked is not None, "recovered, though nothing was asked"
        assert asked.epoch in ("", top.epoch), f"P7: {asked} was recovered as {top}"
        assert top.offset == asked.offset, f"the reply counts from {top}, not from {asked}"
        self.position = Position(top.epoch, asked.offset)
        for offset, message in publications:
            self.received(Position(top.epoch, offset), message, server_life)

    def received(self, position: Position, message: Message, server_life: int) -> None:
        """Take a publication, pushed or recovered."""
        assert self.position is not None, "a publication before any position"
        assert position.epoch == self.position.epoch, f"P4: {position} after {self.position}"
        assert position.offset == self.position.offset + 1, f"P4: {position} after {self.position}"
        assert all(earlier != position for earlier, _ in self.seen), f"P5: {position} twice"
        self.position = position
        self.seen.append((position, message))
        self.history.note(position, message, server_life)


@dataclass
class Writer:
    """One publisher: it sends a message again, with its key, until it is acknowledged, then the next."""

    name: str
    history: History
    number: int = 0
    is_open: bool = False
    acknowledged: dict[Message, Position] = field(default_factory=dict)

    def next(self) -> Message:
        """Return what to send now: the message that was not acknowledged, or a new one."""
        if not self.is_open:
            self.number += 1
            self.is_open = True
        return Message(self.name, self.number)

    def give_up(self) -> None:
        """Never send the open message again: its key may be forgotten by now."""
        self.is_open = False

    def confirmed(self, position: Position, message: Message, server_life: int) -> None:
        """Take an acknowledgement."""
        self.history.note(position, message, server_life)
        before = self.acknowledged.setdefault(message, position)
        if before != position:
            lives = {self.history.born_in[before.epoch], self.history.born_in[position.epoch]}
            assert len(lives) == 2, f"P2: {message} was acknowledged at {before} and at {position}"
        if message.number == self.number:
            self.is_open = False
