"""Signing tokens for tests: keys of every kind, made once, and tokens wrong in every way."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from wsloop.hub.token_keys import KIND_OF, Key, Keys, hmac_key, key_of
from wsloop.hub.tokens import JwtVerifier, TokenRules

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "a secret of the tests, long enough for every algorithm of the HMAC family: 64 bytes"
NOW_S = 1_700_000_000
"""The time at which the tokens of tests are judged, Unix seconds."""

KEY_NAMES = ("HMAC", "RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448")
"""One key of each kind, and for EdDSA of both curves."""

SIGNER_OF = {name: kind.replace("EdDSA", "Ed25519") for name, kind in KIND_OF.items()}
"""Algorithm -> name of the key that signs with it."""

_jws = jwt.PyJWS()


@functools.cache
def private_key(name: str) -> Any:
    """Return the private key of that name; the same object each time."""
    makers: dict[str, Any] = {
        "HMAC": lambda: SECRET,
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
        "Ed448": ed448.Ed448PrivateKey.generate,
    }
    return makers[name]()


@functools.cache
def public_pem(name: str) -> bytes:
    """Return the public key of that name as PEM."""
    public = private_key(name).public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(public.public_bytes(encoding, form))


@functools.cache
def public_jwk(name: str) -> dict[str, Any]:
    """Return the public key of that name as the members of a JWK."""
    makers: dict[str, Any] = {
        "RSA": jwt.algorithms.RSAAlgorithm.to_jwk,
        "P-256": jwt.algorithms.ECAlgorithm.to_jwk,
        "P-384": jwt.algorithms.ECAlgorithm.to_jwk,
        "P-521": jwt.algorithms.ECAlgorithm.to_jwk,
        "Ed25519": jwt.algorithms.OKPAlgorithm.to_jwk,
        "Ed448": jwt.algorithms.OKPAlgorithm.to_jwk,
    }
    made: dict[str, Any] = json.loads(makers[name](private_key(name).public_key()))
    return made


def key(name: str, *allowed: str) -> Key:
    """Return the key that judges what the private key of that name signed."""
    if name == "HMAC":
        return hmac_key(SECRET, allowed)
    return key_of(private_key(name).public_key(), allowed)


@functools.cache
def verifier(name: str = "HMAC", *allowed: str, audience: str = "", issuer: str = "") -> JwtVerifier:
    """Return a verifier with one key."""
    return JwtVerifier(TokenRules(Keys([key(name, *allowed)]), audience, issuer))


def pack(data: bytes | str) -> str:
    """Return base64url without padding."""
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def sign(
    claims: Mapping[str, object] | bytes | str,
    algorithm: str = "HS256",
    *,
    header: Mapping[str, object] | str | None = None,
    signer: str = "",
) -> str:
    """Return a token. `header` as text stands there as it is, as a mapping besides `alg` and `typ`."""
    if not isinstance(header, str):
        header = json.dumps({"typ": "JWT", "alg": algorithm, **(header or {})})
    body = claims if isinstance(claims, bytes | str) else json.dumps(claims)
    signed = f"{pack(header)}.{pack(body)}"
    method = _jws.get_algorithm_by_name(algorithm)
    signing_key = private_key(signer or SIGNER_OF[algorithm])
    signature = method.sign(signed.encode(), method.prepare_key(signing_key))
    return f"{signed}.{pack(signature)}"


def forge(claims: Mapping[str, object], algorithm: str, secret: bytes, **header: object) -> str:
    """Return a token with an HMAC by any secret, whatever its header says."""
    text = json.dumps({"alg": algorithm, **header})
    signed = f"{pack(text)}.{pack(json.dumps(claims))}"
    digest = getattr(hashlib, {"2": "sha256", "3": "sha384", "5": "sha512"}[algorithm[2]])
    return f"{signed}.{pack(hmac.digest(secret, signed.encode(), digest))}"
