"""Ceilings of memory, read from files as the kernel writes them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import memory
from wsloop.daemon.memory import ProcessMemory
from wsloop.server.overload import Memory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """Files of a machine: `proc` of the process, `cgroups` the mounted control groups."""

    def __init__(self, path: Path) -> None:
        self.proc, self.cgroups = path / "proc", path / "cgroup"
        self.write(self.proc / "statm", f"9999 {100 * MIB // PAGE} 5 0 0 0 0\n")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def v2(self, group: str, limit: object, used: int, inactive: int = 0) -> None:
        where = self.cgroups / group
        self.write(where / "memory.max", f"{limit}\n")
        self.write(where / "memory.current", f"{used}\n")
        self.write(where / "memory.stat", f"anon 1\ninactive_anon 7\ninactive_file {inactive}\nfile 3\n")

    def v1(self, group: str, limit: int, used: int, inactive: int = 0) -> None:
        where = self.cgroups / "memory" / group
        self.write(where / "memory.limit_in_bytes", f"{limit}\n")
        self.write(where / "memory.usage_in_bytes", f"{used}\n")
        self.write(where / "memory.stat", f"inactive_file 1\ntotal_inactive_file {inactive}\n")

    def member_of(self, *lines: str) -> None:
        self.write(self.proc / "cgroup", "".join(f"{line}\n" for line in lines))

    def gauge(self, limit_bytes: int | None = None) -> ProcessMemory:
        return ProcessMemory(limit_bytes, proc=self.proc, cgroups=self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_ceiling_there_is_nothing_to_watch(machine: Machine) -> None:
    assert not machine.gauge().is_limited
    assert machine.gauge().read() is None


def test_the_operators_ceiling_is_for_resident_memory(machine: Machine) -> None:
    assert machine.gauge(200 * MIB).read() == Memory(100 * MIB, 200 * MIB)


def test_a_group_of_version_2_has_its_own(machine: Machine) -> None:
    machine.member_of("0::/system.slice/wsloop.service")
    machine.v2("system.slice/wsloop.service", 400 * MIB, 300 * MIB, inactive=50 * MIB)
    assert machine.gauge().read() == Memory(250 * MIB, 400 * MIB)


def test_pages_of_files_are_looked_at_only_where_it_matters(machine: Machine) -> None:
    machine.member_of("0::/a")
    machine.v2("a", 400 * MIB, 200 * MIB, inactive=50 * MIB)
    assert machine.gauge().read() == Memory(200 * MIB, 400 * MIB)


def test_the_nearest_ceiling_counts_wherever_it_is(machine: Machine) -> None:
    machine.member_of("0::/outer/inner")
    machine.v2("outer/inner", "max", 50 * MIB)
    machine.v2("outer", 100 * MIB, 60 * MIB)
    assert machine.gauge().read() == Memory(60 * MIB, 100 * MIB)
    assert machine.gauge(125 * MIB).read() == Memory(100 * MIB, 125 * MIB)
    assert machine.gauge(1000 * MIB).read() == Memory(60 * MIB, 100 * MIB)


def test_a_container_sees_its_group_as_the_root_whatever_it_is_called(machine: Machine) -> None:
    machine.member_of("0::/../../kubepods/pod7")
    machine.v2("", 100 * MIB, 60 * MIB)
    assert machine.gauge().read() == Memory(60 * MIB, 100 * MIB)


def test_version_1_is_read_too(machine: Machine) -> None:
    machine.member_of("9:name=systemd:/", "4:memory,hugetlb:/docker/1", "0::/")
    machine.v1("docker/1", 100 * MIB, 90 * MIB, inactive=10 * MIB)
    machine.v1("", 9223372036854771712, 900 * MIB)
    assert machine.gauge().read() == Memory(80 * MIB, 100 * MIB)


def test_a_ceiling_that_changes_is_seen(machine: Machine) -> None:
    machine.member_of("0::/a")
    machine.v2("a", "max", 10 * MIB)
    gauge = machine.gauge()
    assert gauge.is_limited
    assert gauge.read() is None
    machine.v2("a", 100 * MIB, 10 * MIB)
    assert gauge.read() == Memory(10 * MIB, 100 * MIB)


@pytest.mark.parametrize("limit", ["0", "", "-1", "lots"])
def test_nonsense_is_no_ceiling(machine: Machine, limit: str) -> None:
    machine.member_of("0::/a")
    machine.v2("a", limit, 10 * MIB)
    assert machine.gauge().read() is None


def test_a_group_that_is_gone_is_none(machine: Machine) -> None:
    machine.member_of("0::/a")
    machine.v2("a", 100 * MIB, 10 * MIB)
    gauge = machine.gauge()
    for file in (machine.cgroups / "a").iterdir():
        file.unlink()
    assert gauge.read() is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's files")
def test_this_process_can_be_measured_and_asked_to_give_back() -> None:
    gauge = memory.gauge(2**40)
    assert gauge is not None
    reading = gauge.read()
    assert reading is not None
    assert MIB < reading.used_bytes < 2**40
    gauge.give_back()


def test_where_nothing_can_be_read_nothing_is_watched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> int:
        raise PermissionError

    monkeypatch.setattr(memory, "resident_bytes", refuse)
    gauge = memory.gauge(2**40)
    assert gauge is None or gauge.read() != Memory(0, 2**40)
    assert "server.memory_limit is not watched" in caplog.text
