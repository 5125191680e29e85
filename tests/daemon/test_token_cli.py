"""`wsloop token`: what it makes is good, what it checks is told, and its mistakes have hints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.hub.token_kit import SECRET, sign
from wsloop.daemon.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[object, str, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `wsloop token` with a file that holds the secret; return exit code, output and errors."""
    path = tmp_path / "wsloop.toml"
    path.write_text(f'[token]\nhmac_secret_key = "{SECRET}"\naudience = "us"\n')
    monkeypatch.delenv("WSLOOP_TOKEN__HMAC_SECRET_KEY", raising=False)

    def call(command: str, *arguments: str, config: bool = True) -> tuple[object, str, list[str]]:
        options = ["-c", str(path)] if config else []
        monkeypatch.setattr(sys, "argv", ["wsloop", "token", command, *options, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out.strip(), captured.err.splitlines()

    return call


def test_what_is_made_is_good(run: Run) -> None:
    code, token, errors = run("new", "--user", "42", "--exp", "7d", "--info", '{"name":"A"}')
    assert (code, errors) == (0, [])
    code, text, errors = run("check", token)
    assert (code, errors) == (0, [])
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["a", "good", "connection", "token"]
    assert ["user", "42"] in lines
    assert ["info", '{"name":"A"}'] in lines
    assert {line[0] for line in lines} >= {"expire_at", "issued_at", "token_id"}


def test_a_subscription_token_is_made_and_told(run: Run) -> None:
    _, token, _ = run("new", "--user", "42", "--exp", "0", "--channel", "$c", "--client", "id")
    _, text, _ = run("check", token)
    assert text.splitlines()[0] == "a good subscription token"
    assert "expire_at" not in text
    assert ["channel", "$c"] in [line.split() for line in text.splitlines()]


def test_the_secret_may_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, errors = run("new", config=False)
    assert code == 78
    assert errors[0] == "error: token.hmac_secret_key is not set"
    assert "$WSLOOP_TOKEN__HMAC_SECRET_KEY" in errors[1]
    monkeypatch.setenv("WSLOOP_TOKEN__HMAC_SECRET_KEY", SECRET)
    assert run("check", run("new", config=False)[1], config=False)[0] == 0


def test_a_token_that_is_not_good_is_told_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {
        "x.y.z": "its header or signature is not readable",
        "": "it does not have three parts in base64url",
        sign({"sub": "42"}): "it is for another audience",
        sign({"sub": "42", "aud": "us", "exp": 1}): "it has expired",
        sign({"sub": "42", "aud": "us", "channel": "c", "exp": 1}): "it has expired",
        sign({"sub": "42", "aud": "us"})[:-2] + "AA": "its signature does not hold",
    }
    for token, reason in bad.items():
        code, output, errors = run("check", token)
        assert (code, output, errors[0]) == (1, "", f"error: the token is not good: {reason}")


def test_subscription_tokens_are_signed_by_their_own_section(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "wsloop.toml").open("a") as file:
        file.write('[subscription_token]\nhmac_secret_key = "another secret, also long enough for all"\n')
    token = run("new", "--channel", "c")[1]
    assert run("check", token)[1].splitlines()[0] == "a good subscription token"
    with (tmp_path / "wsloop.toml").open("a") as file:
        file.write('algorithms = ["RS256"]\n')
    code, _, errors = run("new", "--channel", "c")
    assert (code, errors[0]) == (78, "error: subscription_token.algorithms allows none of the HMAC family")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exp", "1y"), "error: --exp: '1y' is no time"),
        (("--exp", "-1"), "error: --exp: '-1' is no time"),
        (("--info", "{"), "error: --info is not JSON"),
        (("--client", "x"), "error: --client is for subscription tokens"),
    ],
)
def test_mistakes_on_the_command_line_have_hints(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, output, errors = run("new", *arguments)
    assert (code, output, errors[0]) == (2, "", message)
    assert errors[1].startswith("hint: ")
