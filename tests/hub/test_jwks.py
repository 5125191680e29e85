"""Key sets: what is read, what is left out, what is a mistake."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.token_kit import KEY_NAMES, NOW_S, SIGNER_OF, public_jwk, sign
from wsloop.errors import ConfigError
from wsloop.hub import jwks
from wsloop.hub.token_keys import KIND_OF, Keys
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.hub.verifier import InvalidTokenError

PUBLIC = KEY_NAMES[1:]


def member(name: str = "P-256", **other: Any) -> dict[str, Any]:
    return {**public_jwk(name), "kid": name, **other}


def text(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


@pytest.mark.parametrize("algorithm", [name for name in KIND_OF if not name.startswith("HS")])
def test_a_set_of_all_kinds_judges_by_key_id(algorithm: str) -> None:
    judging = JwtVerifier(TokenRules(Keys((), jwks.parse(text(*(member(name) for name in PUBLIC))))))
    signer = SIGNER_OF[algorithm]
    token = sign({"sub": "42"}, algorithm, header={"kid": signer})
    assert judging.verify_connection(token, NOW_S).user == "42"
    for wrong in ({}, {"kid": "unknown"}, *({"kid": name} for name in PUBLIC if name != signer)):
        with pytest.raises(InvalidTokenError):
            judging.verify_connection(sign({"sub": "42"}, algorithm, header=wrong), NOW_S)


LEFT_OUT: list[dict[str, Any]] = [
    {"use": "enc"},
    {"use": "other"},
    {"key_ops": ["sign"]},
    {"key_ops": []},
    {"kid": ""},
    {"kid": 7},
    {"kty": "oct", "k": "AAAA"},
    {"kty": "unknown"},
    {"kty": ""},
    {"kty": 1},
    {"alg": "none"},
    {"alg": "ES384"},
    {"alg": "HS256"},
    {"alg": "ECDH-ES"},
    {"crv": "P-257"},
    {"crv": "secp256k1"},
    {"crv": ""},
    {"x": "AAAA"},
    {"x": ""},
    {"y": "!"},
    {"x": None},
]


@pytest.mark.parametrize("change", LEFT_OUT, ids=str)
def test_a_key_of_no_use_is_left_out(change: dict[str, Any]) -> None:
    good = member("Ed25519")
    assert set(jwks.parse(text(member(**change), good, 7, None, {}))) == {"Ed25519"}
    with pytest.raises(ConfigError, match="no key of the key set"):
        jwks.parse(text(member(**change)))


@pytest.mark.parametrize("bad", [b'{"kid":"\xff"}', b'{"kty":"\xff"}', b'{"\xff":1}'])
def test_what_is_not_utf_8_is_left_out(bad: bytes) -> None:
    good = json.dumps(member("Ed25519")).encode()
    assert set(jwks.parse(b'{"keys":[%b,%b]}' % (bad, good))) == {"Ed25519"}
    with pytest.raises(ConfigError):
        jwks.parse(b'{"keys":[%b]}' % bad)


def test_a_weak_rsa_key_is_left_out() -> None:
    with pytest.raises(ConfigError):
        jwks.parse(text(member("RSA", n="AQAB")))


@pytest.mark.parametrize(
    "change", [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "ES256"}, {"x5c": ["x"]}], ids=str
)
def test_a_key_for_signatures_is_read(change: dict[str, Any]) -> None:
    assert jwks.parse(text(member(**change)))["P-256"].algorithms == {"ES256"}


def test_algorithms_are_narrowed_by_the_key_and_by_the_operator() -> None:
    both = member("RSA", alg="RS384")
    assert jwks.parse(text(both))["RSA"].algorithms == {"RS384"}
    assert jwks.parse(text(member("RSA")), ["RS256", "ES256"])["RSA"].algorithms == {"RS256"}
    with pytest.raises(ConfigError):
        jwks.parse(text(both), ["RS256"])


def test_of_two_keys_of_one_id_the_first_counts() -> None:
    keys = jwks.parse(text(member("RSA", kid="a"), member("P-256", kid="a")))
    assert keys["a"].kind == "RSA"


def test_a_private_member_is_not_looked_at() -> None:
    assert jwks.parse(text(member(d="not even a number")))["P-256"].kind == "P-256"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[]}',
        b"\xff",
        b"<html>",
        b"[" * 5000,
    ],
)
def test_what_is_no_set_is_a_mistake(data: bytes) -> None:
    with pytest.raises(ConfigError):
        jwks.parse(data)


def test_a_set_has_a_bound() -> None:
    members = [member(kid=str(number)) for number in range(jwks.MAX_KEYS)]
    assert len(jwks.parse(text(*members))) == jwks.MAX_KEYS
    with pytest.raises(ConfigError, match="more than"):
        jwks.parse(text(*members, member()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(("kty", "kid", "alg", "crv", "x", "y", "n", "e", "use", "key_ops")), JSON)
)
def test_any_key_is_read_or_left_out(change: dict[str, Any]) -> None:
    assert "good" in jwks.parse(text(member("RSA", **change), member(kid="good")))
