"""From `[token]` to keys: secrets from the environment, PEM and key sets from files, sets from URLs.

Importing this file loads PyJWT, so it is imported only where tokens are configured or made.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import jwt
import msgspec

from wsloop.client.http import HttpClient
from wsloop.client.key_sets import KeySetFetcher
from wsloop.client.names import SystemNames
from wsloop.client.urls import Url, parse_url
from wsloop.daemon.admin import is_loopback
from wsloop.errors import ConfigError
from wsloop.hub import jwks
from wsloop.hub.token_keys import Key, Keys, hmac_key, public_key
from wsloop.hub.tokens import JwtVerifier, TokenRules
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError
from wsloop.loop.threads import HelperThread
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.daemon.settings import Settings, TokenSettings
    from wsloop.hub.verifier import Verifier
    from wsloop.loop.reactor import Reactor
    from wsloop.transport.bind import Network

TOKEN_SECTIONS = ("token", "subscription_token")
"""The sections that hold keys for tokens."""

log = logging.getLogger("wsloop.daemon")

Made = TypeVar("Made")

LEAST_SECRET_BYTES = 32
"""RFC 7518 section 3.2 demands as many as HS256's digest has; shorter secrets can be guessed at home."""

KINDS = {
    "rsa_public_key": ("RSA",),
    "ecdsa_public_key": ("P-256", "P-384", "P-521"),
    "eddsa_public_key": ("EdDSA",),
}
"""Setting -> kinds of keys (`token_keys.KIND_OF`) that may stand there."""


class KeySource(msgspec.Struct, frozen=True):
    """A set of keys that has to be fetched from `url`."""

    url: Url
    keys: Keys
    interval_s: float
    algorithms: tuple[str, ...]
    ca_file: str


class Tokens(msgspec.Struct, frozen=True):
    """What the settings come to; `sources` are to be fetched while the server runs.

    `keys` are those of each section.
    """

    settings: Settings
    verifier: JwtVerifier
    sources: tuple[KeySource, ...]
    keys: dict[str, Keys]

    def adopt(self, fresh: Tokens) -> Tokens:
        """Return what `fresh`, made of other settings or files, comes to while this is in use.

        Sets that are fetched stay, and go on being fetched as before: for the same sections, into the same
        `Keys`.
        """
        keys = dict(fresh.keys)
        for section, running in self.keys.items():
            if section in keys:
                running.adopt(keys[section])
                keys[section] = running
        verifier = JwtVerifier(*(_rules(section, fresh.settings, keys[section]) for section in keys))
        return Tokens(fresh.settings, verifier, self.sources, keys)

    def fetch(
        self, reactor: Reactor, network: Network, entropy: Callable[[int], bytes]
    ) -> Callable[[], None]:
        """Begin to fetch the sets; return what ends it. Raises ConfigError for what cannot be asked."""
        helper = HelperThread(reactor)
        names = SystemNames(helper, lambda: reactor.now)
        clients = [HttpClient(reactor, network, names, ca_file=source.ca_file) for source in self.sources]
        fetchers = [
            KeySetFetcher(
                reactor,
                client,
                source.url,
                source.keys,
                interval_s=source.interval_s,
                entropy=entropy,
                allowed=source.algorithms,
            )
            for source, client in zip(self.sources, clients, strict=True)
        ]
        for source, client, fetcher in zip(self.sources, clients, fetchers, strict=True):
            client.prepare(source.url)
            fetcher.start()

        def stop() -> None:
            for fetcher in fetchers:
                fetcher.stop()
            for client in clients:
                client.close()
            helper.close()

        return stop


def build(settings: Settings) -> Tokens:
    """Return the verifier; raises ConfigError for keys that cannot be used."""
    rules, sources, all_keys = [], [], {}
    for section in TOKEN_SECTIONS:
        token = getattr(settings, section)
        if token is None:
            continue
        keys = all_keys[section] = Keys(*_read_keys(section, token))
        rules.append(_rules(section, settings, keys))
        if token.jwks_url:
            url = parse_url(token.jwks_url, f"{section}.jwks_url")
            sources.append(KeySource(url, keys, token.jwks_interval, token.algorithms, token.jwks_ca_file))
            address = url.origin.address
            if not url.origin.is_secure and isinstance(address, TcpBind) and not is_loopback(address.host):
                log.warning("%s.jwks_url is not https: whoever is on the way can sign tokens", section)
    return Tokens(settings, JwtVerifier(*rules), tuple(sources), all_keys)


