"""`wsloop pub` with a server that answers by hand; with a real one: tests/system/test_ctl.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.daemon.talk_kit import NOBODY, URL, scripted
from wsloop.client.messages import CallError, PublishResult
from wsloop.daemon import talking
from wsloop.daemon.publisher import STDIN, Publisher

BUSY = CallError(100, "internal server error", temporary=True)


def publisher(data: str, *, is_text: bool = False, as_json: bool = False) -> Publisher:
    return Publisher(URL, "c", data, is_text=is_text, as_json=as_json, **NOBODY)


@pytest.mark.parametrize(
    ("as_json", "result", "said"),
    [
        (False, PublishResult(3, "e"), "published, offset 3\n"),
        (False, PublishResult(), "published\n"),
        (True, PublishResult(3, "e"), '{"offset": 3, "epoch": "e", "dup": false}\n'),
    ],
)
def test_one_is_published_once_and_told(
    as_json: bool, result: PublishResult, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(publisher("1", as_json=as_json)) as (talk, client, _):
        talk.on_connected(client, None)
        talk.on_connected(client, None)
        data, key = client.answer(result)
        assert (data, client.asked, client.is_closed) == (b"1", [], True)
        assert key
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out) == json.loads(said)
    else:
        assert out == said


def test_what_the_server_cannot_do_now_is_tried_again_under_the_same_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(talking, "AGAIN_S", 0.0)
    with scripted(publisher("1")) as (talk, client, _):
        talk.on_connected(client, None)
        first = client.answer(BUSY)
        talk.reactor.run_once()
        assert client.answer(PublishResult(1, "e")) == first
        assert client.is_closed


def test_who_ends_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "AGAIN_S", 0.0)
    with scripted(publisher("1")) as (talk, client, _):
        talk.on_connected(client, None)
        client.answer(BUSY)
        talk.end()
        talk.reactor.run_once()
        assert client.asked == []


def lines(talk: Publisher, *texts: str) -> None:
    for text in texts:
        talk._on_line(text, lambda: None)


def test_lines_before_a_wrong_one_are_published_and_none_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reading: list[Any] = []
    monkeypatch.setattr(Publisher, "read_lines", lambda *given: reading.append(given))
    with scripted(publisher(STDIN)) as (talk, client, _):
        talk.on_connected(client, None)
        assert len(reading) == 1
        lines(talk, "1", "2", "not JSON", "4")
        assert len(client.asked) == 2
        closed = []
        for offset in (1, 2):
            client.answer(PublishResult(offset, "e"))
            closed.append(client.is_closed)
        assert closed == [False, True]
        assert str(talk._error) == "line 3: the data is not JSON; 2 published before it"


def test_how_many_lines_there_were_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(publisher(STDIN, is_text=True)) as (talk, client, _):
        lines(talk, "a", "b")
        talk._on_end()
        assert client.answer(PublishResult(1, "e"))[0] == b'"a"'
        client.answer(PublishResult(2, "e"))
    assert capsys.readouterr().out == "2 published\n"


def test_a_refusal_is_the_end() -> None:
    with scripted(publisher("1")) as (talk, client, _):
        talk.on_connected(client, None)
        client.answer(CallError(103, "permission denied"))
        assert client.is_closed
        assert str(talk._error) == "not published: permission denied (103)"
