"""Both echo generators: right echoes counted, every wrong one noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.tools.faults import FAULTS
from tests.tools.scripted import LIMIT_S, frame, scripted_server, upgraded
from tools.bench import build, generator, process
from tools.bench.cells import ECHO, FANOUT
from tools.bench.model import Cell, GeneratorResult, Timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tools.conftest import CProgram

PYTHON = [sys.executable, "-m", "tools.bench.python_generator"]
SIZE = 100


@pytest.fixture(params=["c", "python"])
def command(request: pytest.FixtureRequest) -> list[str]:
    return request.getfixturevalue("c_command") if request.param == "c" else PYTHON


@pytest.fixture
def c_command(c_program: CProgram) -> list[str]:
    return c_program("echo")


def run_generator(command: list[str], port: int, *more: str) -> tuple[int, GeneratorResult]:
    options = ["--connections=1", f"--size={SIZE}", "--warmup=0", "--operations=20", "--seconds=30"]
    done = subprocess.run(
        [*command, f"--port={port}", *options, "--drain=10", *more],
        cwd=process.ROOT,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, msgspec.json.decode(done.stdout, type=GeneratorResult)


def echo(opcode: int, data: bytes) -> bytes:
    return frame(0x80 | opcode, data)


@pytest.mark.parametrize("binary", [(), ("--binary",)], ids=["text", "binary"])
def test_right_echoes_are_counted(command: list[str], binary: tuple[str, ...]) -> None:
    with scripted_server(echo) as port:
        code, result = run_generator(command, port, *binary)
    assert (code, result.errors.total, result.first_error) == (0, 0, "")
    assert result.operations >= 20
    assert result.unclean_closes == 0
    assert 0 < result.latency_us.p50 <= result.latency_us.p99 <= result.latency_us.max


@pytest.mark.parametrize("size", [0, 1, 15, 16, 125, 126, 60000])
def test_every_length_encoding_is_echoed(c_command: list[str], size: int) -> None:
    with scripted_server(echo) as port:
        code, result = run_generator(c_command, port, f"--size={size}", "--inflight=3")
    assert (code, result.first_error) == (0, "")


def test_pings_and_fragments_between_echoes_are_in_order(command: list[str]) -> None:
    pongs = []

    def reply(opcode: int, data: bytes) -> bytes:
        if opcode == 10:
            pongs.append(data)
            return b""
        return frame(0x01, data[:7]) + frame(0x89, b"alive?") + frame(0x00, b"") + frame(0x80, data[7:])

    with scripted_server(reply) as port:
        code, result = run_generator(command, port)
    assert (code, result.first_error) == (0, "")
    assert set(pongs) == {b"alive?"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_echo_is_an_error(c_command: list[str], fault: str) -> None:
    kind, make = FAULTS[fault]
    with scripted_server(lambda _, data: make(data)) as port:
        code, result = run_generator(c_command, port)
    assert code == 1
    assert getattr(result.errors, kind) == 1, result.first_error
    assert result.errors.total == 1


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("wrong", lambda data: frame(0x81, data[::-1])),
        ("lost", lambda _: frame(0x88, b"\x03\xe9")),
        ("unanswered", lambda _: b""),
    ],
    ids=["reversed", "closed", "silent"],
)
def test_both_generators_tell_what_went_wrong(
    command: list[str], kind: str, reply: Callable[[bytes], bytes]
) -> None:
    with scripted_server(lambda _, data: reply(data)) as port:
        code, result = run_generator(command, port, "--seconds=0.2", "--drain=0.2")
    assert code == 1
    assert getattr(result.errors, kind) == result.errors.total == 1, result.first_error


def test_a_server_that_leaves_without_a_close_frame_is_told(command: list[str]) -> None:
    with scripted_server(echo, close=lambda _: b"") as port:
        code, result = run_generator(command, port)
    assert (code, result.unclean_closes) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda _: b"HTTP/1.1 503 Busy\r\n\r\n", "503"),
        (lambda head: upgraded(head).replace(b"accept: ", b"accept: x"), "Sec-WebSocket-Accept"),
        (lambda head: upgraded(head).replace(b"WebSocket", b"h2c"), "Upgrade"),
        (
            lambda head: upgraded(head)[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "xtension",
        ),
        (lambda head: upgraded(head)[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n", "rotocol"),
    ],
    ids=["refused", "accept", "upgrade", "extension", "subprotocol"],
)
def test_a_bad_handshake_is_an_error(command: list[str], answer: Callable[[bytes], bytes], text: str) -> None:
    with scripted_server(echo, answer) as port:
        code, result = run_generator(command, port)
    assert (code, result.errors.lost, result.operations) == (1, 1, 0)
    assert text in result.first_error


def test_nobody_listens(command: list[str]) -> None:
    code, result = run_generator(command, process.free_port())
    assert (code, result.errors.lost) == (1, 1)
    assert "refused" in result.first_error


def test_bytes_behind_the_handshake_are_not_lost(command: list[str]) -> None:
    ping = frame(0x89, b"early")
    pongs = []

    def reply(opcode: int, data: bytes) -> bytes:
        if opcode == 10:
            pongs.append(data)
            return b""
        return echo(opcode, data)

    with scripted_server(reply, lambda head: upgraded(head) + ping) as port:
        code, _ = run_generator(command, port)
    assert code == 0
    assert pongs == [b"early"]


def test_large_messages_pass_the_bare_loop_in_pieces(command: list[str]) -> None:
    port = process.free_port()
    server = [sys.executable, "-m", "tools.bench.servers.bare_selectors", f"--port={port}"]
    core = min(os.sched_getaffinity(0))
    cell = Cell("large", ECHO, "", connections=2, size_bytes=3_000_000, inflight=2, binary=True)
    timing = Timing(warmup_s=0, seconds=60, operations=6)
    options = generator.arguments(cell, timing, generator.Target(port, (os.getpid(),), raw=True))
    with process.running(server, port, core, {}) as running:
        assert running.pids
        result = generator.run([*command, *options], core, 90)
    assert result.first_error == ""
    assert result.operations >= 6


def test_the_server_is_charged_for_its_cpu_only(c_command: list[str]) -> None:
    with scripted_server(echo) as port:
        _, busy = run_generator(c_command, port, f"--pid={os.getpid()}")
    with scripted_server(echo) as port:
        _, none = run_generator(c_command, port)
    assert busy.server_cpu_seconds > 0
    assert none.server_cpu_seconds == 0


@pytest.mark.parametrize(
    "option", ["--port=0", "--connections=0", "--inflight=0", "--seconds=0", "--nonsense"]
)
def test_bad_usage_is_exit_code_2(c_command: list[str], option: str) -> None:
    done = subprocess.run([*c_command, "--port=1", option], capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr


def test_a_failing_compiler_is_told(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no such header' >&2\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(build.BuildError, match="no such header"):
        build.build_c(generator.LOAD / "echo.c", tmp_path / "build" / "echo", str(compiler))
    assert list((tmp_path / "build").iterdir()) == []


def test_a_program_is_built_again_only_if_a_source_is_newer(tmp_path: Path, c_program: CProgram) -> None:
    binary = c_program("echo")[0]
    assert build.build_c(generator.LOAD / "echo.c", Path(binary), "no-such-compiler") == Path(binary)
    with pytest.raises(build.BuildError, match="no no-such-compiler"):
        build.build_c(generator.LOAD / "echo.c", tmp_path / "echo", "no-such-compiler")


def test_without_a_compiler_the_echo_generator_is_in_python_and_there_is_no_other() -> None:
    assert generator.generator_command(ECHO, "no-such-compiler") == PYTHON
    with pytest.raises(generator.GeneratorError, match="make debian"):
        generator.generator_command(FANOUT, "no-such-compiler")


def test_a_generator_that_prints_no_result_is_an_error() -> None:
    core = min(os.sched_getaffinity(0))
    with pytest.raises(generator.GeneratorError, match="ended with 3 and said: oh no"):
        generator.run(["sh", "-c", "echo oh no >&2; exit 3"], core, 10)


def test_a_generator_that_hangs_is_ended() -> None:
    core = min(os.sched_getaffinity(0))
    with pytest.raises(generator.GeneratorError, match="still running after 0 s"):
        generator.run(["sleep", "60"], core, 0.05)
