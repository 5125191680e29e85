"""The backend's questions and answers, in Centrifugo's shapes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.kit import URL, World
from wsloop.client.backend import QUESTIONS, HttpBackend
from wsloop.client.breaker import BreakerRules
from wsloop.client.endpoint import Endpoint
from wsloop.hub import codes
from wsloop.hub.backend import (
    ConnectQuestion,
    Disconnected,
    Person,
    PublishQuestion,
    PublishVerdict,
    Refused,
    Renewal,
    RpcQuestion,
    SubscribeQuestion,
)
from wsloop.hub.codes import Code
from wsloop.hub.grants import Identity, Override, SubscriptionGrant
from wsloop.testing.http_backend import CUT_OFF, GARBAGE, HANG, RESET, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PERSON = Person("c1", "42", b'{"plan":1}', (("cookie", "a=b"),))
ABOUT = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}
USER = {**ABOUT, "user": "42", "meta": {"plan": 1}}


class Asker:
    def __init__(self) -> None:
        self.world = World()
        endpoint = Endpoint(
            self.world.client,
            URL,
            name="backend",
            timeout_s=1.0,
            now=lambda: self.world.reactor.now,
            entropy=bytes,
            rules=BreakerRules(max_failures=1000),
        )
        self.backend = HttpBackend(dict.fromkeys(QUESTIONS, endpoint))

    def ask(self, kind: str, answer: Answer) -> Any:
        """Ask a question of a kind, to be answered so; return what the hub hears."""
        self.world.answer = answer
        heard: list[Any] = []
        ASK[kind](self.backend, heard.append)
        self.world.run_until(lambda: heard)
        self.world.run_for(2.0)
        assert len(heard) == 1
        return heard[0]

    def asked(self) -> Any:
        return self.world.there.requests[-1].json()


ASK: dict[str, Callable[[HttpBackend, Callable[[Any], object]], None]] = {
    "connect": lambda backend, done: backend.connect(
        ConnectQuestion(PERSON, "js", "1", "", b'{"a":1}', ("news",)), done
    ),
    "refresh": lambda backend, done: backend.refresh(PERSON, done),
    "subscribe": lambda backend, done: backend.subscribe(SubscribeQuestion(PERSON, "news", "tok"), done),
    "publish": lambda backend, done: backend.publish(PublishQuestion(PERSON, "news", b'"hi"'), done),
    "sub_refresh": lambda backend, done: backend.sub_refresh(PERSON, "news", done),
    "rpc": lambda backend, done: backend.rpc(RpcQuestion(PERSON, "sum", b"[1,2]"), done),
}
SENT = {
    "connect": {**ABOUT, "name": "js", "version": "1", "data": {"a": 1}, "channels": ["news"]},
    "refresh": USER,
    "subscribe": {**USER, "channel": "news", "token": "tok"},
    "publish": {**USER, "channel": "news", "data": "hi"},
    "sub_refresh": {**USER, "channel": "news"},
    "rpc": {**USER, "method": "sum", "data": [1, 2]},
}


@pytest.fixture
def asker() -> Iterator[Asker]:
    asker = Asker()
    yield asker
    asker.world.close()


def b64(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("kind", ASK)
def test_a_question_is_centrifugos(asker: Asker, kind: str) -> None:
    asker.ask(kind, Answer())
    assert asker.asked() == SENT[kind]
    assert asker.world.there.requests[-1].headers["cookie"] == "a=b"


@pytest.mark.parametrize(
    ("kind", "result", "heard"),
    [
        ("connect", {}, Identity("", from_backend=True)),
        (
            "connect",
            {
                "user": "42", "info": {"n": 1}, "data": [1], "meta": {"m": 2},
                "expire_at": 99, "channels": ["a"],
                "subs": {"b": {"info": 1, "override": {"presence": {"value": True}}}}, "new": "ignored",
            },
            Identity(
                "42", b'{"n": 1}', b"[1]", b'{"m": 2}', 99,
                {
                    "a": SubscriptionGrant(from_backend=True),
                    "b": SubscriptionGrant(b"1", override=Override(presence=True), from_backend=True),
                },
                from_backend=True,
            ),
        ),
        (
            "connect",
            {"user": "42", "b64info": b64({"n": 1}), "b64data": b64("d")},
            Identity("42", b'{"n": 1}', b'"d"', from_backend=True),
        ),
        ("refresh", {"expired": True}, Renewal(expired=True)),
        ("refresh", {"expire_at": 7, "info": {"n": 2}}, Renewal(False, 7, b'{"n": 2}')),
        ("subscribe", {}, SubscriptionGrant(from_backend=True)),
        ("subscribe", {"data": None}, SubscriptionGrant(from_backend=True)),
        (
            "subscribe",
            {"b64info": b64(5), "b64data": b64([1]), "expire_at": 9},
            SubscriptionGrant(b"5", b"[1]", 9, from_backend=True),
        ),
        ("publish", {}, PublishVerdict()),
        ("publish", {"data": {"x": 1}, "skip_history": True}, PublishVerdict(b'{"x": 1}', True)),
        ("publish", {"b64data": b64("y")}, PublishVerdict(b'"y"')),
        ("sub_refresh", {"expire_at": 7, "b64info": b64(3)}, Renewal(False, 7, b"3")),
        ("rpc", {}, b""),
        ("rpc", {"data": {"sum": 3}}, b'{"sum": 3}'),
        ("rpc", {"b64data": b64(3)}, b"3"),
    ],
)  # fmt: skip
def test_an_answer_is_read(asker: Asker, kind: str, result: object, heard: object) -> None:
    assert asker.ask(kind, Answer({"result": result})) == heard


def test_a_payload_over_several_lines_becomes_one(asker: Asker) -> None:
    pretty = json.dumps({"result": {"data": {"a": [1, "x\ny"]}}}, indent=2).encode()
    assert asker.ask("rpc", Answer(pretty)) == b'{"a":[1,"x\\ny"]}'


@pytest.mark.parametrize("kind", ASK)
@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        ({"error": {"code": 401, "message": "no", "temporary": True}}, Refused(Code(401, "no", True))),
        ({"error": {"code": 109, "message": "x" * 1000}}, Refused(Code(109, "x" * 255))),
        ({"disconnect": {"code": 4501, "reason": "go"}}, Disconnected(4501, "go")),
        ({"disconnect": {"code": 3000, "reason": "ä" * 100}}, Disconnected(3000, "ä" * 61)),
        ({"result": {}, "error": {"code": 400}, "disconnect": {"code": 4000}}, Disconnected(4000, "")),
    ],
)
def test_a_refusal_is_told(asker: Asker, kind: str, answer: object, heard: object) -> None:
    assert asker.ask(kind, Answer(answer)) == heard


BAD_ANSWERS = [
    HANG, GARBAGE, CUT_OFF, RESET, Answer(status=500), Answer(status=403), Answer(status=302), Answer(b""),
    Answer(b"\xff\xfe"), Answer(b"null"), Answer([]), Answer({}), Answer({"result": None}),
    Answer({"result": []}),
    Answer(b'{"result":'), Answer(b'{"result":{"data":"\xff"}}'), Answer(b"x" * 2_000_000),
    Answer({"error": {"code": 99}}), Answer({"error": {"code": 2000}}), Answer({"error": {"code": "400"}}),
    Answer({"error": {}}), Answer({"disconnect": {"code": 1000}}), Answer({"disconnect": {"code": 5000}}),
    Answer({"disconnect": {}}),
]  # fmt: skip


@pytest.mark.parametrize("kind", ASK)
@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_whatever_else_it_answers_is_error_100(asker: Asker, kind: str, answer: Answer) -> None:
    assert asker.ask(kind, answer) == Refused(codes.INTERNAL_ERROR)


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("connect", {"user": 42}),
        ("connect", {"expire_at": -1}),
        ("connect", {"expire_at": 2**60}),
        ("connect", {"channels": [1]}),
        ("connect", {"subs": {"a": 1}}),
        ("connect", {"b64info": "%%%"}),
        ("connect", {"b64data": base64.b64encode(b"{").decode()}),
        ("subscribe", {"override": {"presence": True}}),
        ("publish", {"b64data": base64.b64encode(b'"\xff"').decode()}),
        ("publish", {"skip_history": "yes"}),
        ("refresh", {"expired": 1}),
    ],
)
def test_a_result_of_the_wrong_shape_is_error_100(asker: Asker, kind: str, result: object) -> None:
    assert asker.ask(kind, Answer({"result": result})) == Refused(codes.INTERNAL_ERROR)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(ASK)),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(
                        ["result", "error", "disconnect", "code", "user", "data", "b64data", "subs", "x"]
                    ),
                    inner,
                ),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_body_is_an_answer_or_error_100(kind: str, body: bytes) -> None:
    asker = Asker()
    heard = asker.ask(kind, Answer(body))
    kinds = Identity | Renewal | SubscriptionGrant | PublishVerdict | bytes | Refused | Disconnected
    assert isinstance(heard, kinds)
    if isinstance(heard, bytes):
        assert b"\n" not in heard
    asker.world.close()


def test_a_message_is_sent_and_forgotten(asker: Asker) -> None:
    asker.world.answer = Answer(status=500)
    asker.backend.send(RpcQuestion(PERSON, "", b'{"typing":true}'))
    asker.world.run_for(0.1)
    assert asker.asked() == {**USER, "data": {"typing": True}}


def test_what_has_no_endpoint_is_not_available() -> None:
    heard: list[Any] = []
    backend = HttpBackend({})
    for ask in ASK.values():
        ask(backend, heard.append)
    backend.send(RpcQuestion(PERSON))
    assert heard == [Refused(codes.NOT_AVAILABLE)] * len(ASK)
