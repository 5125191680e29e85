"""A publisher's memory: what it has sent, what was acknowledged, and what must be sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsloop.testing.simulator.checkers import p1_acknowledged, p2_once
from wsloop.testing.simulator.model.ledger import NOWHERE, Text

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Ledger, Place

KeyKind = Literal["idem", "seq", ""]
"""What lets a message be sent again: a key, a number, or nothing."""


class Message:
    """Something to be published: `text` is its newest submission, `padding` what is behind it, in bytes.

    `is_under_way`: it was sent on the present connection and not answered.
    """

    __slots__ = ("channel", "first_s", "is_under_way", "key", "number", "padding")

    def __init__(self, number: int, channel: str, key: KeyKind, padding: int, first_s: float) -> None:
        self.number = number
        self.channel = channel
        self.key = key
        self.padding = padding
        self.first_s = first_s
        self.is_under_way = False


class Writer:
    """What `user` publishes; `name` is the person's own, which tells two devices of one user apart.

    `waiting`: the messages that were not acknowledged, by number, oldest first.
    """

    __slots__ = ("_ledger", "_number", "_submission", "acknowledged", "name", "user", "waiting")

    def __init__(self, ledger: Ledger, name: str, user: str) -> None:
        self.name = name
        self.user = user
        self.waiting: dict[int, Message] = {}
        self.acknowledged = 0
        self._ledger = ledger
        self._number = self._submission = 0

    def compose(self, channel: str, key: KeyKind, padding: int) -> Message:
        """Return a new message, to be submitted until it is acknowledged."""
        self._number += 1
        message = Message(self._number, channel, key, padding, self._ledger.scene.now_s)
        self.waiting[self._number] = message
        return message

    def submit(self, message: Message) -> Text:
        """Return the text of one more submission."""
        self._submission += 1
        message.is_under_way = True
        return Text(self.name, message.number, self._submission)

    def confirmed(self, message: Message, sent: Text, place: Place, *, is_duplicate: bool) -> None:
        """Take the acknowledgement of a submission; `place` is ("", 0) where nothing is numbered."""
        scene, book = self._ledger.scene, self._ledger.book(message.channel)
        if (place == NOWHERE) is (book.rules.size > 0):
            scene.broken("P1", f"{self.name} was told that {sent} is at {place} of {book.name}")
        if place != NOWHERE:
            found = p1_acknowledged.check_acknowledged(scene, self.name, book, place, sent)
            p2_once.check_told(scene, self.name, book, sent, found, is_duplicate=is_duplicate)
        self.waiting.pop(message.number, None)
        self.acknowledged += 1

    def failed(self, message: Message) -> None:
        """Take an error that leaves open what happened: a message without a key is not sent again."""
        message.is_under_way = False
        if not message.key:
            self.waiting.pop(message.number, None)

    def disconnected(self) -> None:
        """Lose the connection, and with it all answers under way."""
        for message in list(self.waiting.values()):
            self.failed(message)

    def give_up(self, older_than_s: float) -> None:
        """Never send again what was begun before: its key may be forgotten by now."""
        for message in list(self.waiting.values()):
            if message.first_s < older_than_s and not message.is_under_way:
                del self.waiting[message.number]
