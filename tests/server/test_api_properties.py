"""Whatever a caller sends, it gets an answer that HTTP and the API know, and nothing breaks."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.api_kit import ApiHouse, post
from wsloop.hub.operations import table

EDGES = [
    "",
    "a",
    "chat:a",
    "group:a",
    "nowhere:a",
    "#ann",
    "$p",
    "a*",
    "\u00e9",
    "ann",
    "all",
    "x" * 300,
    "\x00",
    "{",
    "[a",
]
TEXTS = st.sampled_from(EDGES) | st.text(max_size=5)
NUMBERS = st.sampled_from([0, 1, -1, 2**31, 2**53, 2**64, 3000, 4999]) | st.floats(allow_nan=False, width=16)
SIMPLE = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Any]:
    """A method and a request that has some of its fields, with values of any kind."""
    name = draw(st.sampled_from(sorted(table.METHODS)))
    fields = table.METHODS[name].request.__struct_fields__
    chosen = draw(st.lists(st.sampled_from(fields), unique=True)) if fields else []
    return name, {field: draw(TEXTS if field in ("user", "channel") else JSON) for field in chosen}


@settings(max_examples=60, deadline=None)
@given(st.lists(calls() | st.tuples(st.sampled_from(sorted(table.METHODS)), JSON), min_size=1, max_size=8))
def test_no_request_breaks_anything(requests: list[tuple[str, Any]]) -> None:
    with ApiHouse(personal_channel=True, broadcast_channel="all") as house:
        client = house.user("ann")
        house.ask(client, subscribe={"channel": "chat:a"})
        faults: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: faults.append(record.getMessage())  # type: ignore[method-assign]
        handler.setLevel(logging.ERROR)
        logging.getLogger("wsloop").addHandler(handler)
        try:
            for name, request in requests:
                status, body = house.exchange(post(name, json.dumps(request).encode()))
                assert status in (200, 400)
                answer = msgspec.json.decode(body)
                assert len({"result", "error", "replies"} & answer.keys()) == 1
                assert answer.get("error", {}).get("code") != 100
            house.run_for(1.0)
        finally:
            logging.getLogger("wsloop").removeHandler(handler)
        assert faults == []
        assert house.call("info")["nodes"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]",:channeldt01\\u', max_size=30).map(str.encode))
def test_no_body_breaks_anything(body: bytes) -> None:
    with ApiHouse() as house:
        for name in ("publish", "batch", "info"):
            status, answer = house.exchange(post(name, body))
            assert status in (200, 400)
            assert isinstance(msgspec.json.decode(answer), dict)
