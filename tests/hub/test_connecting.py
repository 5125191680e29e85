"""connect: who the client is, and what the server subscribes it to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hub.scripted import RecordedHooks, ScriptedBackend, ScriptedVerifier
from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import blocking, codes, following
from wsloop.hub.backend import ConnectQuestion, Disconnected, Refused
from wsloop.hub.grants import Identity, Override, SubscriptionGrant
from wsloop.hub.namespaces import Namespace, Namespaces, dev_namespaces
from wsloop.hub.options import HubOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.broker import Done, Retention
    from wsloop.hub.history import HistoryQuery, StreamView
    from wsloop.hub.memory_broker import MemoryBroker

ANN = Identity("ann", info=b'{"name":"Ann"}', data=b'{"hello":1}')


def options(**changes: Any) -> HubOptions:
    return HubOptions(version="v", **changes)


def connect(peer: Peer, **request: object) -> Any:
    """Say connect and return the first line heard, None if there is none."""
    peer.say({"id": 1, "connect": request})
    heard = peer.take()
    return heard[0] if heard else None


def test_a_token_says_who_one_is() -> None:
    verifier = ScriptedVerifier()
    verifier.identities["t"] = ANN
    world = World(options(), verifier=verifier)
    peer = world.open()
    reply = connect(peer, token="t")
    assert reply["connect"] == {
        "client": peer.client.id, "version": "v", "ping": 25, "pong": True, "data": {"hello": 1},
    }  # fmt: skip
    assert world.hub.clients_of("ann") == [peer.client]
    peer.ask("subscribe", channel="chat:a")
    assert peer.ask("presence", channel="chat:a")["presence"][peer.client.id] == {
        "user": "ann", "client": peer.client.id, "conn_info": {"name": "Ann"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "allowed", "error", "close"),
    [
        ({"token": "expired"}, False, 109, None),
        ({"token": "no such"}, True, None, 3500),
        ({}, False, None, 3501),
    ],
)
def test_who_is_not_let_in(request_: dict[str, str], allowed: bool, error: int | None, close: int) -> None:
    peer = World(options(allow_anonymous=allowed), verifier=ScriptedVerifier()).open()
    reply = connect(peer, **request_)
    assert (reply["error"]["code"] if reply else None, peer.close_code) == (error, close)
    assert peer.subscriber.connected == 0


def test_after_a_refused_connect_nothing_else_is_heard() -> None:
    peer = World(options(allow_anonymous=True), verifier=ScriptedVerifier()).open()
    connect(peer, token="expired")
    connect(peer)
    assert peer.close_code == 3501


def test_the_upgrade_request_may_have_told_already() -> None:
    world = World(options())
    assert connect(world.open(identity=ANN))["connect"]["data"] == {"hello": 1}


@pytest.mark.parametrize(("has_token", "left"), [(True, True), (False, False)])
def test_who_may_stay_for_a_time_is_told_so_unless_the_backend_renews_it(has_token: bool, left: bool) -> None:
    world = World(options())
    identity = Identity("ann", expire_at=int(world.clock.unix_s()) + 60, from_backend=not has_token)
    result = connect(world.open(identity=identity))["connect"]
    assert (result.get("expires"), result.get("ttl")) == ((True, 60) if left else (None, None))


def test_who_is_not_renewed_is_closed_after_the_grace() -> None:
    world = World(options(expired_grace_s=25.0))
    peer = world.connect(Identity("ann", expire_at=int(world.clock.unix_s()) + 60))
    world.clock.advance(84.0)
    world.hub.expire(world.clock.now())
    assert peer.close_code is None
    world.clock.advance(2.0)
    world.hub.expire(world.clock.now())
    assert peer.close_code == 3005


def test_the_backend_decides_who_has_no_token() -> None:
    backend = ScriptedBackend()
    peer = World(options(connect_proxy=True), backend=backend).open()
    assert connect(peer, name="js", version="5", data={"a": 1}, subs={"x": {"recover": True}}) is None
    question = backend.questions[0]
    assert isinstance(question, ConnectQuestion)
    assert (question.person.client, question.name, question.version, question.data, question.channels) == (
        peer.client.id, "js", "5", b'{"a": 1}', ("x",),
    )  # fmt: skip
    backend.answer(ANN)
    assert peer.take()[0]["connect"]["data"] == {"hello": 1}


@pytest.mark.parametrize(
    ("answer", "error", "close"),
    [(Refused(codes.UNAUTHORIZED), 101, None), (Disconnected(4501, "go away"), None, 4501)],
)
def test_the_backend_may_refuse(answer: object, error: int | None, close: int | None) -> None:
    backend = ScriptedBackend()
    peer = World(options(connect_proxy=True), backend=backend).open()
    connect(peer)
    backend.answer(answer)
    heard = peer.take()
    assert (heard[0]["error"]["code"] if heard else None, peer.close_code) == (error, close)


@pytest.mark.parametrize("answer", [ANN, Refused(codes.UNAUTHORIZED), Disconnected(4501, "go away")])
def test_an_answer_to_somebody_who_is_gone_is_nothing(answer: object) -> None:
    backend = ScriptedBackend()
    world = World(options(connect_proxy=True), backend=backend)
    peer = world.open()
    connect(peer)
    peer.client.closed()
    backend.answer(answer)
    assert peer.take() == []
    assert world.hub.clients_of("ann") == []


def test_no_other_command_is_heard_while_the_backend_thinks() -> None:
    peer = World(options(connect_proxy=True), backend=ScriptedBackend()).open()
    connect(peer)
    peer.say({"id": 2, "subscribe": {"channel": "chat:a"}})
    assert peer.close_code == 3501


PERSONAL = options(personal_channel=True, personal_namespace="chat", broadcast_channel="chat:all")


def test_everybody_is_in_its_own_channel_and_in_that_of_all() -> None:
    world = World(PERSONAL)
    ann, ben = world.open(identity=ANN), world.open(identity=Identity("ben"))
    assert set(connect(ann)["connect"]["subs"]) == {"chat:#ann", "chat:all"}
    connect(ben)
    ann.take()
    ben.take()
    world.hub.publish("chat:#ann", b"1")
    world.hub.publish("chat:all", b"2")
    assert [line["push"]["channel"] for line in ann.take()] == ["chat:#ann", "chat:all"]
    assert [line["push"]["channel"] for line in ben.take()] == ["chat:all"]


def test_an_anonymous_client_has_no_channel_of_its_own() -> None:
    world = World(options(personal_channel=True, allow_anonymous=True))
    assert "subs" not in connect(world.open())["connect"]


def test_one_reply_tells_no_more_of_many_channels_than_of_one() -> None:
    world = World(options(recovery_limit_bytes=1000))
    channels = [f"c{number}" for number in range(5)]
    for channel in channels:
        world.hub.publish(channel, b'"%s"' % (b"x" * 400))
    peer = world.open(identity=Identity("ann", subscriptions=dict.fromkeys(channels, SubscriptionGrant())))
    subs = connect(peer, subs={channel: {"recover": True} for channel in channels})["connect"]["subs"]
    assert [subs[channel].get("recovered", False) for channel in channels] == [True] * 2 + [False] * 3
    assert [subs[channel]["offset"] for channel in channels] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("user", ["ann,ben", "ann#ben"])
def test_a_user_named_like_others_has_no_channel_that_is_theirs(user: str) -> None:
    world = World(PERSONAL)
    assert set(connect(world.open(identity=Identity(user)))["connect"]["subs"]) == {"chat:all"}


def test_what_the_server_subscribed_one_to_is_recovered() -> None:
    world = World(PERSONAL)
    first = world.open(identity=ANN)
    position = connect(first)["connect"]["subs"]["chat:all"]
    first.client.closed()
    world.hub.publish("chat:all", b'"missed"')
    remembered = {"recover": True, "epoch": position["epoch"], "offset": position["offset"]}
    found = connect(world.open(identity=ANN), subs={"chat:all": remembered})["connect"]["subs"]["chat:all"]
    assert (found["recovered"], found["was_recovering"]) == (True, True)
    assert [pub["data"] for pub in found["publications"]] == ["missed"]


def test_a_grant_brings_its_own_options_and_infos() -> None:
    world = World(options(), {"": Namespace()})
    grant = SubscriptionGrant(info=b'{"vip":true}', data=b'"d"', override=Override(presence=True))
    peer = world.open(identity=Identity("ann", subscriptions={"news": grant}))
    assert connect(peer)["connect"]["subs"]["news"] == {"data": "d"}
    members: list[Any] = []
    world.presence.members("news", lambda found: members.append(dict(found)))  # type: ignore[arg-type]
    assert b'"chan_info":{"vip":true}' in members[0][peer.client.id]


@pytest.mark.parametrize(
    ("channels", "error", "close"), [(["no:such"], 102, None), (["a", "b", "c"], None, 3505)]
)
def test_channels_that_cannot_be(channels: list[str], error: int | None, close: int | None) -> None:
    world = World(options(channel_limit=2), {"": Namespace()})
    peer = world.open(identity=Identity("ann", subscriptions=dict.fromkeys(channels, SubscriptionGrant())))
    reply = connect(peer)
    assert (reply["error"]["code"] if reply else None, peer.close_code) == (error, close)
    assert world.hub.statistics().channels == 0


def late_world(options_: HubOptions = PERSONAL) -> tuple[World, LateBroker, RecordedHooks]:
    hooks = RecordedHooks()
    world = World(options_, broker=LateBroker, hooks=hooks)
    assert isinstance(world.broker, LateBroker)
    return world, world.broker, hooks


def test_nothing_of_a_channel_is_told_before_the_reply() -> None:
    world, link, _ = late_world()
    other = world.open(identity=Identity("ben"))
    connect(other)
    link.deliver()
    other.take()
    peer = world.open(identity=ANN)
    connect(peer)
    link.deliver(1)  # the first of the two streams was read
    world.hub.publish("chat:#ann", b"1")
    link.deliver()
    heard = peer.take()
    assert "connect" in heard[0]
    pushed = [line["push"]["channel"] for line in heard[1:] if "pub" in line["push"]]
    assert pushed == ["chat:#ann"]
    world.hub.publish("chat:#ann", b"2")
    link.deliver()
    assert [line["push"]["pub"]["data"] for line in peer.take()] == [2]


@pytest.mark.parametrize("delivered", [0, 1])
def test_who_leaves_before_the_reply_leaves_nothing_behind(delivered: int) -> None:
    world, link, hooks = late_world()
    peer = world.open(identity=ANN)
    connect(peer)
    link.deliver(delivered)
    peer.client.closed()
    link.deliver()
    assert peer.take() == []
    assert world.hub.statistics().channels == world.hub.statistics().subscriptions == 0
    occupied = [entry for entry in hooks.heard if entry[0] == "occupied"]
    vacated = [entry for entry in hooks.heard if entry[0] == "vacated"]
    assert len(occupied) == len(vacated)


def test_a_broker_that_fails_refuses_the_connect() -> None:
    world, link, _ = late_world()
    link.failing = True
    peer = world.open(identity=ANN)
    assert connect(peer)["error"]["code"] == 100
    assert world.hub.statistics().channels == 0


def test_hooks_hear_of_the_end() -> None:
    hooks = RecordedHooks()
    world = World(PERSONAL, hooks=hooks)
    peer = world.open(identity=ANN)
    connect(peer)
    peer.client.closed(3001, "shutdown")
    assert hooks.heard == [
        ("occupied", "chat:#ann"),
        ("occupied", "chat:all"),
        ("unsubscribe", "ann", "chat:#ann", 1),
        ("vacated", "chat:#ann"),
        ("unsubscribe", "ann", "chat:all", 1),
        ("vacated", "chat:all"),
        ("disconnect", "ann", 3001),
    ]


def test_hooks_hear_nothing_of_who_was_refused() -> None:
    hooks = RecordedHooks()
    many = dict.fromkeys(["a", "b"], SubscriptionGrant())
    peer = World(options(channel_limit=1), hooks=hooks).open(identity=Identity("ann", subscriptions=many))
    connect(peer)
    assert peer.close_code == 3505
    peer.client.closed()
    assert hooks.heard == []


def test_hooks_hear_nothing_of_who_never_connected() -> None:
    hooks = RecordedHooks()
    World(hooks=hooks).open().client.closed()
    assert hooks.heard == []


class SlowReads(LateBroker):
    """A broker of several machines: streams are read when `read` says so; publications come at once."""

    def __init__(self, inner: MemoryBroker) -> None:
        super().__init__(inner)
        self._reads: dict[str, Callable[[], object]] = {}

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        self._reads[channel] = lambda: self._inner.history(channel, query, retention, done)

    def read(self, channel: str) -> None:
        self._reads.pop(channel, lambda: None)()


STREAMS = ("a", "b", "c")


@given(st.lists(st.tuples(st.sampled_from(["read", "publish"]), st.sampled_from(STREAMS)), max_size=20))
@example([("read", "a"), ("publish", "a"), ("publish", "b"), ("publish", "a")])
def test_whatever_is_read_first_pushes_come_behind_the_reply_and_follow_on_it(
    steps: list[tuple[str, str]],
) -> None:
    world = World(options(), broker=SlowReads)
    broker = world.broker
    peer = world.open(identity=Identity("ann", subscriptions=dict.fromkeys(STREAMS, SubscriptionGrant())))
    connect(peer)
    published = dict.fromkeys(STREAMS, 0)

    def publish(channel: str) -> None:
        published[channel] += 1
        world.hub.publish(channel, b"%d" % published[channel])
        broker.deliver()

    for verb, channel in steps:
        publish(channel) if verb == "publish" else broker.read(channel)
    for channel in STREAMS:
        broker.read(channel)
        publish(channel)
    reply, *pushes = peer.take()
    for channel in STREAMS:
        begun = reply["connect"]["subs"][channel].get("offset", 0)
        heard = [push["push"] for push in pushes if push["push"]["channel"] == channel]
        offsets = [push["pub"]["offset"] for push in heard if "pub" in push]
        assert offsets == list(range(begun + 1, published[channel] + 1))


def test_who_is_blocked_before_the_reply_is_closed_instead() -> None:
    world, link, _ = late_world()
    peer = world.open(identity=ANN)
    connect(peer)
    blocking.block_user(world.hub, "ann")
    link.deliver()
    assert (peer.take(), peer.close_code) == ([], 3507)


def test_who_is_told_to_go_before_the_reply_hears_nothing_more() -> None:
    world, link, _ = late_world()
    peer = world.open(identity=ANN)
    connect(peer)
    peer.client.disconnect(3001, "shutdown")
    link.deliver()
    assert peer.take() == []
    peer.client.closed()
    assert world.hub.statistics().subscriptions == 0


def test_what_has_ended_before_the_reply_is_not_in_it_and_nothing_of_it_is_told() -> None:
    both = {
        **dev_namespaces(),
        "brief": Namespace(history_size=1, history_ttl_s=60.0, force_positioning=True),
    }
    world = World(options(), both, broker=SlowReads)
    names = ("brief:x", "chat:x")
    peer = world.open(identity=Identity("ann", subscriptions=dict.fromkeys(names, SubscriptionGrant())))
    connect(peer)
    world.broker.read("brief:x")
    world.hub.publish("brief:x", b"1")
    world.broker.deliver()
    following.follow(world.hub, Namespaces(dev_namespaces()))
    world.broker.read("chat:x")
    world.broker.deliver()
    (reply, *pushes) = peer.take()
    assert list(reply["connect"]["subs"]) == ["chat:x"]
    assert all(push["push"]["channel"] == "chat:x" for push in pushes)
    assert list(peer.client.subscriptions) == list(world.hub.channel_names()) == ["chat:x"]
