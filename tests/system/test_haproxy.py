"""docs/deploy/haproxy.cfg in a real HAProxy, in front of two daemons whose health it checks."""

from __future__ import annotations

import contextlib
import functools
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system import fronts
from tests.system.fronts import Backend, Front, run
from tests.transport.tls_kit import write_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

TUNNEL_TIMEOUT = "timeout tunnel 80s"


@contextlib.contextmanager
def behind_haproxy(
    folder: Path, more: str = "", tunnel_timeout: str = TUNNEL_TIMEOUT, servers: str = ""
) -> Iterator[Front]:
    """Start two daemons with `more` settings, and HAProxy in front of them, with more about `servers`."""
    haproxy = fronts.tool("haproxy", "haproxy")
    with fronts.two_backends(folder, more) as (one, two):
        made = Front(one, two, folder)
        pair = folder / "chat.pem"
        pair.write_bytes(Path(made.certfile).read_bytes() + Path(made.keyfile).read_bytes())
        texts = {
            **made.backends,
            "port 8766": f"port {one.admin_port} {servers}",
            "port 8776": f"port {two.admin_port} {servers}",
            "bind :443": f"bind 127.0.0.1:{made.port}",
            "/etc/haproxy/certs/chat.pem": pair,
            TUNNEL_TIMEOUT: tunnel_timeout,
            "inter 1s": "inter 100ms",
            "maxconn 50000": "maxconn 500",
        }
        file = folder / "haproxy.cfg"
        file.write_text(fronts.substituted("haproxy.cfg", texts), encoding="utf-8")
        try:
            made.run([haproxy, "-db", "-f", str(file)])
            yield made
            assert " config : " not in made.said()  # a warning about the file
            assert "secret" not in made.said()
        finally:
            made.end()


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with behind_haproxy(tmp_path_factory.mktemp("haproxy")) as front:
        yield front


@pytest.fixture
def front(haproxy: Front) -> Front:
    haproxy.clear()
    return haproxy


def test_addresses_and_origins_are_judged_by_what_haproxy_saw(front: Front) -> None:
    run(fronts.shows_the_clients_address(front))
    run(fronts.refuses_a_foreign_origin(front))
    front.clear()
    run(fronts.believes_another_listed_proxy(front))


def test_an_address_behind_two_listed_proxies_has_a_limit_of_its_own(front: Front) -> None:
    run(fronts.limits_each_address(front))


def test_idle_clients_live_by_pings_and_others_are_cut(tmp_path: Path) -> None:
    with behind_haproxy(tmp_path, fronts.OFTEN, f"timeout tunnel {fronts.IDLE_S}s") as front:
        run(fronts.lets_idle_clients_live(front))


def test_who_is_sent_away_is_let_in_elsewhere_and_none_is_lost(front: Front) -> None:
    run(fronts.loses_nobody_when_one_drains(front, functools.partial(front.one.send_signal, signal.SIGTERM)))


# -- the PROXY protocol ----------------------------------------------------------------------------

BY_PROXY_PROTOCOL = "WSLOOP_SERVER__FORWARDED_HEADER"


@pytest.mark.parametrize("servers", ["send-proxy", "send-proxy-v2"])
def test_haproxy_may_say_it_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: str
) -> None:
    monkeypatch.setenv(BY_PROXY_PROTOCOL, "proxy-protocol")
    with behind_haproxy(tmp_path, servers=servers) as front:
        run(fronts.shows_the_clients_address(front))


PASSED_ON = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 15s
    timeout server 15s
listen wsloop
    bind 127.0.0.1:{port}
    server one 127.0.0.1:{backend} send-proxy-v2
"""


def test_so_the_client_is_known_although_tls_ends_at_wsloop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    haproxy = fronts.tool("haproxy", "haproxy")
    monkeypatch.setenv(BY_PROXY_PROTOCOL, "proxy-protocol")
    certfile, keyfile = write_pair(tmp_path)
    settings = tmp_path / "wsloop.toml"
    tls = f'[tls]\ncertfile = "{certfile}"\nkeyfile = "{keyfile}"\n'
    settings.write_text(fronts.SETTINGS + tls, encoding="utf-8")
    with Backend(settings) as one:
        front = Front(one, one, tmp_path)
        file = tmp_path / "haproxy.cfg"
        file.write_text(PASSED_ON.format(port=front.port, backend=one.port), encoding="utf-8")
        try:
            front.run([haproxy, "-db", "-f", str(file)])
            run(is_known(front, fronts.STRANGER))
        finally:
            front.end()
        assert "Traceback" not in one.stderr()


async def is_known(front: Front, address: str) -> None:
    async with front.open(address, X_Forwarded_For="203.0.113.9") as peer:
        await fronts.join(peer)
        assert front.one.addresses() == [address]
