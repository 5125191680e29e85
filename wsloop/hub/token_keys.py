"""Keys that judge a token's signature, and which algorithms each of them may be used with.

A key is bound to its kind: what the token's header says only chooses among the algorithms of that
kind which the operator allows, so a public key is never taken for a secret (RFC 8725 sections 2.1
and 3.1). The mathematics is PyJWT's, and for public keys that of `cryptography`, which the extra
`jwt` brings. Importing this file takes some 20 ms: do it only where tokens are used.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import jwt
from jwt.exceptions import InvalidKeyError

from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND_OF = {
    "HS256": "HMAC",
    "HS384": "HMAC",
    "HS512": "HMAC",
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "EdDSA",
}
"""Algorithm -> kind of key (RFC 7518 section 3.1, RFC 8037 section 3.1). `none` is not one of them."""

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""Names of curves in `cryptography` -> kind of key: ES256 is for one curve only (RFC 7518 section 3.4)."""

LEAST_RSA_BITS = 2048
"""RFC 7518 section 3.3 demands it."""

_jws = jwt.PyJWS()


class Key:
    """One key. `kind` is a value of KIND_OF; `algorithms`, those it may be used with.

    `allowed` narrows these; an empty one allows all of the kind.
    """

    __slots__ = ("_material", "algorithms", "kind")

    def __init__(self, kind: str, material: Any, allowed: Iterable[str] = ()) -> None:  # noqa: ANN401 - PyJWT's own
        wanted = frozenset(allowed)
        self.kind = kind
        self._material = material
        self.algorithms = frozenset(
            name for name, its_kind in KIND_OF.items() if its_kind == kind and (not wanted or name in wanted)
        )

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Tell whether `signature` of `signed` was made with this key by `algorithm`.

        False for an algorithm that is not the key's. HMACs are compared in constant time.
        """
        if algorithm not in self.algorithms:
            return False
        return _jws.get_algorithm_by_name(algorithm).verify(signed, self._material, signature)


class Keys:
    """The keys of one kind of token: fixed ones, one of each kind, and sets, configured and fetched.

    A key of a set is found by its id (`kid`) only. A token that names none of them is judged by
    the fixed key that its algorithm is for. So every token costs one signature at most.
    `is_awaited`: the fetched set has not come yet, so that a token may be good whose key is not known.
    """

    __slots__ = ("_by_id", "_fetched", "_fixed", "is_awaited")

    def __init__(self, fixed: Iterable[Key] = (), by_id: Mapping[str, Key] | None = None) -> None:
        self._fixed: Mapping[str, Key] = {algorithm: key for key in fixed for algorithm in key.algorithms}
        self._by_id: Mapping[str, Key] = dict(by_id or {})
        self._fetched: Mapping[str, Key] = {}
        self.is_awaited = False

    def __len__(self) -> int:
        return len({id(key) for key in self._fixed.values()}) + len({**self._by_id, **self._fetched})

    def find(self, algorithm: str, key_id: str) -> Key | None:
        """Return the key that judges a token of this header, None if there is none."""
        named = self._fetched.get(key_id) or self._by_id.get(key_id)
        return named if named is not None else self._fixed.get(algorithm)

    def adopt(self, other: Keys) -> None:
        """Let the configured keys of another be these; those that were fetched stay."""
        self._fixed, self._by_id = other._fixed, other._by_id

    def replace_fetched(self, by_id: Mapping[str, Key]) -> None:
        """Let other keys be the fetched set; the configured ones stay."""
        self._fetched = dict(by_id)
        self.is_awaited = False


def hmac_key(secret: str | bytes, allowed: Iterable[str] = ()) -> Key:
    """Return the key of a shared secret.

    Raises ConfigError for an empty one, and for a public key or a JWK that was put in its place.
    """
    try:
        material = _jws.get_algorithm_by_name("HS256").prepare_key(secret)
    except InvalidKeyError:
        raise ConfigError(
            "the HMAC secret is empty, or looks like a key of another kind",
            "a secret is some random text; public keys have their own settings",
        ) from None
    return Key("HMAC", material, allowed)


def public_key(pem: str | bytes, allowed: Iterable[str] = ()) -> Key:
    """Return the key in a PEM text; raises ConfigError if it cannot be used."""
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - an extra

    text = pem.encode() if isinstance(pem, str) else pem
    hint = "a public key begins with -----BEGIN PUBLIC KEY-----"
    if b"PRIVATE KEY" in text:
        raise ConfigError("a private key is given for tokens, which are only verified here", hint)
    try:
        material = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("a public key for tokens is not PEM", hint) from None
    return key_of(material, allowed)


def key_of(material: Any, allowed: Iterable[str] = ()) -> Key:  # noqa: ANN401 - any object of `cryptography`
    """Return a key around a public key of `cryptography`.

    Raises ConfigError for kinds and sizes that no algorithm of tokens is for.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa  # noqa: PLC0415 - an extra

    if isinstance(material, rsa.RSAPublicKey):
        if material.key_size < LEAST_RSA_BITS:
            raise ConfigError(f"an RSA key for tokens has less than {LEAST_RSA_BITS} bits")
        return Key("RSA", material, allowed)
    if isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return Key("EdDSA", material, allowed)
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name in CURVES:
        return Key(CURVES[material.curve.name], material, allowed)
    raise ConfigError("a public key is of a kind that no token is signed with")


def require_cryptography() -> None:
    """Raise ConfigError if public keys cannot be used here."""
    if importlib.util.find_spec("cryptography") is None:
        raise ConfigError(
            "public keys need the package cryptography", "install it with: pip install 'wsloop[jwt]'"
        )
