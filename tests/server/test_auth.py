"""Tokens in upgrade requests: who is let in, who is told what in plain HTTP, and what is never logged."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.token_kit import key, sign
from wsloop.errors import HandshakeError
from wsloop.hub import blocking
from wsloop.hub.blocking import TOKEN_COMMANDS
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.hub.rate_limits import NO_RATES, Operation, Rate, RateLimits
from wsloop.hub.token_keys import Keys
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.protocol.events import Request
from wsloop.server.app import Route
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.auth import TokenGate, UpgradeAuth
from wsloop.server.messaging import COMMANDS_PER_TURN
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYWHERE = UpgradeAuth(bearer=True, cookie="sid", query="token", required=True)
Headers = tuple[tuple[str, str], ...]


class House(MemoryServer):
    """A server that wants tokens of the kit's secret."""

    def __init__(self, auth: UpgradeAuth = EVERYWHERE, **options: Any) -> None:
        self.keys = Keys([key("HMAC")])
        verifier = JwtVerifier(TokenRules(self.keys))
        super().__init__(seed=3, options=Options(verifier=verifier, auth=auth, **options))
        self.now_s = int(self.clock.unix_s())
        self.good = sign({"sub": "42", "jti": "t1", "iat": self.now_s, "exp": self.now_s + 60})

    def upgrade(self, headers: Headers = (), query: str = "") -> MessagingMemoryClient:
        client = self.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH + query, headers)
        self.run_until(lambda: client.is_open or client.is_gone)
        return client

    def bearer(self, token: str) -> MessagingMemoryClient:
        return self.upgrade((("Authorization", f"Bearer {token}"),))


@pytest.fixture
def house() -> Iterator[House]:
    with House() as made:
        yield made


def status(client: MessagingMemoryClient) -> int:
    return int(client.http.split(b" ", 2)[1])


PLACES: list[tuple[str, Headers, str]] = [
    ("header", (("Authorization", "Bearer {}"),), ""),
    ("scheme in other letters", (("authorization", "bEARER {}"),), ""),
    ("cookie", (("Cookie", "sid={}"),), ""),
    ("quoted cookie", (("Cookie", 'sid="{}"'),), ""),
    ("among cookies", (("Cookie", "a=b; sid={}; c=d"),), ""),
    ("query", (), "?token={}"),
    ("within the query", (), "?a=b&token={}&c"),
    ("header first", (("Authorization", "Bearer {}"), ("Cookie", "sid=bad")), "?token=bad"),
]


@pytest.mark.parametrize(("_", "headers", "query"), PLACES, ids=[row[0] for row in PLACES])
def test_a_good_token_lets_in_and_connect_needs_none(
    house: House, _: str, headers: Headers, query: str
) -> None:
    filled = tuple((name, value.replace("{}", house.good)) for name, value in headers)
    client = house.upgrade(filled, query.replace("{}", house.good))
    assert status(client) == 101
    reply = house.ask(client, connect={})["connect"]
    assert isinstance(reply, dict)
    assert (reply["expires"], reply["ttl"]) == (True, 60)
    assert [each.user for each in house.hub.clients_of("42")] == ["42"]


REFUSED: list[tuple[str, Headers, str]] = [
    ("nothing", (), ""),
    ("another scheme", (("Authorization", "Basic {}"),), ""),
    ("no scheme", (("Authorization", "{}"),), ""),
    ("empty", (("Authorization", "Bearer "),), ""),
    ("twice", (("Authorization", "Bearer {}"), ("Authorization", "Bearer {}")), ""),
    ("bad", (("Authorization", "Bearer x.y.z"),), ""),
    ("another cookie", (("Cookie", "SID={}; xsid={}"),), ""),
    ("bad cookie beside a good query", (("Cookie", "sid=bad"),), "?token={}"),
    ("another parameter", (), "?Token={}"),
    ("not ASCII", (("Authorization", "Bearer \u00ff"),), ""),
]


