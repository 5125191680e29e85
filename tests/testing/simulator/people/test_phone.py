"""A messaging connection: how lines are read, and which no server may send."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.testing.simulator.checkers.by_hand import at, broken, scene
from wsloop.testing.simulator.model.ledger import NOWHERE, Place
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import CLOSE, TEXT
from wsloop.testing.simulator.people.phone import WHOLE_EVERY, Phone


class Ear:
    """A listener, and a reader of any channel, that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_open(self, phone: Phone) -> None:
        self.heard.append(("open", phone))

    def received(self, offset: int, payload: bytes) -> None:
        self.heard.append(("pub", offset, payload))

    def on_push(self, channel: str, push: dict[str, Any]) -> None:
        self.heard.append(("push", channel, push))

    def on_placed(self, command: object, place: Place, *, is_duplicate: bool) -> None:
        self.heard.append(("placed", command, place, is_duplicate))

    def on_reply(self, command: object, reply: dict[str, Any]) -> None:
        self.heard.append(("reply", command, reply))

    def on_heard(self, phone: Phone) -> None:
        self.heard.append(("heard", len(phone.under_way)))

    def on_beat(self) -> None:
        self.heard.append(("beat",))

    def on_ended(self, code: int, reason: str) -> None:
        self.heard.append(("ended", code, reason))


class Desk:
    """A phone that is open, its ear, and what it sends."""

    def __init__(self, seed: int = 0) -> None:
        self.ear = Ear()
        readers: Any = {b"room": self.ear}
        self.phone = Phone(scene(), "ann", self.ear, readers, random.Random(seed))
        self.phone.is_open = True
        self.sent: list[bytes] = []
        self.phone.send = self.sent.append

    def hear(self, *lines: bytes) -> list[tuple[Any, ...]]:
        self.phone.take(frames.unmasked(TEXT, b"\n".join(lines)))
        return self.ear.heard


PUSH = b'{"push":{"channel":"room","pub":{"data":"a.1.1."%b}}}'
INFO = b',"info":{"user":"a","client":"c"}'


def test_publications_are_read_in_each_form() -> None:
    heard = Desk().hear(PUSH % b',"offset":7', PUSH % (b',"offset":12' + INFO), PUSH % b"", PUSH % INFO)
    assert heard == [("pub", offset, b'"a.1.1."') for offset in (7, 12, 0, 0)]


def test_who_is_quick_hears_when_all_is_taken() -> None:
    desk = Desk()
    desk.phone.is_quick = True
    heard = desk.hear(PUSH % b',"offset":7', PUSH % b',"offset":8')
    assert heard == [("pub", 7, b'"a.1.1."'), ("pub", 8, b'"a.1.1."'), ("heard", 0)]


def test_acknowledgements_are_read_in_each_form() -> None:
    desk = Desk()
    for command in "abcd":
        desk.phone.number(command)
    heard = desk.hear(
        b'{"id":1,"publish":{"offset":5,"epoch":"e"}}',
        b'{"id":3,"publish":{"offset":6,"epoch":"e","dup":true}}',
        b'{"id":2,"publish":{}}',
        b'{"id":4,"publish":{"dup":true}}',
    )
    assert heard == [
        ("placed", "a", at(5), False),
        ("placed", "c", at(6), True),
        ("placed", "b", NOWHERE, False),
        ("placed", "d", NOWHERE, True),
    ]
    assert not desk.phone.under_way


def test_one_waits_since_the_oldest_command_that_has_no_answer() -> None:
    desk = Desk()
    assert desk.phone.waits_since_s == math.inf
    for now_s, command in ((1.0, "a"), (30.0, "b"), (60.0, "c")):
        desk.phone.scene.now_s = now_s
        desk.phone.number(command)
    assert desk.phone.waits_since_s == 1.0
    desk.hear(b'{"id":1,"publish":{}}', b'{"id":3,"publish":{}}')
    assert desk.phone.waits_since_s == 30.0
    desk.hear(b'{"id":2,"error":{"code":100,"message":"m"}}')
    assert desk.phone.waits_since_s == math.inf


def test_what_is_rare_is_read_as_json() -> None:
    desk = Desk()
    desk.phone.number("q")
    join = b'{"push":{"channel":"room","join":{"info":{"user":"a","client":"c"}}}}'
    kinds = [each[0] for each in desk.hear(b'{"id":1,"error":{"code":100,"message":"m"}}', join, b"{}")]
    assert kinds == ["reply", "push", "beat"]


@pytest.mark.parametrize(
    ("line", "promise"),
    [
        (b"", "speech"),
        (b"[]", "speech"),
        (b'{"id":9,"publish":{}}', "speech"),
        (b'{"hello":1}', "speech"),
        (b'{"push":{"channel":"other","pub":{"data":"a.1.1."}}}', "P4"),
    ],
)
def test_what_no_server_says_is_found(line: bytes, promise: str) -> None:
    with broken(promise, "ann"):
        Desk().hear(line)


@pytest.mark.parametrize("line", [PUSH % b',"offset":7' + b"}", PUSH % b',"info":{"user":"a"}'])
def test_one_line_in_some_is_read_whole(line: bytes) -> None:
    with broken("speech", "ann was told"):
        Desk().hear(*[line] * (WHOLE_EVERY + 1))


def test_lines_are_said_as_the_connection_is() -> None:
    desk = Desk()
    desk.phone.say(b"{}")
    desk.phone.is_deflated = True
    desk.phone.say(b"{}")
    assert [each[0] for each in desk.sent] == [0x81, 0xC1]
    desk.phone.take(frames.unmasked(CLOSE, b"\x0b\xb9bye"))
    desk.phone.say(b"{}")
    assert len(desk.sent) == 3  # the close's answer, and nothing behind it
    assert desk.ear.heard == [("ended", 3001, "bye")]


def test_a_door_that_stays_shut() -> None:
    desk = Desk()
    desk.phone.is_open = False
    desk.phone.take(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert desk.ear.heard == [("ended", 0, "")]
