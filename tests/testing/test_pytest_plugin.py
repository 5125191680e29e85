"""The pytest plugin: what it costs everybody, and what it gives to who asks."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

# Here by name, so that it does not matter whether the plugin is loaded already.
from wsloop.testing.pytest_plugin import virtual_clock, ws_client, ws_options, ws_server  # noqa: F401

if TYPE_CHECKING:
    import pytest

    from wsloop.testing import Server, TestClient, VirtualClock

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
MODULE = "wsloop.testing.pytest_plugin"

USERS = """
    def test_fixtures(ws_server, ws_client, virtual_clock):
        ws_client.subscribe("news")
        began_s = virtual_clock.now()
        virtual_clock.sleep(60.0)
        ws_server.publish("news", {"n": 1})
        assert ws_client.receive_publication("news") == {"n": 1}
        assert virtual_clock.now() - began_s >= 60.0
        assert virtual_clock is ws_server.clock

    def test_each_has_a_server_of_its_own(ws_client):
        ws_client.subscribe("news")
        assert ws_client.history("news")["publications"] == []
"""

OPTIONS = """
    import pytest
    from wsloop.hub.namespaces import Namespace
    from wsloop.testing import CommandRefused

    @pytest.fixture
    def ws_options():
        return {"namespaces": {"": Namespace()}, "workers": 2}

    def test_refused(ws_server):
        with pytest.raises(CommandRefused, match="103"):
            ws_server.client("anna", worker=1).subscribe("news")
"""

LEFT_OPEN = """
    def test_leaves_a_socket_open(ws_server):
        ws_server.socket()
"""


def entry_points() -> dict[str, str]:
    """Return the plugins that setup.cfg declares, by name."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options.entry_points"]["pytest11"].split("\n")
    return dict(line.replace(" ", "").split("=") for line in lines if line)


def test_the_entry_point_is_the_plugin() -> None:
    assert entry_points() == {"wsloop": MODULE}
    assert hasattr(import_module(MODULE), "ws_server")


def test_the_fixtures_hang_together(
    ws_server: Server,  # noqa: F811
    ws_client: TestClient,  # noqa: F811
    virtual_clock: VirtualClock,  # noqa: F811
) -> None:
    assert ws_client.server is ws_server
    assert virtual_clock is ws_server.clock


def test_loading_it_costs_two_small_modules() -> None:
    script = (
        "import pytest, sys, threading\n"
        "before = set(sys.modules)\n"
        f"import {MODULE}\n"
        "print(sorted(set(sys.modules) - before))\n"
        "print('hypothesis' in sys.modules, threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"['wsloop', 'wsloop.testing', '{MODULE}']\nFalse 1\n"


def test_pytest_finds_it_by_its_entry_point(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = pytester.mkdir("site") / "wsloop_here-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: wsloop-here\nVersion: 1.0\n")
    lines = [f"{name} = {place}" for name, place in entry_points().items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    monkeypatch.setenv("PYTHONPATH", f"{installed.parent}:{ROOT}")
    pytester.makepyfile(test_users=USERS, test_options=OPTIONS, test_left_open=LEFT_OPEN)
    # In a process of its own: modules that are loaded within pytester's are thrown away after it.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*AssertionError: left open:*"])
