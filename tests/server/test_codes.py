"""Every code of the messaging protocol that this server sends, seen on the wire by a raw client.

`CASES` is the table that the reference points to: its page on the client protocol names a row for each code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.hub.scripted import ScriptedBackend
from tests.server.api_kit import ApiHouse
from wsloop.hub import blocking, codes, following
from wsloop.hub.backend import Refused
from wsloop.hub.broker import Unavailable
from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken
from wsloop.hub.history import Publication
from wsloop.hub.namespaces import Namespace, Namespaces, dev_namespaces
from wsloop.hub.rate_limits import Rate, RateLimits
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, Verifier
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.client import MessagingMemoryClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.codes import Code

NAMESPACES = {**dev_namespaces(), "closed": Namespace(allow_subscribe_for_client=True)}
EXPIRES_IN_S = 5
MANY_TOKEN = "many channels"


class ScriptedTokens(Verifier):
    """A token is what it says: "expired", MANY_TOKEN, "expiring" in a while; all others are invalid."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        if token == "expired":
            raise ExpiredTokenError("on purpose")
        soon = int(unix_s) + EXPIRES_IN_S
        identities = {
            MANY_TOKEN: Identity("u", subscriptions={str(n): SubscriptionGrant() for n in range(129)}),
            "expiring": Identity("u", expire_at=soon),
            "expiring channel": Identity("u", subscriptions={"a": SubscriptionGrant(expire_at=soon)}),
            "channel": Identity("u", subscriptions={"a": SubscriptionGrant()}),
            "ended": Identity("u", expire_at=int(unix_s) - 1),
            "marked": Identity("u", token_id="jti", issued_at=int(unix_s)),
        }
        if token not in identities:
            raise InvalidTokenError("on purpose")
        return identities[token]

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        if token != "expiring":
            raise InvalidTokenError("on purpose")
        return SubscriptionToken("", "$a", "", SubscriptionGrant(expire_at=int(unix_s) + EXPIRES_IN_S))


class World:
    """A server, and one raw client whose upgrade is done; what the server says to it is the outcome."""

    def __init__(self) -> None:
        self.server = ApiHouse()
        self.hub = self.server.hub
        self.hub.namespaces = Namespaces(NAMESPACES)
        self.hub.verifier = ScriptedTokens()
        self.client = self.server.dial(MessagingMemoryClient)
        self.client.upgrade(CONNECTION_PATH)
        self.server.run_until(lambda: self.client.is_open)

    def connect(self, token: str = "") -> dict[str, Any]:
        return self.ask(connect={"token": token} if token else {})

    def ask(self, **command: object) -> dict[str, Any]:
        """Send a command and return the reply, or {} if the connection ends instead."""
        number = self.client.command(**command)
        self.server.run_until(lambda: number in self.client.replies or self.client.close_frame)
        return self.client.replies.get(number, {})

    def error(self, **command: object) -> tuple[int, str]:
        """Send a command that is refused and return with what."""
        error = self.ask(**command)["error"]
        assert error.get("temporary", False) is (error["code"] in TEMPORARY)
        return error["code"], error["message"]

    def closed(self) -> tuple[int, str]:
        """Wait for the close frame and return what it says, less the details behind the colon."""
        self.server.run_until(lambda: self.client.close_frame, within_s=200.0)
        assert self.client.close_frame is not None
        code, reason = self.client.close_frame
        assert len(reason) <= 123
        return code, re.split(r": | q=", reason)[0]

    def unsubscribed(self) -> tuple[int, str]:
        """Wait for an unsubscribe push and return what it says."""
        self.server.run_until(lambda: any("unsubscribe" in push for push in self.client.pushes))
        push = next(push["unsubscribe"] for push in self.client.pushes if "unsubscribe" in push)
        return push["code"], push["reason"]

    def lose_one(self, channel: str) -> None:
        """Have the hub hear of a publication whose predecessor it never heard of."""
        epoch = self.ask(history={"channel": channel})["history"]["epoch"]
        self.hub.on_publication(channel, Publication(7, b"7"), epoch)


TEMPORARY = {100, 111, 113}
ONE_A_MINUTE = Rate(1, 60.0)


def expired(world: World) -> tuple[int, str]:
    return world.error(connect={"token": "ended"})


def limited(world: World) -> None:
    """Let each client have one command a minute from now on."""
    world.hub.rate_limits = RateLimits((ONE_A_MINUTE, None, None, None, None, None))
    world.client = world.server.dial(MessagingMemoryClient)
    world.client.upgrade(CONNECTION_PATH)
    world.connect()


def too_many_requests(world: World) -> tuple[int, str]:
    limited(world)
    world.ask(rpc={"method": "m"})
    return world.error(rpc={"method": "m"})


def stubborn(world: World) -> tuple[int, str]:
    limited(world)
    for _ in range(200):
        world.client.command(rpc={"method": "m"})
    return world.closed()


