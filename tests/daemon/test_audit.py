"""What `check-config` finds: errors as the start would, and what can be served with but is hardly meant."""

from __future__ import annotations

import datetime
import logging
import os
from typing import TYPE_CHECKING

import pytest

from tests.hub.token_kit import SECRET
from tests.transport.tls_kit import authority, write_pair
from wsloop.daemon import audit, compose
from wsloop.daemon.config import Sources, read
from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NO_KEY = "no token is good without a key in [token]"
NO_USE = "has no effect without a key in [token]"
BESIDE_BIND = "has no effect beside server.bind"
ADMIN_OFF = "has no effect with admin.enabled = false"
UTC = datetime.UTC
DAY = datetime.timedelta(days=1)
WAY_IN = "[client]\nallow_anonymous = true\n"


NO_ROOM = "leaves each process less than 48 MiB and history.memory_limit take: new clients would be refused"


@pytest.fixture
def warned(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return what a file's text is warned of, its own folder left out."""

    def judge(text: str) -> list[str]:
        path = tmp_path / "wsloop.toml"
        path.write_text(text.replace("DIR", str(tmp_path)), encoding="utf-8")
        path.chmod(0o600)
        return [
            warning.replace(f"{tmp_path}/", "")
            for warning in audit.warnings(read(Sources(path, environ={})), path)
        ]

    return judge


def pair(folder: Path, *, begin: datetime.timedelta = -DAY, end: datetime.timedelta = 100 * DAY) -> None:
    """Write c.pem and k.pem, valid for that time around now."""
    now = datetime.datetime.now(UTC)
    issued = authority().issue_cert("localhost", not_before=now + begin, not_after=now + end)
    (folder / "c.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "k.pem").write_bytes(issued.private_key_pem.bytes())
    (folder / "k.pem").chmod(0o600)


TLS = '[tls]\ncertfile = "DIR/c.pem"\nkeyfile = "DIR/k.pem"\n' + WAY_IN


def test_nothing_is_said_of_what_is_good(warned: Callable[[str], list[str]], tmp_path: Path) -> None:
    pair(tmp_path)
    assert warned(WAY_IN) == []
    assert warned(WAY_IN + "[server]\nmemory_limit = '410MiB'\n") == []
    assert warned(WAY_IN + "[server]\nmemory_limit = '2.2GB'\nworkers = 4\n") == []
    assert warned(TLS + "[admin]\napi_key = 'a-key-of-the-test'\n") == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[server]\nport = 1\nbind = ['unix:/run/s']\n", f"wsloop.toml:2: server.port: {BESIDE_BIND}"),
        ("[server]\nhost = '::'\nbind = ['unix:/run/s']\n", f"wsloop.toml:2: server.host: {BESIDE_BIND}"),
        ("[admin]\nenabled = false\nport = 1\n", f"wsloop.toml:3: admin.port: {ADMIN_OFF}"),
        ("[admin]\nenabled = false\nhost = '::'\n", f"wsloop.toml:3: admin.host: {ADMIN_OFF}"),
        ("[admin]\nenabled = false\napi_key = '12345678'\n", f"wsloop.toml:3: admin.api_key: {ADMIN_OFF}"),
        ("[admin]\napi_insecure = true\n",
         "wsloop.toml:2: admin.api_insecure: whoever reaches the admin listener may call the API"),
        ("[admin]\napi_insecure = true\napi_key = '12345678'\n",
         "wsloop.toml:2: admin.api_insecure: has no effect beside admin.api_key"),
        ("[server]\nlimit_concurrency = 5\nlimit_per_ip = 6\n",
         "wsloop.toml:3: server.limit_per_ip: is more than server.limit_concurrency, and so has no effect"),
        ("[server]\nmemory_limit = '400MiB'\n", f"wsloop.toml:2: server.memory_limit: {NO_ROOM}"),
        ("[server]\nmemory_limit = '1GiB'\nworkers = 4\n", f"wsloop.toml:2: server.memory_limit: {NO_ROOM}"),
        ("[auth]\ncookie = 'sid'\n", f"wsloop.toml:2: auth.cookie: {NO_KEY}"),
        ("[auth]\nquery = 'sid'\n", f"wsloop.toml:2: auth.query: {NO_KEY}"),
        ("[auth]\nbearer = true\n", f"wsloop.toml:2: auth.bearer: {NO_KEY}"),
        ("[token]\naudience = 'us'\n", f"wsloop.toml:2: token.audience: {NO_USE}"),
        ("[token]\nissuer = 'us'\n", f"wsloop.toml:2: token.issuer: {NO_USE}"),
        (f"[token]\nhmac_secret_key = '{SECRET}'\njwks_interval = '1h'\n",
         "wsloop.toml:3: token.jwks_interval: has no effect without token.jwks_url"),
        (f"[token]\nhmac_secret_key = '{SECRET}'\njwks_ca_file = 'DIR/wsloop.toml'\n",
         "wsloop.toml:3: token.jwks_ca_file: has no effect without token.jwks_url"),
        ("[token]\nhmac_secret_key = 'short'\n",
         "token.hmac_secret_key has less than 32 bytes: it can be guessed"),
        ("[proxy]\nconnect = 'http://127.0.0.1:1/c'\nca_file = '/no/such/file'\n",
         "wsloop.toml:3: proxy.ca_file: cannot read /no/such/file: No such file or directory"),
        ("[hooks]\nurl = 'http://127.0.0.1:1/h'\nspool = '/no/such/folder/spool'\n",
         "wsloop.toml:3: hooks.spool: there is no folder /no/such/folder"),
        ("[log]\nfile = '/no/such/folder/log'\n",
         "wsloop.toml:2: log.file: there is no folder /no/such/folder"),
        ("[server]\npid_file = '/no/such/folder/p'\n",
         "wsloop.toml:2: server.pid_file: there is no folder /no/such/folder"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_told_with_its_line(
    warned: Callable[[str], list[str]], text: str, warning: str
) -> None:
    found = [each for each in warned(text + WAY_IN) if "expires" not in each]
    assert found == [warning]


def test_options_of_clients_that_need_others_are_told(warned: Callable[[str], list[str]]) -> None:
    text = "[namespaces.a]\n[client]\nallow_anonymous = true\npersonal_namespace = 'a'\n"
    assert warned(text) == [
        "wsloop.toml:4: client.personal_namespace: has no effect without client.personal_channel"
    ]
    text = f"[token]\nhmac_secret_key = '{SECRET}'\n[client]\nanonymous_info = true\n"
    assert warned(text) == [
        "wsloop.toml:4: client.anonymous_info: has no effect without client.allow_anonymous"
    ]


def test_a_daemon_that_nobody_can_connect_to_is_told(warned: Callable[[str], list[str]]) -> None:
    (warning,) = warned("")
    assert warning.startswith("nobody can connect: set token.hmac_secret_key")


def test_a_certificate_that_only_unix_sockets_could_show_has_no_effect(
    warned: Callable[[str], list[str]], tmp_path: Path
) -> None:
    pair(tmp_path)
    (warning,) = warned(TLS + "[server]\nbind = ['unix:/run/s']\n")
    assert warning == "wsloop.toml:2: tls.certfile: has no effect: Unix sockets do not speak TLS"


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (-2 * DAY, -DAY, "c.pem has expired on"),
        (DAY, 2 * DAY, "c.pem is not valid before"),
        (-DAY, 13 * DAY, "c.pem expires on"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(
    warned: Callable[[str], list[str]],
    tmp_path: Path,
    begin: datetime.timedelta,
    end: datetime.timedelta,
    words: str,
) -> None:
    pair(tmp_path, begin=begin, end=end)
    (warning,) = warned(TLS)
    assert warning.startswith("wsloop.toml:2: tls.certfile: ")
    assert words in warning


def test_secrets_that_others_can_read_are_told(warned: Callable[[str], list[str]], tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "k.pem").chmod(0o604)
    assert warned(TLS) == ["others on this machine can read the private key in k.pem: chmod o= k.pem"]
    path = tmp_path / "wsloop.toml"
    text = f"{WAY_IN}[token]\nhmac_secret_key = '{SECRET}'\n"
    assert warned(text) == []
    path.chmod(0o644)
    (warning,) = audit.warnings(read(Sources(path, environ={})), path)
    assert f"can read token.hmac_secret_key in {path}: chmod o= {path}" in warning
    # One that comes from the environment is in no file.
    path.write_text(WAY_IN, encoding="utf-8")
    environ = {"WSLOOP_TOKEN__HMAC_SECRET_KEY": SECRET}
    assert audit.warnings(read(Sources(path, environ=environ)), path) == []


def test_more_connections_than_descriptors_are_told(
    warned: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compose, "descriptor_limit", lambda: 1000)
    (warning,) = warned("[server]\nlimit_concurrency = 5000\n" + WAY_IN)
    assert warning.startswith("limit_concurrency is 5000, but 1000 descriptors")
    assert caplog.text == ""
    assert logging.getLogger("wsloop").propagate


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: os.replace(write_pair(folder)[1], folder / "k.pem"), "does not belong"),
        (lambda folder: (folder / "c.pem").unlink(), "c.pem: No such file"),
        (lambda folder: (folder / "c.pem").write_text("x"), "holds no certificate in PEM"),
        (lambda folder: os.replace(folder / "c.pem", folder / "k.pem"), "c.pem: No such file"),
    ],
)  # fmt: skip
def test_a_pair_that_cannot_be_used_is_an_error(
    warned: Callable[[str], list[str]], tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    pair(tmp_path)
    damage(tmp_path)
    with pytest.raises(ConfigError, match=words):
        warned(TLS)


def test_keys_for_tokens_that_cannot_be_used_are_an_error(warned: Callable[[str], list[str]]) -> None:
    with pytest.raises(ConfigError, match="cannot read /no/such/file"):
        warned("[token]\nrsa_public_key = '/no/such/file'\n")


@pytest.mark.parametrize("check", audit.CHECKS, ids=lambda check: f"{check.path}: {check.text}")
def test_a_check_is_about_a_key_that_there_is(check: audit.Check) -> None:
    section, _, name = check.path.partition(".")
    assert hasattr(getattr(read(Sources(environ={})).settings, section), name)
