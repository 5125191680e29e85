"""What a person keeps of a channel they are in, or want to be in, and of the commands under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Text
    from wsloop.testing.simulator.people.reader import Reader
    from wsloop.testing.simulator.people.writer import Message

OUT, ASKING, IN, LEAVING = "out", "asking", "in", "leaving"


class Membership:
    """One channel that somebody is, or wants to be, in; `state` as the person knows it.

    It is where the last command that was said will lead to. `asks`: subscribe commands without an answer.
    `company`: the clients of which they were told that they came, and not that they went.
    """

    __slots__ = ("asks", "channel", "company", "is_positioned", "is_server_side", "name", "reader", "state")

    def __init__(self, channel: str, reader: Reader, *, is_server_side: bool) -> None:
        self.channel = channel
        self.name = channel.encode()
        self.reader = reader
        self.state = OUT
        self.asks = 0
        self.company: set[str] = set()
        self.is_positioned = reader.is_positioned
        self.is_server_side = is_server_side


class Submission(NamedTuple):
    """A publish under way: which message, and what was sent of it."""

    message: Message
    text: Text


class Question(NamedTuple):
    """Any other command under way: its method, and about which channel. `limit`, `reverse` of a history."""

    method: str
    membership: Membership
    limit: int = 0
    reverse: bool = False
