"""Renewing connections and subscriptions: by token, by the backend, too late."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.scripted import ScriptedBackend, ScriptedVerifier
from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import codes
from wsloop.hub.backend import Disconnected, Refused, Renewal
from wsloop.hub.blocking import TOKEN_COMMANDS
from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.hub.refreshing import ASK_AGAIN_S

TTL_S = 60
GRACE_S = 25.0
OPEN = Namespace(presence=True, allow_subscribe_for_client=True, sub_refresh_proxy=True)


class Scene:
    """A world whose tokens are "ann", "ann forever", "bob" and "gone" (its right has ended)."""

    def __init__(self) -> None:
        self.verifier = ScriptedVerifier()
        self.backend = ScriptedBackend()
        self.world = World(
            HubOptions(refresh_proxy=True), {"": OPEN}, verifier=self.verifier, backend=self.backend
        )
        now_s = int(self.world.clock.unix_s())
        self.verifier.identities |= {
            "ann": Identity("ann", info=b'{"n":1}', expire_at=now_s + TTL_S),
            "ann later": Identity("ann", info=b'{"n":2}', expire_at=now_s + 10 * TTL_S),
            "ann forever": Identity("ann"),
            "bob": Identity("bob"),
            "gone": Identity("ann", expire_at=now_s - 1),
        }

    def connect(self, identity: Identity | None = None) -> Peer:
        peer = self.world.open(identity=identity)
        peer.say({"id": 1, "connect": {} if identity else {"token": "ann"}})
        return peer

    def pass_s(self, seconds: float) -> None:
        """Let time pass, looking once a second as the server does."""
        for _ in range(int(seconds)):
            self.world.clock.advance(1.0)
            self.world.hub.expire(self.world.clock.now())

    def backed(self, ttl_s: int = TTL_S) -> Identity:
        return Identity("ann", expire_at=int(self.world.clock.unix_s()) + ttl_s, from_backend=True)

    def token(self, **claims: Any) -> SubscriptionToken:
        ttl_s = claims.pop("ttl_s", TTL_S)
        end = int(self.world.clock.unix_s()) + ttl_s if ttl_s else 0
        fields = {"user": "ann", "channel": "c", "client": "", "grant": SubscriptionGrant(expire_at=end)}
        return SubscriptionToken(**{**fields, **claims})


# -- connections ------------------------------------------------------------------------------------------


def test_who_does_not_renew_is_closed_after_the_grace() -> None:
    scene = Scene()
    peer = scene.connect()
    reply = peer.take()[0]["connect"]
    assert (reply["expires"], reply["ttl"]) == (True, TTL_S)
    scene.pass_s(TTL_S + GRACE_S - 1)
    assert peer.close_code is None
    scene.pass_s(2)
    assert peer.close_code == 3005


def test_another_token_prolongs_the_connection() -> None:
    scene = Scene()
    peer = scene.connect()
    scene.pass_s(TTL_S + 20)
    result = peer.ask("refresh", token="ann later")
    assert result == {
        "client": peer.client.id,
        "version": "wsloop",
        "expires": True,
        "ttl": 10 * TTL_S - TTL_S - 20,
    }
    assert peer.client.info.endswith(b'{"n":2}}')
    scene.pass_s(8 * TTL_S)
    assert peer.close_code is None
    scene.pass_s(TTL_S + GRACE_S)
    assert peer.close_code == 3005


def test_a_token_counts_as_several_commands() -> None:
    scene = Scene()
    peer = scene.connect()
    peer.ask("refresh", token="ann later")
    peer.ask("subscribe", channel="c", token="unknown")
    assert peer.subscriber.charged == 2 * TOKEN_COMMANDS


def test_a_token_without_an_end_ends_the_waiting() -> None:
    scene = Scene()
    peer = scene.connect()
    assert peer.ask("refresh", token="ann forever") == {"client": peer.client.id, "version": "wsloop"}
    scene.pass_s(20 * TTL_S)
    assert peer.close_code is None


@pytest.mark.parametrize(
    ("token", "code"),
    [("", 3501), ("unknown", 3500), ("bob", 3500), ("expired", 3005), ("gone", 3005)],
)
def test_a_refresh_that_is_not_good_ends_the_connection(token: str, code: int) -> None:
    peer = Scene().connect()
    peer.ask("refresh", token=token)
    assert peer.close_code == code


def test_a_right_that_has_ended_does_not_connect() -> None:
    scene = Scene()
    peer = scene.world.open()
    assert peer.ask("connect", token="gone") == 110
    assert peer.ask("connect", token="ann") is None


def test_the_client_cannot_renew_what_the_backend_gave() -> None:
    scene = Scene()
    peer = scene.connect(scene.backed())
    assert "ttl" not in peer.take()[0]["connect"]
    peer.ask("refresh", token="ann")
    assert peer.close_code == 3501


def test_the_backend_is_asked_when_its_right_ends() -> None:
    scene = Scene()
    peer = scene.connect(scene.backed())
    scene.pass_s(TTL_S + 1)
    assert scene.backend.questions == [peer.client.person]
    scene.backend.answer(Renewal(expire_at=int(scene.world.clock.unix_s()) + 5, info=b'{"n":3}'))
    assert peer.client.info.endswith(b'{"n":3}}')
    scene.pass_s(7)
    assert len(scene.backend.questions) == 2
    scene.backend.answer(Renewal())
    scene.pass_s(10 * TTL_S)
    assert (peer.close_code, len(scene.backend.questions)) == (None, 2)


def test_a_backend_that_cannot_be_asked_is_asked_again() -> None:
    scene = Scene()
    peer = scene.connect(scene.backed())
    scene.pass_s(TTL_S + 1)
    scene.backend.answer(Refused(codes.INTERNAL_ERROR))
    scene.pass_s(ASK_AGAIN_S - 2)
    assert len(scene.backend.questions) == 1
    scene.pass_s(4)
    assert len(scene.backend.questions) == 2
    assert peer.close_code is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Renewal(expired=True), 3005), (Renewal(expire_at=1), 3005), (Disconnected(4500, "go"), 4500)],
)
def test_a_backend_that_says_no_ends_the_connection(answer: object, code: int) -> None:
    scene = Scene()
    peer = scene.connect(scene.backed())
    scene.pass_s(TTL_S + 1)
    scene.backend.answer(answer)
    assert peer.close_code == code


def test_an_answer_about_a_client_that_is_gone_changes_nothing() -> None:
    scene = Scene()
    peer = scene.connect(scene.backed())
    scene.pass_s(TTL_S + 1)
    peer.client.closed()
    scene.backend.answer(Renewal(expire_at=2**40))
    assert len(scene.world.hub.expiries) == 0


# -- subscriptions ----------------------------------------------------------------------------------------


def subscribed(scene: Scene, **claims: Any) -> Peer:
    peer = scene.connect(Identity("ann"))
    scene.verifier.subscriptions["first"] = scene.token(**claims)
    peer.ask("subscribe", channel="c", token="first")
    peer.take()
    return peer


def test_a_subscription_that_nobody_renews_ends_after_the_grace() -> None:
    scene = Scene()
    peer = subscribed(scene)
    scene.pass_s(TTL_S + GRACE_S - 1)
    assert peer.take() == []
    scene.pass_s(2)
    push = {"channel": "c", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}
    assert peer.take() == [{"push": push}]
    assert peer.close_code is None
    assert peer.ask("sub_refresh", channel="c", token="first") == 103


def test_another_token_prolongs_the_subscription() -> None:
    scene = Scene()
    peer = subscribed(scene)
    scene.pass_s(TTL_S)
    scene.verifier.subscriptions["next"] = scene.token(
        grant=SubscriptionGrant(info=b'{"n":9}', expire_at=int(scene.world.clock.unix_s()) + TTL_S)
    )
    assert peer.ask("sub_refresh", channel="c", token="next") == {"expires": True, "ttl": TTL_S}
    assert peer.client.subscriptions["c"].info.endswith(b'"chan_info":{"n":9}}')
    scene.pass_s(TTL_S)
    assert peer.take() == []
    scene.verifier.subscriptions["last"] = scene.token(ttl_s=0)
    assert peer.ask("sub_refresh", channel="c", token="last") == {}
    scene.pass_s(5 * TTL_S)
    assert peer.take() == []


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({"channel": "c", "token": "unknown"}, 103),
        ({"channel": "other", "token": "first"}, 103),
        ({"channel": "c"}, 107),
        ({"channel": "c", "token": "expired"}, 109),
        ({"channel": "c", "token": "gone"}, 110),
        ({"channel": "c", "token": "of bob"}, 3500),
        ({"channel": "c", "token": "of d"}, 3500),
        ({"channel": "c", "token": "of another client"}, 3500),
        ({"token": "first"}, 3501),
    ],
)
def test_a_sub_refresh_that_is_not_good(request_: dict[str, Any], outcome: int) -> None:
    scene = Scene()
    peer = subscribed(scene)
    scene.verifier.subscriptions |= {
        "gone": scene.token(grant=SubscriptionGrant(expire_at=1)),
        "of bob": scene.token(user="bob"),
        "of d": scene.token(channel="d"),
        "of another client": scene.token(client="x"),
    }
    answer = peer.ask("sub_refresh", **request_)
    assert (answer if answer is not None else peer.close_code) == outcome


def by_backend(scene: Scene, ttl_s: int = TTL_S) -> Peer:
    grant = SubscriptionGrant(expire_at=int(scene.world.clock.unix_s()) + ttl_s, from_backend=True)
    peer = scene.connect(Identity("ann", subscriptions={"c": grant}))
    peer.take()
    return peer


def test_the_backend_is_asked_when_its_subscription_ends() -> None:
    scene = Scene()
    peer = by_backend(scene)
    scene.pass_s(TTL_S + 1)
    assert scene.backend.questions == [(peer.client.person, "c")]
    scene.backend.answer(Refused(codes.INTERNAL_ERROR))
    scene.pass_s(ASK_AGAIN_S + 2)
    scene.backend.answer(Renewal(expire_at=int(scene.world.clock.unix_s()) + 5, info=b"7"))
    assert peer.client.subscriptions["c"].info.endswith(b'"chan_info":7}')
    scene.pass_s(7)
    assert len(scene.backend.questions) == 3
    scene.backend.answer(Renewal())
    scene.pass_s(10 * TTL_S)
    assert (peer.close_code, len(scene.backend.questions)) == (None, 3)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Renewal(expired=True), 3006), (Renewal(expire_at=1), 3006), (Disconnected(4500, "go"), 4500)],
)
def test_a_backend_that_says_no_ends_a_server_side_subscription(answer: object, code: int) -> None:
    scene = Scene()
    peer = by_backend(scene)
    scene.pass_s(TTL_S + 1)
    scene.backend.answer(answer)
    assert peer.close_code == code


def test_an_answer_about_a_subscription_that_is_gone_changes_nothing() -> None:
    scene = Scene()
    peer = by_backend(scene)
    scene.pass_s(TTL_S + 1)
    peer.ask("unsubscribe", channel="c")
    scene.backend.answer(Renewal(expired=True))
    assert peer.close_code is None


def test_a_right_that_ends_while_the_stream_is_read_is_no_right_for_ever() -> None:
    backend = ScriptedBackend()
    options = Namespace(
        subscribe_proxy=True,
        sub_refresh_proxy=True,
        history_size=5,
        history_ttl_s=60.0,
        force_positioning=True,
    )
    world = World(namespaces={"": options}, backend=backend, broker=LateBroker)
    peer = world.connect(Identity("ann"))
    assert peer.ask("subscribe", channel="c") is None
    backend.answer(SubscriptionGrant(expire_at=int(world.clock.unix_s()) + 5, from_backend=True))
    world.clock.advance(6.0)
    world.hub.expire(world.clock.now())
    backend.answer(Renewal(expired=True))
    world.broker.deliver()
    told, refused = peer.take()
    assert told["push"]["unsubscribe"]["code"] == 2501
    assert refused["error"]["code"] == 100
    assert world.hub.statistics().channels == 0


def test_a_right_of_the_backends_that_has_ended_already_is_110() -> None:
    backend = ScriptedBackend()
    world = World(namespaces={"": Namespace(subscribe_proxy=True)}, backend=backend)
    peer = world.connect(Identity("ann"))
    assert peer.ask("subscribe", channel="c") is None
    backend.answer(SubscriptionGrant(expire_at=int(world.clock.unix_s()), from_backend=True))
    assert peer.take()[0]["error"]["code"] == 110
    assert world.hub.statistics().channels == 0
