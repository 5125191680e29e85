"""`cent`, the official client of Centrifugo's server API, unchanged, both kinds, against a real daemon."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from tests.system.daemon import PATIENCE_S, Daemon
from wsloop.hub.operations import table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        importlib.util.find_spec("cent") is None and "CI" not in os.environ,
        reason="cent is not installed: pip install 'cent>=5.2,<6'",
    ),
]

KEY = "test-api-key"
CONFIG = f"""
[admin]
port = 0
api_key = "{KEY}"

[client]
broadcast_channel = "all"
"""

LATER = {"expire_at": 4_000_000_000}

NOT_OURS: dict[str, dict[str, Any]] = {
    "update_user_status": {"users": ["u"]},
    "get_user_status": {"users": ["u"]},
    "delete_user_status": {"users": ["u"]},
    "device_register": {"provider": "fcm", "token": "t", "platform": "android"},
    "device_update": {},
    "device_remove": {},
    "device_list": {},
    "device_topic_list": {},
    "device_topic_update": {"device_id": "d", "op": "add", "topics": []},
    "user_topic_list": {},
    "user_topic_update": {"user": "u", "op": "add", "topics": []},
    "send_push_notification": {"recipient": None, "notification": None},
    "update_push_status": {"analytics_uid": "a", "status": "delivered"},
    "cancel_push": {"uid": "u"},
}
"""What cent can ask for and Centrifugo sells for push notifications and user status: error 108."""


class Caller:
    """Calls a method of cent's by its name: of the blocking client, or of the asynchronous one."""

    def __init__(self, url: str, kind: str, key: str = KEY) -> None:
        self._url, self._kind, self._key = url, kind, key

    def __call__(self, method: str, **fields: Any) -> Any:
        import cent

        name = "".join(part.title() for part in method.split("_"))
        request = getattr(cent.dto, f"{name}Request")(**fields)
        if self._kind == "blocking":
            with cent.Client(self._url, self._key) as client:
                return getattr(client, method)(request)

        async def ask() -> Any:
            async with cent.AsyncClient(self._url, self._key) as client:
                return await getattr(client, method)(request)

        return asyncio.run(ask())


