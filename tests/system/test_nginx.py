"""docs/deploy/nginx.conf in a real nginx, in front of two daemons."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system import fronts
from tests.system.fronts import CHANNEL, NAME, STRANGER, Front, hear, join, run
from tests.transport.tls_kit import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_TIMEOUT = "proxy_read_timeout 80s"

pytestmark = pytest.mark.system

MAIN = """
user {user};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/wsloop.conf;
}}
"""


@contextlib.contextmanager
def behind_nginx(folder: Path, more: str = "", read_timeout: str = READ_TIMEOUT) -> Iterator[Front]:
    """Start two daemons with `more` settings, and nginx in front of them."""
    nginx = fronts.tool("nginx", "nginx-light")
    with fronts.two_backends(folder, more) as (one, two):
        made = Front(one, two, folder)
        texts = {
            **made.backends,
            "listen 443 ssl": f"listen 127.0.0.1:{made.port} ssl",
            NAME: HOST,
            "/etc/ssl/wsloop/fullchain.pem": made.certfile,
            "/etc/ssl/wsloop/privkey.pem": made.keyfile,
            "/var/log/nginx/wsloop.log": folder / "access.log",
            READ_TIMEOUT: read_timeout,
        }
        (folder / "wsloop.conf").write_text(fronts.substituted("nginx.conf", texts), encoding="utf-8")
        main = folder / "nginx.conf"
        main.write_text(MAIN.format(user=getpass.getuser(), folder=folder), encoding="utf-8")
        try:
            made.run([nginx, "-c", str(main), "-p", str(folder), "-e", "stderr"])
            yield made
            assert "[warn]" not in made.said().replace('the "user" directive makes sense only', "")
        finally:
            made.end()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with behind_nginx(tmp_path_factory.mktemp("nginx")) as front:
        yield front


@pytest.fixture
def front(nginx: Front) -> Front:
    nginx.clear()
    return nginx


def test_addresses_and_origins_are_judged_by_what_nginx_saw(front: Front) -> None:
    async def scenario() -> None:
        await fronts.shows_the_clients_address(front)
        await fronts.refuses_a_foreign_origin(front)
        await fronts.believes_another_listed_proxy(front)

    run(scenario())
    said = (front.folder / "access.log").read_text(encoding="utf-8")
    assert said
    assert "secret" not in said


def test_an_address_behind_two_listed_proxies_has_a_limit_of_its_own(front: Front) -> None:
    run(fronts.limits_each_address(front))


def test_idle_clients_live_by_pings_and_others_are_cut(tmp_path: Path) -> None:
    with behind_nginx(tmp_path, fronts.OFTEN, f"proxy_read_timeout {fronts.IDLE_S}s") as front:
        run(fronts.lets_idle_clients_live(front))


def test_who_is_sent_away_is_let_in_elsewhere_and_none_is_lost(front: Front) -> None:
    run(fronts.loses_nobody_when_one_drains(front, functools.partial(front.one.send_signal, signal.SIGTERM)))


def test_a_reload_of_nginx_cuts_nobody(front: Front) -> None:
    async def scenario() -> None:
        async with front.open() as before:
            await join(before)
            first = workers(front.pid)
            os.kill(front.pid, signal.SIGHUP)
            await fronts.until(lambda: workers(front.pid) - first)
            async with front.open(STRANGER) as after:
                await join(after)
                for backend in (front.one, front.two):
                    await asyncio.to_thread(backend.call, "publish", channel=CHANNEL, data="here")
                await hear(before, "here")
                await hear(after, "here")

    run(scenario())


def workers(pid: int) -> set[str]:
    """Return the process numbers of nginx's workers."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())
