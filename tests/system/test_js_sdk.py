"""The official JavaScript SDK, unchanged, in node and in Chromium, against a real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.system import js_sdk
from tests.system.cable import Cable
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.fetched import npm_packages
from tests.system.peers import MESSAGING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.system.js_sdk import JsPeer

pytestmark = pytest.mark.system

ROOM = "chat:js"


@pytest.fixture(scope="module")
def packages() -> Path:
    return npm_packages()


CONFIG = """
[ws]
per_message_deflate = "off"

[namespaces.delta]
history_size = 100
history_ttl_s = 300
force_recovery = true
allowed_delta_types = ["fossil"]
delta_publish = true
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_subscriber = true
allow_publish_for_anonymous = true
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    path = tmp_path_factory.mktemp("js") / "wsloop.toml"
    path.write_text(CONFIG, encoding="utf-8")
    with Daemon("-c", str(path)) as running:
        yield running


@contextlib.asynccontextmanager
async def peers(engine: str, packages: Path, *servers: Daemon | Cable) -> AsyncIterator[list[JsPeer]]:
    """Open a client for each of `servers`, which is what it will connect to."""
    ports = [server.port for server in servers]
    opened = js_sdk.node(packages, len(ports)) if engine == "node" else js_sdk.chromium(packages, ports)
    async with opened as found:
        yield found


async def enter(peer: JsPeer, url: str, name: str, channel: str, **options: Any) -> tuple[str, Any]:
    """Connect and subscribe; return the client's id, and what the SDK tells of the subscription."""
    await peer.call("connect", url, {"data": {"name": name}})
    connected = await peer.next("connected")
    await peer.call("subscribe", channel, options)
    return connected["client"], await peer.next("subscribed", channel=channel)


SECRET = "a secret of these tests, long enough"
TOKENS_CONFIG = f"""
[token]
hmac_secret_key = "{SECRET}"

[client]
personal_channel = true
expired_grace_s = 5

[channels]
presence = true
history_size = 10
history_ttl_s = 60
force_recovery = true
allow_publish_for_subscriber = true
allow_presence_for_subscriber = true
"""


@pytest.fixture(scope="module")
def closed_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon to which one comes with a token only."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    path = tmp_path_factory.mktemp("js") / "wsloop.toml"
    origin = f'[server]\nallowed_origins = ["http://127.0.0.1:{port}"]\n'
    path.write_text(origin + TOKENS_CONFIG, encoding="utf-8")
    with Daemon("-c", str(path), dev=False, port=port) as running:
        yield running


def token(lives_s: float, **claims: object) -> str:
    return jwt.encode({"sub": "42", "exp": int(time.time() + lives_s), **claims}, SECRET, "HS256")


ENGINES = pytest.mark.parametrize("engine", ["node", "chromium"])


@ENGINES
def test_two_clients_come_talk_look_around_and_go(engine: str, packages: Path, daemon: Daemon) -> None:
    async def scenario() -> None:
        room, url = f"{ROOM}-{engine}", daemon.url(MESSAGING)
        async with peers(engine, packages, daemon, daemon) as (ann, bob):
            ann_id, told = await enter(ann, url, "Ann", room, joinLeave=True)
            assert told["recoverable"]
            assert told["positioned"]
            assert (await ann.next("join", channel=room))["info"]["client"] == ann_id
            bob_id, _ = await enter(bob, url, "Bob", room, joinLeave=True)
            assert (await ann.next("join", channel=room))["info"]["client"] == bob_id

            await ann.call("publish", room, {"text": "Hello, \u00e9\u6f22\U0001f600"})
            heard = await bob.next("publication", channel=room)
            assert heard["data"] == {"text": "Hello, \u00e9\u6f22\U0001f600"}
            assert heard["offset"] == 1
            assert heard["info"]["client"] == ann_id
            assert await ann.take(room, 1) == [heard["data"]]

            assert set((await bob.call("presence", room))["clients"]) == {ann_id, bob_id}
            assert await bob.call("presenceStats", room) == {"numClients": 2, "numUsers": 1}
            history = await bob.call("history", room, {"limit": 10})
            assert [each["offset"] for each in history["publications"]] == [1]
            assert history["offset"] == 1

            await bob.call("disconnect")
            assert (await bob.next("disconnected"))["code"] == 0
            assert (await ann.next("leave", channel=room))["info"]["client"] == bob_id

    asyncio.run(scenario())


