"""Tokens through the verifier, with keys of three kinds: an identity, a right, or an error with a name.

The first byte chooses: `t` a token as it comes; `h`, `s` or `e` two parts with a line break between, header
and claims, that are signed with HS256, RS256 or EdDSA, so that what is in them is read at all; `k` a set of
keys. Whatever passes is signed as its header says.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json

import jwt
from hypothesis import strategies as st

from tests.hub.token_kit import NOW_S, SECRET, key, pack, private_key, public_jwk, sign
from tools.fuzz.shaping import promise
from wsloop.errors import ConfigError
from wsloop.hub import jwks
from wsloop.hub.replies import one_line
from wsloop.hub.token_claims import MAX_TTL_S
from wsloop.hub.token_keys import Keys
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError

ALGORITHMS = {b"h": "HS256", b"s": "RS256", b"e": "EdDSA"}
SIGNERS = {"HS256": "HMAC", "RS256": "RSA", "EdDSA": "Ed25519"}


@functools.cache
def verifiers() -> tuple[JwtVerifier, JwtVerifier]:
    """Return one that takes any audience, and one that does not."""
    keys = Keys([key(name) for name in SIGNERS.values()], {"named": key("Ed25519")})
    return JwtVerifier(TokenRules(keys)), JwtVerifier(TokenRules(keys, "here", "us"))


def one_input(data: bytes) -> None:
    """See the module."""
    kind, rest = data[:1], data[1:]
    if kind == b"t":
        _judge(rest.decode("utf-8", "replace"), "")
    elif kind == b"k":
        _read_keys(rest)
    elif kind in ALGORITHMS:
        header, _, claims = rest.partition(b"\n")
        _judge(_signed(header, claims, ALGORITHMS[kind]), ALGORITHMS[kind])


def _signed(header: bytes, claims: bytes, algorithm: str) -> str:
    signed = f"{pack(header)}.{pack(claims)}"
    method = jwt.PyJWS().get_algorithm_by_name(algorithm)
    signing_key = method.prepare_key(private_key(SIGNERS[algorithm]))
    return f"{signed}.{pack(method.sign(signed.encode(), signing_key))}"


def _judge(token: str, algorithm: str) -> None:
    """Have a token judged that is signed with `algorithm`, "" if by whoever wrote it."""
    for verifier in verifiers():
        try:
            identity = verifier.verify_connection(token, NOW_S)
            promise(0 <= identity.expire_at <= NOW_S + MAX_TTL_S, f"it ends at {identity.expire_at}")
            for payload in (identity.info, identity.meta):
                promise(not payload or one_line(payload) == payload, "a payload that is not JSON on one line")
            _check_signature(token, algorithm)
        except (InvalidTokenError, ExpiredTokenError) as error:
            promise(len(token) < 40 or token not in str(error), "a token is shown")
        try:
            found = verifier.verify_subscription(token, NOW_S)
            promise(bool(found.channel), "a right to no channel")
            _check_signature(token, algorithm)
        except (InvalidTokenError, ExpiredTokenError):
            pass


def _check_signature(token: str, algorithm: str) -> None:
    """See that the signature was made for what the header says; nobody here can make another."""
    signed, _, signature = token.rpartition(".")
    said = json.loads(_unpacked(token.partition(".")[0]))["alg"]
    if algorithm:
        promise(said == algorithm, f"signed with {algorithm}, and taken for {said}")
    else:
        digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}.get(said, "")
        promise(bool(digest), f"a signature with {said} that nobody made")
        made = hmac.digest(SECRET.encode(), signed.encode(), digest)
        promise(made == _unpacked(signature), "a signature that does not hold")


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _read_keys(data: bytes) -> None:
    try:
        found = jwks.parse(data)
    except ConfigError:
        return
    promise(0 < len(found) <= jwks.MAX_KEYS, f"{len(found)} keys")
    for each in found.values():
        for algorithm in each.algorithms:
            promise(not each.verify(algorithm, b"said", b"not signed"), "anything passes for a signature")


HEADERS = (
    '{"alg":"%s"}',
    '{"alg":"%s","kid":"named"}',
    '{"alg":"none"}',
    '{"alg":"%s","crit":["b64"]}',
    "[]",
    "{",
)
CLAIMS = (
    '{"sub":"ann","exp":1800000000,"info":{"a":[1,null]},"channels":["chat:a"]}',
    '{"sub":"ann","channel":"$p","expire_at":0,"client":"c","override":{"presence":{"value":true}}}',
    '{"sub":"ann","exp":1,"nbf":2.5,"iat":3,"aud":["here"],"iss":"us","jti":"x"}',
    '{"subs":{"chat:a":{"b64info":"eyJhIjoxfQ==","data":"x"}},"b64info":"e30","meta":null}',
    '{"exp":9007199254740993}', '{"sub":7}', "{}", "null",
)  # fmt: skip


def inputs() -> st.SearchStrategy[bytes]:
    """Draw tokens to be signed and tokens signed already, and sets of keys."""
    parts = st.tuples(
        st.sampled_from(tuple(ALGORITHMS.items())), st.sampled_from(HEADERS), st.sampled_from(CLAIMS)
    )
    to_sign = parts.map(
        lambda said: said[0][0] + said[1].replace("%s", said[0][1]).encode() + b"\n" + said[2].encode()
    )
    signed = st.sampled_from(CLAIMS).map(lambda claims: b"t" + sign(claims, "HS256").encode())
    raw = st.text("abcABC0._-=", max_size=30).map(lambda text: b"t" + text.encode())
    return to_sign | signed | raw | _key_sets().map(lambda text: b"k" + text.encode())


@functools.cache
def _key_sets() -> st.SearchStrategy[str]:
    kinds = [{"kid": name, **public_jwk(name)} for name in ("RSA", "P-256", "Ed25519", "Ed448")]
    damage = st.dictionaries(
        st.sampled_from(("kty", "crv", "x", "y", "n", "e", "use", "alg", "kid")),
        st.sampled_from(("AQAB", "", "X25519", "RSA", "EC", "OKP", "P-384", "enc", "EdDSA", "\u00e9", 7)),
        max_size=2,
    )
    one = st.builds(lambda kind, other: {**kind, **other}, st.sampled_from(kinds), damage)
    return st.lists(one, max_size=3).map(lambda keys: json.dumps({"keys": keys}))
