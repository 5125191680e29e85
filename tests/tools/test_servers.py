"""Every server that is installed, in a tiny slice of its cells: answers right, is measured, is ended."""

from __future__ import annotations

import msgspec
import pytest

from tools.bench.bench import Bench, MeasureError
from tools.bench.cells import CELLS
from tools.bench.model import Cell, Timing
from tools.bench.peers import PEERS, REFERENCE, Peer

SLICE = Timing(warmup_s=0.0, seconds=30.0, settle_s=0.01, operations=60)
PRESENT = [peer for peer in PEERS if not peer.missing()]
CONNECTIONS = 20
OF_PEERS = {cell.kind.name: cell for cell in CELLS if cell.kind.name in {"echo", "fanout", "deflate"}}
"""One cell of each kind that tries what is a server script's own work here."""


def small(cell: Cell) -> Cell:
    """Return the cell with few connections and messages that are not large."""
    return msgspec.structs.replace(
        cell, connections=min(cell.connections, CONNECTIONS), size_bytes=min(cell.size_bytes, 16 * 1024)
    )


def pairs() -> list[tuple[Peer, Cell]]:
    """Return wsloop and its variants in every cell, and every other server in a few."""
    return [
        (peer, small(cell))
        for peer in PRESENT
        for cell in (CELLS if peer.name.startswith(REFERENCE) else OF_PEERS.values())
        if peer.serves(cell)
    ]


@pytest.mark.parametrize(("peer", "cell"), pairs(), ids=lambda value: value.name)
def test_a_slice(peer: Peer, cell: Cell) -> None:
    one = Bench(SLICE, None).measure(peer, cell, 1)
    result = one.result
    assert (result.errors.total, result.first_error) == (0, "")
    assert (one.cell, one.peer, one.round) == (cell.name, peer.name, 1)
    assert result.operations > 0
    assert result.server_cpu_seconds >= 0  # its clock has the grain of a tick
    assert cell.kind.cost in {"cpu", "p99_ms"} or cell.kind.cost in result.figures
    if peer.pauses and cell.kind.name == "flood":
        assert 0 < result.figures["pause_p99_ms"] <= result.figures["pause_max_ms"]


def test_the_bare_loops_and_the_reference_are_always_measured() -> None:
    assert {"bare-selectors", REFERENCE} <= {peer.name for peer in PRESENT}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("{python}", "-c", "raise SystemExit('no such module')"), "no such module"),
        (("{python}", "-m", "tools.bench.servers.bare_selectors"), "lost|handshake|ended"),
    ],
    ids=["does not start", "is no WebSocket server"],
)
def test_a_server_that_fails_is_told(command: tuple[str, ...], words: str) -> None:
    peer = Peer("broken", command, (), "")
    try:
        one = Bench(SLICE, None).measure(peer, small(CELLS[0]), 1)
    except MeasureError as error:
        text = str(error)
    else:
        text = one.result.first_error
    assert any(word in text for word in words.split("|"))


def test_a_program_that_cannot_be_built_is_told() -> None:
    def fail() -> None:
        from tools.bench.build import BuildError

        raise BuildError("no compiler")

    peer = Peer("unbuilt", ("x",), (), "", prepare=fail)
    with pytest.raises(MeasureError, match="no compiler"):
        Bench(SLICE, None).measure(peer, CELLS[0], 1)
