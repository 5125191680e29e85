"""Where the checkers listen inside a server: at its broker, the one truth to measure by.

A tap is put around the two methods of a `MemoryBroker` that change a stream. It looks at the stream itself,
not at what is said of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wsloop.hub.broker import Unavailable
from wsloop.testing.simulator.checkers import p1_acknowledged, p2_once, p3_order, p7_epoch
from wsloop.testing.simulator.model.ledger import Place, Text, shown

if TYPE_CHECKING:
    from wsloop.hub.broker import Appended, Done, Draft, Retention
    from wsloop.hub.history import StreamPosition
    from wsloop.hub.memory_broker import MemoryBroker
    from wsloop.testing.simulator.model.ledger import Book, Ledger

CLIENT = b'"client":"'

OPERATOR = "operator"
"""In place of a connection, where a publication has no publisher."""


class BrokerTap:
    """Tells `ledger` what becomes of everything that is published at `broker`."""

    __slots__ = ("_broker", "_evicted", "_ledger", "_publish", "_remove_history", "appended", "duplicates")

    def __init__(self, ledger: Ledger, broker: MemoryBroker) -> None:
        self.appended = self.duplicates = 0
        self._ledger = ledger
        self._broker = broker
        self._evicted = 0
        self._publish = broker.publish
        self._remove_history = broker.remove_history
        broker.publish = self.publish  # type: ignore[method-assign]
        broker.remove_history = self.remove_history  # type: ignore[method-assign]

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`."""
        self._publish(channel, draft, retention, partial(self._complete, channel, draft, done))

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        self._ledger.book(channel).excuses += 1
        self._remove_history(channel, done)

    def _complete(
        self, channel: str, draft: Draft, done: Done[Appended], result: Appended | Unavailable
    ) -> None:
        """Judge a completion before anybody hears of it."""
        if not isinstance(result, Unavailable):
            ledger = self._ledger
            book, place, text = (
                ledger.book(channel),
                Place(result.epoch, result.offset),
                Text.decode(draft.data),
            )
            if result.duplicate:
                self.duplicates += 1
                p2_once.check_duplicate(ledger.scene, book, place, text)
            else:
                self.appended += 1
                self._append(book, place, text, draft)
        done(result)

    def _append(self, book: Book, place: Place, text: Text, draft: Draft) -> None:
        scene = self._ledger.scene
        now_s = self._broker._now()
        if book.rules.size:
            self._check_stream(book, place, draft.data)
            life = book.current
            if life is None or life.epoch != place.epoch:
                p7_epoch.check_begun(scene, book, place.epoch, now_s)
                life = book.begin(place.epoch)
            p3_order.check_next(scene, book.name, life, place.offset, draft.data)
            book.append(life, draft.data, text, now_s)
        else:
            book.turn_of[draft.data] = len(book.turn_of)
        p2_once.check_appended(scene, book, place, text, now_s, self._ledger.window_s)
        if draft.info:
            begin = draft.info.index(CLIENT) + len(CLIENT)
            p3_order.check_publisher(scene, book, draft.info[begin : begin + 36].decode(), text)

    def _check_stream(self, book: Book, told: Place, payload: bytes) -> None:
        """P1 at the stream itself, and its bounds."""
        broker, scene = self._broker, self._ledger.scene
        entry = broker._entries.get(book.name)
        if entry is None:
            scene.broken(
                "P1", f"{shown(payload)} was completed at {told} of {book.name}, which has no stream"
            )
        stream = entry.stream
        kept = stream._publications
        last = kept[-1].data if kept else None
        p1_acknowledged.check_completed(
            scene, book.name, payload, told, Place(stream.epoch, stream.top), last
        )
        if len(kept) > book.rules.size:
            scene.broken("bounds", f"{book.name} keeps {len(kept)} publications, not {book.rules.size}")
        if broker._held_bytes > broker._limits.memory_bytes:
            scene.broken("bounds", f"the broker holds {broker._held_bytes} bytes with {book.name}")
        if broker._evicted != self._evicted:
            self._evicted = broker._evicted
            for each in self._ledger.books.values():
                each.evicted_s = broker._now()
