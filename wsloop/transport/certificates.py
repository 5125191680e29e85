"""The server's certificate and key: loaded, reloaded, and handed to new connections.

A connection keeps the context that it began with, so a reload drops nobody; the next one gets
the new certificate. A pair that does not load changes nothing.

Also counts what became of the handshakes. Read `tls.py` for the connections.
"""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.errors import ConfigError
from wsloop.transport.client_hello import PROTOCOL
from wsloop.transport.tls import TlsTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.transport.base import SocketAddress, SocketLike

log = logging.getLogger("wsloop.transport")

PASSWORD_BYTES = 1_024
"""Longest password of a key that OpenSSL takes."""


@dataclass(frozen=True, slots=True)
class TlsStatistics:
    """A snapshot: handshakes that succeeded, and that failed, by the name of the reason; reloads."""

    handshakes: int
    failures: Mapping[str, int]
    reloads: int


class Certificates:
    """A certificate chain and its key, in PEM files that may be replaced.

    Arguments: `certfile`, the chain, the server's own certificate first; `keyfile`, its private
    key (None: it is in `certfile`); `password` of an encrypted key. Raises ConfigError for files
    that cannot be used.
    """

    is_server = True

    def __init__(self, certfile: str, keyfile: str | None = None, password: bytes | None = None) -> None:
        self._certfile = certfile
        self._keyfile = keyfile or certfile
        self._password = password
        self._handshakes = self._reloads = 0
        self._failures: Counter[str] = Counter()
        self._context = self._load()

    def adopt(self, other: Certificates) -> None:
        """Show what `other` has loaded to the connections that come from now on."""
        self._certfile, self._keyfile, self._password = other._certfile, other._keyfile, other._password
        self._context = other._context
        self._reloads += 1

    def wrap(self, sock: SocketLike, address: SocketAddress = None) -> TlsTransport:
        """Return the TLS transport of an accepted socket, which it owns from here on."""
        return TlsTransport(sock, address, self)

    def statistics(self) -> TlsStatistics:
        """Return a frozen snapshot."""
        return TlsStatistics(self._handshakes, dict(self._failures), self._reloads)

    # -- what a TlsTransport calls -----------------------------------------------------------

    def engine(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Return a new engine between two buffers, with the present certificate."""
        return self._context.wrap_bio(incoming, outgoing, server_side=True)

    def note_done(self) -> None:
        """Count a handshake that succeeded."""
        self._handshakes += 1

    def note_failed(self, peer: str, reason: str) -> None:
        """Count one that failed, and tell it; `reason` is a name of the library's or ours, no peer's text."""
        self._failures[reason] += 1
        log.info("TLS handshake with %s failed: %s", peer, reason)

    # -- loading -----------------------------------------------------------------------------

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A renegotiation lets a peer make the server sign for it at will (CVE-2011-1473);
        # compression gives away secrets by the length of what is sent (CVE-2012-4929).
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols([PROTOCOL.decode()])
        for path in (self._certfile, self._keyfile):
            _check_readable(path)
        try:
            context.load_cert_chain(self._certfile, self._keyfile, self._ask_password)
        except ssl.SSLError as error:
            raise self._bad_pair(error) from None
        except OSError as error:  # replaced or removed just now
            raise ConfigError(f"cannot read {self._certfile}: {error.strerror}") from None
        return context

    def _ask_password(self) -> bytes:
        """Answer OpenSSL, which would otherwise ask on the terminal."""
        if self._password is None:
            raise ConfigError(
                f"the key in {self._keyfile} is encrypted",
                "give its password in the environment, as WSLOOP_TLS__KEY_PASSWORD",
            )
        if len(self._password) > PASSWORD_BYTES:
            raise ConfigError(f"the key's password is longer than {PASSWORD_BYTES} bytes")
        return self._password

    def _bad_pair(self, error: ssl.SSLError) -> ConfigError:
        """Say what is wrong with the files; OpenSSL does not tell which of them it means."""
        if error.reason == "KEY_VALUES_MISMATCH":
            return ConfigError(
                f"the key in {self._keyfile} does not belong to the certificate in {self._certfile}",
                "the server's own certificate comes first in the file, then those that signed it",
            )
        if error.reason:
            return ConfigError(f"{self._certfile} cannot be used: {error.reason}")
        if not _is_certificate(self._certfile):
            return ConfigError(
                f"{self._certfile} holds no certificate in PEM format",
                "it begins with -----BEGIN CERTIFICATE-----; openssl x509 -inform der converts",
            )
        return ConfigError(
            f"{self._keyfile} holds no private key in PEM format"
            + (", or its password is wrong" if self._password is not None else ""),
            "it begins with -----BEGIN PRIVATE KEY-----; openssl pkey -inform der converts",
        )


def _check_readable(path: str) -> None:
    """Raise ConfigError naming `path` if it cannot be read: OpenSSL would not say which file it was."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error  # ValueError: a NUL inside
        raise ConfigError(f"cannot read {path}: {reason}", "check tls.certfile and tls.keyfile") from None


def _is_certificate(path: str) -> bool:
    """Return whether the first certificate of `path` can be parsed."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return True
