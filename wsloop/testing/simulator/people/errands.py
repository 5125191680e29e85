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
from wsloop.testing.simulator.people.member import IN, LEAVING, OUT, Question
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

RESTLESS_SHARE = 0.3
"""Of what is done when the calm begins: coming and going, in the middle of the last that is said."""

ANSWER_CHANCE = 0.2
"""Of somebody quick, to answer what was heard: so seldom that a talk among them ends."""

MUCH = (70, 130, 250)
"""Commands in one message: more than may be carried out in a turn, up to what a message holds."""

DROP_IN_SHARE = 0.1
"""Of those who come into a channel, who leave it in the same breath."""

LAST_WORD_SHARE = 0.4
BACK_AT_ONCE_SHARE = 0.3
"""Of those who leave, who say something first, and who ask to be let in again in the same breath."""

GLANCES_S = (0.05, 0.2, 0.3, 0.5, 0.8, 1.5, 4.0, 12.0)
"""How long one looks away: mostly less than a server waits, seldom more."""

BURSTS = (1,) * 24 + (2, 2, 4, 20)
PADDINGS = (0,) * 20 + (10, 60, 120, 700, 3000, 12_000)
"""Bytes behind a text: most short, some longer than a frame's short form, some than what is joined."""


def run(person: Person, phone: Phone) -> None:
    """Do what is due, or else what comes to mind."""
    if person.is_restless:
        for membership in person.memberships.values():
            if membership.state == OUT and not membership.is_server_side and not membership.asks:
                come_in(person, phone, membership)
                return
        person.is_restless = False
    if person.writer.waiting and send_again(person, phone):
        return
    if person.is_due_to_renew:
        refresh(person, phone)
    elif person.town.is_quiet:
        return
    elif person.town.world.is_calm and person.chance.random() < RESTLESS_SHARE:
        unsubscribe(person, phone)
    else:
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
    town = person.town
    channel = town.topic if chance.random() < TOPIC_SHARE else town.elsewhere((*CHANNELS, EVERYBODY), chance)
    key: KeyKind = "idem"
    if temper.plain_share and chance.random() < temper.plain_share:
        key = ""
    elif temper.seq_share and chance.random() < temper.seq_share:
        key = "seq"
    padding = chance.choice(PADDINGS) if count < 20 else 0
    _submit(person, phone, [person.writer.compose(channel, key, padding) for _ in range(count)])


def answer_at_once(person: Person, phone: Phone) -> None:
    """Say something, now and then, where something may have been heard just now."""
    membership = _any(person)
    if membership.state == IN and person.chance.random() < ANSWER_CHANCE and not membership.is_server_side:
        channel = person.town.elsewhere((membership.channel,), person.chance)
        _submit(person, phone, [person.writer.compose(channel, "", 0)])


def publish_twice(person: Person, phone: Phone) -> None:
    """Publish something with a key, and the same again before there can be an answer."""
    message = person.writer.compose(person.town.elsewhere(CHANNELS, person.chance), "idem", 0)
    _submit(person, phone, [message, message])


def rush(person: Person, phone: Phone) -> None:
    """Say a great deal at once where somebody does not read at this moment: they fall behind."""
    away = [each for each in person.town.people if each.line is not None and not each.line.reads]
    if away and not person.writer.waiting:
        chance = person.chance
        theirs = [each for each in chance.choice(away).memberships.values() if not each.is_server_side]
        lossy = [each for each in theirs if each.reader.book.rules.is_lossy]
        channel = person.town.elsewhere([each.channel for each in lossy or theirs], chance)
        padding = chance.choice((0, 0, 0, 60, 400))
        _submit(person, phone, [person.writer.compose(channel, "", padding) for _ in range(RUSH)])


def _submit(person: Person, phone: Phone, messages: list[Message]) -> None:
    lines = [person.command_to_publish(phone, message) for message in messages]
    if len(lines) == 1 or (sum(map(len, lines)) < MESSAGE_BYTES - 100 and person.chance.random() < 0.5):
        phone.say(b"\n".join(lines))
    else:
        for line in lines:
            phone.say(line)


def come_in(person: Person, phone: Phone, membership: Membership) -> None:
    """Ask to be let into a channel; some only drop in: they ask, say a word and leave, all at once."""
    lines = [person.command_to_subscribe(phone, membership)]
    if not person.town.is_quiet and person.chance.random() < DROP_IN_SHARE:
        lines += _a_word(person, phone, membership)
        lines.append(person.command_to_leave(phone, membership))
    phone.say(b"\n".join(lines))


def say_much(person: Person, phone: Phone) -> None:
    """Publish more in one message than there is time for in a turn."""
    if not person.writer.waiting and not phone.under_way:
        messages = [person.writer.compose(person.town.topic, "", 0) for _ in range(MUCH[0])]
        phone.say(b"\n".join([person.command_to_publish(phone, each) for each in messages]))


def unsubscribe(person: Person, phone: Phone) -> None:
    """Leave a channel, with a last word or without; they will want to be back, some at once."""
    membership, chance = _any(person), person.chance
    if membership.state != IN or membership.is_server_side:
        return
    lines = _a_word(person, phone, membership) if chance.random() < LAST_WORD_SHARE else []
    lines.append(person.command_to_leave(phone, membership))
    if chance.random() < BACK_AT_ONCE_SHARE:
        lines.append(person.command_to_subscribe(phone, membership))
    phone.say(b"\n".join(lines))


def _a_word(person: Person, phone: Phone, membership: Membership) -> list[bytes]:
    if person.town.elsewhere((membership.channel,), person.chance) != membership.channel:
        return []
    message = person.writer.compose(membership.channel, "idem", 0)
    return [person.command_to_publish(phone, message)]


def ask_much(person: Person, phone: Phone) -> None:
    """Ask more in one message, and something behind it, than there is time for in a turn."""
    membership = _any(person)
    if membership.is_server_side or phone.under_way:
        return
    lines = [_head_count(phone, membership) for _ in range(person.chance.choice(MUCH))]
    phone.say(b"\n".join(lines))
    phone.say(_head_count(phone, membership))


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
        phone.say(_head_count(phone, membership))


def _head_count(phone: Phone, membership: Membership) -> bytes:
    number = phone.number(Question("presence_stats", membership))
    return b'{"id":%d,"presence_stats":{"channel":"%b"}}' % (number, membership.name)


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
    (3, ask_much),
    (2, say_much),
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
        if membership.state == LEAVING:
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
