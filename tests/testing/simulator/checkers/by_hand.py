"""Histories made by hand: a scene, a book with what was appended, what must be said of a broken promise."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from wsloop.testing.simulator.model.ledger import Book, Ledger, Place, Rules, Text
from wsloop.testing.simulator.model.scene import Scene
from wsloop.testing.simulator.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

KEEP = Rules(size=3, ttl_s=10.0, meta_ttl_s=30.0)
CACHE = Rules(size=3, ttl_s=10.0, meta_ttl_s=30.0, is_cache=True)
LOSSY = Rules(size=3, ttl_s=10.0, meta_ttl_s=30.0, is_lossy=True)


def scene(now_s: float = 5.0, *, is_lossless: bool = True, is_orderly: bool = True) -> Scene:
    made = Scene(is_lossless=is_lossless, is_orderly=is_orderly)
    made.step, made.now_s = 77, now_s
    return made


def text(number: int, user: str = "ann", submission: int | None = None) -> Text:
    return Text(user, number, number if submission is None else submission)


def at(offset: int, epoch: str = "e") -> Place:
    return Place(epoch, offset)


def book(count: int = 0, *, rules: Rules = KEEP, epoch: str = "e", since_s: float = 0.0) -> Book:
    """Return a book to which `ann` has published so much, one message a second."""
    made = Book("room", rules)
    if count:
        life = made.begin(epoch)
        for number in range(1, count + 1):
            made.append(life, text(number).encode(), text(number), since_s + number - 1)
    made.excuses = 0
    return made


def ledger(rules: Rules = KEEP, the_scene: Scene | None = None) -> Ledger:
    return Ledger(the_scene or scene(), lambda _: rules, window_s=100.0)


@contextmanager
def broken(name: str, *words: str) -> Iterator[None]:
    """Expect the Violation of the promise `name`, whose sentence has these words, the step and the time."""
    with pytest.raises(Violation) as caught:
        yield
    assert caught.value.name == name, caught.value
    for word in (*words, "(step 77, "):
        assert re.search(re.escape(word), caught.value.text), f"{word!r} is not in: {caught.value.text}"
