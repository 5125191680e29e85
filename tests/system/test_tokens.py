"""Tokens against a real daemon: the official SDK, key sets over HTTP, refusals before the upgrade."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from centrifuge import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.hub.token_kit import SECRET, public_jwk, sign
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.family import until
from tests.system.sdk import Channel, Connection, run, soon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

CONFIG = f"""
[token]
hmac_secret_key = "{SECRET}"
jwks_url = "http://127.0.0.1:JWKS/keys"
jwks_interval = 1

[auth]
bearer = true

[client]
expired_grace_s = 1

[channels]
allow_subscribe_for_client = true

[rate_limits]
client_publish = "2/1h"

[admin]
port = 0
"""


class KeyServer:
    """A key set over HTTP, in a thread of the test."""

    def __init__(self) -> None:
        self.names = ["P-256"]
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps(
                    {"keys": [{**public_jwk(name), "kid": name} for name in outer.names]}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    made = KeyServer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(keys: KeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    path: Path = tmp_path_factory.mktemp("tokens") / "wsloop.toml"
    path.write_text(CONFIG.replace("JWKS", str(keys.server.server_port)))
    with Daemon("-c", str(path), dev=False) as running:
        yield running


def dial(daemon: Daemon, **options: Any) -> Any:
    return connect(daemon.url("/connection/websocket"), open_timeout=PATIENCE_S, **options)


def say(socket: Any, number: int, **command: object) -> dict[str, Any]:
    socket.send(json.dumps({"id": number, **command}))
    reply: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE_S))
    return reply


def close_code(daemon: Daemon, connect_: dict[str, object]) -> int:
    with dial(daemon) as socket, pytest.raises(ConnectionClosed) as caught:
        say(socket, 1, connect=connect_)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


def test_tokens_are_judged_at_connect(daemon: Daemon) -> None:
    now_s = int(time.time())
    with dial(daemon) as socket:
        token = sign({"sub": "42", "exp": now_s + 600, "info": {"n": 1}})
        reply = say(socket, 1, connect={"token": token})["connect"]
        assert reply["expires"]
        assert 590 <= reply["ttl"] <= 600
        renewed = say(socket, 2, refresh={"token": sign({"sub": "42", "exp": now_s + 900})})
        assert renewed["refresh"]["ttl"] > 800
        private = sign({"sub": "42", "channel": "$p", "exp": now_s + 60})
        assert say(socket, 3, subscribe={"channel": "$p", "token": private})["subscribe"]["ttl"] > 50
        assert say(socket, 4, subscribe={"channel": "$q"})["error"]["code"] == 103
        again = sign({"sub": "42", "channel": "$p"})
        assert say(socket, 5, sub_refresh={"channel": "$p", "token": again}) == {"id": 5, "sub_refresh": {}}
    with dial(daemon) as socket:
        assert (
            say(socket, 1, connect={"token": sign({"sub": "42", "exp": now_s - 1})})["error"]["code"] == 109
        )
    assert close_code(daemon, {"token": "forged"}) == 3500
    assert close_code(daemon, {"token": sign({"sub": "42", "channel": "c"})}) == 3500
    assert close_code(daemon, {}) == 3501


def test_a_key_set_is_fetched_and_fetched_again(daemon: Daemon, keys: KeyServer) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:  # the set may be on its way still
        with dial(daemon) as socket:
            reply = say(socket, 1, connect={"token": sign({"sub": "7"}, "ES256", header={"kid": "P-256"})})
        if "connect" in reply or time.monotonic() > deadline_s:
            break
    assert "connect" in reply
    keys.names = ["Ed25519"]
    asked = keys.asked
    while keys.asked < asked + 2 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    with dial(daemon) as socket:
        token = sign({"sub": "7"}, "EdDSA", header={"kid": "Ed25519"})
        assert "connect" in say(socket, 1, connect={"token": token})


def test_a_token_in_the_upgrade_request(daemon: Daemon) -> None:
    good, bad = sign({"sub": "42"}), sign({"sub": "42"})[:-3] + "abc"
    with dial(daemon, additional_headers={"Authorization": f"Bearer {good}"}) as socket:
        assert "connect" in say(socket, 1, connect={})
    with pytest.raises(InvalidStatus) as caught:
        dial(daemon, additional_headers={"Authorization": f"Bearer {bad}"})
    assert caught.value.response.status_code == 401
    assert caught.value.response.headers["WWW-Authenticate"].startswith("Bearer ")
    with pytest.raises(InvalidStatus) as caught:
        dial(daemon, additional_headers={"Origin": f"http://{daemon.host}:{daemon.port}"})
    assert caught.value.response.status_code == 403


def test_who_asks_too_often_is_told_so(daemon: Daemon) -> None:
    with dial(daemon) as socket:
        say(socket, 1, connect={"token": sign({"sub": "42"})})
        codes = [say(socket, n, publish={"channel": "c", "data": n})["error"]["code"] for n in range(2, 5)]
    assert codes == [103, 103, 111]


def test_the_official_sdk_renews_connection_and_subscription(daemon: Daemon) -> None:
    """Both rights last 2 s, with a grace of 1 s: who did not renew would be out in the fourth second."""
    asked: list[str] = []

    def short(**claims: object) -> str:
        return sign({"sub": "42", "exp": int(time.time()) + 2, **claims})

    async def token(*_: object) -> str:
        asked.append("connection")
        return short()

    async def channel_token(*_: object) -> str:
        asked.append("subscription")
        return short(channel="$p")

    async def scenario() -> None:
        events, channel = Connection(), Channel()
        client = Client(daemon.url("/connection/websocket"), events=events, get_token=token, proxy=None)
        subscription = client.new_subscription("$p", channel, get_token=channel_token)
        await soon(client.connect())
        await soon(subscription.subscribe())
        await soon(channel.subscribed.get())
        while min(asked.count("connection"), asked.count("subscription")) < 4:
            await asyncio.sleep(0.1)
        assert events.disconnected.empty()
        assert channel.unsubscribed.empty()
        assert events.connected.qsize() == 1
        await soon(client.disconnect())

    run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_no_token_is_in_the_log(daemon: Daemon) -> None:
    with pytest.raises(InvalidStatus):
        dial(daemon, additional_headers={"Authorization": f"Bearer {sign({'sub': '42', 'exp': 1})}"})
    until(lambda: "401" in daemon.stderr(), "a line of the refusal")
    log = daemon.stderr()
    assert SECRET not in log
    assert "eyJ" not in log
