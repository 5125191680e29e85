"""Flags are the settings by another name: made from them, and judged as they are."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from wsloop.daemon import flags
from wsloop.daemon.cli import cli
from wsloop.daemon.flag_names import FLAGS
from wsloop.daemon.table import all_keys

KEYS = {key.path: key for key in all_keys()}


def parsed(*arguments: str) -> dict[str, dict[str, Any]]:
    """Return what a command line sets."""
    found: list[dict[str, dict[str, Any]]] = []

    @click.command()
    @flags.options
    def command(**given: Any) -> None:
        found.append(flags.tree(given))

    command.main([*arguments], standalone_mode=False)
    return found[0]


def test_every_flag_sets_a_key_and_no_two_the_same() -> None:
    assert set(FLAGS) <= set(KEYS)
    assert len(set(FLAGS.values())) == len(FLAGS)


@pytest.mark.parametrize("path", FLAGS)
def test_the_help_is_the_settings_meaning_with_its_default(path: str) -> None:
    text = " ".join(CliRunner().invoke(cli, ["serve", "--help"], terminal_width=500).output.split())
    key = KEYS[path]
    assert f"{key.meaning[0].upper()}{key.meaning[1:]}." in text
    assert FLAGS[path] in text


def test_without_flags_nothing_is_set() -> None:
    assert parsed() == {}


@pytest.mark.parametrize(
    ("arguments", "section", "key", "value"),
    [
        (("--ws-max-size", "64KiB"), "ws", "max_size", 65536),
        (("--ws-max-size", "1000"), "ws", "max_size", 1000),
        (("--ws-ping-interval", "1m"), "ws", "ping_interval", 60.0),
        (("--timeout-graceful-shutdown", "500ms"), "server", "timeout_graceful_shutdown", 0.5),
        (("--no-admin",), "admin", "enabled", False),
        (("--admin",), "admin", "enabled", True),
        (("--log-level", "debug"), "log", "level", "debug"),
        (("-b", "a:1", "--bind", "unix:/s", "--uds", "/t", "--fd", "3"), "server", "bind",
         ("a:1", "unix:/s", "unix:/t", "fd://3")),
    ],
)  # fmt: skip
def test_a_flag_is_read_by_the_kind_of_its_key(
    arguments: tuple[str, ...], section: str, key: str, value: object
) -> None:
    assert parsed(*arguments) == {section: {key: value}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ws-max-size", "5x"), "Invalid value for '--ws-max-size': '5x' is not a size"),
        (("--ws-ping-interval", "5x"), "Invalid value for '--ws-ping-interval': '5x' is not a time"),
        (("--port", "65536"), "Invalid value for '--port': expected `int` <= 65535"),
        (("--port", "http"), "'http' is not a whole number"),
        (("--log-level", "loud"), "'loud' is not one of"),
    ],
)
def test_a_wrong_value_is_told_with_the_flag(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        parsed(*arguments)
    assert words in caught.value.format_message()


@pytest.mark.parametrize(
    "arguments",
    [("10.0.0.1,unix",), ("10.0.0.1, unix",), ('["10.0.0.1", "unix"]',), ("10.0.0.1", "unix")],
)
def test_a_list_is_written_with_commas_or_by_repeating_the_flag(arguments: tuple[str, ...]) -> None:
    words = [word for text in arguments for word in ("--forwarded-allow-ips", text)]
    assert parsed(*words) == {"server": {"forwarded_allow_ips": ("10.0.0.1", "unix")}}


def test_an_address_to_listen_on_may_have_a_comma_in_it() -> None:
    assert parsed("-b", "unix:/run/a,b") == {"server": {"bind": ("unix:/run/a,b",)}}


@pytest.mark.parametrize(("flag", "value"), [("--proxy-headers", True), ("--no-proxy-headers", False)])
def test_a_switch_that_is_not_given_is_left_open(flag: str, value: bool) -> None:
    assert parsed(flag) == {"server": {"proxy_headers": value}}