@pytest.mark.parametrize(("_", "headers", "query"), REFUSED, ids=[row[0] for row in REFUSED])
def test_without_a_good_token_it_is_401_and_no_client_is_made(
    house: House, _: str, headers: Headers, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    filled = tuple((name, value.replace("{}", house.good)) for name, value in headers)
    client = house.upgrade(filled, query.replace("{}", house.good))
    assert status(client) == 401
    assert b'www-authenticate: bearer realm="wsloop"' in client.http.lower()
    assert house.hub.statistics().clients == 0
    assert house.good not in caplog.text
    assert house.good.encode() not in client.http


def test_each_reason_has_its_own_answer(house: House) -> None:
    expired = sign({"sub": "42", "exp": house.now_s - 1})
    ended = sign({"sub": "42", "expire_at": house.now_s - 1})
    for token in (expired, ended, "bad"):
        refused = house.bearer(token)
        assert (status(refused), b'error="invalid_token"' in refused.http) == (401, True)
    blocking.revoke_token(house.hub, "t1")
    assert status(house.bearer(house.good)) == 401
    blocking.block_user(house.hub, "42")
    assert status(house.bearer(house.good)) == 403
    house.keys.is_awaited = True
    awaited = house.bearer(sign({"sub": "7"}, "RS256", header={"kid": "later"}))
    assert (status(awaited), b"retry-after" in awaited.http.lower()) == (503, True)
    assert house.hub.statistics().clients == 0


def test_what_is_not_configured_is_not_looked_at() -> None:
    with House(UpgradeAuth(cookie="sid")) as house:
        assert status(house.bearer("bad")) == 101
        assert status(house.upgrade((), "?token=bad")) == 101
        assert status(house.upgrade((("Cookie", "sid=bad"),))) == 401


def test_where_a_token_is_not_required_connect_may_bring_one() -> None:
    with House(UpgradeAuth(bearer=True)) as house:
        client = house.upgrade()
        assert "connect" in house.ask(client, connect={"token": house.good})
        other = house.upgrade()
        other.command(connect={})
        house.run_until(lambda: other.close_frame)
        assert other.close_frame is not None
        assert other.close_frame[0] == 3501


def test_the_token_of_connect_goes_before_that_of_the_request(house: House) -> None:
    client = house.bearer(house.good)
    house.ask(client, connect={"token": sign({"sub": "7"})})
    assert [len(house.hub.clients_of(user)) for user in ("42", "7")] == [0, 1]


def test_who_is_blocked_between_upgrade_and_connect_stays_out(house: House) -> None:
    client = house.bearer(house.good)
    house.hub.revocations.block_user("42", 0, 0)
    client.command(connect={})
    house.run_until(lambda: client.close_frame)
    assert client.close_frame is not None
    assert client.close_frame[0] == 3507


def test_a_foreign_origin_is_refused_before_a_token_is_looked_at(house: House) -> None:
    origin = ("Origin", "https://evil.example")
    assert status(house.upgrade((origin, ("Cookie", f"sid={house.good}")))) == 403


@pytest.mark.parametrize("dev", [True, False])
@pytest.mark.parametrize("origin", ["http://wsloop.test", "https://wsloop.test"])
def test_the_pages_own_origin_passes_in_development_only(origin: str, dev: bool) -> None:
    with House(UpgradeAuth(), dev=dev, hub=HubOptions(allow_anonymous=True)) as house:
        assert status(house.upgrade((("Origin", origin),))) == (101 if dev else 403)
    with House(UpgradeAuth(), dev=dev, allowed_origins=frozenset({origin})) as house:
        assert status(house.upgrade((("Origin", origin),))) == 101
        assert status(house.upgrade()) == 101


def test_many_tokens_in_one_message_are_judged_in_several_turns() -> None:
    with House(UpgradeAuth(), hub=HubOptions(allow_anonymous=True), namespaces={"": Namespace()}) as house:
        client = house.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH)
        house.ask(client, connect={})
        token = sign({"channel": "$c"})[:-2]
        lines = [
            json.dumps({"id": 10 + number, "subscribe": {"channel": "$c", "token": token}})
            for number in range(100)
        ]
        client.send_text("\n".join(lines))
        most, before = 0, len(client.replies)
        while len(client.replies) < 101:
            house.reactor.run_once()
            most, before = max(most, len(client.replies) - before), len(client.replies)
        assert most <= COMMANDS_PER_TURN // TOKEN_COMMANDS


# -- the gate alone ---------------------------------------------------------------------------------------


def request(headers: tuple[tuple[bytes, bytes], ...] = (), query: str = "") -> Request:
    return Request("GET", "/", "/", query, headers)


def test_an_address_that_tries_too_often_is_429() -> None:
    rates = tuple(Rate(2, 60.0) if each is Operation.CONNECT else None for each in Operation)
    limits = RateLimits(NO_RATES, NO_RATES, rates)
    with House(rate_limits=limits) as house:
        gate, route = TokenGate(house.hub, EVERYWHERE, lambda *_: None), Route(lambda *_: None)  # type: ignore[arg-type]
        outcomes = []
        for host in ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.8", "127.0.0.1"):
            with pytest.raises(HandshakeError) as caught:
                gate.open(route, request(query="token=bad"), host)
            outcomes.append(caught.value.status)
        assert outcomes == [401, 401, 429, 401, 401]


@given(st.binary(max_size=60), st.text(max_size=60))
def test_any_request_has_a_token_or_none(value: bytes, query: str) -> None:
    headers = ((b"authorization", b"Bearer" + value), (b"cookie", value))
    assert isinstance(EVERYWHERE.token(request(headers, query)), str)
