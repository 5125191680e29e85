"""One connection of a messaging client's: commands out, replies and pushes in.

Client protocol, sections 2 to 8. What comes a million times, publications and acknowledgements, is read by
slicing, and every so often as JSON besides, so that the shortcut is checked; everything else is read as JSON.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from wsloop.testing.simulator.model.ledger import NOWHERE, Place
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import NO_MASK, RSV1, TEXT
from wsloop.testing.simulator.people.socket import Socket

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.people.reader import Reader

PUSH = b'{"push":{"channel":"'
PUBLICATION = b'"pub":{"data":'
REPLY = b'{"id":'
PLACED = b'"publish":{"offset":'
OFFSET = b',"offset":'
DUPLICATE = b'"dup":true'
WHOLE_EVERY = 32
"""One line in so many is read as JSON as well, and compared."""

Reply = dict[str, Any]


class Listener(Protocol):
    """Who holds the phone."""

    def on_open(self, phone: Phone) -> None:
        """Hear that one may speak."""
        ...

    def on_push(self, channel: str, push: Reply) -> None:
        """Hear any other push."""
        ...

    def on_placed(self, command: object, place: Place, *, is_duplicate: bool) -> None:
        """Hear that a publish was acknowledged; `command` as it was given to `Phone.say`."""
        ...

    def on_reply(self, command: object, reply: Reply) -> None:
        """Hear any other reply."""
        ...

    def on_heard(self, phone: Phone) -> None:
        """Hear that all that has arrived was taken; only of a phone that `is_quick`."""
        ...

    def on_beat(self) -> None:
        """Hear the server's ping."""
        ...

    def on_ended(self, code: int, reason: str) -> None:
        """Hear that the server closes, or has answered the close; or, with 0, that it lets nobody in."""
        ...


class Phone(Socket):
    """A messaging connection of `listener`'s; `readers`, by channel, are given the publications.

    `under_way` are the commands without an answer yet, by id; `heard_s`: when bytes came. `is_quick`: the
    listener may answer in the very moment in which it hears something. `chance` draws the mask: none on most
    connections, for a mask costs 1 us with every message.
    """

    __slots__ = (
        "_asked_s", "_last_id", "_lines", "_listener", "_mask", "heard_s", "is_quick", "readers", "under_way",
    )  # fmt: skip

    def __init__(
        self, scene: Scene, who: str, listener: Listener, readers: Mapping[bytes, Reader], chance: Random
    ) -> None:
        super().__init__(scene, who)
        self.readers = readers
        self.under_way: dict[int, object] = {}
        self._asked_s: dict[int, float] = {}
        self.heard_s = scene.now_s
        self.is_quick = False
        self._listener = listener
        self._last_id = 0
        self._lines = chance.randrange(WHOLE_EVERY)
        self._mask = NO_MASK if chance.random() < 0.8 else chance.randbytes(4)

    @property
    def waits_since_s(self) -> float:
        """When the oldest command without an answer was said; infinity if there is none."""
        return next(iter(self._asked_s.values()), math.inf)

    # -- saying ------------------------------------------------------------------------------

    def number(self, command: object) -> int:
        """Return the id of a command about to be said; `command` is handed back with its answer."""
        self._last_id += 1
        self.under_way[self._last_id] = command
        self._asked_s[self._last_id] = self.scene.now_s
        return self._last_id

    def say(self, line: bytes) -> None:
        """Say one line, or several joined with newlines, in a frame."""
        if self.has_closed:
            return
        if self.is_deflated:
            self.send(frames.masked(TEXT, frames.deflated(line), self._mask, flags=frames.FIN | RSV1))
        else:
            self.send(frames.masked(TEXT, line, self._mask))

    # -- hearing -----------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """See `Socket.take`."""
        self.heard_s = self.scene.now_s
        super().take(data)
        if self.is_quick:
            self._listener.on_heard(self)

    def on_text(self, payload: bytes) -> None:
        """See `Socket.on_text`."""
        for line in payload.split(b"\n") if b"\n" in payload else (payload,):
            self._lines -= 1
            if self._lines < 0:
                self._lines = WHOLE_EVERY
                self._check_whole(line)
            try:
                self._take_line(line)
            except ValueError as error:  # what is sliced is not where it should be
                self.scene.broken("speech", f"{self.who} was told {line[:80]!r}: {error}")

    def _take_line(self, line: bytes) -> None:
        if line.startswith(PUSH):
            self._take_push(line)
        elif line.startswith(REPLY):
            self._take_reply(line)
        elif line == b"{}":
            self._listener.on_beat()
        else:
            self._take_other(line)

    def on_open(self) -> None:
        """See `Socket.on_open`."""
        self._listener.on_open(self)

    def on_close(self, code: int, reason: str) -> None:
        """See `Socket.on_close`."""
        self._listener.on_ended(code, reason)

    def on_refused(self, status: bytes) -> None:
        """See `Socket.on_refused`."""
        super().on_refused(status)
        self._listener.on_ended(0, "")

    def _take_push(self, line: bytes) -> None:
        middle = line.index(b'",', 20)
        begin = middle + 16
        if not line.startswith(PUBLICATION, middle + 2):
            self._take_other(line)
            return
        end = line.index(b'"', begin + 1) + 1
        offset = 0
        if line.startswith(OFFSET, end):
            stop = line.find(b",", end + 10)
            offset = int(line[end + 10 : stop if stop > 0 else -3])
        reader = self.readers.get(line[20:middle])
        if reader is None:
            self.scene.broken("P4", f"{self.who} was given {line[:80]!r}, a channel never asked for")
        reader.received(offset, line[begin:end])

    def _take_reply(self, line: bytes) -> None:
        stop = line.index(b",", 6)
        number = int(line[6:stop])
        command = self.under_way.pop(number, None)
        if command is None:
            self.scene.broken("speech", f"{self.who} was given the reply {line[:80]!r}, having asked nothing")
        del self._asked_s[number]
        if line.startswith(PLACED, stop + 1):
            begin = stop + 21
            end = line.index(b",", begin)
            epoch = line[end + 10 : line.index(b'"', end + 10)].decode()
            is_duplicate = line.endswith(b'"dup":true}}')
            self._listener.on_placed(command, Place(epoch, int(line[begin:end])), is_duplicate=is_duplicate)
        elif line.startswith(b'"publish":{', stop + 1):
            self._listener.on_placed(command, NOWHERE, is_duplicate=DUPLICATE in line)
        else:
            self._listener.on_reply(command, self._decoded(line))

    def _take_other(self, line: bytes) -> None:
        found = self._decoded(line)
        push = found.get("push")
        if push is None:
            self.scene.broken("speech", f"{self.who} was told {line[:80]!r}")
        self._listener.on_push(push.get("channel", ""), push)

    def _decoded(self, line: bytes) -> Reply:
        try:
            found = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            self.scene.broken("speech", f"{self.who} was told {line[:80]!r}: {error}")
        if not isinstance(found, dict):
            self.scene.broken("speech", f"{self.who} was told {line[:80]!r}, which is no object")
        return found

    def _check_whole(self, line: bytes) -> None:
        """Read a line as JSON: it is an object, and who published is told as the payload says itself."""
        found = self._decoded(line)
        info = found.get("push", {}).get("pub", {}).get("info")
        if info is not None and not ("client" in info and "user" in info):
            self.scene.broken("speech", f"{self.who} was told of the publisher {info}")
