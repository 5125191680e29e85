"""The connection generator: whole cycles counted, every step of one judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.scripted import frame, scripted_server, upgraded
from tools.bench.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tools.conftest import RunProgram

ONE = ("--connections=1", "--operations=5", "--drain=10")


def echo(opcode: int, data: bytes) -> bytes:
    return frame(0x80 | opcode, data)


@pytest.mark.parametrize("size", [0, 125, 126, 5000])
def test_cycles_are_counted(run_program: RunProgram, size: int) -> None:
    with scripted_server(echo) as port:
        code, result = run_program("connects", port, *ONE, "--sources=3", f"--size={size}")
    assert (code, result.first_error, result.unclean_closes) == (0, "", 0)
    assert result.operations >= 5
    assert 0 < result.latency_us.p50 <= result.latency_us.max


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("lost", lambda _: b"HTTP/1.1 503 Busy\r\n\r\n"),
        ("lost", lambda head: upgraded(head).replace(b"accept: ", b"accept: x")),
        ("protocol", lambda head: upgraded(head) + frame(0x89, b"")),
    ],
    ids=["refused", "accept", "bytes behind"],
)
def test_a_bad_handshake_is_an_error(
    run_program: RunProgram, kind: str, answer: Callable[[bytes], bytes]
) -> None:
    with scripted_server(echo, answer) as port:
        code, result = run_program("connects", port, *ONE)
    assert (code, result.operations) == (1, 0)
    assert getattr(result.errors, kind) == result.errors.total == 1, result.first_error


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("wrong", lambda _, data: frame(0x81, data[::-1])),
        ("wrong", lambda _, data: frame(0x82, data)),
        ("unanswered", lambda *_: b""),
    ],
    ids=["reversed", "binary", "silent"],
)
def test_a_wrong_echo_is_an_error(
    run_program: RunProgram, kind: str, reply: Callable[[int, bytes], bytes]
) -> None:
    with scripted_server(reply) as port:
        code, result = run_program("connects", port, *ONE, "--seconds=0.1", "--drain=0.1")
    assert code == 1
    assert getattr(result.errors, kind) == result.errors.total == 1, result.first_error


def test_a_missing_close_frame_is_unclean_and_another_frame_an_error(run_program: RunProgram) -> None:
    with scripted_server(echo, close=lambda _: b"") as port:
        code, result = run_program("connects", port, *ONE)
    assert (code, result.errors.total) == (0, 0)
    assert result.unclean_closes >= 5
    with scripted_server(echo, close=lambda _: frame(0x81, b"no")) as port:
        code, result = run_program("connects", port, *ONE)
    assert (code, result.errors.protocol) == (1, 1)


def test_nobody_listens(run_program: RunProgram) -> None:
    code, result = run_program("connects", free_port(), *ONE)
    assert (code, result.errors.lost, result.operations) == (1, 1, 0)
