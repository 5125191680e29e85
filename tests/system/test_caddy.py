"""docs/deploy/Caddyfile in a real Caddy, in front of two daemons."""

from __future__ import annotations

import contextlib
import functools
import signal
from typing import TYPE_CHECKING

import pytest

from tests.system import fronts
from tests.system.fronts import NAME, Front, run
from tests.transport.tls_kit import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

GLOBAL = """{{
	admin off
	auto_https disable_redirects
	https_port {port}
	default_bind 127.0.0.1
	storage file_system {folder}
}}
"""


@contextlib.contextmanager
def behind_caddy(folder: Path) -> Iterator[Front]:
    """Start two daemons, and Caddy in front of them with a certificate of the tests."""
    caddy = fronts.tool("caddy", "caddy")
    with fronts.two_backends(folder) as (one, two):
        made = Front(one, two, folder)
        own = "# Caddy fetches certificates by itself. With your own: tls "
        texts = {
            **made.backends,
            NAME: HOST,
            own: "tls ",
            "/etc/ssl/wsloop/fullchain.pem": made.certfile,
            "/etc/ssl/wsloop/privkey.pem": made.keyfile,
        }
        file = folder / "Caddyfile"
        site = fronts.substituted("Caddyfile", texts)
        file.write_text(GLOBAL.format(port=made.port, folder=folder) + site, encoding="utf-8")
        try:
            command = [caddy, "run", "--config", str(file), "--adapter", "caddyfile"]
            made.run(command, XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder))
            yield made
        finally:
            made.end()


@pytest.fixture(scope="module")
def caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with behind_caddy(tmp_path_factory.mktemp("caddy")) as front:
        yield front


@pytest.fixture
def front(caddy: Front) -> Front:
    caddy.clear()
    return caddy


def test_addresses_and_origins_are_judged_by_what_caddy_saw(front: Front) -> None:
    run(fronts.shows_the_clients_address(front))
    run(fronts.refuses_a_foreign_origin(front))
    assert "secret" not in front.said()


def test_who_is_sent_away_is_let_in_elsewhere_and_none_is_lost(front: Front) -> None:
    run(fronts.loses_nobody_when_one_drains(front, functools.partial(front.one.send_signal, signal.SIGTERM)))