class Listener:
    """A raw client of the daemon; `hear` waits for a push that holds a key."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._connection.send('{"id":1,"connect":{"name":"raw","version":"0"}}')
        self.id: str = json.loads(self._connection.recv(timeout=PATIENCE_S))["connect"]["client"]

    def hear(self, kind: str) -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            text = self._connection.recv(timeout=deadline_s - time.monotonic())
            for line in str(text).split("\n"):
                push = json.loads(line).get("push", {})
                if kind in push:
                    return push[kind]

    def closed_with(self) -> int:
        """Read to the end, and return the code that it was closed with."""
        try:
            while True:
                self._connection.recv(timeout=PATIENCE_S)
        except Exception:
            return int(self._connection.protocol.close_code or 0)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    path: Path = tmp_path_factory.mktemp("cent") / "wsloop.toml"
    path.write_text(CONFIG, encoding="utf-8")
    with Daemon("-c", str(path)) as started:
        yield started
        assert "Traceback" not in started.stderr()
        assert KEY not in started.stderr()


def url_of(daemon: Daemon) -> str:
    found = re.search(r"(http://\S+/api)/ ", daemon.banner)
    assert found, daemon.banner
    return found[1]


@pytest.fixture(params=["blocking", "asynchronous"])
def call(daemon: Daemon, request: pytest.FixtureRequest) -> Caller:
    return Caller(url_of(daemon), request.param)


@pytest.fixture
def listener(daemon: Daemon) -> Iterator[Listener]:
    with connect(daemon.url("/connection/websocket")) as connection:
        yield Listener(connection)


def test_publish_and_broadcast(call: Caller, listener: Listener) -> None:
    call("subscribe", user="", client=listener.id, channel="chat:cent", data={"x": 1})
    assert listener.hear("subscribe")["data"] == {"x": 1}
    first = call("publish", channel="chat:cent", data={"a": 1}, tags={"k": "v"}, idempotency_key=listener.id)
    assert listener.hear("pub") == {"data": {"a": 1}, "offset": first.offset, "tags": {"k": "v"}}
    answer = call("broadcast", channels=["chat:cent", "nowhere:x"], data="b")
    assert answer.responses[0].result.offset == first.offset + 1
    assert answer.responses[1].error.code == 102
    assert listener.hear("pub")["data"] == "b"


def test_history_presence_and_channels(call: Caller, listener: Listener) -> None:
    import cent

    call("history_remove", channel="chat:h")
    call("subscribe", user="", client=listener.id, channel="chat:h", info={"i": 1})
    for number in range(3):
        call("publish", channel="chat:h", data=number)
    whole = call("history", channel="chat:h", limit=10)
    assert [pub.data for pub in whole.publications] == [0, 1, 2]
    since = cent.StreamPosition(offset=1, epoch=whole.epoch)
    assert [pub.offset for pub in call("history", channel="chat:h", limit=1, since=since).publications] == [2]
    newest = call("history", channel="chat:h", limit=1, reverse=True)
    assert [pub.data for pub in newest.publications] == [2]
    presence = call("presence", channel="chat:h").presence
    assert presence[listener.id].chan_info == {"i": 1}
    stats = call("presence_stats", channel="chat:h")
    assert (stats.num_clients, stats.num_users) == (1, 1)
    assert call("channels", pattern="chat:h").channels["chat:h"].num_clients == 1


def test_info_and_connections(call: Caller, listener: Listener) -> None:
    (node,) = call("info").nodes
    assert node.num_clients >= 1
    assert node.process.rss > 1_000_000
    assert node.metrics.items["commands"] >= 1
    found = call("connections", user="", expression=f"client == '{listener.id}'").connections
    assert found[listener.id].app_name == "raw"
    assert found[listener.id].state.channels["all"].source == 1


def test_unsubscribe_refresh_and_disconnect(call: Caller, listener: Listener) -> None:
    import cent

    call("unsubscribe", user="", client=listener.id, channel="all")
    assert listener.hear("unsubscribe")["code"] == 2000
    call("refresh", user="", client=listener.id, **LATER)
    assert listener.hear("refresh")["expires"]
    farewell = cent.Disconnect(code=4005, reason="enough")
    call("disconnect", user="", client=listener.id, disconnect=farewell)
    assert listener.closed_with() == 4005


def test_a_batch(call: Caller) -> None:
    import cent

    requests = [
        cent.PublishRequest(channel="chat:batch", data=1),
        cent.InfoRequest(),
        cent.HistoryRequest(channel="chat:batch", limit=1, reverse=True),
    ]
    for parallel in (True, False):
        replies = call("batch", requests=requests, parallel=parallel).replies
        assert replies[0].offset >= 1
        assert replies[1].nodes[0].version
        assert replies[2].publications[0].data == 1


def test_errors_are_cents_own_kinds(call: Caller, daemon: Daemon) -> None:
    import cent

    with pytest.raises(cent.CentApiResponseError) as caught:
        call("publish", channel="nowhere:x", data=1)
    assert (caught.value.code, caught.value.message) == (102, "unknown channel")
    with pytest.raises(cent.CentUnauthorizedError):
        Caller(url_of(daemon), "blocking", "another-key")("info")


@pytest.mark.parametrize("method", NOT_OURS)
def test_what_is_not_offered_says_so(call: Caller, method: str) -> None:
    import cent

    name = "".join(part.title() for part in method.split("_"))
    request = getattr(cent.dto, f"{name}Request").model_construct(**NOT_OURS[method])
    with cent.Client(call._url, KEY) as client, pytest.raises(cent.CentApiResponseError) as caught:
        getattr(client, method)(request)
    assert caught.value.code == 108


def test_rights_are_taken_back(call: Caller) -> None:
    for user, method, fields in (
        ("ann", "block_user", LATER),
        ("ann", "unblock_user", {}),
        ("bob", "invalidate_user_tokens", {"issued_before": 1, **LATER}),
    ):
        call(method, user=user, **fields)
    call("revoke_token", uid="jti-1", **LATER)


def test_every_method_of_cent_is_one_of_ours_or_known_not_to_be() -> None:
    import cent

    for kind in (cent.Client, cent.AsyncClient):
        names = {name for name, _ in inspect.getmembers(kind, inspect.isfunction)}
        methods = {name for name in names if not name.startswith("_")} - {"close"}
        assert methods - table.METHODS.keys() == NOT_OURS.keys()
