"""What the judge says, what it heard, and what it has to say about that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.testing import wire
from wsloop.testing.deflating import BrokenOffer, Deflated, DeflateParameters, Deflater, fragments
from wsloop.testing.oracle import Binary, Close, Deflate, Fault, Ping, Reading, Said, Text, read
from wsloop.testing.requests import UpgradeRequest, usual_request
from wsloop.testing.wire import Cutting, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER = wire.ping(b"are you there?")
"""Asked behind what should be answered in full, so that silence is found by its pong, not by a clock."""

BYE = wire.close(1000)
"""Ends a conversation that has no end of its own."""

WHOLE, USUAL, NOTHING = Cutting(), usual_request(), Reading((), None, is_finished=True)


@dataclass(frozen=True)
class Conversation:
    """What a client says: the opening handshake, then frames, their bytes cut.

    An `offer` of permessage-deflate is added to the request; what is said compressed is said plainly if the
    server does not agree. With `at_once` the end (a close frame, or the first fault and what follows)
    does not wait for answers to what came before.
    """

    frames: tuple[Frame | Deflated, ...] = ()
    cutting: Cutting = WHOLE
    at_once: bool = False
    offer: DeflateParameters | BrokenOffer | None = None
    request: UpgradeRequest = USUAL

    def parts(self, agreed: DeflateParameters | None) -> tuple[bytes, bytes]:
        """Return what is right, and the end: from the first frame on that is a close or a fault."""
        deflater = None
        if agreed is not None:
            deflater = Deflater(agreed.client_bits or 15, takeover=not agreed.client_no_takeover)
        encoded = [each.encode() for said in self.frames for each in _frames(said, deflater)]
        right = b""
        for number, frame in enumerate(encoded):
            reading = read(right + frame, deflate=by_client(agreed))
            if reading.fault is not None or reading.close is not None:
                return right, b"".join(encoded[number:])
            right += frame
        return right, b""


def _frames(said: Frame | Deflated, deflater: Deflater | None) -> list[Frame]:
    if isinstance(said, Frame):
        return [said]
    return fragments(said.opcode, said.data, said.cuts, rsv=0) if deflater is None else said.frames(deflater)


def by_client(agreed: DeflateParameters | None) -> Deflate | None:
    """Return what an agreement means for what the client sends."""
    return None if agreed is None else Deflate(agreed.client_bits or 15, not agreed.client_no_takeover)


def by_server(agreed: DeflateParameters | None) -> Deflate | None:
    """Return what an agreement means for what the server sends."""
    if agreed is None:
        return None
    bits = agreed.server_bits or 15
    return Deflate(bits, not agreed.server_no_takeover, is_strict=bits < 15)


@dataclass(frozen=True)
class Answer:
    """A server's answer to the handshake; `status` is 0 if there was none, names are in lower case."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]


OPEN, ENDED, RESET = "the connection stays open", "end of the connection", "the connection is reset"


@dataclass(frozen=True)
class Transcript:
    """What was said and heard: the answer, the frames of both sides as the oracle reads them, and the end.

    `asked` is what the client said up to its end, `heard` what the server did. `is_patient` tells whether the
    judge waited for answers before the end, and `were_answered` whether they all came.

    """

    answer: Answer
    asked: Reading = NOTHING
    heard: Reading = NOTHING
    is_patient: bool = False
    were_answered: bool = True
    end: str = ENDED

    @property
    def fault(self) -> Fault | None:
        """The client's fault, if the conversation ends in one."""
        return self.asked.fault


MUST, SHOULD, LENIENT = "must", "should", "lenient"
LEVELS = {
    MUST: "the RFCs say MUST to the server",
    SHOULD: "the RFCs say SHOULD to the server",
    LENIENT: "the client broke a rule, and the server let it pass, which no rule forbids",
}


@dataclass(frozen=True)
class Finding:
    """One rule that was not kept: its `level`, in one sentence, with the section it stands in."""

    level: str
    rule: str
    section: str


def told(said: Iterable[Said]) -> list[str]:
    """Return what was said as calls of `wsloop.testing.wire`."""
    return [repr(_frame(each)) for each in said]


def _frame(said: Said) -> Frame:
    match said:
        case Text(data):
            return wire.text(data)
        case Binary(data):
            return wire.binary(data)
        case Ping(data):
            return wire.ping(data)
        case Close(code, reason):
            return wire.close() if code == 1005 else wire.close(code, reason)
    return wire.pong(said.data)
