"""What somebody who is connected does when their time has come: one thing at a time, drawn by weight.

First come the things that cannot wait: channels they are not in, messages without an answer. When the town is
quiet these are all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.checkers import p3_order, p5_window
from wsloop.testing.simulator.model.ledger import Place
from wsloop.testing.simulator.people import socket
from wsloop.testing.simulator.people.channels import CHANNELS, EVERYBODY, MESSAGE_BYTES
from wsloop.testing.simulator.people.member import IN, OUT, Question
from wsloop.testing.simulator.people.reader import CountingReader
from wsloop.testing.simulator.people.tokens import token

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.people.member import Membership
    from wsloop.testing.simulator.people.person import Person
    from wsloop.testing.simulator.people.phone import Phone, Reply
    from wsloop.testing.simulator.people.writer import KeyKind, Message

AT_ONCE = 6
"""Messages sent again in one go."""

WAITING = 12
"""With more without an answer, nobody publishes further."""

TOPIC_SHARE = 0.95
"""Of what is published goes to the one channel of the day; so the others are quiet."""

RUSH = 24
"""Messages of a rush: more than may wait for a peer."""

GLANCES_S = (0.05, 0.2, 0.3, 0.5, 0.8, 1.5, 4.0, 12.0)
"""How long one looks away: mostly less than a server waits, seldom more."""

BURSTS = (1,) * 24 + (2, 2, 4, 20)
PADDINGS = (0,) * 20 + (10, 60, 120, 700, 3000, 12_000)
"""Bytes behind a text: most short, some longer than a frame's short form, some than what is joined."""


def run(person: Person, phone: Phone) -> None:
    """Do what is due, or else what comes to mind."""
    if person.is_restless:
        for membership in person.memberships.values():
            if membership.state == OUT and not membership.is_server_side:
                person.subscribe(phone, membership)
                return
        person.is_restless = False
    if person.writer.waiting and send_again(person, phone):
        return
    if person.is_due_to_renew:
        refresh(person, phone)
    elif not person.town.is_quiet:
        _drawn(person)(person, phone)


def send_again(person: Person, phone: Phone) -> bool:
    """Submit what was not answered, oldest first; return whether there was anything."""
    writer = person.writer
    if not person.town.world.is_calm:
        writer.give_up(person.town.scene.now_s - person.town.ledger.window_s / 2)
    again = [each for each in writer.waiting.values() if not each.is_under_way][:AT_ONCE]
    if again:
        _submit(person, phone, again)
    return bool(again)


def publish(person: Person, phone: Phone) -> None:
    """Publish a message or a few, in one frame or several, to a channel they are in or any other."""
    chance, temper = person.chance, person.temper
    if len(person.writer.waiting) >= WAITING:
        return
    count = chance.choice(BURSTS)
    channel = person.town.topic if chance.random() < TOPIC_SHARE else chance.choice((*CHANNELS, EVERYBODY))
    key: KeyKind = "idem"
    if temper.plain_share and chance.random() < temper.plain_share:
        key = ""
    elif temper.seq_share and chance.random() < temper.seq_share:
        key = "seq"
    padding = chance.choice(PADDINGS) if count < 20 else 0
    _submit(person, phone, [person.writer.compose(channel, key, padding) for _ in range(count)])


def publish_twice(person: Person, phone: Phone) -> None:
    """Publish something with a key, and the same again before there can be an answer."""
    message = person.writer.compose(person.chance.choice(CHANNELS), "idem", 0)
    _submit(person, phone, [message, message])


def rush(person: Person, phone: Phone) -> None:
    """Say a great deal at once where somebody does not read at this moment: they fall behind."""
    away = [each for each in person.town.people if each.line is not None and not each.line.reads]
    if away and not person.writer.waiting:
        chance = person.chance
        theirs = [each for each in chance.choice(away).memberships.values() if not each.is_server_side]
        lossy = [each for each in theirs if each.reader.book.rules.is_lossy]
        channel = chance.choice(lossy or theirs).channel
        padding = chance.choice((0, 0, 0, 60, 400))
        _submit(person, phone, [person.writer.compose(channel, "", padding) for _ in range(RUSH)])


def _submit(person: Person, phone: Phone, messages: list[Message]) -> None:
    lines = [person.command_to_publish(phone, message) for message in messages]
    if len(lines) == 1 or (sum(map(len, lines)) < MESSAGE_BYTES - 100 and person.chance.random() < 0.5):
        phone.say(b"\n".join(lines))
    else:
        for line in lines:
            phone.say(line)


def unsubscribe(person: Person, phone: Phone) -> None:
    """Leave a channel; they will want to be back."""
    membership = _any(person)
    if membership.state == IN and not membership.is_server_side:
        person.unsubscribe(phone, membership)


def read_history(person: Person, phone: Phone) -> None:
    """Read what a channel keeps, all or a page, from either end."""
    membership, chance = _any(person), person.chance
    if not membership.reader.book.rules.size or membership.is_server_side:
        return
    limit, reverse = chance.choice((-1, 0, 3)), chance.random() < 0.3
    number = phone.number(Question("history", membership, limit, reverse))
    turned = b',"reverse":true' if reverse else b""
    phone.say(b'{"id":%d,"history":{"channel":"%b","limit":%d%b}}' % (number, membership.name, limit, turned))


def look_around(person: Person, phone: Phone) -> None:
    """Ask who is in a channel."""
    membership = _any(person)
    if not membership.is_server_side:
        number = phone.number(Question("presence", membership))
        phone.say(b'{"id":%d,"presence":{"channel":"%b"}}' % (number, membership.name))


