"""Rules on transcripts made by hand: what no server in the other tests does."""

from __future__ import annotations

import pytest

from wsloop.testing.judge.conversation import ENDED, OPEN, Answer, Conversation, Transcript, told
from wsloop.testing.judge.player import agreed_by
from wsloop.testing.judge.report import conversation
from wsloop.testing.judge.rules import finding_in
from wsloop.testing.oracle import Binary, Close, Ping, Said, Text, read
from wsloop.testing.requests import UpgradeRequest, accept_for
from wsloop.testing.wire import close, encode_frames, ping, text

RIGHT = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-accept": accept_for("dGhlIHNhbXBsZSBub25jZQ=="),
}
BROKEN = UpgradeRequest("GET / HTTP/1.1", (), "there is no Host")


def answer(**changed: str) -> Answer:
    """The right answer to the usual request, with some headers changed."""
    headers = {**RIGHT, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return Answer(101, tuple(headers.items()))


@pytest.mark.parametrize(
    ("said", "heard", "rule"),
    [
        (Conversation(), Transcript(Answer(), end=ENDED), "a right handshake is not answered"),
        (Conversation(), Transcript(answer(upgrade="h2c")), "the answer has no Upgrade: websocket"),
        (Conversation(), Transcript(answer(connection="close")), "the answer has no Connection: Upgrade"),
        (
            Conversation(),
            Transcript(answer(sec_websocket_extensions="permessage-deflate; x")),
            "a parameter is not known",
        ),
        (
            Conversation(request=BROKEN),
            Transcript(Answer(), end=OPEN),
            "a handshake is not answered when there is no Host",
        ),
        (
            Conversation(),
            Transcript(
                answer(), read(close().encode()), read(close(mask=None).encode(), by_client=False), end=OPEN
            ),
            "the connection is not ended after both close frames",
        ),
        (
            Conversation(),
            Transcript(
                answer(),
                read(encode_frames([text("a"), close()])),
                read(b"", by_client=False),
                is_patient=True,
                were_answered=False,
            ),
            "a message does not come back",
        ),
    ],
)
def test_a_rule_is_named(said: Conversation, heard: Transcript, rule: str) -> None:
    finding = finding_in(said, heard)
    assert finding is not None
    assert (finding.level, finding.rule) == ("must", rule)


@pytest.mark.parametrize("heard", [Transcript(Answer(400)), Transcript(Answer(), end=ENDED)])
def test_a_broken_handshake_may_be_refused_or_dropped(heard: Transcript) -> None:
    assert finding_in(Conversation(request=BROKEN), heard) is None


def test_nothing_is_agreed_to_by_an_answer_that_may_not_be() -> None:
    assert agreed_by(answer(sec_websocket_extensions="x-other")) is None


def test_what_was_heard_is_told_as_calls() -> None:
    said: list[Said] = [Text("a"), Binary(b"b"), Ping(b"c"), Close(), Close(1000, "d")]
    assert told(said) == ["text('a')", "binary(b'b')", "ping(b'c')", "close()", "close(1000, 'd')"]


def test_a_handshake_and_a_cut_are_told() -> None:
    lines = list(conversation(Conversation(request=BROKEN), Transcript(Answer(), end=OPEN)))
    assert lines[0].startswith("client: upgrade_request('GET / HTTP/1.1'")
    assert lines[1:] == ["server: no answer"]
    lines = list(conversation(Conversation(), Transcript(Answer(), end=OPEN)))
    assert lines[-2:] == ["server: no answer", "        (the connection stays open)"]
    assert list(conversation(Conversation(), Transcript(Answer(500), end=OPEN)))[-1] == "server: 500"
    assert next(iter(conversation(Conversation((ping(),)), Transcript(answer())))) == "client: ping()"


@pytest.mark.parametrize(
    ("length", "code", "is_refusal"),
    [(65536, 1009, True), (20000, 1009, False), (65536, 1011, False)],
)
def test_a_large_message_may_be_too_big(length: int, code: int, is_refusal: bool) -> None:
    asked = read(encode_frames([text("a"), text("a" * length), close()]))
    heard = read(encode_frames([text("a", mask=None), close(code, mask=None)]), by_client=False)
    finding = finding_in(
        Conversation(), Transcript(answer(), asked, heard, is_patient=True, were_answered=False)
    )
    assert (finding is None) == is_refusal
