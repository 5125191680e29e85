"""The fan-out generator: deliveries counted, every wrong, doubled, lost or swapped one noticed.

The scripted server has one connection, which is publisher and only subscriber: its echo is a fan-out.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from tests.tools.scripted import frame, scripted_server, upgraded
from tools.bench.cells import DOCUMENT_STAMP, documents
from tools.bench.deflated import first_fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tools.conftest import RunProgram

TEXT = 0x81
ONE = ("--connections=1", "--operations=40", "--drain=10")
AGREED = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"


def same(opcode: int, data: bytes) -> bytes:
    return frame(0x80 | opcode, data)


@pytest.mark.parametrize("size", [16, 125, 126, 60000])
@pytest.mark.parametrize("inflight", [1, 16])
def test_deliveries_are_counted(run_program: RunProgram, size: int, inflight: int) -> None:
    with scripted_server(same) as port:
        code, result = run_program("fanout", port, *ONE, f"--size={size}", f"--inflight={inflight}")
    assert (code, result.first_error) == (0, "")
    assert result.operations >= 40
    assert 0 < result.latency_us.p50 <= result.latency_us.max


class Late:
    """Keeps the first message back, and sends it behind the second."""

    def __init__(self) -> None:
        self.kept: bytes | None = b""

    def __call__(self, opcode: int, data: bytes) -> bytes:
        if self.kept == b"":
            self.kept = same(opcode, data)
            return b""
        late, self.kept = self.kept or b"", None
        return same(opcode, data) + late


FAULTS: dict[str, Callable[[int, bytes], bytes]] = {
    "a byte changed": lambda _, data: frame(TEXT, data[:-1] + bytes([data[-1] ^ 1])),
    "an id changed": lambda _, data: frame(TEXT, b"1" + data[1:]),
    "an id that is no number": lambda _, data: frame(TEXT, b"~" * 16 + data[16:]),
    "short": lambda _, data: frame(TEXT, data[:-1]),
    "empty": lambda *_: frame(TEXT, b""),
    "binary": lambda _, data: frame(0x82, data),
    "fragmented": lambda _, data: frame(0x01, data[:20]) + frame(0x80, data[20:]),
    "doubled": lambda _, data: frame(TEXT, data) * 2,
    "compressed unasked": lambda _, data: frame(TEXT | 0x40, data),
    "masked": lambda _, data: bytes([TEXT, 0x80 | len(data)]) + bytes(4) + data,
    "out of order": Late(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_delivery_is_an_error(run_program: RunProgram, fault: str) -> None:
    with scripted_server(FAULTS[fault]) as port:
        code, result = run_program("fanout", port, *ONE, "--inflight=2", "--size=100")
    assert code == 1
    assert result.errors.wrong + result.errors.protocol == result.errors.total == 1, result.first_error


def test_a_lost_delivery_is_an_error(run_program: RunProgram) -> None:
    with scripted_server(lambda *_: b"") as port:
        code, result = run_program("fanout", port, *ONE, "--inflight=3", "--seconds=0.1", "--drain=0.2")
    assert (code, result.errors.unanswered, result.operations) == (1, 3, 0)


def test_a_server_that_leaves_is_told(run_program: RunProgram) -> None:
    with scripted_server(lambda *_: frame(0x88, b"\x03\xe9")) as port:
        code, result = run_program("fanout", port, *ONE)
    assert (code, result.errors.lost) == (1, 1)


def test_pings_are_answered(run_program: RunProgram) -> None:
    pongs = []

    def reply(opcode: int, data: bytes) -> bytes:
        if opcode == 10:
            pongs.append(data)
            return b""
        return frame(0x89, b"alive?") + same(opcode, data)

    with scripted_server(reply) as port:
        code, _ = run_program("fanout", port, *ONE)
    assert code == 0
    assert set(pongs) == {b"alive?"}


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_deflated_messages_are_dumped_and_inflate_to_what_was_sent(
    run_program: RunProgram, tmp_path: Path
) -> None:
    texts = documents(256)
    (tmp_path / "payload").write_bytes(b"".join(texts))
    stamp_at = len(DOCUMENT_STAMP)
    options = [
        "--size=256",
        f"--payload={tmp_path / 'payload'}",
        f"--stamp-at={stamp_at}",
        "--deflate",
        f"--dump={tmp_path / 'dump'}",
    ]
    with scripted_server(
        lambda _, data: frame(TEXT | 0x40, deflated(data)), lambda head: upgraded(head)[:-2] + AGREED
    ) as port:
        code, result = run_program("fanout", port, *ONE, *options)
    assert (code, result.first_error) == (0, "")
    assert result.figures["compressed"] == result.figures["no_context_takeover"] == 1
    assert 0 < result.figures["wire_bytes"] < 256
    assert first_fault((tmp_path / "dump").read_bytes(), texts, stamp_at, fresh_context=True) == ""


def test_a_server_that_does_not_agree_to_deflate_is_told(run_program: RunProgram) -> None:
    with scripted_server(same) as port:
        code, result = run_program("fanout", port, *ONE, "--deflate")
    assert (code, result.errors.lost) == (1, 1)
    assert "Extensions" in result.first_error


@pytest.mark.parametrize(
    "options",
    [("--size=15",), ("--size=70000",), ("--stamp-at=120",), ("--payload=/nowhere",), ("--publishers=2",)],
)
def test_what_cannot_be_fanned_out_is_exit_code_2(run_program: RunProgram, options: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        run_program("fanout", 1, "--connections=1", *options)
