"""Questions between processes: who answers them, and what becomes of all the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from wsloop.cluster.codec import LinkError
from wsloop.cluster.desk import API, API_TIMEOUT_S, Desk, Survey

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_question_goes_to_whoever_answers_its_kind() -> None:
    desk = Desk()
    heard: list[Any] = []
    desk.add("a", lambda name, body, done: heard.append(("a", name, body, done)))
    desk.add("b", lambda name, body, done: heard.append(("b", name, body, done)))
    for name in ("a/x", "b", "a/x/y"):
        desk(name, b"?", heard.append)
    assert heard == [
        ("a", "x", b"?", heard.append),
        ("b", "", b"?", heard.append),
        ("a", "x/y", b"?", heard.append),
    ]
    with pytest.raises(KeyError):
        desk("c/x", b"?", heard.append)


class Service:
    """The hub process's end of the links: what it carries is at most `most` bytes."""

    most = 10

    def call_all(
        self, name: str, body: bytes, timeout_s: float, done: Callable[[dict[int, bytes | None]], object]
    ) -> None:
        assert (name, timeout_s) == (f"{API}/info", API_TIMEOUT_S)
        if len(body) > self.most:
            raise LinkError("longer than a link carries")
        done({0: b"first", 3: None})


@pytest.mark.parametrize(("size", "answers"), [(10, [b"first", None]), (11, [None])])
def test_a_survey_has_an_answer_of_each_and_is_no_answer_if_it_cannot_be_asked(
    size: int, answers: list[bytes | None]
) -> None:
    found: list[list[bytes | None]] = []
    Survey(cast("Any", Service())).ask("info", bytes(size), found.append)
    assert found == [answers]
