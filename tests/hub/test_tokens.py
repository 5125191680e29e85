"""What a good token grants; that no bytes whatever make the verifier fail in another way."""

from __future__ import annotations

import contextlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.token_kit import NOW_S, SECRET, key, pack, sign, verifier
from wsloop.hub.grants import Identity, Override, SubscriptionGrant, SubscriptionToken
from wsloop.hub.token_keys import Keys
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError, NoTokens

GOOD = sign({"sub": "42"})
OVERRIDE = {"presence": {"value": False}, "force_recovery": {"value": True}}


def test_a_connection_token_says_who_it_is() -> None:
    token = sign(
        {
            "sub": "42",
            "exp": NOW_S + 60,
            "iat": NOW_S - 5.5,
            "jti": "t-1",
            "info": {"name": "A\nB"},
            "meta": [1],
            "channels": ["a", "b"],
            "subs": {"b": {"info": {"x": 1}, "data": "d", "override": OVERRIDE}},
        }
    )
    assert verifier().verify_connection(token, NOW_S) == Identity(
        "42",
        info=b'{"name": "A\\nB"}',
        meta=b"[1]",
        expire_at=NOW_S + 60,
        issued_at=NOW_S - 6,
        token_id="t-1",
        subscriptions={
            "a": SubscriptionGrant(),
            "b": SubscriptionGrant(
                info=b'{"x": 1}', data=b'"d"', override=Override(presence=False, force_recovery=True)
            ),
        },
    )


def test_a_subscription_token_says_what_for() -> None:
    claims = {
        "sub": "42",
        "channel": "news",
        "client": "c",
        "expire_at": NOW_S + 9,
        "b64info": "e30=",
        "iat": 7,
    }
    assert verifier().verify_subscription(sign(claims), NOW_S) == SubscriptionToken(
        "42", "news", "c", SubscriptionGrant(info=b"{}", expire_at=NOW_S + 9), issued_at=7
    )


def test_payloads_are_on_one_line() -> None:
    identity = verifier().verify_connection(sign('{"info":{"a":\n[1,\r\n2]}}'), NOW_S)
    assert b"\n" not in identity.info
    assert identity.user == ""


def test_subscription_tokens_may_have_keys_of_their_own() -> None:
    judging = JwtVerifier(TokenRules(Keys([key("HMAC")])), TokenRules(Keys([key("Ed25519")])))
    by_hmac = {subject: sign(claims) for subject, claims in CLAIMS.items()}
    by_ed25519 = {subject: sign(claims, "EdDSA") for subject, claims in CLAIMS.items()}
    assert judging.verify_connection(by_hmac["connect"], NOW_S).user == "42"
    assert judging.verify_subscription(by_ed25519["subscribe"], NOW_S).channel == "news"
    with pytest.raises(InvalidTokenError):
        judging.verify_connection(by_ed25519["connect"], NOW_S)
    with pytest.raises(InvalidTokenError):
        judging.verify_subscription(by_hmac["subscribe"], NOW_S)


CLAIMS: dict[str, dict[str, object]] = {
    "connect": {"sub": "42"},
    "subscribe": {"sub": "42", "channel": "news"},
}


def test_without_keys_every_token_is_invalid() -> None:
    for judging in (NoTokens(), JwtVerifier(TokenRules(Keys()))):
        with pytest.raises(InvalidTokenError):
            judging.verify_connection(GOOD, NOW_S)
        with pytest.raises(InvalidTokenError):
            judging.verify_subscription(GOOD, NOW_S)


def test_a_payload_that_is_no_base64_is_invalid_though_it_is_signed() -> None:
    signed = f"{GOOD.partition('.')[0]}.AAAAA"
    signature = hmac.digest(SECRET.encode(), signed.encode(), "sha256")
    with pytest.raises(InvalidTokenError, match="payload"):
        verifier().verify_connection(f"{signed}.{pack(signature)}", NOW_S)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_=.-]{0,200}", fullmatch=True))
def test_any_text_is_an_invalid_token(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier().verify_connection(token, NOW_S)


@given(st.binary(max_size=300))
def test_any_signed_bytes_are_a_token_or_not(body: bytes) -> None:
    for judge in (verifier().verify_connection, verifier().verify_subscription):
        with contextlib.suppress(InvalidTokenError, ExpiredTokenError):
            judge(sign(body), NOW_S)


@pytest.mark.parametrize(("algorithm", "name"), [("HS256", "HMAC"), ("ES256", "P-256"), ("EdDSA", "Ed448")])
@given(data=st.data())
def test_no_other_byte_of_a_token_gives_another_verdict_than_invalid(
    algorithm: str, name: str, data: st.DataObject
) -> None:
    token = sign({"sub": "42"}, algorithm, signer=name)
    # Not the last: of the bits of a part's last digit some mean nothing (RFC 4648 section 3.5).
    place = data.draw(st.integers(0, len(token) - 2).filter(lambda index: token[index + 1] != "."))
    other = data.draw(st.characters().filter(lambda letter: letter != token[place]))
    with pytest.raises(InvalidTokenError):
        verifier(name).verify_connection(token[:place] + other + token[place + 1 :], NOW_S)


def test_what_is_not_utf_8_is_refused_even_where_nobody_reads_it() -> None:
    """RFC 7515 section 5.2, step 3, and RFC 7519 section 7.2, step 10."""
    with pytest.raises(InvalidTokenError):
        verifier().verify_connection(sign(b'{"sub":"42","\xff":1}'), NOW_S)
    header = pack(b'{"alg":"HS256","\xff":1}')
    signed = f"{header}.{pack('{}')}"
    signature = hmac.digest(SECRET.encode(), signed.encode(), "sha256")
    with pytest.raises(InvalidTokenError):
        verifier().verify_connection(f"{signed}.{pack(signature)}", NOW_S)


@given(st.integers(0, 2**40), st.floats(0, 2**40))
def test_a_token_is_good_from_its_first_moment_until_before_its_last(from_s: int, now_s: float) -> None:
    token = sign({"nbf": from_s, "exp": from_s + 100})
    if from_s <= now_s < from_s + 100:
        assert verifier().verify_connection(token, now_s).expire_at == from_s + 100
    else:
        with pytest.raises(InvalidTokenError if now_s < from_s else ExpiredTokenError):
            verifier().verify_connection(token, now_s)
