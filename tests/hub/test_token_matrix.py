"""Algorithm x key x claim: every row is a token, whether it is one of ours, and why.

The tables are the tests. "ok", "invalid" and "expired" are the three things that can be said of a
token; claims are judged as RFC 7519 and the client protocol say, algorithms as RFC 8725 does.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub.token_kit import KEY_NAMES, NOW_S, SIGNER_OF, forge, pack, public_pem, sign, verifier
from wsloop.hub.token_claims import MAX_TTL_S
from wsloop.hub.token_keys import KIND_OF
from wsloop.hub.tokens import MAX_TOKEN_BYTES, JwtVerifier
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError

OK, INVALID, EXPIRED = "ok", "invalid", "expired"
USER = {"sub": "42"}
CHANNEL = {"sub": "42", "channel": "news"}
PUBLIC_KEYS = KEY_NAMES[1:]


def judge(judging: JwtVerifier, token: str, *, subscribing: bool = False) -> str:
    """Return what a verifier says of a token at NOW_S."""
    try:
        if subscribing:
            judging.verify_subscription(token, NOW_S)
        else:
            judging.verify_connection(token, NOW_S)
    except InvalidTokenError:
        return INVALID
    except ExpiredTokenError:
        return EXPIRED
    return OK


# -- algorithm x key: 13 x 7 ---------------------------------------------------------------------


@pytest.mark.parametrize("key_name", KEY_NAMES)
@pytest.mark.parametrize("algorithm", KIND_OF)
def test_a_key_judges_tokens_of_its_own_algorithms_only(algorithm: str, key_name: str) -> None:
    expected = OK if SIGNER_OF[algorithm] == key_name else INVALID
    assert judge(verifier(key_name), sign(USER, algorithm)) == expected


# -- algorithm x allowed: 13 x 5 ------------------------------------------------------------------


@pytest.mark.parametrize("allowed", ["HS256", "HS512", "RS256", "PS384", "ES256"])
@pytest.mark.parametrize("algorithm", KIND_OF)
def test_what_the_operator_did_not_allow_is_invalid_with_the_right_key_too(
    algorithm: str, allowed: str
) -> None:
    expected = OK if algorithm == allowed else INVALID
    assert judge(verifier(SIGNER_OF[algorithm], allowed), sign(USER, algorithm)) == expected


# -- attacks on the algorithm: key x trick ----------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key_name", PUBLIC_KEYS)
def test_a_public_key_is_no_secret(key_name: str, algorithm: str) -> None:
    assert judge(verifier(key_name), forge(USER, algorithm, public_pem(key_name))) == INVALID


@pytest.mark.parametrize("key_name", PUBLIC_KEYS)
@pytest.mark.parametrize("algorithm", [name for name in KIND_OF if name[:2] != "HS"])
def test_a_header_cannot_make_an_hmac_pass_for_another_algorithm(key_name: str, algorithm: str) -> None:
    signed = f"{pack(json.dumps({'alg': algorithm}))}.{pack(json.dumps(USER))}"
    signature = forge(USER, "HS256", public_pem(key_name)).rpartition(".")[2]
    assert judge(verifier(key_name), f"{signed}.{signature}") == INVALID


NO_ALGORITHM = (
    "none",
    "None",
    "NONE",
    "nOnE",
    "",
    "HS",
    "hs256",
    "HS256 ",
    "HS1",
    "ES256K",
    "ES521",
    "RSA1_5",
)


@pytest.mark.parametrize("key_name", KEY_NAMES)
@pytest.mark.parametrize("name", NO_ALGORITHM)
def test_no_algorithm_is_no_signature(name: str, key_name: str) -> None:
    unsigned = f"{pack(json.dumps({'alg': name}))}.{pack(json.dumps(USER))}"
    signature = sign(USER).rpartition(".")[2]
    assert judge(verifier(key_name), f"{unsigned}.") == INVALID
    assert judge(verifier(key_name), f"{unsigned}.{signature}") == INVALID


@pytest.mark.parametrize("signer", ["RSA", "P-256", "Ed25519"])
@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "x5t"])
def test_a_key_that_the_token_brings_along_is_not_looked_at(member: str, signer: str) -> None:
    algorithm = next(name for name, its in SIGNER_OF.items() if its == signer)
    header = {member: "https://attacker.example/keys"}
    assert judge(verifier("HMAC"), sign(USER, algorithm, header=header)) == INVALID
    assert judge(verifier(signer), sign(USER, algorithm, header=header)) == OK


# -- the header ---------------------------------------------------------------------------------------

HEADERS: list[tuple[str, str]] = [
    ('{"alg":"HS256"}', OK),
    ('{"alg":"HS256","typ":"JWT"}', OK),
    ('{"alg":"HS256","typ":"at+jwt"}', OK),
    ('{"alg":"HS256","typ":7}', OK),
    ('{"alg":"HS256","cty":"x","unknown":[1]}', OK),
    ('{"alg":"HS256","kid":"any"}', OK),
    ('{"alg":"HS256","kid":""}', OK),
    ('{"alg":"HS256","kid":"../../../../dev/null"}', OK),
    ('{"alg":"HS256","kid":"\' OR 1=1 --"}', OK),
    ('{"alg":"none","alg":"HS256"}', OK),
    (' {"alg" : "HS256"} ', OK),
    ('{"alg":"HS256","alg":"none"}', INVALID),
    ('{"alg":"HS256","kid":7}', INVALID),
    ('{"alg":"HS256","kid":null}', INVALID),
    ('{"alg":"HS256","kid":["a"]}', INVALID),
    ('{"alg":["HS256"]}', INVALID),
    ('{"alg":null}', INVALID),
    ('{"alg":256}', INVALID),
    ('{"ALG":"HS256"}', INVALID),
    ('{"typ":"JWT"}', INVALID),
    ("{}", INVALID),
    ("[]", INVALID),
    ('"HS256"', INVALID),
    ("null", INVALID),
    ("HS256", INVALID),
    ('{"alg":"HS256"', INVALID),
    ('{"alg":"HS256"}{}', INVALID),
    ('{"alg":"HS256","crit":["exp"],"exp":1}', INVALID),
    ('{"alg":"HS256","crit":[]}', INVALID),
    ('{"alg":"HS256","crit":null}', INVALID),
    ('{"alg":"HS256","crit":["b64"],"b64":false}', INVALID),
    ('{"alg":"HS256","b64":false}', OK),
    ("[" * 20_000, INVALID),
    ('{"a":' * 4_000 + "1" + "}" * 4_000, INVALID),
    ("\u00ff", INVALID),
]


@pytest.mark.parametrize(("header", "expected"), HEADERS, ids=[header[:40] for header, _ in HEADERS])
def test_headers(header: str, expected: str) -> None:
    assert judge(verifier(), sign(USER, header=header)) == expected


# -- the form -----------------------------------------------------------------------------------------

GOOD = sign(USER)
HEAD, BODY, SIGNATURE = GOOD.split(".")
OTHER_HEAD, OTHER_BODY = pack('{"alg":"HS512"}'), pack('{"sub":"43"}')

FORMS: list[tuple[str, str]] = [
    (GOOD, OK),
    ("", INVALID),
    (".", INVALID),
    ("..", INVALID),
    ("...", INVALID),
    ("not a token", INVALID),
    (HEAD, INVALID),
    (f"{HEAD}.{BODY}", INVALID),
    (f"{HEAD}.{BODY}.", INVALID),
    (f".{BODY}.{SIGNATURE}", INVALID),
    (f"{HEAD}..{SIGNATURE}", INVALID),
    (f"{GOOD}.", INVALID),
    (f"{GOOD}.{SIGNATURE}", INVALID),
    (f"{GOOD}=", INVALID),
    (f"{GOOD}==", INVALID),
    (f"{HEAD}=.{BODY}.{SIGNATURE}", INVALID),
    (f"{HEAD}.{BODY}=.{SIGNATURE}", INVALID),
    (f" {GOOD}", INVALID),
    (f"{GOOD} ", INVALID),
    (f"{GOOD}\n", INVALID),
    (f"{HEAD}.{BODY}\n.{SIGNATURE}", INVALID),
    (f"Bearer {GOOD}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE[:-1]}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE[:1]}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE[1:]}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE}A", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE}AAAA", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE[::-1]}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE.swapcase()}", INVALID),
    (f"{HEAD}.{BODY[:-4]}.{SIGNATURE}", INVALID),
    (f"{HEAD}.{OTHER_BODY}.{SIGNATURE}", INVALID),
    (f"{OTHER_HEAD}.{BODY}.{SIGNATURE}", INVALID),
    (f"{BODY}.{HEAD}.{SIGNATURE}", INVALID),
    (f"{HEAD}.{BODY}.{SIGNATURE}\x00", INVALID),
    (f"{HEAD}.{BODY}+.{SIGNATURE}", INVALID),
    (f"{HEAD}.{BODY}/.{SIGNATURE}", INVALID),
    (f"{HEAD}.{BODY}.\u0130{SIGNATURE[1:]}", INVALID),
    (GOOD.replace(".", "\u2024"), INVALID),
    ("\ud800.\ud800.\ud800", INVALID),
    ("a" * MAX_TOKEN_BYTES, INVALID),
    ("a." * 100_000, INVALID),
    (sign({"sub": "4" * MAX_TOKEN_BYTES}), INVALID),
    (sign({"sub": "4" * (MAX_TOKEN_BYTES // 2)}), OK),
]


@pytest.mark.parametrize(("token", "expected"), FORMS, ids=range(len(FORMS)))
def test_forms(token: str, expected: str) -> None:
    assert judge(verifier(), token) == expected


# -- claims of both kinds of tokens: each by three algorithms ------------------------------------------

DEEP = "[" * 3_000 + "]" * 3_000
COMMON: list[tuple[str, str]] = [
    ("", OK),
    ('"exp":1700000001', OK),
    ('"exp":1700000000.5', OK),
    ('"exp":1700000000', EXPIRED),
    ('"exp":1699999999', EXPIRED),
    ('"exp":1', EXPIRED),
    ('"exp":0', EXPIRED),
    ('"exp":null', OK),
    ('"exp":9007199254740992', OK),
    ('"exp":9007199254740994', INVALID),
    ('"exp":-1', INVALID),
    ('"exp":"1700000001"', INVALID),
    ('"exp":true', INVALID),
    ('"exp":[1700000001]', INVALID),
    ('"exp":{}', INVALID),
    ('"exp":1e400', INVALID),
    ('"exp":NaN', INVALID),
    ('"exp":Infinity', INVALID),
    ('"exp":' + "9" * 400, INVALID),
    ('"exp":1.7000000005e9', OK),
    ('"exp":1,"exp":1700000001', OK),
    ('"exp":1700000001,"exp":1', EXPIRED),
    ('"nbf":1700000000', OK),
    ('"nbf":1699999999.9', OK),
    ('"nbf":0', OK),
    ('"nbf":1700000000.5', INVALID),
    ('"nbf":1700000001', INVALID),
    ('"nbf":"1"', INVALID),
    ('"nbf":false', INVALID),
    ('"nbf":-5', INVALID),
    ('"nbf":1800000000,"exp":1', INVALID),
    ('"iat":1700000000', OK),
    ('"iat":1800000000', OK),
    ('"iat":"now"', INVALID),
    ('"iat":-1', INVALID),
    ('"jti":"a-1"', OK),
    ('"jti":7', INVALID),
    ('"jti":null', INVALID),
    ('"iss":"anybody"', OK),
    ('"iss":7', INVALID),
    ('"aud":"anything"', OK),
    ('"aud":["a","b"]', OK),
    ('"aud":[]', OK),
    ('"aud":7', INVALID),
    ('"aud":[7]', INVALID),
    ('"aud":{"a":1}', INVALID),
    ('"expire_at":0,"exp":1700000001', OK),
    ('"expire_at":1700000600', OK),
    ('"expire_at":1', OK),
    ('"expire_at":1,"exp":1', EXPIRED),
    ('"expire_at":-1', INVALID),
    ('"expire_at":1.5', INVALID),
    ('"expire_at":"1"', INVALID),
    ('"expire_at":99999999999999999999', INVALID),
    ('"info":{"name":"A"}', OK),
    ('"info":null', OK),
    ('"info":"text"', OK),
    ('"info":[1,\n2]', OK),
    ('"b64info":"e30="', OK),
    ('"b64info":"e30"', INVALID),
    ('"b64info":"!"', INVALID),
    ('"b64info":"bm8="', INVALID),
    ('"b64info":"/w=="', INVALID),
    ('"b64info":{}', INVALID),
    ('"unknown":{"deeply":["nested"]}', OK),
    ('"sub":"43"', OK),
    ('"sub":"\\u00fc\\ud83d\\ude00"', OK),
    ('"sub":42', INVALID),
    ('"sub":null', INVALID),
    ('"sub":["42"]', INVALID),
    ('"sub":{}', INVALID),
    ('"client":7', INVALID),
    ('"channel":7', INVALID),
    ('"channel":null', INVALID),
    (f'"unknown":{DEEP}', INVALID),
    (f'"info":{DEEP}', INVALID),
]

CONNECTION: list[tuple[str, str]] = [
    ('"channel":"news"', INVALID),
    ('"channel":"news","exp":1', INVALID),
    ('"channel":""', OK),
    ('"channels":["a","b"]', OK),
    ('"channels":[]', OK),
    ('"channels":"a"', INVALID),
    ('"channels":[1]', INVALID),
    ('"channels":null', INVALID),
    ('"subs":{}', OK),
    ('"subs":{"a":{}}', OK),
    ('"subs":{"a":{"info":{"x":1},"data":[1]}}', OK),
    ('"subs":{"a":{"b64info":"e30=","b64data":"W10="}}', OK),
    ('"subs":{"a":{"b64data":"no json"}}', INVALID),
    ('"subs":{"a":{"override":{"presence":{"value":true}}}}', OK),
    ('"subs":{"a":{"override":{"presence":true}}}', INVALID),
    ('"subs":{"a":{"override":{"presence":{}}}}', INVALID),
    ('"subs":{"a":{"override":{"presence":{"value":1}}}}', INVALID),
    ('"subs":{"a":{"override":{"unknown":{"value":true}}}}', OK),
    ('"subs":{"a":null}', INVALID),
    ('"subs":["a"]', INVALID),
    ('"meta":{"plan":"free"}', OK),
    ('"meta":null', OK),
]

SUBSCRIPTION: list[tuple[str, str]] = [
    ('"channel":""', INVALID),
    ('"channel":"","exp":1', INVALID),
    ('"channel":"$private:\\u00fc"', OK),
    ('"client":"a-client"', OK),
    ('"client":null', INVALID),
    ('"data":{"x":1}', OK),
    ('"data":null', OK),
    ('"b64data":"W10="', OK),
    ('"b64data":"W10"', INVALID),
    ('"b64data":7', INVALID),
    ('"override":{}', OK),
    ('"override":null', OK),
    ('"override":{"force_recovery":{"value":false},"join_leave":{"value":true}}', OK),
    ('"override":{"force_positioning":{"value":"true"}}', INVALID),
    ('"override":[]', INVALID),
    ('"channels":["ignored"]', OK),
]


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "EdDSA"])
@pytest.mark.parametrize(
    ("claims", "expected"), COMMON + CONNECTION, ids=[row[0][:50] for row in COMMON + CONNECTION]
)
def test_claims_of_connection_tokens(claims: str, expected: str, algorithm: str) -> None:
    text = f'{{"sub":"42"{"," if claims else ""}{claims}}}'
    assert judge(verifier(SIGNER_OF[algorithm]), sign(text, algorithm)) == expected


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
@pytest.mark.parametrize(
    ("claims", "expected"), COMMON + SUBSCRIPTION, ids=[row[0][:50] for row in COMMON + SUBSCRIPTION]
)
def test_claims_of_subscription_tokens(claims: str, expected: str, algorithm: str) -> None:
    text = f'{{"sub":"42","channel":"news"{"," if claims else ""}{claims}}}'
    assert judge(verifier(SIGNER_OF[algorithm]), sign(text, algorithm), subscribing=True) == expected


@pytest.mark.parametrize(
    "claims", ["", "null", "[]", '"42"', "42", "{", '{"sub":"42"', "{}{}", "\ufeff{}", "NaN"]
)
def test_claims_that_are_no_object_are_invalid(claims: str) -> None:
    token = sign(claims)
    assert judge(verifier(), token) == INVALID
    assert judge(verifier(), token, subscribing=True) == INVALID


@pytest.mark.parametrize(
    "claims", [b"\xff\xfe", b'{"sub":"\xff"}', b'{"sub":"\xed\xa0\x80"}', b'{"sub":"a\x00"}']
)
def test_claims_that_are_no_utf8_json_are_invalid(claims: bytes) -> None:
    assert judge(verifier(), sign(claims)) == INVALID


@pytest.mark.parametrize("claims", [row[0] for row in COMMON if row[1] != INVALID])
def test_a_claim_means_nothing_before_the_signature_holds(claims: str) -> None:
    token = sign(f'{{"sub":"42"{"," if claims else ""}{claims}}}')
    head, body, _ = token.split(".")
    assert judge(verifier(), f"{head}.{body}.{pack(bytes(32))}") == INVALID


# -- audience and issuer ---------------------------------------------------------------------------------

PARTIES: list[tuple[dict[str, Any], str, str, str]] = [
    # claims, configured audience, configured issuer, verdict
    ({"aud": "us"}, "us", "", OK),
    ({"aud": ["them", "us"]}, "us", "", OK),
    ({"aud": "them"}, "us", "", INVALID),
    ({"aud": ["them"]}, "us", "", INVALID),
    ({"aud": []}, "us", "", INVALID),
    ({"aud": "usa"}, "us", "", INVALID),
    ({"aud": "US"}, "us", "", INVALID),
    ({"aud": ""}, "us", "", INVALID),
    ({"aud": None}, "us", "", INVALID),
    ({}, "us", "", INVALID),
    ({"aud": "them", "exp": 1}, "us", "", INVALID),
    ({"aud": "us", "exp": 1}, "us", "", EXPIRED),
    ({"iss": "home"}, "", "home", OK),
    ({"iss": "away"}, "", "home", INVALID),
    ({"iss": ""}, "", "home", INVALID),
    ({"iss": "home "}, "", "home", INVALID),
    ({}, "", "home", INVALID),
    ({"iss": "away", "exp": 1}, "", "home", INVALID),
    ({"aud": "us", "iss": "home"}, "us", "home", OK),
    ({"aud": "us", "iss": "away"}, "us", "home", INVALID),
    ({"aud": "them", "iss": "home"}, "us", "home", INVALID),
]


@pytest.mark.parametrize(("claims", "audience", "issuer", "expected"), PARTIES)
def test_audience_and_issuer(claims: dict[str, Any], audience: str, issuer: str, expected: str) -> None:
    judging = verifier(audience=audience, issuer=issuer)
    assert judge(judging, sign({**USER, **claims})) == expected
    assert judge(judging, sign({**CHANNEL, **claims}), subscribing=True) == expected


# -- when a right ends -----------------------------------------------------------------------------------

LATEST = NOW_S + MAX_TTL_S
ENDS: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"exp": NOW_S + 60}, NOW_S + 60),
    ({"exp": NOW_S + 60.9}, NOW_S + 60),
    ({"exp": NOW_S + 60, "expire_at": 0}, 0),
    ({"exp": NOW_S + 60, "expire_at": NOW_S + 600}, NOW_S + 600),
    ({"exp": NOW_S + 600, "expire_at": NOW_S + 60}, NOW_S + 60),
    ({"expire_at": NOW_S + 60}, NOW_S + 60),
    ({"expire_at": NOW_S - 60}, NOW_S - 60),
    ({"exp": LATEST}, LATEST),
    ({"exp": LATEST + 1}, LATEST),
    ({"exp": 2**53}, LATEST),
    ({"exp": NOW_S + 60, "expire_at": 2**53}, LATEST),
]


@pytest.mark.parametrize(("claims", "ends_at"), ENDS)
def test_a_right_ends_when_the_token_says_but_within_a_year(claims: dict[str, Any], ends_at: int) -> None:
    assert verifier().verify_connection(sign({**USER, **claims}), NOW_S).expire_at == ends_at
    assert verifier().verify_subscription(sign({**CHANNEL, **claims}), NOW_S).grant.expire_at == ends_at
