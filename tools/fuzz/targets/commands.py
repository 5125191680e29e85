"""What clients say, through the dispatcher, on a real hub in memory: replies, pushes, or the end with a code.

The first byte: bit 0 MessagePack (the codec of docs/how-to/messagepack.py), bit 1 without a connect before,
bit 2 the bytes are packed already, bit 3 the pings are the transport's, bit 4 there are limits, and an
application decides who may connect. Messages stand behind each other, with a blank line between; the lines
of one are its commands. Others listen: one that wants differences, one that filters, one by a wildcard;
whatever they hear must be JSON.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from tests.hub import fossil
from tests.hub.scripted import ScriptedVerifier
from tests.hub.support import Peer, RecordedSubscriber, World
from tools.fuzz.shaping import agree, promise
from wsloop.hub.backend import PublishVerdict, Renewal
from wsloop.hub.codec import JSON
from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.no_backend import NoBackend
from wsloop.hub.options import HubOptions
from wsloop.hub.rate_limits import Operation, Rate, RateLimits
from wsloop.testing.clock import UNIX_START_S
from wsloop.testing.strategies import command_sequences

if TYPE_CHECKING:
    from wsloop.hub.backend import (
        ConnectQuestion,
        Decided,
        Person,
        PublishQuestion,
        RpcQuestion,
        SubscribeQuestion,
    )
    from wsloop.hub.codec import Codec

BETWEEN = b"\n\n"
OPTIONS = HubOptions(
    allow_anonymous=True,
    anonymous_info=True,
    rpc_proxy=True,
    send_proxy=True,
    personal_channel=True,
    broadcast_channel="all",
    channel_limit=8,
)
STRICT = msgspec.structs.replace(OPTIONS, connect_proxy=True, refresh_proxy=True, history_limit_bytes=60)
NAMESPACES = {
    **dev_namespaces(),
    "asked": Namespace(subscribe_proxy=True, publish_proxy=True, allow_subscribe_for_client=True),
    "last": Namespace(
        history_size=2,
        history_ttl_s=9.0,
        recovery_mode="cache",
        allow_recovery=True,
        channel_regex="[a-z\u00e9]+",
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
    ),
}
INTERNAL_ERROR = 100
CODES = range(3000, 5000)


class Echo(NoBackend):
    """An application that agrees to everything."""

    def connect(self, question: ConnectQuestion, done: Decided[Identity]) -> None:
        """Let everybody in, and one for a short time only."""
        done(Identity(question.name or "ben", expire_at=int(UNIX_START_S) + 1010 if question.name else 0))

    def refresh(self, person: Person, done: Decided[Renewal]) -> None:
        """Let nobody stay."""
        done(Renewal(expired=True))

    def subscribe(self, question: SubscribeQuestion, done: Decided[SubscriptionGrant]) -> None:
        """Let everybody in."""
        done(SubscriptionGrant(info=b'{"a":1}'))

    def publish(self, question: PublishQuestion, done: Decided[PublishVerdict]) -> None:
        """Publish what was asked for."""
        done(PublishVerdict(skip_history=b"1" in question.data))

    def rpc(self, question: RpcQuestion, done: Decided[bytes]) -> None:
        """Answer what was said."""
        done(question.data or b"null")

    def send(self, question: RpcQuestion) -> None:
        """Hear it."""


@functools.cache
def message_pack() -> Codec:
    """Return the codec that the documentation shows."""
    path = Path(__file__).parents[3] / "docs/how-to/messagepack.py"
    spec = importlib.util.spec_from_file_location("messagepack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    codec: Codec = module.MESSAGE_PACK
    return codec


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    how = data[0]
    world = _world(is_strict=bool(how & 16))
    plain, differing = _listener(world), _listener(world, delta="fossil")
    others = [_listener(world, tf=FILTER), _listener(world, channel="chat:*")]
    codec = message_pack() if how & 1 else JSON
    subscriber = RecordedSubscriber()
    client = world.hub.new_client(subscriber, app_pings=not how & 8, codec=codec)
    if not how & 2:
        client.receive(_message(b'{"id":1000,"connect":{"token":"ann"}}', how))
    for part in data[1:].split(BETWEEN):
        message = part if how & 4 or not how & 1 else _packed(part)
        if client.receive(_text(message) if codec.is_text else message):
            raise AssertionError("a command waits for a turn, and there are no turns")
    _check(world, subscriber, codec)
    agree(_whole(differing), [pub["data"] for pub in _publications(plain)], "differences make something else")
    for peer in others:
        _publications(peer)
    for peer in (plain, differing, *others):
        peer.client.closed()
    world.clock.advance(60.0)
    world.hub.expire(world.clock.now())
    client.closed()
    left = world.hub.statistics()
    promise(left.clients == 0 and not [*world.hub.channel_names()], f"something is left: {left}")


def _world(*, is_strict: bool) -> World:
    verifier = ScriptedVerifier()
    verifier.identities["ann"] = Identity("ann", info=b'{"name":"Ann"}')
    verifier.subscriptions["let me in"] = SubscriptionToken("ann", "$private", "", SubscriptionGrant())
    if not is_strict:
        return World(OPTIONS, NAMESPACES, verifier=verifier, backend=Echo())
    limits = RateLimits(client=(Rate(9, 60.0),) * len(Operation))
    return World(STRICT, NAMESPACES, verifier=verifier, backend=Echo(), rate_limits=limits)


FILTER = {"key": "a", "cmp": "eq", "val": "1"}


def _listener(world: World, channel: str = "chat:a", **asked: Any) -> Peer:  # noqa: ANN401 - any JSON
    peer = world.connect()
    reply = peer.ask("subscribe", channel=channel, **asked)
    promise(isinstance(reply, dict), f"a listener is refused: {reply}")
    peer.take()
    return peer


def _publications(peer: Peer) -> list[dict[str, Any]]:
    """Return what a listener heard; replies are not for it."""
    said = peer.take()
    promise(all("push" in each or not each for each in said), "a listener hears a reply")
    return [each["push"]["pub"] for each in said if "pub" in each.get("push", {})]


def _whole(peer: Peer) -> list[Any]:
    """Return the payloads that were heard as differences, put together as an SDK does."""
    heard, base = [], b""
    for pub in _publications(peer):
        data = pub["data"].encode()
        base = fossil.apply(base, data) if pub.get("delta") else data
        heard.append(json.loads(base))
    return heard


def _message(line: bytes, how: int) -> str | bytes:
    return _packed(line) if how & 1 else line.decode()


def _text(message: bytes) -> str:
    """Return what a session makes of a text message: it has checked the UTF-8."""
    return message.decode("utf-8", "replace")


def _packed(message: bytes) -> bytes:
    """Return lines of JSON as MessagePack; one that is no JSON stays as it is."""
    parts = []
    for line in message.split(b"\n"):
        try:
            part = msgspec.msgpack.encode(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError):
            part = line
        parts.append(len(part).to_bytes(4, "big") + part)
    return b"".join(parts)


def _check(world: World, subscriber: RecordedSubscriber, codec: Codec) -> None:
    """See that what the client is told can be read, and is no error of our own."""
    for line in subscriber.lines:
        for each in codec.split(line if not codec.is_text else line.decode()):
            assert isinstance(each, str | bytes)
            told = json.loads(each) if codec.is_text else msgspec.msgpack.decode(each)  # type: ignore[arg-type]
            promise(isinstance(told, dict), f"neither reply nor push: {told!r}")
    promise(not world.hub.tally.errors[INTERNAL_ERROR], "an internal error")
    promise(all(code in CODES for code, _ in subscriber.closed_with), f"closed with {subscriber.closed_with}")


CHANNELS = (
    "chat:a",
    "room",
    "chat:*",
    "#ann",
    "$private",
    "asked:a",
    "last:x",
    "nowhere:a",
    "\u00e9",
    "x" * 300,
)
LINES = (
    '{"id":7,"subscribe":{"channel":"chat:a","delta":"fossil","flag":1,"recoverable":true}}',
    '{"id":7,"subscribe":{"channel":"chat:b","tf":{"op":"not","nodes":[{"key":"a","cmp":"ex"}]}}}',
    '{"id":7,"subscribe":{"channel":"$private","token":"let me in"}}',
    '{"id":7,"sub_refresh":{"channel":"$private","token":"expired"}}',
    '{"id":7,"refresh":{"token":"ann"}}',
    '{"id":7,"connect":{"name":"app","version":"1"}}',
    '{"id":7,"publish":{"channel":"chat:a","data":{"text":"\\ud83d"},"idem":"k"}}',
    '{"id":7,"publish":{"channel":"chat:a","data":"b","seq":{"sender":"s","n":2}}}',
    '{"id":7,"ack":{"channel":"chat:a","offset":1,"epoch":""}}',
    '{"id":7,"history":{"channel":"chat:a","limit":-1,"reverse":true,"since":{"offset":18446744073709551615}}}',
    '{"id":7,"connect":{"flag":3145728,"subs":{"all":{"recover":true,"offset":3,"epoch":"x"}},"data":{"n":1}}}',
    '{"id":7,"subscribe":{"channel":"asked:a"}}\n{"id":8,"publish":{"channel":"asked:a","data":[1]}}',
    '{"id":7,"rpc":{"method":"sum","data":{"a":1}}}\n{"send":{"data":2}}',
    '{"id":7,"sub_refresh":{"channel":"$private","token":"let me in"}}',
    '{"id":7,"subscribe":{"channel":"last:x","recover":true}}\n{"id":8,"presence":{"channel":"chat:a"}}',
    '{"id":7,"publish":{"channel":"chat:a","data":{"symbol":"WSLP","bid":101.25,"ask":101.75,"n":1}}}',
    '{"id":7,"publish":{"channel":"chat:a","data":{"symbol":"WSLP","bid":101.25,"ask":101.75,"n":2}}}',
    '{"id":7,"subscribe":{"channel":"chat:a","delta":"fossil","recover":true,"epoch":"","offset":0}}',
    "{}",
)


def inputs() -> st.SearchStrategy[bytes]:
    """Draw conversations, behind any choice, some damaged in a place."""
    choice = st.integers(0, 31)
    said = command_sequences(CHANNELS, bad_lines=True).map(
        lambda each: [one.encode().encode() for one in each]
    )
    lines = st.lists(st.sampled_from(LINES), max_size=6).map(lambda each: [one.encode() for one in each])
    between = st.sampled_from((b"\n", BETWEEN))
    # What begins with a connect goes behind no other one; most lines do without.
    whole = st.builds(
        lambda how, first, then, by: (how | 2, by.join([*first, *then])), choice, said, lines, between
    )
    lines_only = st.builds(lambda how, each, by: (how & ~2, by.join(each)), choice, lines, between)
    return (whole | lines_only).flatmap(_damaged)


def _damaged(said: tuple[int, bytes]) -> st.SearchStrategy[bytes]:
    """Draw a conversation as it is or, less often, with some bytes of noise in it."""
    how, text = bytes([48 + said[0]]), said[1]
    noisy = st.builds(
        lambda at, noise: how + text[:at] + noise + text[at + len(noise) :],
        st.integers(0, 200),
        st.binary(max_size=2),
    )
    return st.one_of(st.just(how + text), st.just(how + text), noisy)
