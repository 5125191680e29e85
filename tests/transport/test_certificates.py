from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.transport.tls_kit import HOST, client_context, shake, tls_pair, write_pair
from wsloop.errors import ConfigError
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.transport.certificates import PASSWORD_BYTES, Certificates
from wsloop.transport.tls_engine import TlsEngine
from wsloop.transport.tls_side import ClientSide

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = b"correct horse"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    return write_pair(tmp_path)


def encrypted(keyfile: str) -> str:
    """Return a copy of a key that is encrypted with PASSWORD."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(Path(keyfile).read_bytes(), None)
    path = Path(keyfile).with_suffix(".encrypted")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)))
    return str(path)


def served_serial(side: Certificates) -> str:
    """Return the serial number of the certificate that a new client is shown."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    server = TlsEngine(side.engine)
    for _ in range(5):
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            server.feed(outgoing.read(), 100)
            server.shake()
            incoming.write(server.take_output())
    shown = client.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


# -- files that cannot be used -----------------------------------------------------------------


def overwritten(content: bytes) -> Callable[[str], object]:
    return lambda path: Path(path).write_bytes(content)


def as_der(path: str) -> None:
    text = Path(path).read_text(encoding="ascii")
    first = text[: text.index("-----END CERTIFICATE-----") + 26]
    Path(path).write_bytes(ssl.PEM_cert_to_DER_cert(first))


DAMAGE = [
    pytest.param(overwritten(b""), "holds no certificate in PEM format", id="empty"),
    pytest.param(overwritten(b"hello\n"), "holds no certificate in PEM format", id="text"),
    pytest.param(overwritten(bytes(range(256))), "holds no certificate in PEM format", id="binary"),
    pytest.param(as_der, "holds no certificate in PEM format", id="DER"),
    pytest.param(os.unlink, "cannot read {path}: No such file or directory", id="missing"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_a_certificate_that_cannot_be_used_is_named(
    pair: tuple[str, str], damage: Callable[[str], object], message: str
) -> None:
    damage(pair[0])
    with pytest.raises(ConfigError) as caught:
        Certificates(*pair)
    assert message.format(path=pair[0]) in caught.value.message
    assert pair[0] in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_that_cannot_be_used_is_named(pair: tuple[str, str], content: bytes) -> None:
    Path(pair[1]).write_bytes(content)
    with pytest.raises(ConfigError, match="holds no private key in PEM format") as caught:
        Certificates(*pair)
    assert pair[1] in caught.value.message


def test_a_missing_key_is_named_and_one_that_is_not_in_the_certificates_file(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="holds no private key") as caught:
        Certificates(pair[0])
    assert pair[0] in caught.value.message
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere: No such file"):
        Certificates(pair[0], "nowhere")


def test_a_directory_is_no_certificate(pair: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        Certificates(str(tmp_path), pair[1])


def test_a_path_with_a_nul_is_no_path(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Certificates(pair[0] + "\0", pair[1])


def test_files_given_the_wrong_way_round_are_told(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="holds no certificate"):
        Certificates(pair[1], pair[0])


def test_a_key_of_another_certificate_is_told(pair: tuple[str, str], tmp_path: Path) -> None:
    other = write_pair(tmp_path, "other")
    with pytest.raises(ConfigError, match="does not belong to the certificate") as caught:
        Certificates(pair[0], other[1])
    assert other[1] in caught.value.message


def test_a_key_in_the_certificates_own_file_is_found(pair: tuple[str, str]) -> None:
    with open(pair[0], "ab") as file:
        file.write(Path(pair[1]).read_bytes())
    assert served_serial(Certificates(pair[0]))


# -- encrypted keys ------------------------------------------------------------------------------


def test_an_encrypted_key_wants_its_password_and_nobody_is_asked_on_the_terminal(
    pair: tuple[str, str],
) -> None:
    keyfile = encrypted(pair[1])
    with pytest.raises(ConfigError, match="is encrypted") as caught:
        Certificates(pair[0], keyfile)
    assert "WSLOOP_TLS__KEY_PASSWORD" in caught.value.hint
    with pytest.raises(ConfigError, match="or its password is wrong"):
        Certificates(pair[0], keyfile, b"wrong")
    with pytest.raises(ConfigError, match="longer than"):
        Certificates(pair[0], keyfile, b"x" * (PASSWORD_BYTES + 1))
    assert served_serial(Certificates(pair[0], keyfile, PASSWORD))


def test_no_error_holds_the_password(pair: tuple[str, str]) -> None:
    keyfile = encrypted(pair[1])
    with pytest.raises(ConfigError) as caught:
        Certificates(pair[0], keyfile, b"opensesame")
    assert "opensesame" not in caught.value.message + caught.value.hint


# -- reload --------------------------------------------------------------------------------------


def test_after_a_reload_new_clients_see_the_new_certificate(pair: tuple[str, str], tmp_path: Path) -> None:
    side = Certificates(*pair)
    first = served_serial(side)
    write_pair(tmp_path)
    assert served_serial(side) == first
    side.adopt(Certificates(*pair))
    second = served_serial(side)
    assert second != first


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_a_bad_new_pair_leaves_the_old_one_in_use(
    pair: tuple[str, str], damage: Callable[[str], object], message: str
) -> None:
    side = Certificates(*pair)
    first = served_serial(side)
    damage(pair[0])
    with pytest.raises(ConfigError):
        side.adopt(Certificates(*pair))
    assert served_serial(side) == first


def test_connections_and_handshakes_under_way_go_on_over_a_reload(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    side = Certificates(*pair)
    network = MemoryNetwork(FakeClock())
    client, server = tls_pair(*network.pair(), side=side)
    shake(client, server)
    half_way = tls_pair(*network.pair(), side=side)
    half_way[0].write(b"x")
    assert half_way[1].read(1) is None
    write_pair(tmp_path)
    side.adopt(Certificates(*pair))
    client.write(b"as before")
    assert server.read(100) == b"as before"
    server.write(b"it is")
    assert client.read(100) == b"it is"
    shake(*half_way)
    assert side.statistics().handshakes == 2


# -- what is offered -----------------------------------------------------------------------------


def test_tls_1_2_and_up_without_compression_or_renegotiation(pair: tuple[str, str]) -> None:
    context = Certificates(*pair)._context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE


def test_a_server_without_tls_does_not_load_openssl() -> None:
    code = "import sys, wsloop.daemon.run; sys.exit('ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_client_that_names_another_host_is_not_fooled(pair: tuple[str, str]) -> None:
    side = Certificates(*pair)
    client = TlsEngine(ClientSide(client_context(), "elsewhere.test").engine)
    server = TlsEngine(side.engine)
    assert not client.shake()
    server.feed(client.take_output(), 100)
    assert not server.shake()
    client.feed(server.take_output(), 100)
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        client.shake()
