"""Somebody with a messaging client and a memory: comes back, recovers, and sends again what was lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wsloop.hub.commands import EXTENSIONS
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.simulator.model.ledger import NOWHERE, Place
from wsloop.testing.simulator.people import errands
from wsloop.testing.simulator.people.channels import EVERYBODY, namespace_of
from wsloop.testing.simulator.people.member import ASKING, IN, LEAVING, OUT, Membership, Question, Submission
from wsloop.testing.simulator.people.phone import Phone
from wsloop.testing.simulator.people.reader import CountingReader, LooseReader, PlainReader, Reader
from wsloop.testing.simulator.people.socket import TOO_LONG, call
from wsloop.testing.simulator.people.temper import Temper
from wsloop.testing.simulator.people.tokens import token
from wsloop.testing.simulator.people.writer import Message, Writer

if TYPE_CHECKING:
    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.people.phone import Reply
    from wsloop.testing.simulator.people.socket import Socket
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.world import World

PATIENCE_S = 8.0
"""How long one waits for an answer before one hangs up; SDKs 5 s for a reply."""

LONGEST_PAUSE_S = 9.0
"""Half of the longest between two errands: who goes to sleep before the calm is up again in its midst."""

CALM_PAUSE_S = 0.2
"""In the calm nobody waits for longer between two errands."""

NODS_CHANCE = 0.1
"""Before each errand, of somebody who nods off all the time."""

SILENCE_S = 10.0
"""How long, beyond the interval of pings, before one takes the server for dead (SDKs: the same)."""

LAZY_S = 20.0
"""So long into the calm who never renews does not either: the server has to end what they had."""

OPERATOR_UNSUBSCRIBES = 2000

KNOWN_UNSUBSCRIBES = frozenset({OPERATOR_UNSUBSCRIBES, 2500, 2501})
"""How a subscription may be ended by the server."""

KNOWN_ENDS = frozenset(
    {0, 1000, 1001, 1005, 1012, 1013, 3001, 3005, 3006, 3008, 3010, 3012, 3014, 3502, 3503}
)
"""How a connection may end of somebody who keeps to the protocol. 1013: no ring was left."""


class Person:
    """One of `town`'s. `name` is unlike all others'; `user` is "" if anonymous, and may be another's as well.

    `line` and `phone` are those of the present connection; `client` the id that the server has given it.
    `memberships` and their `readers` by name; `is_restless`: there may be a channel to get into. `writer` is
    what they publish.
    """

    def __init__(self, town: Town, name: str, user: str, channels: list[str]) -> None:
        self.town = town
        self.name = name
        self.user = user
        self.chance = town.world.choices.stream(f"person {name}")
        self.temper = Temper(self.chance)
        self.writer = Writer(town.ledger, name, user)
        self.line: Line | None = None
        self.phone: Phone | None = None
        self.door: Process | None = None
        self.client = ""
        self.dialled_s = self.renewed_s = 0.0
        self.ping_s = 0.0
        self.memberships: dict[bytes, Membership] = {}
        self.readers: dict[bytes, Reader] = {}
        self.is_restless = True
        own = [f"#{user}"] if user else []
        for channel in (*channels, EVERYBODY, *own):
            self._begin(channel, is_server_side=channel == EVERYBODY or channel in own)

    def _begin(self, channel: str, *, is_server_side: bool) -> None:
        book, options = self.town.ledger.book(channel), namespace_of(channel)
        counts = options.force_recovery or (options.allow_recovery and self.chance.random() < 0.3)
        kind: type[Reader] = PlainReader if not book.rules.size else CountingReader if counts else LooseReader
        membership = Membership(
            channel, kind(self.town.scene, self.name, book), is_server_side=is_server_side
        )
        self.memberships[membership.name] = membership
        self.readers[membership.name] = membership.reader

    # -- acting ------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether connect was granted, on a connection that is still there as far as one can tell here."""
        return bool(self.client)

    @property
    def is_due_to_renew(self) -> bool:
        """Whether the right to be here ends soon, and they see to it: late in the calm all do."""
        temper, town = self.temper, self.town
        is_late = town.scene.now_s > town.calm_since_s + LAZY_S
        if not temper.token_s or not (temper.renews or is_late):
            return False
        return town.scene.now_s > self.renewed_s + temper.token_s / 2

    @property
    def right_ends_s(self) -> float:
        """When the right to be here ends that was asked for last; infinity for never, as of who is nobody."""
        token_s = self.temper.token_s
        return self.renewed_s + token_s if token_s and self.user else math.inf

    def act(self, _world: World) -> None:
        """See `Actor.act`."""
        town = self.town
        if town.is_over:
            return
        town.moment()
        pause_s = min(self.temper.pause_s * town.pace, LONGEST_PAUSE_S)
        if town.world.is_calm:
            pause_s = CALM_PAUSE_S if town.is_quiet else min(pause_s, CALM_PAUSE_S)
        town.wake(self, self.chance.random() * 2 * pause_s)
        now_s = town.scene.now_s
        if self.phone is None:
            if now_s >= self.dialled_s + min(1.0, 10 * pause_s):
                self.dial()
        elif self._is_out_of_patience(now_s) or (town.world.is_calm and self._is_on_a_bad_line()):
            self.hang_up()
        elif self.client:
            if self.temper.nods and self.chance.random() < NODS_CHANCE and not town.is_quiet:
                errands.nod_off(self, self.phone)
            errands.run(self, self.phone)

    def _is_out_of_patience(self, now_s: float) -> bool:
        phone = self.phone
        assert phone is not None
        if not self.client or phone.has_closed:
            return now_s > self.dialled_s + PATIENCE_S
        if self.ping_s and now_s > phone.heard_s + self.ping_s + SILENCE_S:
            return True
        return now_s > phone.waits_since_s + PATIENCE_S

    def _is_on_a_bad_line(self) -> bool:
        """Tell whether the line was made slow or narrow for good: in the calm one takes another."""
        line = self.line
        return line is not None and bool(line.delay_s or line.bytes_per_s)

    def dial(self) -> None:
        """Connect, and say so."""
        town, chance = self.town, self.chance
        self.dialled_s = town.scene.now_s
        self.door = chance.choice(town.world.doors)
        phone = Phone(town.scene, self.name, self, self.readers, chance)
        self.line = call(town, self.door, phone, self._on_end, f"10.0.0.{chance.randrange(1, 9)}")
        if self.line is not None:
            self.phone = phone
            phone.is_quick = self.temper.is_quick
            self.line.capacity_bytes = min(self.temper.capacity_bytes, town.capacity_bytes)
            phone.upgrade(CONNECTION_PATH, offers=self.temper.deflates)

    def connect(self, phone: Phone) -> None:
        """Say who this is, and what the server had subscribed them to."""
        remembered = []
        for each in self.memberships.values():
            place = each.reader.ask() if each.is_server_side else None
            if place is not None:
                name, epoch = each.channel, place.epoch
                remembered.append(f'"{name}":{{"recover":true,"epoch":"{epoch}","offset":{place.offset}}}')
        self.renewed_s = self.town.scene.now_s
        ends = self.temper.token_s and int(self.town.world.clock.unix_s()) + self.temper.token_s
        shown = f'"token":"{token(self.user, ends)}",' if self.user else ""
        wanted = f'{shown}"flag":{EXTENSIONS},"subs":{{{",".join(remembered)}}}'
        phone.say(f'{{"id":{phone.number(self)},"connect":{{{wanted}}}}}'.encode())

    def command_to_subscribe(self, phone: Phone, membership: Membership) -> bytes:
        """Return the line that asks to be let into a channel, from where one was before."""
        membership.state = ASKING
        membership.asks += 1
        place = membership.reader.ask()
        number = phone.number(membership)
        wish = b',"positioned":true,"recoverable":true' if membership.is_positioned else b""
        if place is not None:
            wish += b',"recover":true,"epoch":"%b","offset":%d' % (place.epoch.encode(), place.offset)
        return b'{"id":%d,"subscribe":{"channel":"%b"%b}}' % (number, membership.name, wish)

    def command_to_leave(self, phone: Phone, membership: Membership) -> bytes:
        """Return the line that leaves a channel, of which publications may come until the answer."""
        membership.state = LEAVING
        number = phone.number(Question("leave", membership))
        return b'{"id":%d,"unsubscribe":{"channel":"%b"}}' % (number, membership.name)

    def command_to_publish(self, phone: Phone, message: Message) -> bytes:
        """Return the line that submits a message, on its way from here on."""
        text = self.writer.submit(message)
        number = phone.number(Submission(message, text))
        key = b""
        if message.key == "seq":
            key = b',"seq":{"sender":"%b","n":%d}' % (self.name.encode(), message.number)
        elif message.key:
            # Users number theirs alike, so that a server that knew the key only would mix them up.
            own = b"" if self.user == self.name else b"%b " % self.name.encode()
            key = b',"idem":"%b%d"' % (own, message.number)
        return b'{"id":%d,"publish":{"channel":"%b","data":%b%b}}' % (
            number, message.channel.encode(), text.encode(message.padding), key,
        )  # fmt: skip

    def hang_up(self) -> None:
        """Close the socket, without a word."""
        if self.line is not None:
            self.line.leave()
            self._lose()

    def channels(self) -> list[str]:
        """Return the names of the channels they are in."""
        return [each.channel for each in self.memberships.values() if each.state == IN]

    def go_home(self) -> None:
        """Forget the connection, which has been closed."""
        self._lose()

    # -- hearing -----------------------------------------------------------------------------

    def on_open(self, phone: Phone) -> None:
        """See `Listener.on_open`."""
        self.connect(phone)

    def _on_end(self, socket: Socket) -> None:
        if socket is self.phone:
            self.hang_up()

    def _lose(self) -> None:
        """Be without a connection."""
        self.line = self.phone = None
        self.client = ""
        self.is_restless = True
        for membership in self.memberships.values():
            membership.state = OUT
            membership.asks = 0
            membership.reader.ended()
        self.writer.disconnected()

    def on_ended(self, code: int, reason: str) -> None:
        """See `Listener.on_ended`."""
        if code not in KNOWN_ENDS and reason != TOO_LONG:
            what = f"{code} {reason!r}"
            self.town.scene.broken("speech", f"{self.name}, who did nothing wrong, was closed with {what}")
        for membership in self.memberships.values():
            membership.reader.ended()
        self.client = ""
        self.dialled_s = self.town.scene.now_s
        if not code:
            self.hang_up()

    def on_push(self, channel: str, push: Reply) -> None:
        """See `Listener.on_push`."""
        membership = self.memberships.get(channel.encode())
        if membership is None:
            self.town.scene.broken("speech", f"{self.name} was pushed {push} of {channel!r}, never asked for")
        if "unsubscribe" in push:
            self._on_unsubscribed(membership, push["unsubscribe"]["code"])
        elif "gap" in push:
            membership.reader.left_out(push["gap"]["dropped"])
        elif "join" in push:
            membership.company.add(push["join"]["info"]["client"])
        elif "leave" in push:
            membership.company.discard(push["leave"]["info"]["client"])
        else:
            self.town.scene.broken("speech", f"{self.name} was pushed {push}")

    def _on_unsubscribed(self, membership: Membership, code: int) -> None:
        scene = self.town.scene
        if membership.is_server_side:
            scene.broken(
                "speech", f"the server's own {membership.channel} was taken from {self.name} with {code}"
            )
        # The operator may end a subscription that is under way still; its answer is an error then.
        is_asked = code == OPERATOR_UNSUBSCRIBES and membership.state == ASKING
        if code not in KNOWN_UNSUBSCRIBES or not (membership.reader.is_live or is_asked):
            scene.broken("speech", f"{self.name} was unsubscribed from {membership.channel} with {code}")
        membership.reader.ended()
        if membership.state == IN:
            membership.state = OUT
            self.is_restless = True

    def on_heard(self, phone: Phone) -> None:
        """See `Listener.on_heard`."""
        if self.client and not phone.under_way and not self.town.is_quiet:
            errands.answer_at_once(self, phone)

    def on_beat(self) -> None:
        """See `Listener.on_beat`."""
        if self.phone is not None and (self.temper.answers or self.town.world.is_calm):
            self.phone.say(b"{}")

    def on_placed(self, command: object, place: Place, *, is_duplicate: bool) -> None:
        """See `Listener.on_placed`."""
        assert isinstance(command, Submission)
        self.writer.confirmed(command.message, command.text, place, is_duplicate=is_duplicate)

    def on_reply(self, command: object, reply: Reply) -> None:
        """See `Listener.on_reply`."""
        error = reply.get("error")
        if error is not None:
            self._on_error(command, error)
        elif command is self:
            self._on_connected(reply["connect"])
        elif isinstance(command, Membership):
            command.asks -= 1
            if command.state == OUT:
                what = f"{self.name} was let into {command.channel}, which they have left since"
                self.town.scene.broken("speech", what)
            if command.state == ASKING:
                command.state = IN
            self._on_subscribed(command, reply["subscribe"])
        else:
            assert isinstance(command, Question)
            errands.on_reply(self, command, reply)

    def _on_connected(self, result: Reply) -> None:
        self.client = result["client"]
        self.ping_s = float(result.get("ping", 0))
        scene, subscribed = self.town.scene, result.get("subs", {})
        for membership in self.memberships.values():
            if membership.is_server_side:
                if membership.channel not in subscribed:
                    scene.broken("speech", f"{self.name} was not subscribed to {membership.channel}")
                membership.state = IN
                self._on_subscribed(membership, subscribed[membership.channel])

    def _on_subscribed(self, membership: Membership, result: Reply) -> None:
        place = Place(result["epoch"], result.get("offset", 0)) if "epoch" in result else NOWHERE
        found = [(each["offset"], b'"%b"' % each["data"].encode()) for each in result.get("publications", ())]
        membership.company.clear()
        membership.reader.subscribed(place, found, recovered=result.get("recovered", False))

    def _on_error(self, command: object, error: Reply) -> None:
        code, scene = error["code"], self.town.scene
        if isinstance(command, Membership):
            command.asks -= 1
            if command.state == ASKING:
                command.state = OUT
            self.is_restless = True
            allowed = {100} if not scene.is_lossless else set()
        elif command is self:
            allowed = {100, 109}
            self.dialled_s = float("-inf")
        elif isinstance(command, Submission):
            self.writer.failed(command.message)
            allowed = {100} if not scene.is_lossless else set()
        else:
            assert isinstance(command, Question)
            allowed = errands.allowed_errors(self, command)
        if code not in allowed:
            scene.broken("speech", f"{self.name} was told error {error} of {command}")
