"""What a server must do in a conversation, and the first thing that it did not: pure, from a transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.deflating import BrokenOffer
from wsloop.testing.judge.agreements import IllegalAnswerError, agreement, objection
from wsloop.testing.judge.conversation import ENDED, LENIENT, MUST, OPEN, RESET, SHOULD, Finding
from wsloop.testing.oracle import NOT_CONSISTENT, PROTOCOL_ERROR, TOO_BIG
from wsloop.testing.requests import accept_for
from wsloop.testing.wire import as_bytes

if TYPE_CHECKING:
    from wsloop.testing.judge.conversation import Answer, Conversation, Transcript
    from wsloop.testing.oracle import Fault

ECHO = "this is an echo server"
LARGE_BYTES = 32 * 1024
"""What a server may say of a message as long as this: that it is too big (RFC 6455 section 7.4.1)."""

_OTHER_CODES = {
    "a close reason is not UTF-8": {PROTOCOL_ERROR, NOT_CONSISTENT},
    "a length has its highest bit set": {PROTOCOL_ERROR, TOO_BIG},
    "compressed data is damaged": {PROTOCOL_ERROR, 1003, NOT_CONSISTENT, 1011},
}
"""Codes that fit as well as the oracle's: the RFCs leave these open."""


def finding_in(said: Conversation, heard: Transcript) -> Finding | None:
    """Return the first rule that the server did not keep, or None."""
    found = _in_handshake(said, heard)
    if found is not None or said.request.wrong or heard.answer.status != 101:
        return found
    return _in_frames(heard) or _in_echoes(heard) or _in_end(heard)


# -- the opening handshake: RFC 6455 section 4.2 ----------------------------------------------


def _in_handshake(said: Conversation, heard: Transcript) -> Finding | None:
    status, wrong = heard.answer.status, said.request.wrong
    if wrong:
        if status == 101:
            return Finding(MUST, f"a handshake is accepted though {wrong}", "RFC 6455, 4.2.1")
        if status == 0 and heard.end == OPEN:
            return Finding(MUST, f"a handshake is not answered when {wrong}", "RFC 6455, 4.2.1")
        return None
    if status != 101 and isinstance(said.offer, BrokenOffer):
        return None  # it should be passed over, but who refuses it does not agree to it
    if status != 101:
        answered = f"answered with {status}" if status else "not answered"
        return Finding(MUST, f"a right handshake is {answered}", "RFC 6455, 4.2.2")
    return _in_answer(said, heard.answer)


def _in_answer(said: Conversation, answer: Answer) -> Finding | None:
    """RFC 6455 section 4.2.2, and what a client must check, section 4.1."""
    key = said.request.header("sec-websocket-key") or ""
    if answer.values("sec-websocket-accept") != [accept_for(key)]:
        return Finding(MUST, "Sec-WebSocket-Accept is not that of the key", "RFC 6455, 4.2.2")
    if [value.lower() for value in answer.values("upgrade")] != ["websocket"]:
        return Finding(MUST, "the answer has no Upgrade: websocket", "RFC 6455, 4.2.2")
    options = [option.strip().lower() for value in answer.values("connection") for option in value.split(",")]
    if "upgrade" not in options:
        return Finding(MUST, "the answer has no Connection: Upgrade", "RFC 6455, 4.2.2")
    if answer.values("sec-websocket-protocol"):
        return Finding(MUST, "a subprotocol is chosen that was not offered", "RFC 6455, 4.1")
    try:
        why = objection(said.offer, agreement(answer))
    except IllegalAnswerError as error:
        why = str(error)
    return None if why is None else Finding(MUST, why, "RFC 7692, 7.1")


# -- what the server says ---------------------------------------------------------------------


def _in_frames(heard: Transcript) -> Finding | None:
    fault = heard.heard.fault
    return None if fault is None else Finding(MUST, f"the server's own frames: {fault.rule}", fault.section)


def _in_echoes(heard: Transcript) -> Finding | None:
    """Every message comes back, once, in order; the end may cut off only what it was sent together with."""
    expected, found, fault = heard.asked.messages, heard.heard.messages, heard.fault
    if _is_refused(heard):
        return None
    if found != expected[: len(found)]:
        if fault is not None and found[: len(expected)] == expected:
            return Finding(_level(fault), f"{fault.rule}: it is taken for a message", fault.section)
        return Finding(MUST, "a message comes back changed, or out of order", ECHO)
    if heard.is_patient and not heard.were_answered:
        missing = len(found) < len(expected)
        if missing:
            return Finding(MUST, "a message does not come back", ECHO)
        return Finding(MUST, "a ping is not answered", "RFC 6455, 5.5.2")
    return None


def _is_refused(heard: Transcript) -> bool:
    """Tell whether a message that is large has been too big for the server, which says so: 1009."""
    expected, found, close = heard.asked.messages, heard.heard.messages, heard.heard.close
    if close is None or close.code != TOO_BIG or found != expected[: len(found)]:
        return False
    return any(len(as_bytes(each.data)) >= LARGE_BYTES for each in expected[len(found) :])


# -- the end: RFC 6455 section 7 --------------------------------------------------------------


def _in_end(heard: Transcript) -> Finding | None:
    fault, close = heard.fault, heard.heard.close
    if fault is None:
        return _in_closing(heard)
    code = None if close is None else close.code
    if heard.end == OPEN or code == 1000:
        return Finding(_level(fault), f"{fault.rule}: the connection is not failed", fault.section)
    if heard.end == RESET:
        return None  # a reset may have overtaken the close frame
    if code is None:
        return Finding(SHOULD, "a connection is failed without a close frame", "RFC 6455, 7.1.7")
    if code != fault.code and code not in _OTHER_CODES.get(fault.rule, ()):
        return Finding(SHOULD, f"{fault.rule}: the close code is {code}, not {fault.code}", "RFC 6455, 7.4.1")
    return None


def _in_closing(heard: Transcript) -> Finding | None:
    """Return what is wrong with the answer to a close frame: another one, then the connection's end."""
    if heard.heard.close is None and heard.end in (OPEN, ENDED):
        return Finding(MUST, "a close frame is not answered with one", "RFC 6455, 5.5.1")
    if heard.end == OPEN:
        return Finding(MUST, "the connection is not ended after both close frames", "RFC 6455, 5.5.1")
    return None


def _level(fault: Fault) -> str:
    return MUST if fault.must_fail else LENIENT