def token_revoked(world: World) -> tuple[int, str]:
    world.connect("marked")
    blocking.revoke_token(world.hub, "jti")
    return world.closed()


def user_blocked(world: World) -> tuple[int, str]:
    blocking.block_user(world.hub, "u")
    world.connect("channel")
    return world.closed()


def internal_error(world: World) -> tuple[int, str]:
    world.connect()
    world.hub.broker.publish = lambda *arguments: arguments[-1](Unavailable("it is gone"))  # type: ignore[method-assign]
    return world.error(publish={"channel": "a", "data": 1})


def unknown_channel(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(subscribe={"channel": "nowhere:a"})


def permission_denied(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(publish={"channel": "closed:a", "data": 1})


def method_not_found(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(dance={})


def already_subscribed(world: World) -> tuple[int, str]:
    world.connect()
    world.ask(subscribe={"channel": "a"})
    return world.error(subscribe={"channel": "a"})


def limit_exceeded(world: World) -> tuple[int, str]:
    world.connect()
    for number in range(128):
        world.ask(subscribe={"channel": str(number)})
    return world.error(subscribe={"channel": "128"})


def bad_request(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(subscribe={"channel": "a" * 256})


def not_available(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(history={"channel": "closed:a"})


def token_expired(world: World) -> tuple[int, str]:
    return world.error(connect={"token": "expired"})


def unrecoverable_position(world: World) -> tuple[int, str]:
    world.connect()
    return world.error(history={"channel": "a", "since": {"offset": 1, "epoch": "another"}})


def shutdown(world: World) -> tuple[int, str]:
    world.connect()
    world.server.server.drain(lambda: None)
    return world.closed()


def connection_expired(world: World) -> tuple[int, str]:
    world.connect("expiring")
    return world.closed()


def subscription_expired(world: World) -> tuple[int, str]:
    world.connect("expiring channel")
    return world.closed()


def slow(world: World) -> tuple[int, str]:
    world.connect()
    world.ask(subscribe={"channel": "a"})
    world.client.stop_reading()
    payload = b'"' + b"x" * 60_000 + b'"'
    for _ in range(60):
        world.hub.publish("a", payload)
        world.server.run_for(0.01)
    world.client.resume_reading()
    return world.closed()


def insufficient_state(world: World) -> tuple[int, str]:
    world.connect("channel")
    world.lose_one("a")
    return world.closed()


def no_pong(world: World) -> tuple[int, str]:
    world.client.answers_pings = False
    world.connect()
    return world.closed()


def invalid_token(world: World) -> tuple[int, str]:
    world.connect("forged")
    return world.closed()


def bad_frame(world: World) -> tuple[int, str]:
    world.client.send_text("no JSON")
    return world.closed()


def stale(world: World) -> tuple[int, str]:
    return world.closed()


def channel_limit(world: World) -> tuple[int, str]:
    world.connect(MANY_TOKEN)
    return world.closed()


def too_many_connections(world: World) -> tuple[int, str]:
    world.hub.options = msgspec.structs.replace(world.hub.options, user_connection_limit=1)
    world.connect("channel")
    world.client = world.server.dial(MessagingMemoryClient)
    world.client.upgrade(CONNECTION_PATH)
    world.connect("channel")
    return world.closed()


def force_disconnect(world: World) -> tuple[int, str]:
    world.connect("channel")
    world.server.call("disconnect", user="u")
    return world.closed()


def send_not_available(world: World) -> tuple[int, str]:
    world.connect()
    world.client.send_text('{"send":{"data":1}}')
    return world.closed()


def gap(world: World) -> tuple[int, str]:
    world.connect()
    world.ask(subscribe={"channel": "a"})
    world.lose_one("a")
    return world.unsubscribed()


def unsubscribed_by_operator(world: World) -> tuple[int, str]:
    world.connect("channel")
    world.ask(subscribe={"channel": "b"})
    world.server.call("unsubscribe", user="u", channel="b")
    return world.unsubscribed()


def right_expired(world: World) -> tuple[int, str]:
    world.connect()
    world.ask(subscribe={"channel": "$a", "token": "expiring"})
    return world.unsubscribed()


def namespace_taken_away(world: World) -> tuple[int, str]:
    world.connect()
    world.ask(subscribe={"channel": "chat:a"})
    following.follow(world.hub, Namespaces({"": NAMESPACES[""]}))
    return world.unsubscribed()


CASES: dict[str, tuple[Code, Callable[[World], tuple[int, str]]]] = {
    "error-100": (codes.INTERNAL_ERROR, internal_error),
    "error-102": (codes.UNKNOWN_CHANNEL, unknown_channel),
    "error-103": (codes.PERMISSION_DENIED, permission_denied),
    "error-104": (codes.METHOD_NOT_FOUND, method_not_found),
    "error-105": (codes.ALREADY_SUBSCRIBED, already_subscribed),
    "error-106": (codes.LIMIT_EXCEEDED, limit_exceeded),
    "error-107": (codes.BAD_REQUEST, bad_request),
    "error-108": (codes.NOT_AVAILABLE, not_available),
    "error-109": (codes.TOKEN_EXPIRED, token_expired),
    "error-110": (codes.EXPIRED, expired),
    "error-111": (codes.TOO_MANY_REQUESTS, too_many_requests),
    "error-112": (codes.UNRECOVERABLE_POSITION, unrecoverable_position),
    "close-3001": (codes.DISCONNECT_SHUTDOWN, shutdown),
    "close-3005": (codes.DISCONNECT_EXPIRED, connection_expired),
    "close-3006": (codes.DISCONNECT_SUBSCRIPTION_EXPIRED, subscription_expired),
    "close-3008": (codes.DISCONNECT_SLOW, slow),
    "close-3010": (codes.DISCONNECT_INSUFFICIENT_STATE, insufficient_state),
    "close-3012": (codes.DISCONNECT_NO_PONG, no_pong),
    "close-3013": (codes.DISCONNECT_TOO_MANY_REQUESTS, stubborn),
    "close-3014": (codes.DISCONNECT_STATE_INVALIDATED, token_revoked),
    "close-3500": (codes.DISCONNECT_INVALID_TOKEN, invalid_token),
    "close-3501": (codes.DISCONNECT_BAD_REQUEST, bad_frame),
    "close-3502": (codes.DISCONNECT_STALE, stale),
    "close-3503": (codes.DISCONNECT_FORCE_NO_RECONNECT, force_disconnect),
    "close-3504": (codes.DISCONNECT_CONNECTION_LIMIT, too_many_connections),
    "close-3505": (codes.DISCONNECT_CHANNEL_LIMIT, channel_limit),
    "close-3507": (codes.DISCONNECT_PERMISSION_DENIED, user_blocked),
    "close-3508": (codes.DISCONNECT_NOT_AVAILABLE, send_not_available),
    "unsubscribe-2000": (codes.UNSUBSCRIBE_SERVER, unsubscribed_by_operator),
    "unsubscribe-2500": (codes.UNSUBSCRIBE_INSUFFICIENT, gap),
    "unsubscribe-2501": (codes.UNSUBSCRIBE_EXPIRED, right_expired),
    "unsubscribe-2502": (codes.UNSUBSCRIBE_STATE_INVALIDATED, namespace_taken_away),
}


@pytest.mark.parametrize("name", CASES)
def test_a_code_is_seen_on_the_wire(name: str) -> None:
    code, scenario = CASES[name]
    world = World()
    with world.server:
        assert scenario(world) == (code.code, code.message)
    assert name.endswith(f"-{code.code}")


UNUSED_CLOSES = [
    code for code in vars(codes).values() if isinstance(code, codes.Code) and code.never and code.code >= 3000
]
UNUSED_ERRORS = [
    code
    for code in vars(codes).values()
    if isinstance(code, codes.Code) and code.never and 100 <= code.code < 2000
]


@pytest.mark.parametrize("code", UNUSED_CLOSES, ids=lambda code: str(code.code))
def test_the_operator_may_close_with_any_code(code: Code) -> None:
    world = World()
    world.connect("channel")
    world.server.call("disconnect", user="u", disconnect={"code": code.code, "reason": code.message})
    assert world.closed() == (code.code, code.message)


@pytest.mark.parametrize("code", UNUSED_ERRORS, ids=lambda code: str(code.code))
def test_a_backend_may_refuse_with_any_error(code: Code) -> None:
    world = World()
    backend = world.hub.backend = ScriptedBackend()
    world.hub.options = msgspec.structs.replace(world.hub.options, rpc_proxy=True)
    world.connect()
    number = world.client.command(rpc={"method": "m"})
    world.server.run_until(lambda: backend.questions)
    backend.answer(Refused(code))
    world.server.run_until(lambda: number in world.client.replies)
    error = world.client.replies[number]["error"]
    assert (error["code"], error["message"]) == (code.code, code.message)


def all_codes() -> dict[str, Code]:
    return {name: code for name, code in vars(codes).items() if isinstance(code, codes.Code)}


def test_every_code_that_is_sent_has_a_case_and_every_other_a_reason() -> None:
    for code in all_codes().values():
        assert bool(code.when) != bool(code.never), code
        assert code.temporary is (code.code in TEMPORARY)
    tested = {code.code for code, _ in CASES.values()}
    assert tested == {code.code for code in all_codes().values() if code.when}


def test_a_code_that_is_never_sent_is_named_nowhere_else() -> None:
    package = Path(codes.__file__).parents[1]
    sources = [path for path in package.rglob("*.py") if path != Path(codes.__file__)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    named = set(re.findall(r"\bcodes\.([A-Z_]+)\b", text))
    only_hooks = {"UNSUBSCRIBE_CLIENT", "UNSUBSCRIBE_DISCONNECT"}
    assert {name for name, code in all_codes().items() if name in named and code.never} == only_hooks
    assert {name for name, code in all_codes().items() if name not in named and code.when} == set()
