"""The two sides of a handshake: where a transport's engine comes from, and who hears how it went.

A server's side is `Certificates`, in `certificates.py`.
"""

from __future__ import annotations

import ssl
from typing import Protocol

from wsloop.errors import ConfigError


class TlsSide(Protocol):
    """Which side of the handshake a transport is, and who keeps its certificate."""

    @property
    def is_server(self) -> bool:
        """Whether the peer speaks first."""
        ...

    def engine(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Return a new engine between two buffers."""
        ...

    def note_done(self) -> None:
        """Be told of a handshake that succeeded."""
        ...

    def note_failed(self, peer: str, reason: str) -> None:
        """Be told of one that did not; `reason` is a name, never a peer's text."""
        ...


class ClientSide:
    """A client's side: verifies the server's certificate as `context` says, for `hostname`."""

    is_server = False

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._context = context
        self._hostname = hostname

    def engine(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """See `TlsSide.engine`."""
        return self._context.wrap_bio(incoming, outgoing, server_hostname=self._hostname)

    def note_done(self) -> None:
        """Nothing is counted."""

    def note_failed(self, peer: str, reason: str) -> None:
        """Nothing is counted: the caller gets a TransportError."""


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Return what servers' certificates are checked with: those in the PEM file, or "" for the system's.

    The certificate must be the host's, TLS 1.2 or later. Raises ConfigError if the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        if ca_file:
            context.load_verify_locations(ca_file)
        else:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        reason = (
            error.strerror if type(error) is not ssl.SSLError and error.strerror else "no certificate in it"
        )
        raise ConfigError(f"cannot use {ca_file}: {reason}", "it holds certificates in PEM format") from None
    return context
