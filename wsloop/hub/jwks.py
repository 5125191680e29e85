"""Key sets in JSON (JWKS, RFC 7517 section 5): which of their keys may judge tokens.

A set is shared by many readers, so what is of no use here is left out without a complaint: keys for
encryption, of unknown kinds, without an id, too weak, or secret (a set that is published holds no
secret). A set of which nothing is left is a mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from jwt import algorithms
from jwt.exceptions import InvalidKeyError

from wsloop.errors import ConfigError
from wsloop.hub.token_keys import KIND_OF, key_of, require_cryptography

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.token_keys import Key

MAX_KEYS = 64
"""Keys of one set. Issuers publish two to five; a set that is fetched must not fill the memory."""

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""Kind -> what makes the public key (RFC 7518 section 6, RFC 8037 section 2); more is never looked at."""


class _JsonKey(msgspec.Struct, frozen=True):
    kty: str = ""
    kid: str = ""
    use: str = ""
    key_ops: tuple[str, ...] = ("verify",)
    alg: str = ""
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _JsonSet(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


def parse(data: bytes, allowed: Iterable[str] = ()) -> dict[str, Key]:
    """Return the keys of a set by their ids; `allowed` narrows their algorithms, empty allows all.

    Raises ConfigError if it is no set of keys, or no key in it is of use. Of two keys of one id
    the first counts.
    """
    require_cryptography()
    try:
        found = msgspec.json.decode(data, type=_JsonSet).keys
    except (ValueError, RecursionError):  # of which DecodeError and UnicodeError are kinds
        raise ConfigError("the key set is not JSON with an array `keys`") from None
    if len(found) > MAX_KEYS:
        raise ConfigError(f"the key set holds more than {MAX_KEYS} keys")
    wanted = frozenset(allowed)
    keys: dict[str, Key] = {}
    for raw in found:
        key_id, key = _read(raw, wanted)
        if key is not None and key.algorithms:
            keys.setdefault(key_id, key)
    if not keys:
        raise ConfigError(
            "no key of the key set can be used",
            "each needs an id (kid), and kty RSA, EC or OKP for signatures",
        )
    return keys


def _read(raw: msgspec.Raw, allowed: frozenset[str]) -> tuple[str, Key | None]:
    """Return a key and its id; None if it is of no use."""
    try:
        key = msgspec.json.decode(raw, type=_JsonKey)
    except (ValueError, RecursionError):
        return "", None
    is_for_us = key.use in ("", "sig") and "verify" in key.key_ops
    if not key.kid or not is_for_us or key.kty not in _MEMBERS or (key.alg and key.alg not in KIND_OF):
        return "", None
    if key.alg:
        if allowed and key.alg not in allowed:
            return "", None
        allowed = frozenset({key.alg})
    try:
        return key.kid, _material(key, allowed)
    except (ConfigError, InvalidKeyError, ValueError):  # the two libraries' ways to say: that is no key
        return "", None


def _material(key: _JsonKey, allowed: frozenset[str]) -> Key:
    """Build the key from its public members alone."""
    public = {"kty": key.kty, **{name: getattr(key, name) for name in _MEMBERS[key.kty]}}
    makers = {
        "RSA": algorithms.RSAAlgorithm.from_jwk,
        "EC": algorithms.ECAlgorithm.from_jwk,
        "OKP": algorithms.OKPAlgorithm.from_jwk,
    }
    return key_of(makers[key.kty](public), allowed)