def _rules(section: str, settings: Settings, keys: Keys) -> TokenRules:
    token: TokenSettings = getattr(settings, section)
    return TokenRules(keys, token.audience, token.issuer)


def sign(settings: Settings, claims: Mapping[str, object]) -> str:
    """Return a token signed with the HMAC secret of the section that is for such a token.

    Raises ConfigError without one, or if no algorithm of its kind is allowed.
    """
    section = "token"
    if claims.get("channel") and settings.subscription_token is not None:
        section = "subscription_token"
    token: TokenSettings = getattr(settings, section)
    secret = token.hmac_secret_key
    if not secret:
        hint = f"put it into the file, or into ${_variable(section)}"
        raise ConfigError(f"{section}.hmac_secret_key is not set", hint)
    key = hmac_key(secret, token.algorithms)
    if not key.algorithms:
        raise ConfigError(f"{section}.algorithms allows none of the HMAC family")
    chosen = min(key.algorithms)
    named = {"aud": token.audience, "iss": token.issuer}
    whole = {**claims, **{name: value for name, value in named.items() if value}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a short secret, of which the server warns
        return jwt.PyJWS().encode(msgspec.json.encode(whole), secret, chosen)


def describe(verifier: Verifier, token: str, unix_s: float) -> tuple[str, str, dict[str, object]]:
    """Return what is wrong with a token, else "", of which kind it is, and what it grants."""
    try:
        identity = verifier.verify_connection(token, unix_s)
    except ExpiredTokenError as fault:
        return str(fault), "", {}
    except InvalidTokenError as fault:
        return _describe_subscription(verifier, token, unix_s, str(fault))
    return "", "connection", _shown(identity)


def _describe_subscription(
    verifier: Verifier, token: str, unix_s: float, fault: str
) -> tuple[str, str, dict[str, object]]:
    try:
        claims = verifier.verify_subscription(token, unix_s)
    except ExpiredTokenError as expired:
        return str(expired), "", {}
    except InvalidTokenError:
        return fault, "", {}
    return "", "subscription", {**_shown(claims), **_shown(claims.grant)}


def _shown(grant: msgspec.Struct) -> dict[str, object]:
    """Return what a grant says, without what is not said, in the words of its fields."""
    values = {name: getattr(grant, name) for name in grant.__struct_fields__ if name != "grant"}
    return {
        name: value.decode() if isinstance(value, bytes) else value for name, value in values.items() if value
    }


def _variable(section: str) -> str:
    return f"WSLOOP_{section.upper()}__HMAC_SECRET_KEY"


def _read_keys(section: str, token: TokenSettings) -> tuple[list[Key], dict[str, Key]]:
    """Return the keys of a section, without those that are fetched: the fixed ones, and a set by id."""
    fixed = []
    secret = token.hmac_secret_key
    if secret:
        fixed.append(_read(section, "hmac_secret_key", lambda: hmac_key(secret, token.algorithms)))
        if len(secret.encode()) < LEAST_SECRET_BYTES:
            log.warning(
                "%s.hmac_secret_key has less than %d bytes: it can be guessed", section, LEAST_SECRET_BYTES
            )
    for name, kinds in KINDS.items():
        value = getattr(token, name)
        if value:
            fixed.append(_public(section, name, value, kinds, token.algorithms))
    by_id: dict[str, Key] = {}
    if token.jwks_file:
        data = _file(f"{section}.jwks_file", token.jwks_file)
        by_id = _read(section, "jwks_file", lambda: jwks.parse(data, token.algorithms))
    return fixed, by_id


def _public(section: str, name: str, value: str, kinds: tuple[str, ...], allowed: tuple[str, ...]) -> Key:
    pem = value.encode() if value.lstrip().startswith("-----BEGIN") else _file(f"{section}.{name}", value)
    key = _read(section, name, lambda: public_key(pem, allowed))
    if key.kind not in kinds:
        raise ConfigError(f"{section}.{name}: the key is of another kind, {key.kind}")
    return key


def _read(section: str, name: str, make: Callable[[], Made]) -> Made:
    """Return what `make` makes; its ConfigError gets the setting's name."""
    try:
        return make()
    except ConfigError as error:
        raise ConfigError(f"{section}.{name}: {error.message}", error.hint) from None


def _file(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path}: {error.strerror}") from None
