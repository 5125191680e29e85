"""The admin listener: when it is there, when it is not, and what the banner says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wsloop.daemon import admin, compose
from wsloop.daemon.config import Sources, read
from wsloop.daemon.settings import AdminSettings, Settings
from wsloop.errors import ConfigError, StartupError, UsageError
from wsloop.server.assembly import Options
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wsloop.server.assembly import House
    from wsloop.transport.bind import Bind


VARIABLE = "WSLOOP_ADMIN__API_KEY"


@pytest.fixture
def house() -> Iterator[House]:
    with MemoryServer(seed=2, options=Options(dev=True, api_key="")) as made:
        yield made.house


def on(house: House) -> Callable[[TcpBind], Bind]:
    """Return what listens on a house's admin listener."""
    return lambda bind: house.server.listen_admin(bind, house.admin).bind


def settings(*, dev: bool = False, **fields: Any) -> Settings:
    return Settings(dev=dev, admin=AdminSettings(**fields))


def test_in_development_nobody_needs_a_key(house: House) -> None:
    assert admin.listen(settings(dev=True), on(house)) == [
        "  admin    http://127.0.0.1:8766/healthz   http://127.0.0.1:8766/metrics",
        "  api      http://127.0.0.1:8766/api/   (no key is asked for)",
    ]


def test_without_a_key_there_is_no_api_and_the_banner_says_so(house: House) -> None:
    assert admin.listen(settings(), on(house))[1] == "  api      off: set admin.api_key to have it"
    assert compose.api_key(settings()) is None


def test_a_key_is_asked_for_and_never_shown(house: House) -> None:
    lines = admin.listen(settings(api_key="a-secret-key", dev=True), on(house))
    assert lines[1].endswith("(with the API key)")
    assert "a-secret-key" not in "".join(lines)


def test_the_environments_key_goes_before_the_files(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text('[admin]\napi_key = "from-the-file"\n')
    made = read(Sources(path, environ={VARIABLE: "from-the-environment"})).settings
    assert compose.api_key(made) == "from-the-environment"


@pytest.mark.parametrize(
    "key", ["short", "a-key-and-a-line\n", "two words", "schl\u00fcssel", "\udcff-no-utf-8"]
)
def test_a_key_in_the_environment_that_no_caller_could_show_is_refused(
    key: str,
) -> None:
    with pytest.raises(ConfigError, match="WSLOOP_ADMIN__API_KEY") as caught:
        read(Sources(environ={VARIABLE: key}))
    assert key not in caught.value.message + caught.value.hint


def test_an_api_for_everybody_is_warned_of_where_others_reach_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    admin.listen(settings(api_insecure=True, host="0.0.0.0"), on(house))
    assert "asks for no key" in caplog.text


def test_it_can_be_switched_off(house: House) -> None:
    assert admin.listen(settings(enabled=False), on(house)) == []


def test_the_default_port_may_be_in_use_in_development_only(house: House) -> None:
    house.server.listen_admin(TcpBind("127.0.0.1", admin.DEFAULT_PORT), house.admin)
    (line,) = admin.listen(settings(dev=True), on(house))
    assert line.startswith("  admin    off: port 8766 is already in use")
    for others in (settings(), settings(dev=True, port=8766)):
        with pytest.raises(StartupError, match="admin: port 8766 is already in use") as caught:
            admin.listen(others, on(house))
        assert caught.value.hint == "try --admin-port 0 or --no-admin"


def test_development_mode_opens_it_on_this_machine_only(house: House) -> None:
    with pytest.raises(UsageError, match="on this machine only"):
        admin.listen(settings(dev=True, host="192.0.2.1"), on(house))


@pytest.mark.parametrize(
    ("host", "expected"), [("localhost", True), ("::1", True), ("127.9.9.9", True), ("a.example", False)]
)
def test_what_is_this_machine(host: str, expected: bool) -> None:
    assert admin.is_loopback(host) is expected
