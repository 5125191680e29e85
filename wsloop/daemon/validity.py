"""When a certificate is valid: the two dates of its DER form, read by hand.

The standard library tells them only of certificates that a peer has shown (RFC 5280 section 4.1).
"""

from __future__ import annotations

import calendar
import ssl
import time

VERSION = 0xA0
UTC_TIME = 0x17
"""GeneralizedTime is 0x18; other times there are none (RFC 5280 section 4.1.2.5)."""

END = "-----END CERTIFICATE-----"


def dates(pem: str) -> tuple[int, int]:
    """Return the Unix seconds from and until which the first certificate in `pem` is valid.

    Raises ValueError for what cannot be read.
    """
    first = pem[pem.find("-----BEGIN CERTIFICATE-----") :].partition(END)[0] + END
    try:
        return _dates(ssl.PEM_cert_to_DER_cert(first))
    except IndexError:
        raise ValueError("the certificate is cut off") from None


def _dates(der: bytes) -> tuple[int, int]:
    certificate, _ = _content(der, 0)
    fields, _ = _content(certificate, 0)
    at = 0
    if fields[0] == VERSION:
        at = _content(fields, at)[1]
    for _ in ("serialNumber", "signature", "issuer"):
        at = _content(fields, at)[1]
    validity, _ = _content(fields, at)
    begin, at = _content(validity, 0)
    end, _ = _content(validity, at)
    return _unix_s(validity[0], begin), _unix_s(validity[at], end)


def _content(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the content of the element at `at`, and where the next one begins (X.690 section 8.1).

    Raises IndexError if that is beyond the end.
    """
    length, start = data[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start], "big")
    if start + length > len(data):
        raise IndexError
    return data[start : start + length], start + length


def _unix_s(tag: int, text: bytes) -> int:
    """Return a time; of two digits of a year those from 50 are of the last century."""
    digits = text.decode("ascii")
    if tag == UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%SZ"))
