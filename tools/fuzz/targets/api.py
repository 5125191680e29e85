"""Requests of the server API, to a real hub with clients on it: a result, an error, or a refusal by HTTP.

The first line is what follows `/api/`, then lines of headers, an empty line, and the body. Behind a `!` the
method is one of `wsloop ctl`. Clients hear the consequences, and what they hear must be JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from tests.hub.scripted import ScriptedVerifier
from tests.hub.support import World
from tools.fuzz.shaping import promise
from wsloop.errors import HandshakeError
from wsloop.hub.codes import INTERNAL_ERROR, Code
from wsloop.hub.grants import Identity
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.operations import table
from wsloop.hub.operations.core import Operations
from wsloop.hub.operations.results import Process
from wsloop.hub.options import HubOptions
from wsloop.protocol.events import Request
from wsloop.server.api import PREFIX, Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.support import Peer
    from wsloop.hub.operations.results import Result

KEY = "a-key-of-the-fuzzer"
OPTIONS = HubOptions(allow_anonymous=True, personal_channel=True, broadcast_channel="all")
NAMESPACES = {**dev_namespaces(), "group": Namespace(history_size=10, history_ttl_s=60.0)}
RECORDER = frozenset(("record", "recorded"))
"""Methods of the flight recorder's, which belongs to a server's sockets."""


class Desk:
    """A hub with three clients, and its operations."""

    def __init__(self) -> None:
        verifier = ScriptedVerifier()
        verifier.identities["ann"] = Identity("ann", meta=b'{"plan":"pro"}', token_id="t", issued_at=7)
        self.world = World(OPTIONS, NAMESPACES, verifier=verifier)
        self.later: list[Callable[[], object]] = []
        self.operations = Operations(
            self.world.hub,
            later=self.later.append,
            uid="u",
            name="n",
            process=lambda: Process(cpu=0.0, rss=0),
            slowest=lambda _count: [],
        )
        self.peers = [self._client("ann"), self._client("ann"), self._client("")]

    def _client(self, token: str) -> Peer:
        peer = self.world.open()
        peer.say({"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": "chat:a"}})
        peer.take()
        return peer

    def call(self, name: str, body: bytes) -> None:
        """Call a method, let it end, and judge what it says."""
        outcomes: list[Result | Code] = []
        try:
            table.call(self.operations, name, body, outcomes.append)
        except table.NotJsonError as error:
            str(error).encode()
            return
        while self.later:
            self.later.pop(0)()
        promise(len(outcomes) == 1, f"{len(outcomes)} answers")
        promise(outcomes[0] is not INTERNAL_ERROR, "an internal error")
        if isinstance(outcomes[0], Code):
            outcomes[0].message.encode()
        else:
            json.loads(msgspec.json.encode(outcomes[0]))
        for peer in self.peers:
            peer.take()


def one_input(data: bytes) -> None:
    """See the module."""
    head, _, body = data.partition(b"\n\n")
    target, *lines = head.decode("latin-1").split("\n")
    desk = Desk()
    if target.startswith("!"):
        if target[1:] not in RECORDER:
            desk.call(target[1:], body)
        return
    path, _, query = (PREFIX + target).partition("?")
    pairs = tuple(
        (name.strip().lower().encode(), value.strip().encode("latin-1"))
        for name, _, value in (line.partition(":") for line in lines)
    )
    request = Request("POST", PREFIX + target, path, query, pairs, body=body)
    try:
        promise(Api(desk.operations, KEY).admit(request) > 0, "a body of no length")
    except HandshakeError as error:
        promise(400 <= error.status < 500, f"refused with {error.status}")
        return
    desk.call(path.removeprefix(PREFIX), body)


ASKED = f"X-API-Key: {KEY}\nContent-Length: 9"
EDGES = (
    "", "a", "chat:a", "group:a", "nowhere:a", "#ann", "$p", "\u00e9", "ann", "all", "x" * 300, "\0", "{",
    "[a", "user == 'ann'",
)  # fmt: skip
NEEDED: dict[str, Any] = {
    "channel": "chat:a",
    "user": "ann",
    "group": "a",
    "channels": ["chat:a", "#ann", "group:a", "nowhere:a"],
    "data": {"text": "hi"},
    "uid": "t",
    "commands": [{"publish": {"channel": "chat:a", "data": 1}}, {"info": {}}, {"batch": {}}],
}
"""Without which a method refuses a call at once."""

FIELDS: dict[str, Any] = {
    "b64data": "e30=", "tags": {"a": "1"}, "limit": -1, "since": {"offset": 2**64, "epoch": ""},
    "disconnect": {"code": 4000, "reason": "go"}, "expire_at": 2**32, "pattern": "chat:*", "info": [1],
    "override": {"presence": {"value": True}}, "recover_since": {"offset": 0}, "version": 3,
    "version_epoch": "v", "idempotency_key": "k", "delta": True, "channel_pattern": "[ac]*",
    "expression": "user == 'ann' && !(\"x\" in channels)", "parallel": True, "skip_history": True,
    "reverse": True,
}  # fmt: skip


@st.composite
def _calls(draw: st.DrawFn) -> bytes:
    """Draw a method with some of its fields, most of them right."""
    name = draw(st.sampled_from(sorted({*table.METHODS, *table.CONTROL_METHODS} - RECORDER)))
    method = table.METHODS.get(name) or table.CONTROL_METHODS[name]
    names = method.request.__struct_fields__
    chosen = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    any_text = st.sampled_from(EDGES)
    wrong = st.one_of(any_text, st.integers(-1, 2**64), st.none(), st.just([]), st.just({}), st.just(1e300))
    body = {field: value for field, value in NEEDED.items() if field in names}
    for field in chosen:
        body[field] = FIELDS[field] if field in FIELDS else body.get(field, "")
    if draw(st.booleans()):
        for field in draw(st.lists(st.sampled_from(names), max_size=2)) if names else ():
            body[field] = draw(any_text | wrong)
    first = f"!{name}\n\n" if name in table.CONTROL_METHODS else f"{name}\n{ASKED}\n\n"
    return first.encode() + json.dumps(body).encode()


def inputs() -> st.SearchStrategy[bytes]:
    """Draw calls, right and wrong, and heads that are refused."""
    refused = st.sampled_from(
        (
            "info?api_key=%FF",
            f"info?api_key={KEY}\nContent-Length: 2",
            "rpc\n" + ASKED,
            "x/y",
            "info\nAuthorization: apikey \xe9",
        )
    )
    return _calls() | refused.map(lambda head: head.encode("latin-1") + b"\n\n{}")
