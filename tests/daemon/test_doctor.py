"""`wsloop doctor`: each finding, on machines made for it; and that it changes nothing."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.transport.tls_kit import write_pair
from wsloop.daemon import doctor, doctor_service
from wsloop.daemon.cli import cli
from wsloop.daemon.doctor import FAIL, OK, WARN, Finding, Machine
from wsloop.daemon.settings import AdminSettings, ServerSettings, Settings, TlsSettings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "fs/nr_open": "1048576",
    "fs/file-max": "9223372036854775807",
    "net/core/somaxconn": "4096",
    "net/ipv4/tcp_max_syn_backlog": "4096",
    "net/ipv4/ip_local_port_range": "32768\t60999",
    "net/ipv4/tcp_mem": "286203 381606 572406",
    "net/ipv4/tcp_rmem": "4096 131072 6291456",
    "net/ipv4/tcp_wmem": "4096 16384 4194304",
    "net/netfilter/nf_conntrack_max": "262144",
    "net/ipv4/ip_unprivileged_port_start": "1024",
}
IN_2026 = 1_790_000_000.0


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """The kernel's files of a good machine, to be changed."""
    for name, text in GOOD.items():
        write(tmp_path / "proc/sys" / name, text)
    write(tmp_path / "proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB")
    write(tmp_path / "proc/self/statm", "1 1 1")
    write(tmp_path / "proc/self/status", "CapEff:\t0000000000000000")
    write(tmp_path / "sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
    return {"proc": tmp_path / "proc", "sys": tmp_path / "sys"}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def machine(files: dict[str, Any], **fields: Any) -> Machine:
    usual: dict[str, Any] = {
        "descriptors": (1024, 524_288), "user_id": 1000, "unix_s": lambda: IN_2026,
        "is_installed": lambda _name: True,
    }  # fmt: skip
    return Machine(**{**files, **usual, **fields})


def findings(check: Any, made: Machine, settings: Settings | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(made, settings or Settings())}


def test_a_good_machine_has_nothing_to_fix(files: dict[str, Any]) -> None:
    for check in doctor.CHECKS:
        for finding in check(machine(files), Settings()):
            assert (finding.level, finding.fix) == (OK, ""), finding


def test_a_machine_that_tells_nothing_is_no_fault(tmp_path: Path) -> None:
    made = machine({"proc": tmp_path / "proc", "sys": tmp_path / "sys"})
    for check in doctor.CHECKS:
        assert all(finding.level == OK for finding in check(made, Settings()))


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("fs/nr_open", "1024", "fs.nr_open"),
        ("fs/file-max", "65536", "fs.file-max"),
        ("net/core/somaxconn", "128", "net.core.somaxconn"),
        ("net/ipv4/tcp_max_syn_backlog", "512", "net.ipv4.tcp_max_syn_backlog"),
        ("net/ipv4/ip_local_port_range", "50000 60999", "net.ipv4.ip_local_port_range"),
        ("net/ipv4/tcp_mem", "100 200 300", "net.ipv4.tcp_mem"),
        ("net/ipv4/tcp_rmem", "4096 4194304 6291456", "net.ipv4.tcp_rmem"),
        ("net/ipv4/tcp_wmem", "4096 4194304 4194304", "net.ipv4.tcp_wmem"),
        ("net/netfilter/nf_conntrack_max", "8192", "nf_conntrack_max"),
    ],
)
def test_a_kernel_setting_that_is_too_low_is_told_with_its_command(
    files: dict[str, Any], name: str, text: str, finding: str
) -> None:
    write(files["proc"] / "sys" / name, text)
    found = {
        each.name: each
        for check in (doctor.descriptors, doctor.backlog, doctor.network)
        for each in check(machine(files), Settings())
    }
    assert found[finding].level == WARN
    assert found[finding].fix.startswith("sysctl -w ")
    assert [each.name for each in found.values() if each.level != OK] == [finding]


@pytest.mark.parametrize(
    ("limits", "asked", "level"),
    [((1024, 1024), None, WARN), ((1024, 1024), 5000, FAIL), ((1024, -1), 500_000, OK)],
)
def test_descriptors(files: dict[str, Any], limits: tuple[int, int], asked: int | None, level: str) -> None:
    settings = Settings(server=ServerSettings(limit_concurrency=asked))
    found = findings(doctor.descriptors, machine(files, descriptors=limits), settings)["descriptors"]
    assert found.level == level
    assert ("LimitNOFILE" in found.fix) is (level != OK)


def test_clocks(files: dict[str, Any]) -> None:
    assert findings(doctor.clock, machine(files, unix_s=lambda: 0.0))["clock"].level == FAIL
    falling = iter((5.0, 4.0))
    found = findings(doctor.clock, machine(files, monotonic_s=lambda: next(falling)))
    assert "backwards" in found["clock"].text
    write(files["sys"] / "devices/system/clocksource/clocksource0/current_clocksource", "hpet")
    assert findings(doctor.clock, machine(files))["clocksource"].level == WARN


def test_what_is_not_installed_is_told_with_what_it_is_for(files: dict[str, Any]) -> None:
    found = findings(doctor.extras, machine(files, is_installed=lambda name: name == "numpy"))
    assert found["numpy"].text == "installed"
    assert "pip install" in found["isal"].text


