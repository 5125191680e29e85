"""Keys: from which texts they are made, and what they refuse to be."""

from __future__ import annotations

import importlib.util

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from tests.hub.token_kit import KEY_NAMES, NOW_S, SECRET, SIGNER_OF, key, private_key, public_pem, sign
from wsloop.errors import ConfigError
from wsloop.hub.token_keys import KIND_OF, Keys, hmac_key, key_of, public_key
from wsloop.hub.tokens import JwtVerifier, TokenRules


@pytest.mark.parametrize("algorithm", [name for name in KIND_OF if not name.startswith("HS")])
def test_a_public_key_in_pem_judges_tokens(algorithm: str) -> None:
    made = public_key(public_pem(SIGNER_OF[algorithm]).decode())
    judging = JwtVerifier(TokenRules(Keys([made])))
    assert judging.verify_connection(sign({"sub": "42"}, algorithm), NOW_S).user == "42"


@pytest.mark.parametrize("name", KEY_NAMES)
def test_a_key_knows_its_algorithms(name: str) -> None:
    kind = "EdDSA" if name.startswith("Ed") else name
    assert key(name).kind == kind
    assert key(name).algorithms == {algorithm for algorithm, its in KIND_OF.items() if its == kind}
    assert key(name, "HS384", "RS384", "ES384").algorithms == {
        algorithm for algorithm in ("HS384", "RS384", "ES384") if KIND_OF[algorithm] == kind
    }


def test_a_key_does_not_verify_by_an_algorithm_that_is_not_its_own() -> None:
    assert not key("HMAC").verify("RS256", b"", b"")
    assert not key("RSA").verify("none", b"", b"")


@pytest.mark.parametrize("text", ["", '{"kty":"oct","k":"AA"}', "ssh-rsa AAAAB3NzaC1yc2E="])
def test_what_is_no_secret_is_told_at_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="HMAC secret"):
        hmac_key(text)


@pytest.mark.parametrize("name", KEY_NAMES[1:])
def test_a_public_key_in_the_place_of_the_secret_is_told_at_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="HMAC secret"):
        hmac_key(public_pem(name))


@pytest.mark.parametrize("text", ["", SECRET, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_what_is_no_key_is_told_at_the_start_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        public_key(text)
    assert not text or text not in str(caught.value)


def test_a_private_key_is_not_taken() -> None:
    pem = private_key("RSA").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigError, match="private key"):
        public_key(pem)


def test_weak_and_strange_keys_are_not_taken() -> None:
    with pytest.raises(ConfigError, match="2048 bits"):
        key_of(rsa.generate_private_key(65537, 1024).public_key())
    for private in (ec.generate_private_key(ec.SECP256K1()), dsa.generate_private_key(1024)):
        with pytest.raises(ConfigError, match="no token is signed with"):
            key_of(private.public_key())


def test_a_key_of_the_set_is_found_by_its_id_only() -> None:
    keys = Keys([key("HMAC")], {"a": key("RSA")})
    assert len(keys) == 2
    assert keys.find("RS256", "a") is not None
    assert keys.find("RS256", "b") is None
    assert keys.find("RS256", "") is None
    assert keys.find("HS256", "b") is keys.find("HS256", "")
    # A token that names a key is judged by that key, which has no such algorithm.
    named = keys.find("HS256", "a")
    assert named is not None
    assert not named.verify("HS256", b"", b"")
    keys.replace_fetched({"b": key("RSA")})
    assert len(keys) == 3
    assert None not in (keys.find("RS256", "a"), keys.find("RS256", "b"), keys.find("HS256", ""))
    keys.adopt(Keys((), {"c": key("RSA")}))
    found = [keys.find("RS256", name) is not None for name in "abc"]
    assert (found, keys.find("HS256", "")) == ([False, True, True], None)


def test_without_cryptography_a_public_key_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="cryptography") as caught:
        public_key(public_pem("RSA"))
    assert "wsloop[jwt]" in caught.value.hint