@ENGINES
def test_what_was_missed_while_the_cable_was_cut_is_recovered(
    engine: str, packages: Path, daemon: Daemon
) -> None:
    async def scenario() -> None:
        room = f"{ROOM}-cut-{engine}"
        async with Cable(daemon) as cable, peers(engine, packages, daemon, cable) as (ann, bob):
            await enter(ann, daemon.url(MESSAGING), "Ann", room)
            await enter(bob, cable.url(), "Bob", room)
            await ann.call("publish", room, 1)
            assert await bob.take(room, 1) == [1]
            await cable.cut()
            await bob.next("subscribing", channel=room)
            await bob.next("subscribing", channel=room)
            for number in (2, 3, 4):
                await ann.call("publish", room, number)
            await cable.mend()
            told = await bob.next("subscribed", channel=room)
            assert told["wasRecovering"]
            assert told["recovered"]
            assert await bob.take(room, 3) == [2, 3, 4]
            await ann.call("publish", room, 5)
            assert await bob.take(room, 1) == [5]

    asyncio.run(scenario())


@ENGINES
def test_differences_are_put_together_across_a_cut(engine: str, packages: Path, daemon: Daemon) -> None:
    def state(number: int) -> dict[str, Any]:
        return {
            "players": ["Ann", "B\u00f6b", "\u6f22\u5b57"] * 20,
            "turn": number,
            "emoji": "\U0001f600" * number,
        }

    async def scenario() -> None:
        room = f"delta:{engine}"
        async with Cable(daemon) as cable, peers(engine, packages, daemon, cable) as (ann, bob):
            await enter(ann, daemon.url(MESSAGING), "Ann", room)
            await enter(bob, cable.url(), "Bob", room, delta="fossil")
            for number in (1, 2, 3):
                await ann.call("publish", room, state(number))
            assert await bob.take(room, 3) == [state(number) for number in (1, 2, 3)]
            assert cable.deltas_seen == 1 + 2  # the grant, then the first one is whole
            await cable.cut()
            await bob.next("subscribing", channel=room)
            await bob.next("subscribing", channel=room)
            for number in (4, 5):
                await ann.call("publish", room, state(number))
            await cable.mend()
            assert (await bob.next("subscribed", channel=room))["recovered"]
            await ann.call("publish", room, state(6))
            assert await bob.take(room, 3) == [state(number) for number in (4, 5, 6)]
            assert cable.deltas_seen == 3 + 1 + 2

    asyncio.run(scenario())


@ENGINES
def test_an_error_of_rpc_reaches_the_caller_and_the_connection_goes_on(
    engine: str, packages: Path, daemon: Daemon
) -> None:
    async def scenario() -> None:
        async with peers(engine, packages, daemon) as (ann,):
            await enter(ann, daemon.url(MESSAGING), "Ann", ROOM)
            with pytest.raises(js_sdk.RefusedError) as caught:
                await ann.call("rpc", "nothing", {})
            assert caught.value.code == 108
            await ann.call("publish", ROOM, "on")
            assert (await ann.take(ROOM, 1)) == ["on"]

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


@ENGINES
def test_tokens_are_renewed_while_the_connection_goes_on(
    engine: str, packages: Path, closed_daemon: Daemon
) -> None:
    lives_s = (3, 6, 600)

    async def scenario() -> None:
        private = f"$private-{engine}"
        async with peers(engine, packages, closed_daemon) as (ann,):
            tokens = [token(each) for each in lives_s]
            await ann.call("connect", closed_daemon.url(MESSAGING), {"tokens": tokens})
            client = (await ann.next("connected"))["client"]
            tokens = [token(each, channel=private) for each in lives_s]
            await ann.call("subscribe", private, {"tokens": tokens})
            await ann.next("subscribed", channel=private)
            # The SDK asks for the next one only when the one before was good, and has come to its end.
            assert [await ann.next("token") for _ in lives_s] == [2, 1, 0]
            assert [await ann.next("token", channel=private) for _ in lives_s] == [2, 1, 0]
            await ann.call("publish", private, "still here")
            assert await ann.take(private, 1) == ["still here"]
            assert set((await ann.call("presence", private))["clients"]) == {client}

    asyncio.run(scenario())


@ENGINES
@pytest.mark.parametrize(
    ("given", "code"), [(jwt.encode({"sub": "42"}, SECRET[::-1], "HS256"), 3500), (None, 3501)]
)
def test_who_has_no_good_token_is_told_and_stays_away(
    engine: str, given: str | None, code: int, packages: Path, closed_daemon: Daemon
) -> None:
    async def scenario() -> None:
        async with peers(engine, packages, closed_daemon) as (ann,):
            await ann.call("connect", closed_daemon.url(MESSAGING), {"tokens": [given]} if given else {})
            assert (await ann.next("disconnected"))["code"] == code

    asyncio.run(scenario())
