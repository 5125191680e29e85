"""What a client checks a server's certificate with."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.transport.tls_kit import authority
from wsloop.errors import ConfigError
from wsloop.transport.tls_side import client_context

if TYPE_CHECKING:
    from pathlib import Path


def test_certificate_and_name_are_always_checked(tmp_path: Path) -> None:
    trusted = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(trusted))
    for context in (client_context(), client_context(str(trusted))):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(client_context(str(trusted)).get_ca_certs()) == 1


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "authority.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        client_context(str(path))
    assert str(path) in caught.value.message
    assert ("No such file" if text is None else "no certificate in it") in caught.value.message
