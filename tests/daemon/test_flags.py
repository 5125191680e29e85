"""Flags of `serve`: what is given comes to the settings, and nothing else does."""

from __future__ import annotations

import pytest

from wsloop.daemon import flags
from wsloop.daemon.cli import cli


def given(*arguments: str) -> dict[str, dict[str, object]]:
    """Return what the flags of a command line set."""
    with cli.commands["serve"].make_context("serve", list(arguments)) as context:
        params = {name: value for name, value in context.params.items() if name not in ("dev", "path")}
        return flags.tree(params)


def test_no_flag_sets_nothing() -> None:
    assert given() == {}


@pytest.mark.parametrize(
    "arguments",
    [("10.0.0.1,unix",), ("10.0.0.1, unix",), ('["10.0.0.1", "unix"]',), ("10.0.0.1", "unix")],
)
def test_a_list_is_written_with_commas_or_by_repeating_the_flag(arguments: tuple[str, ...]) -> None:
    words = [word for text in arguments for word in ("--forwarded-allow-ips", text)]
    assert given(*words) == {"server": {"forwarded_allow_ips": ("10.0.0.1", "unix")}}


def test_an_address_to_listen_on_may_have_a_comma_in_it() -> None:
    assert given("-b", "unix:/run/a,b") == {"server": {"bind": ("unix:/run/a,b",)}}


@pytest.mark.parametrize(("flag", "value"), [("--proxy-headers", True), ("--no-proxy-headers", False)])
def test_a_switch_that_is_not_given_is_left_open(flag: str, value: bool) -> None:
    assert given(flag) == {"server": {"proxy_headers": value}}