def count_heads(person: Person, phone: Phone) -> None:
    """Ask how many are in a channel."""
    membership = _any(person)
    if not membership.is_server_side:
        number = phone.number(Question("presence_stats", membership))
        phone.say(b'{"id":%d,"presence_stats":{"channel":"%b"}}' % (number, membership.name))


def acknowledge(person: Person, phone: Phone) -> None:
    """Tell how far one has read."""
    membership = _any(person)
    reader = membership.reader
    if membership.state == IN and isinstance(reader, CountingReader) and reader.offset:
        number = phone.number(Question("ack", membership))
        phone.say(
            b'{"id":%d,"ack":{"channel":"%b","offset":%d,"epoch":"%b"}}'
            % (number, membership.name, reader.offset, reader.epoch.encode())
        )


def refresh(person: Person, phone: Phone) -> None:
    """Renew the right to be here, which ends."""
    if person.temper.token_s:
        person.renewed_s = person.town.scene.now_s
        ends = int(person.town.world.clock.unix_s()) + person.temper.token_s
        number = phone.number(Question("refresh", _any(person)))
        phone.say(b'{"id":%d,"refresh":{"token":"%b"}}' % (number, token(person.user, ends).encode()))


def answer_unasked(_person: Person, phone: Phone) -> None:
    """Send a pong that nobody has asked for."""
    phone.say(b"{}")


def look_away(person: Person, _phone: Phone) -> None:
    """Read nothing for a while."""
    if person.line is not None:
        socket.look_away(person.town, person.line, person.chance.choice(GLANCES_S))


def nod_off(person: Person, _phone: Phone) -> None:
    """Read nothing for a moment, long enough to fall behind, and too short to be given up."""
    if person.line is not None:
        socket.look_away(person.town, person.line, person.chance.uniform(0.2, 1.2))


def leave(_person: Person, phone: Phone) -> None:
    """Close as one should; what is under way still comes."""
    phone.say_close()


def hang_up(person: Person, _phone: Phone) -> None:
    """Close as one does."""
    person.hang_up()


def _any(person: Person) -> Membership:
    return person.chance.choice(tuple(person.memberships.values()))


ERRANDS: tuple[tuple[int, Callable[[Person, Phone], None]], ...] = (
    (700, publish),
    (20, publish_twice),
    (60, rush),
    (40, unsubscribe),
    (30, read_history),
    (20, look_around),
    (10, count_heads),
    (20, acknowledge),
    (5, refresh),
    (5, answer_unasked),
    (25, look_away),
    (10, leave),
    (8, hang_up),
)
"""How often each of them is done, and what it is."""


def _drawn(person: Person) -> Callable[[Person, Phone], None]:
    left = person.chance.random() * _TOTAL
    for weight, errand in ERRANDS:
        left -= weight
        if left < 0:
            return errand
    return publish


_TOTAL = sum(weight for weight, _ in ERRANDS)


# -- answers ---------------------------------------------------------------------------------------


def on_reply(person: Person, command: Question, reply: Reply) -> None:
    """Take the answer to one of these errands."""
    membership = command.membership
    if command.method == "leave":
        membership.reader.ended()
        membership.state = OUT
        person.is_restless = True
    elif command.method == "history":
        _check_history(person, command, reply["history"])
    elif command.method == "presence":
        _check_presence(person, membership, reply["presence"]["presence"])
    elif command.method == "presence_stats":
        _check_heads(person, membership, reply["presence_stats"])


def allowed_errors(person: Person, command: Question) -> set[int]:
    """Return the errors that one of these may be answered with."""
    allowed = set() if person.town.scene.is_lossless else {100}
    if command.method == "ack":
        # The stream may have ended since, and the subscription with it.
        allowed |= {103, 107, 112}
    return allowed


def _check_history(person: Person, question: Question, found: Reply) -> None:
    """P3, P4: what is kept stands where it was appended, without a hole."""
    scene, book, limit = person.town.scene, question.membership.reader.book, question.limit
    top = Place(found["epoch"], found["offset"])
    p5_window.check_top(scene, person.name, book, Place("", 0), top)
    offsets = [each["offset"] for each in found["publications"]]
    for each in found["publications"]:
        p3_order.check_same(
            scene, person.name, book, Place(top.epoch, each["offset"]), b'"%b"' % each["data"].encode()
        )
    p5_window.check_read(scene, person.name, book, top, offsets, limit)
    step = -1 if question.reverse else 1
    if offsets and offsets != list(range(offsets[0], offsets[0] + step * len(offsets), step)):
        scene.broken("P4", f"{person.name} read offsets {offsets} of {book.name}")
    if (limit >= 0 and len(offsets) > limit) or len(offsets) > book.rules.size:
        scene.broken("bounds", f"{person.name} read {len(offsets)} of {book.name}, asking for {limit}")


def _check_presence(person: Person, membership: Membership, present: Reply) -> None:
    """Whoever asks from inside is inside."""
    if membership.state == IN and person.client not in present and person.town.scene.is_lossless:
        scene = person.town.scene
        scene.broken("speech", f"{person.name} is in {membership.channel}, where nobody sees {person.client}")


def _check_heads(person: Person, membership: Membership, found: Reply) -> None:
    if not 0 <= found["num_users"] <= found["num_clients"]:
        person.town.scene.broken("speech", f"{membership.channel} has {found}")
