"""Key sets that are fetched: when, how often, and what a failure changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.kit import URL, World
from tests.hub.token_kit import NOW_S, public_jwk, sign
from wsloop.client.key_sets import JITTER, RETRY_S, KeySetFetcher
from wsloop.hub.token_keys import Keys
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.hub.verifier import InvalidTokenError, NotReadyError
from wsloop.testing.http_backend import GARBAGE, HANG, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERVAL_S = 100.0


def set_of(*names: str) -> Answer:
    return Answer({"keys": [{**public_jwk(name), "kid": name} for name in names]})


class Scene:
    """A fetcher, and a token of each key."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.world = World(answer or set_of("P-256"))
        self.keys = Keys()
        self.fetcher = KeySetFetcher(
            self.world.reactor,
            self.world.client,
            URL,
            self.keys,
            interval_s=INTERVAL_S,
            entropy=lambda count: b"\x80" + bytes(count - 1),
        )

    def judge(self, algorithm: str, key_id: str) -> Any:
        token = sign({"sub": "42"}, algorithm, header={"kid": key_id})
        return JwtVerifier(TokenRules(self.keys)).verify_connection(token, NOW_S)

    @property
    def asked(self) -> int:
        return len(self.world.there.requests)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.fetcher.stop()
    made.world.run_for(0.1)
    made.world.close()


def test_until_the_set_has_come_a_token_is_told_to_come_again(scene: Scene) -> None:
    scene.world.answer = HANG
    scene.fetcher.start()
    with pytest.raises(NotReadyError) as caught:
        scene.judge("ES256", "P-256")
    assert caught.value.error.temporary
    scene.world.answer = set_of("P-256")
    scene.world.run_until(lambda: not scene.keys.is_awaited)
    assert scene.judge("ES256", "P-256").user == "42"
    with pytest.raises(InvalidTokenError):
        scene.judge("RS256", "RSA")


def test_keys_come_and_go_with_the_set(scene: Scene) -> None:
    scene.fetcher.start()
    scene.world.run_until(lambda: not scene.keys.is_awaited)
    scene.world.answer = set_of("RSA")
    scene.world.run_for(INTERVAL_S + 1)
    assert scene.judge("RS256", "RSA").user == "42"
    with pytest.raises(InvalidTokenError):
        scene.judge("ES256", "P-256")


def test_it_asks_once_an_interval_whatever_tokens_come(scene: Scene) -> None:
    scene.fetcher.start()
    scene.world.run_until(lambda: not scene.keys.is_awaited)
    for number in range(100):
        with pytest.raises(InvalidTokenError):
            scene.judge("ES256", f"unknown {number}")
    scene.world.run_for(1)
    assert scene.asked == 1
    scene.world.run_for(10 * INTERVAL_S)
    assert scene.asked == 11


@pytest.mark.parametrize(
    "bad",
    [
        GARBAGE,
        HANG,
        Answer(status=500),
        Answer(status=302),
        Answer({"keys": []}),
        Answer(b"<html>"),
        Answer(b'{"keys":[{"kid":"\xff"}]}'),
    ],
    ids=["garbage", "hang", "500", "redirect", "empty set", "html", "not UTF-8"],
)
def test_a_failure_keeps_the_keys_and_tries_again_sooner(
    scene: Scene, bad: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    scene.fetcher.start()
    scene.world.run_until(lambda: not scene.keys.is_awaited)
    scene.world.answer = bad
    scene.world.run_until(lambda: caplog.records, within_s=2 * INTERVAL_S)
    assert scene.judge("ES256", "P-256").user == "42"
    scene.world.answer = set_of("P-256", "RSA")
    scene.world.run_for(RETRY_S * (1 + JITTER) + 1)
    assert scene.judge("RS256", "RSA").user == "42"
    assert len(caplog.records) == 1


def test_failures_are_asked_about_ever_less_often() -> None:
    scene = Scene(Answer(status=500))
    scene.fetcher.start()
    scene.world.run_for(INTERVAL_S)
    assert scene.asked == 5  # at 0, 5, 15, 35, 75 s
    scene.world.run_for(10 * INTERVAL_S)
    assert scene.asked <= 16
    scene.fetcher.stop()
    scene.world.close()


def test_after_stop_nothing_is_asked(scene: Scene) -> None:
    scene.fetcher.start()
    scene.world.run_until(lambda: not scene.keys.is_awaited)
    scene.fetcher.stop()
    scene.world.run_for(5 * INTERVAL_S)
    assert scene.asked == 1