def test_memory_tells_how_many_connections_there_may_be(files: dict[str, Any]) -> None:
    whole = findings(doctor.memory, machine(files))["memory"]
    assert "limited by memory" not in whole.text
    write(files["proc"] / "self/cgroup", "0::/wsloop\n")
    group = files["sys"] / "fs/cgroup/wsloop"
    write(group / "memory.max", str(256 * 2**20))
    write(group / "memory.current", "1000000")
    held = findings(doctor.memory, machine(files))["memory"]
    assert held.text == "256.0 MiB limit: about 18,004 connections, limited by memory"
    write(group / "memory.max", str(64 * 2**20))
    tight = findings(doctor.memory, machine(files))["memory"]
    assert (tight.level, bool(tight.fix)) == (WARN, True)
    asked = Settings(server=ServerSettings(limit_concurrency=10))
    write(group / "memory.max", "max")
    assert (
        "about 10 connections, limited by the settings"
        in findings(doctor.memory, machine(files), asked)["memory"].text
    )


# -- the service -----------------------------------------------------------------------------------


def on(port: int, **server: Any) -> Settings:
    return Settings(server=ServerSettings(port=port, **server), admin=AdminSettings(enabled=False))


def test_a_port_is_free_or_in_use_by_somebody(files: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        found = findings(doctor_service.ports, Machine(), on(port))[f"port {port}"]
        assert found.level == FAIL
        assert "in use (pid" in found.text
        assert f"--port {port + 10}" in found.fix
    assert findings(doctor_service.ports, machine(files), on(port))[f"port {port}"].text == "free"


def test_a_daemons_own_port_is_how_it_should_be(
    files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(files["proc"] / "7/cmdline", "python\0-m\0wsloop\0serve\0")
    monkeypatch.setattr(doctor_service, "holder_of", lambda _port, _proc: "pid 7, python")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        found = findings(doctor_service.ports, machine(files), on(port))[f"port {port}"]
    assert (found.level, found.text) == (OK, "a wsloop daemon has it (pid 7, python)")


@pytest.mark.parametrize(
    ("user_id", "capabilities", "first", "may"),
    [
        (0, "0", "1024", True),
        (1000, "0", "1024", False),
        (1000, "0000000000000400", "1024", True),
        (1000, "0", "80", True),
    ],
)
def test_a_privileged_port_needs_rights(
    files: dict[str, Any], user_id: int, capabilities: str, first: str, may: bool
) -> None:
    write(files["proc"] / "self/status", f"Name:\tx\nCapEff:\t{capabilities}\n")
    write(files["proc"] / "sys/net/ipv4/ip_unprivileged_port_start", first)
    assert doctor_service._may_take(machine(files, user_id=user_id), 443) is may
    found = findings(doctor_service.ports, machine(files, user_id=user_id), on(443))["port 443"]
    assert ("CAP_NET_BIND_SERVICE" in found.fix) is not may


@pytest.mark.parametrize(
    ("host", "text"), [("192.0.2.1", "cannot listen"), ("no.such.host.invalid", "cannot")]
)
def test_an_address_that_is_not_ours(files: dict[str, Any], host: str, text: str) -> None:
    found = findings(doctor_service.ports, machine(files), on(9, host=host, bind=(f"{host}:9999",)))
    assert found["port 9999"].level == FAIL
    assert text in found["port 9999"].text


def test_a_unix_sockets_directory(files: dict[str, Any], tmp_path: Path) -> None:
    good, bad = f"unix:{tmp_path}/a", "unix:/nowhere/a"
    found = findings(doctor_service.ports, machine(files), on(9, bind=(good, bad)))
    assert (found[good].level, found[bad].level) == (OK, FAIL)


def test_a_certificate_that_ends(files: dict[str, Any], tmp_path: Path) -> None:
    certfile, keyfile = write_pair(tmp_path)
    settings = Settings(tls=TlsSettings(certfile=str(certfile), keyfile=str(keyfile)))
    fields = ssl._ssl._test_decode_cert(str(certfile))  # type: ignore[attr-defined]
    ends_s = ssl.cert_time_to_seconds(fields["notAfter"])
    for left_days, level in ((-1, FAIL), (3, WARN), (60, OK)):
        made = machine(files, unix_s=lambda: ends_s - left_days * 86_400)  # noqa: B023
        found = findings(doctor_service.certificate, made, settings)["certificate"]
        assert found.level == level
        assert ("renew" in found.fix) is (level != OK)
    assert findings(doctor_service.certificate, machine(files)) == {}
    broken = Settings(tls=TlsSettings(certfile=str(keyfile)))
    assert findings(doctor_service.certificate, machine(files), broken)["certificate"].level == FAIL


# -- the command -----------------------------------------------------------------------------------


def test_the_command_prints_lines_or_json_and_fails_on_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def sick(_machine: Machine, _settings: Settings) -> list[Finding]:
        return [Finding(FAIL, "port 1", "in use", "try 2"), Finding(OK, "clock", "good")]

    monkeypatch.setattr(doctor, "CHECKS", (sick,))
    monkeypatch.setattr(doctor_service, "CHECKS", ())
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1
    assert [line.split() for line in result.output.splitlines()] == [
        ["FAIL", "port", "1", "in", "use"],
        ["try", "2"],
        ["ok", "clock", "good"],
    ]
    told = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).output)
    assert told[0] == {"level": "FAIL", "name": "port 1", "text": "in use", "fix": "try 2"}
    monkeypatch.setattr(doctor, "CHECKS", ())
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0


def test_it_runs_on_this_machine() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code in (0, 1)
    assert {"descriptors", "clock", "memory"} <= {finding["name"] for finding in json.loads(result.output)}
