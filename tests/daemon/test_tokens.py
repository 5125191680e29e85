"""From `[token]` to a verifier: secrets, PEM, files; what is told at the start and what never is."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.hub.token_kit import NOW_S, SECRET, private_key, public_jwk, public_pem, sign
from wsloop.daemon import compose
from wsloop.daemon.config import Sources, load, read
from wsloop.daemon.settings import Settings, TokenSettings
from wsloop.daemon.tokens import build
from wsloop.errors import ConfigError
from wsloop.hub.verifier import InvalidTokenError
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from pathlib import Path


def settings(subscription: Any = None, **token: Any) -> Settings:
    return Settings(token=TokenSettings(**token), subscription_token=subscription)


def user_of(made: Settings, token: str) -> str:
    return build(made).verifier.verify_connection(token, NOW_S).user


KEYS = [
    ("rsa_public_key", "RSA", "RS256"),
    ("rsa_public_key", "RSA", "PS512"),
    ("ecdsa_public_key", "P-384", "ES384"),
    ("eddsa_public_key", "Ed25519", "EdDSA"),
]


@pytest.mark.parametrize(("name", "signer", "algorithm"), KEYS)
def test_a_public_key_is_a_text_or_a_file(name: str, signer: str, algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem(signer))
    token = sign({"sub": "42"}, algorithm)
    assert user_of(settings(**{name: str(path)}), token) == "42"
    assert user_of(settings(**{name: public_pem(signer).decode()}), token) == "42"


@pytest.mark.parametrize("section", ["token", "subscription_token"])
def test_the_environment_goes_before_the_file(section: str, tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text(f"[{section}]\nhmac_secret_key = 'the secret of the file, which is long enough'\n")
    variable = f"WSLOOP_{section.upper()}__HMAC_SECRET_KEY"
    made = read(Sources(path, environ={variable: SECRET})).settings
    assert getattr(made, section).hmac_secret_key == SECRET
    assert made.has_token_keys
    assert not Settings().has_token_keys


def test_a_secret_in_the_environment_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="WSLOOP_TOKEN__HMAC_SECRET_KEY is not UTF-8"):
        read(Sources(environ={"WSLOOP_TOKEN__HMAC_SECRET_KEY": "\udcff" * 32}))


def test_a_key_set_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{**public_jwk("P-256"), "kid": "one"}]}))
    assert user_of(settings(jwks_file=str(path)), sign({"sub": "42"}, "ES256", header={"kid": "one"})) == "42"


def test_subscription_tokens_have_rules_of_their_own() -> None:
    own = TokenSettings(eddsa_public_key=public_pem("Ed448").decode(), issuer="us")
    verifier = build(settings(own, hmac_secret_key=SECRET)).verifier
    claims = {"channel": "c", "iss": "us"}
    assert verifier.verify_subscription(sign(claims, "EdDSA", signer="Ed448"), NOW_S).channel == "c"
    with pytest.raises(InvalidTokenError):
        verifier.verify_subscription(sign(claims), NOW_S)


def test_algorithms_audience_and_issuer_are_the_operators() -> None:
    made = settings(hmac_secret_key=SECRET, algorithms=("HS512",), audience="us", issuer="home")
    claims = {"sub": "42", "aud": ["us"], "iss": "home"}
    assert user_of(made, sign(claims, "HS512")) == "42"
    for bad in (sign(claims), sign({**claims, "aud": "x"}, "HS512"), sign({**claims, "iss": "x"}, "HS512")):
        with pytest.raises(InvalidTokenError):
            user_of(made, bad)


def test_a_set_from_an_address_is_to_be_fetched() -> None:
    made = build(settings(jwks_url="https://id.example/keys?a=b", jwks_interval=60.0))
    (source,) = made.sources
    assert (str(source.url), source.interval_s) == ("https://id.example:443/keys", 60.0)


def test_key_files_are_read_again_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    pem, keys = tmp_path / "key.pem", tmp_path / "keys.json"

    def write(fixed: str, member: str) -> None:
        pem.write_bytes(public_pem(fixed))
        keys.write_text(json.dumps({"keys": [{**public_jwk(member), "kid": member}]}))

    def users() -> list[bool]:
        good = []
        for algorithm, key_id in (("ES256", ""), ("ES384", ""), ("RS256", "RSA"), ("EdDSA", "Ed25519")):
            try:
                made.verifier.verify_connection(sign({}, algorithm, header={"kid": key_id}), NOW_S)
            except InvalidTokenError:
                good.append(False)
            else:
                good.append(True)
        return good

    write("P-256", "RSA")
    files = settings(ecdsa_public_key=str(pem), jwks_file=str(keys))
    made = build(files)
    assert users() == [True, False, True, False]
    write("P-384", "Ed25519")
    made = made.adopt(build(files))
    assert users() == [False, True, False, True]
    write("P-256", "RSA")
    keys.write_text("{}")
    with pytest.raises(ConfigError):
        made.adopt(build(files))
    assert users() == [False, True, False, True]


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://id.example/keys", True),
        ("https://id.example/keys", False),
        ("http://127.0.0.1:9/keys", False),
    ],
)
def test_a_key_set_over_plain_http_is_warned_of(
    url: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    build(settings(jwks_url=url))
    assert ("is not https" in caplog.text) is warns


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"hmac_secret_key": "ssh-rsa AAAA"}, "token.hmac_secret_key: the HMAC secret"),
    ({"rsa_public_key": "/no/such/file"}, "token.rsa_public_key: cannot read"),
    ({"rsa_public_key": "-----BEGIN PUBLIC KEY-----\nAAAA"}, "token.rsa_public_key: a public key"),
    ({"jwks_file": "/no/such/file"}, "token.jwks_file: cannot read"),
    ({"jwks_file": "/dev/null"}, "token.jwks_file: the key set"),
    ({"jwks_url": "ftp://id.example/"}, "token.jwks_url"),
]


@pytest.mark.parametrize(("token", "message"), MISTAKES)
def test_a_bad_key_is_told_at_the_start(token: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(settings(**token))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "signer"),
    [("rsa_public_key", "P-256"), ("ecdsa_public_key", "RSA"), ("eddsa_public_key", "RSA")],
)
def test_a_key_of_another_kind_is_told_at_the_start(name: str, signer: str) -> None:
    with pytest.raises(ConfigError, match="of another kind"):
        build(settings(**{name: public_pem(signer).decode()}))


def test_a_private_key_is_refused_and_not_repeated() -> None:
    from cryptography.hazmat.primitives import serialization as form

    secret = private_key("P-256").private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    with pytest.raises(ConfigError, match="private key") as caught:
        build(settings(ecdsa_public_key=secret.decode()))
    assert secret.decode()[40:80] not in str(caught.value)


def test_a_short_secret_is_warned_of_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    build(settings(hmac_secret_key="hunter2"))
    assert "can be guessed" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    build(settings(hmac_secret_key=SECRET))
    assert caplog.text == ""


def test_without_keys_nothing_is_loaded() -> None:
    assert compose.tokens(load(None, {})) is None
    with pytest.raises(ConfigError, match=r"auth\.required"):
        compose.tokens(load(None, {"auth": {"required": True, "bearer": True}}))
    made = load(None, {"token": {"hmac_secret_key": SECRET}, "auth": {"cookie": "sid"}})
    options = compose.options(made, compose.tokens(made))
    assert options.verifier is not None
    assert options.auth is not None
    assert (options.auth.cookie, options.auth.bearer, options.auth.required) == ("sid", False, False)


def test_sets_are_fetched_until_that_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    with MemoryServer() as house:
        tokens = build(settings(jwks_url="http://127.0.0.1:9/keys", algorithms=["RS256"]))
        stop = tokens.fetch(house.reactor, house.network, bytes)
        house.run_for(1.0)  # nobody listens there
        told = len(caplog.messages)
        assert told > 0
        stop()
        house.run_for(10_000.0)
        assert len(caplog.messages) == told


def test_a_section_that_is_left_out_has_no_keys_any_more() -> None:
    own = TokenSettings(eddsa_public_key=public_pem("Ed448").decode())
    running = build(settings(own, hmac_secret_key=SECRET))
    adopted = running.adopt(build(settings(hmac_secret_key=SECRET)))
    assert list(adopted.keys) == ["token"]
    assert adopted.keys["token"] is running.keys["token"]
