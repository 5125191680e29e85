from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tools.bench import build, needs, peers
from tools.bench.cells import CELLS
from tools.bench.needs import DebianPackage, NodePackage, Program, PythonPackage
from tools.bench.peers import PEERS, REFERENCE, Peer, why_missing
from tools.bench.servers.options import parse_options

if TYPE_CHECKING:
    from pathlib import Path

SHARED = [
    "--host",
    "127.0.0.1",
    "--port",
    "12345",
    "--role",
    "echo",
    "--frame-bytes",
    str(CELLS[0].frame_bytes),
]


def test_every_peer_is_told_where_to_listen_and_for_what() -> None:
    for peer in PEERS:
        assert peer.command_line(12345, CELLS[0])[-8:] == SHARED
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert REFERENCE in {peer.name for peer in PEERS}


def test_the_options_that_peers_are_given_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [peer for peer in PEERS if peer.command[0] == "{python}"]
    for peer in ours:
        command = peer.command_line(12345, CELLS[0])
        monkeypatch.setattr(sys, "argv", command[2:])
        options = parse_options(None)
        assert (options.port, options.role, options.deflate) == (12345, "echo", False)


def test_bare_loops_serve_no_cell_that_needs_a_websocket() -> None:
    raw = [peer for peer in PEERS if peer.raw]
    assert raw
    for cell in CELLS:
        needs_more = cell.kind.name in {"deflate", "flood"}
        assert {peer.serves(cell) for peer in raw} == {not needs_more}


def test_a_variant_serves_its_own_cells_only() -> None:
    variant = next(peer for peer in PEERS if peer.name == "wsloop+numpy")
    assert {cell.name for cell in CELLS if variant.serves(cell)} == {"echo-16k", "echo-1m"}


def test_what_is_missing_is_told_with_the_command_that_installs_it() -> None:
    peer = Peer(
        "absent", ("x",), (PythonPackage("no-such-distribution"), Program("sh", ("-c", "echo 1"))), ""
    )
    assert why_missing(peer) == "absent left out: not installed: no-such-distribution (make bench-peers)"
    assert peer.versions() == {"sh": "1"}
    assert why_missing(Peer("present", ("x",), (PythonPackage("pytest"),), "")) == ""


def test_versions_of_what_is_there_and_none_of_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PythonPackage("pytest").version() == pytest.__version__
    assert Program("sh", ("-c", "echo first; echo second")).version() == "first"
    assert Program("sh", ("-c", "exit 1")).version() is None
    assert Program("no-such-program").version() is None
    assert DebianPackage("no-such-package").version() is None
    monkeypatch.setattr(needs, "NODE_MODULES", tmp_path)
    assert NodePackage("ws").version() is None
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "package.json").write_text('{"version": "8.0.1"}')
    assert NodePackage("ws").version() == "8.0.1"


def test_the_install_script_names_what_peers_need() -> None:
    script = (build.HERE / "install_peers.sh").read_text()
    packages = (peers.SERVERS / "package.json").read_text()
    wanted = [need for peer in PEERS for need in peer.needs]
    assert all(need.name in script for need in wanted if isinstance(need, DebianPackage))
    assert all(f'"{need.name}"' in packages for need in wanted if isinstance(need, NodePackage))
