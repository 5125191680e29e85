"""A subscriber's memory of one channel, through all its connections: where it stands, what must come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.checkers import p3_order, p4_gap, p5_window, p7_epoch
from wsloop.testing.simulator.model.ledger import NOWHERE, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.testing.simulator.model.ledger import Book, Life
    from wsloop.testing.simulator.model.scene import Scene

Published = tuple[int, bytes]
"""An offset, 0 if there is none, and a payload."""


class Reader:
    """What `who` knows of the channel of `book`; the subclasses say what it counts by.

    `is_live`: the server has said that it is subscribed, and not that it is no longer. `seen`: publications
    so far.
    """

    __slots__ = ("book", "is_live", "scene", "seen", "who")

    is_positioned = False

    def __init__(self, scene: Scene, who: str, book: Book) -> None:
        self.scene = scene
        self.who = who
        self.book = book
        self.is_live = False
        self.seen = 0

    def ask(self) -> Place | None:
        """Return the place to recover from in a subscribe request, None for none. It is asked for now."""
        return None

    def subscribed(self, told: Place, publications: Sequence[Published], *, recovered: bool) -> None:
        """Take a subscribe reply: the position it names, whether recovered, and what was missed."""
        raise NotImplementedError

    def received(self, offset: int, payload: bytes) -> None:
        """Take a publication that was pushed."""
        raise NotImplementedError

    def left_out(self, dropped: int) -> None:
        """Be told that so many were left out before the next."""
        self.scene.broken(
            "P4", f"{self.who} was told of a gap of {dropped} in {self.book.name}, where it counts"
        )

    def ended(self) -> None:
        """Be subscribed no more: the server said so, or the connection is gone."""
        self.is_live = False


class CountingReader(Reader):
    """One that is positioned: it sees every publication of an epoch, or is told that it does not.

    `asked` is what it wanted to recover from, None if it did not.
    """

    __slots__ = ("_asked_top", "_life", "asked", "epoch", "gaps_told", "offset")

    is_positioned = True

    def __init__(self, scene: Scene, who: str, book: Book) -> None:
        super().__init__(scene, who, book)
        self.epoch, self.offset = NOWHERE
        self.asked: Place | None = None
        self.gaps_told = 0
        self._asked_top = NOWHERE
        self._life: Life | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.epoch, self.offset)

    def ask(self) -> Place | None:
        """See `Reader.ask`."""
        self.asked = self.place if self.epoch else None
        self._asked_top = self.book.top
        return self.asked

    def subscribed(self, told: Place, publications: Sequence[Published], *, recovered: bool) -> None:
        """See `Reader.subscribed`."""
        scene, who, book, asked, before = self.scene, self.who, self.book, self.asked, self.place
        self.is_live = True
        self.asked = None
        if not recovered:
            if publications:
                scene.broken("P4", f"{who} was given {len(publications)} of {book.name} without recovery")
            p5_window.check_top(scene, who, book, before, told)
            p5_window.check_top(scene, who, book, self._asked_top, told)
            if asked is not None:
                p5_window.check_refused(scene, who, book, asked, told)
                self.gaps_told += 1
            self._move(told)
            return
        if asked is None:
            scene.broken("P4", f"{who} was recovered in {book.name} without having asked")
        if book.rules.is_cache:
            self._refreshed(asked, told, publications)
            return
        p7_epoch.check_recovered(scene, who, book, asked, told)
        self._move(asked if asked.epoch else Place(told.epoch, asked.offset))
        for offset, payload in publications:
            self.received(offset, payload)

    def _refreshed(self, asked: Place, told: Place, publications: Sequence[Published]) -> None:
        """Take the answer of a channel that gives the newest only, in whatever epoch."""
        scene, who, book = self.scene, self.who, self.book
        if not publications:
            if told != asked:
                scene.broken("P5", f"{who}, at {asked} of {book.name}, was given nothing newer up to {told}")
            self._move(told)
            return
        if len(publications) > 1 or told.offset != asked.offset:
            scene.broken(
                "P4", f"{who} was given {len(publications)} of {book.name} from {told} on, not the newest"
            )
        ((offset, payload),) = publications
        newest = Place(told.epoch, offset)
        p3_order.check_same(scene, who, book, newest, payload)
        p5_window.check_top(scene, who, book, asked, newest)
        p5_window.check_top(scene, who, book, self._asked_top, newest)
        self._move(newest)
        self.seen += 1

    def received(self, offset: int, payload: bytes) -> None:
        """See `Reader.received`. What is right passes three comparisons; the checks say what is wrong."""
        life = self._life
        if not self.is_live or offset != self.offset + 1 or life is None or life.at(offset) != payload:
            place = Place(self.epoch, offset)
            p4_gap.check_subscribed(self.scene, self.who, self.book, is_live=self.is_live)
            p4_gap.check_next(self.scene, self.who, self.book, self.place, offset)
            p3_order.check_same(self.scene, self.who, self.book, place, payload)
            self._life = self.book.life(self.epoch)
        self.offset = offset
        self.seen += 1

    def _move(self, place: Place) -> None:
        self.epoch, self.offset = place
        self._life = self.book.life(place.epoch)


class LooseReader(Reader):
    """One that is not positioned: it sees what comes, in its order, and where nothing is lost, all of it."""

    __slots__ = ("_dropped", "_life", "_offset")

    def __init__(self, scene: Scene, who: str, book: Book) -> None:
        super().__init__(scene, who, book)
        self._life: Life | None = None
        self._offset = self._dropped = 0

    def subscribed(self, told: Place, publications: Sequence[Published], *, recovered: bool) -> None:
        """See `Reader.subscribed`: it has no position."""
        if told != NOWHERE or publications or recovered:
            self.scene.broken(
                "P4", f"{self.who} was given a position in {self.book.name}, which it did not want"
            )
        self.is_live = True
        self._life, self._offset, self._dropped = None, 0, 0

    def received(self, offset: int, payload: bytes) -> None:
        """See `Reader.received`."""
        scene, who, book = self.scene, self.who, self.book
        p4_gap.check_subscribed(scene, who, book, is_live=self.is_live)
        life = self._life_of(offset, payload)
        before = self._life
        if not scene.is_orderly:
            return
        if before is not None and life.number < before.number:
            scene.broken(
                "P3", f"{who} was given {payload!r} of {book.name}, whose epoch {life.epoch} was over"
            )
        if life is before and offset <= self._offset:
            scene.broken("P3", f"{who} was given offset {offset} of {book.name} behind {self._offset}")
        if scene.is_lossless and before is not None:
            missed = book.between(Place(before.epoch, self._offset), Place(life.epoch, offset))
            p4_gap.check_told(scene, who, book, offset, missed, self._dropped)
        self._life, self._offset, self._dropped = life, offset, 0
        self.seen += 1

    def left_out(self, dropped: int) -> None:
        """See `Reader.left_out`."""
        if not self.book.rules.is_lossy:
            super().left_out(dropped)
        self._dropped += dropped

    def _life_of(self, offset: int, payload: bytes) -> Life:
        """Return the life in which the payload stands at the offset, which a push does not tell."""
        known = self._life
        if known is not None and known.at(offset) == payload:
            return known
        for life in reversed(self.book.lives.values()):
            if life.at(offset) == payload:
                return life
        place = Place(self.book.top.epoch, offset)
        p3_order.check_same(self.scene, self.who, self.book, place, payload)
        raise AssertionError("unreachable: the check has found the payload where it was not")


class PlainReader(Reader):
    """One in a channel that numbers nothing: it sees publications in the order in which all see them."""

    __slots__ = ("_turn",)

    def __init__(self, scene: Scene, who: str, book: Book) -> None:
        super().__init__(scene, who, book)
        self._turn = -1

    def subscribed(self, told: Place, publications: Sequence[Published], *, recovered: bool) -> None:
        """See `Reader.subscribed`."""
        if told != NOWHERE or publications or recovered:
            self.scene.broken("P4", f"{self.who} was given a position in {self.book.name}, which has none")
        self.is_live = True
        self._turn = -1

    def received(self, offset: int, payload: bytes) -> None:
        """See `Reader.received`."""
        scene, who, book = self.scene, self.who, self.book
        p4_gap.check_subscribed(scene, who, book, is_live=self.is_live)
        turn = book.turn_of.get(payload)
        if turn is None or offset:
            scene.broken("P3", f"{who} was given {payload!r} of {book.name} at {offset}, never published so")
        if not scene.is_orderly:
            return
        p3_order.check_turn(scene, who, book, self._turn, turn, is_whole=scene.is_lossless)
        self._turn = turn
        self.seen += 1
