"""A certificate's dates, read from its DER form by hand: as a library reads them."""

from __future__ import annotations

import contextlib
import datetime

import pytest
import trustme
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.tls_kit import authority
from wsloop.daemon.validity import dates

UTC = datetime.UTC
WHEN = st.datetimes(datetime.datetime(1951, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(UTC))
BLOB = authority().issue_cert("localhost").cert_chain_pems[0].bytes().decode()


@settings(max_examples=20, deadline=None)
@given(WHEN, WHEN)
def test_the_dates_are_those_a_library_reads(one: datetime.datetime, other: datetime.datetime) -> None:
    begin, end = sorted((one.replace(microsecond=0), other.replace(microsecond=0)))
    issued = authority().issue_cert(
        "localhost", not_before=begin, not_after=end, key_type=trustme.KeyType.ECDSA
    )
    pem = issued.cert_chain_pems[0].bytes()
    parsed = x509.load_pem_x509_certificate(pem)
    expected = (int(parsed.not_valid_before_utc.timestamp()), int(parsed.not_valid_after_utc.timestamp()))
    assert dates(pem.decode()) == expected
    assert (
        dates(f"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n{pem.decode()}{BLOB}")
        == expected
    )


@given(st.text())
def test_what_is_no_certificate_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # of any wording: base64 and DER can be wrong in many ways
        dates(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")


@given(st.integers(0, len(BLOB) - 60))
def test_a_certificate_that_is_cut_off_is_a_value_error_or_has_its_dates(length: int) -> None:
    lines = BLOB[27:length].replace("\n", "")
    cut = lines[: len(lines) // 4 * 4]
    with contextlib.suppress(ValueError):
        assert dates(f"-----BEGIN CERTIFICATE-----\n{cut}\n-----END CERTIFICATE-----\n") == dates(BLOB)
