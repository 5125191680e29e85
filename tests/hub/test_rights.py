"""Who may come into a channel, publish and call: by token, by the backend, by rule."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.scripted import RecordedHooks, ScriptedBackend, ScriptedVerifier
from tests.hub.support import Peer, World
from wsloop.hub import codes
from wsloop.hub.backend import (
    Disconnected,
    PublishQuestion,
    PublishVerdict,
    Refused,
    RpcQuestion,
    SubscribeQuestion,
)
from wsloop.hub.dispatcher import VERDICTS_AT_ONCE
from wsloop.hub.grants import Identity, Override, SubscriptionGrant, SubscriptionToken
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions

ANN = Identity("ann")
HISTORY = Namespace(history_size=10, history_ttl_s=60.0)


def world_of(namespace: Namespace = HISTORY, **ports: Any) -> World:
    return World(HubOptions(rpc_proxy=True, send_proxy=True), {"": namespace}, **ports)


def token(channel: str = "$c", user: str = "ann", client: str = "", **grant: Any) -> SubscriptionToken:
    return SubscriptionToken(user, channel, client, SubscriptionGrant(**grant))


def by_token(claims: SubscriptionToken, channel: str = "$c") -> tuple[Peer, Any]:
    """Subscribe with a token that says `claims`; return the peer and the answer."""
    verifier = ScriptedVerifier()
    verifier.subscriptions["t"] = claims
    peer = world_of(verifier=verifier).connect(ANN)
    return peer, peer.ask("subscribe", channel=channel, token="t")


def test_a_token_opens_a_private_channel_and_brings_its_data() -> None:
    assert by_token(token(data=b'{"d":1}'))[1] == {"data": {"d": 1}}


def test_a_token_may_give_recovery_that_the_namespace_does_not() -> None:
    reply = by_token(token(override=Override(force_recovery=True)))[1]
    assert (reply["recoverable"], reply["positioned"], reply["offset"]) == (True, True, 0)


@pytest.mark.parametrize("name", ["no such", "expired"])
def test_a_bad_token_refuses_the_one_command(name: str) -> None:
    peer = world_of(verifier=ScriptedVerifier()).connect(ANN)
    assert peer.ask("subscribe", channel="$c", token=name) == (109 if name == "expired" else 103)
    assert peer.close_code is None
    assert peer.client.hub.statistics().channels == 0


@pytest.mark.parametrize("claims", [token("$other"), token(user="ben"), token(client="another")])
def test_somebody_elses_token_ends_the_connection(claims: SubscriptionToken) -> None:
    peer, reply = by_token(claims)
    assert (reply, peer.close_code) == (None, 3500)


def test_a_private_channel_needs_a_token() -> None:
    assert (
        world_of(Namespace(allow_subscribe_for_client=True)).connect(ANN).ask("subscribe", channel="$c")
        == 103
    )


def test_a_right_that_ends_is_told_and_ends_after_the_grace() -> None:
    verifier = ScriptedVerifier()
    world = world_of(verifier=verifier)
    verifier.subscriptions["t"] = token(expire_at=int(world.clock.unix_s()) + 60)
    peer = world.connect(ANN)
    assert peer.ask("subscribe", channel="$c", token="t") == {"expires": True, "ttl": 60}
    world.clock.advance(84.0)
    world.hub.expire(world.clock.now())
    assert peer.take() == []
    world.clock.advance(2.0)
    world.hub.expire(world.clock.now())
    assert peer.take()[0]["push"]["unsubscribe"]["code"] == 2501
    assert "$c" not in peer.client.subscriptions


def test_a_right_that_is_given_back_ends_nothing_later() -> None:
    verifier = ScriptedVerifier()
    world = world_of(verifier=verifier)
    verifier.subscriptions["t"] = token(expire_at=int(world.clock.unix_s()) + 60)
    peer = world.connect(ANN)
    peer.ask("subscribe", channel="$c", token="t")
    peer.ask("unsubscribe", channel="$c")
    world.clock.advance(100.0)
    world.hub.expire(world.clock.now())
    assert peer.take() == []


ASKED = Namespace(subscribe_proxy=True, publish_proxy=True)


def test_the_backend_is_asked_where_no_rule_allows_it() -> None:
    backend, hooks = ScriptedBackend(), RecordedHooks()
    world = world_of(ASKED, backend=backend, hooks=hooks)
    peer = world.connect(Identity("ann", meta=b'{"m":1}'))
    assert peer.ask("subscribe", channel="c", data={"want": 1}) is None
    question = backend.questions[0]
    assert isinstance(question, SubscribeQuestion)
    assert (question.person.user, question.person.meta, question.data) == ("ann", b'{"m":1}', b'{"want": 1}')
    assert hooks.heard == []
    backend.answer(SubscriptionGrant(data=b"[1]"))
    assert peer.take()[0]["subscribe"] == {"data": [1]}
    assert hooks.heard == [("occupied", "c")]


def test_a_rule_that_allows_it_does_not_go_before_the_backend() -> None:
    backend = ScriptedBackend()
    options = Namespace(
        subscribe_proxy=True, allow_subscribe_for_client=True, allow_user_limited_channels=True
    )
    peer = world_of(options, backend=backend).connect(ANN)
    assert peer.ask("subscribe", channel="c") is None
    backend.answer(Refused(codes.PERMISSION_DENIED))
    assert peer.take()[0]["error"]["code"] == 103
    assert peer.ask("subscribe", channel=f"c#{ANN.user}") == {}


@pytest.mark.parametrize(
    ("answer", "error", "close"),
    [(Refused(codes.Code(403, "no")), 403, None), (Disconnected(4500, "bye"), None, 4500)],
)
def test_the_backend_may_refuse_a_subscription(answer: object, error: int | None, close: int | None) -> None:
    backend = ScriptedBackend()
    peer = world_of(ASKED, backend=backend).connect(ANN)
    peer.ask("subscribe", channel="c")
    backend.answer(answer)
    heard = peer.take()
    assert (heard[0]["error"]["code"] if heard else None, peer.close_code) == (error, close)
    assert peer.client.hub.statistics().channels == 0


def test_while_the_backend_thinks_the_name_is_taken_and_can_be_given_up() -> None:
    backend = ScriptedBackend()
    peer = world_of(ASKED, backend=backend).connect(ANN)
    peer.ask("subscribe", channel="c")
    assert peer.ask("subscribe", channel="c") == 105
    assert peer.ask("unsubscribe", channel="c") == {}
    backend.answer(SubscriptionGrant())
    assert peer.take()[0]["error"]["code"] == 100
    assert peer.client.hub.statistics().channels == 0


def test_an_answer_about_somebody_who_is_gone_is_nothing() -> None:
    backend, hooks = ScriptedBackend(), RecordedHooks()
    peer = world_of(ASKED, backend=backend, hooks=hooks).connect(ANN)
    peer.ask("subscribe", channel="c")
    peer.client.closed()
    backend.answer(SubscriptionGrant())
    assert peer.client.hub.statistics().channels == 0
    assert [entry[0] for entry in hooks.heard] == ["disconnect"]


def test_the_backend_may_change_what_is_published() -> None:
    backend = ScriptedBackend()
    world = world_of(Namespace(publish_proxy=True, allow_subscribe_for_client=True), backend=backend)
    peer = world.connect(ANN)
    peer.ask("subscribe", channel="c")
    assert peer.ask("publish", channel="c", data=1) is None
    assert isinstance(backend.questions[0], PublishQuestion)
    backend.answer(PublishVerdict(data=b'"better"'))
    heard = peer.take()
    assert [line["push"]["pub"]["data"] for line in heard if "push" in line] == ["better"]
    assert [line["publish"] for line in heard if "publish" in line] == [{}]


def test_only_so_many_publications_of_a_client_wait_for_the_backend() -> None:
    backend = ScriptedBackend()
    world = world_of(Namespace(publish_proxy=True, history_size=500, history_ttl_s=60.0), backend=backend)
    peer = world.connect(ANN)
    for number in range(VERDICTS_AT_ONCE):
        assert peer.ask("publish", channel="c", data=number) is None
    assert peer.ask("publish", channel="c", data="one too many") == 111
    for _ in range(VERDICTS_AT_ONCE):
        backend.answer(PublishVerdict())
    assert [line["publish"]["offset"] for line in peer.take()] == list(range(1, VERDICTS_AT_ONCE + 1))
    assert peer.ask("publish", channel="c", data="now") is None


def test_the_backend_may_have_it_not_kept() -> None:
    backend = ScriptedBackend()
    world = world_of(Namespace(publish_proxy=True, history_size=5, history_ttl_s=60.0), backend=backend)
    peer = world.connect(ANN)
    for skip, kept in ((True, False), (False, True)):
        peer.ask("publish", channel="c", data=1)
        backend.answer(PublishVerdict(skip_history=skip))
        assert ("offset" in peer.take()[0]["publish"]) == kept


@pytest.mark.parametrize(
    ("answer", "error", "close"),
    [(Refused(codes.PERMISSION_DENIED), 103, None), (Disconnected(4500, "bye"), None, 4500)],
)
@pytest.mark.parametrize("command", [("publish", {"channel": "c", "data": 1}), ("rpc", {"method": "m"})])
def test_the_backend_may_refuse_a_command(
    command: tuple[str, dict[str, Any]], answer: object, error: int | None, close: int | None
) -> None:
    backend = ScriptedBackend()
    peer = world_of(ASKED, backend=backend).connect(ANN)
    peer.ask(command[0], **command[1])
    backend.answer(answer)
    heard = peer.take()
    assert (heard[0]["error"]["code"] if heard else None, peer.close_code) == (error, close)


@pytest.mark.parametrize(("answer", "result"), [(b'{"x":1}', {"data": {"x": 1}}), (b"", {})])
def test_rpc(answer: bytes, result: object) -> None:
    backend = ScriptedBackend()
    peer = world_of(backend=backend).connect(ANN)
    peer.ask("rpc", method="m", data=[1])
    question = backend.questions[0]
    assert isinstance(question, RpcQuestion)
    assert (question.method, question.data) == ("m", b"[1]")
    backend.answer(answer)
    assert peer.take()[0]["rpc"] == result


def test_send_is_handed_on_and_not_answered() -> None:
    backend = ScriptedBackend()
    peer = world_of(backend=backend).connect(ANN)
    peer.say({"send": {"data": {"a": 1}}})
    assert backend.questions[0].data == b'{"a": 1}'
    assert (peer.take(), peer.close_code) == ([], None)


def test_options_that_ask_a_backend_that_is_not_there_are_answered_with_108() -> None:
    peer = world_of(ASKED).connect(ANN)
    assert peer.ask("subscribe", channel="c") == 108
    assert peer.ask("publish", channel="c", data=1) == 108
    assert peer.ask("rpc", method="m") == 108
    peer.say({"send": {}})
    world = World(HubOptions(connect_proxy=True))
    stranger = world.open()
    stranger.say({"id": 1, "connect": {}})
    assert stranger.take()[0]["error"]["code"] == 108
