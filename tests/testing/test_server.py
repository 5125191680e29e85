"""A server and its clients in one process, on virtual time: one seed, one history."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable

ROUGH = NetworkFaults(
    min_delay_s=0.001, max_delay_s=0.2, max_read_bytes=200, max_write_bytes=150, eagain_chance=0.1
)


def history_of(seed: int) -> str:
    """Let two clients chat over a rough network; return a digest of all that each received, and when."""
    with MemoryServer(seed, faults=ROUGH) as house:
        anna, ben = house.join("anna"), house.join("ben")
        for client in (anna, ben):
            house.ask(client, subscribe={"channel": "chat:lobby"})
        for number in range(10):
            writer = anna if number % 2 else ben
            house.ask(writer, publish={"channel": "chat:lobby", "data": {"n": number}})
        house.run_until(lambda: all(len(each.publications("chat:lobby")) == 10 for each in (anna, ben)))
        for client in (anna, ben):
            assert [data["n"] for data in client.publications("chat:lobby")] == list(range(10))
        record = json.dumps([anna.texts, ben.texts, house.clock.now()])
    return hashlib.sha256(record.encode()).hexdigest()


def test_the_same_seed_is_the_same_history_and_another_seed_another() -> None:
    assert history_of(1) == history_of(1)
    assert history_of(1) != history_of(2)


def test_the_history_does_not_depend_on_the_hash_seed() -> None:
    script = "from tests.testing.test_server import history_of; print(history_of(3))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert digests == {history_of(3) + "\n"}


def test_no_real_socket_is_opened_and_nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the simulation touched the machine")

    replaced: list[tuple[object, str, Callable[..., None]]] = [
        (socket, "socket", forbidden),
        (socket, "socketpair", forbidden),
        (time, "sleep", forbidden),
    ]
    for owner, name, stand_in in replaced:
        monkeypatch.setattr(owner, name, stand_in)
    history_of(4)


def test_a_condition_that_never_comes_true_is_told_in_virtual_time() -> None:
    with MemoryServer() as house, pytest.raises(TimeoutError, match=r"30\.0 s of virtual time"):
        house.run_until(lambda: False, within_s=30.0)


def test_recovery_after_a_cut_gives_exactly_what_was_missed() -> None:
    with MemoryServer(seed=9) as house:
        reader, writer = house.join(), house.join()
        house.ask(writer, publish={"channel": "chat:a", "data": 1})
        position = house.ask(reader, subscribe={"channel": "chat:a", "recoverable": True})["subscribe"]
        house.ask(writer, publish={"channel": "chat:a", "data": 2})
        house.run_until(lambda: reader.publications("chat:a") == [2])
        reader.reset()
        for number in (3, 4, 5):
            house.ask(writer, publish={"channel": "chat:a", "data": number})
        back = house.join()
        recover = {"channel": "chat:a", "recover": True, "epoch": position["epoch"], "offset": 2}  # type: ignore[index]
        result = house.ask(back, subscribe=recover)["subscribe"]
        assert result["recovered"] is True  # type: ignore[index]
        assert [pub["data"] for pub in result["publications"]] == [3, 4, 5]  # type: ignore[index]
        house.ask(writer, publish={"channel": "chat:a", "data": 6})
        house.run_until(lambda: back.publications("chat:a") == [6])
