"""What the pages for newcomers from other servers name exists here."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from wsloop.daemon.config import section_type
from wsloop.daemon.settings import Settings
from wsloop.hub.namespaces import Namespace
from wsloop.hub.operations.table import METHODS

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ["coming-from-centrifugo.md", "coming-from-socketio.md", "coming-from-pusher.md", "topics.md"]
SECTIONS = {field.name: field.type for field in msgspec.structs.fields(Settings) if field.name != "dev"}


def rows(page: str) -> list[list[str]]:
    """Return the cells of all tables of a page."""
    lines = (HOW_TO / page).read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]


def test_an_option_that_replaces_one_of_centrifugos_exists() -> None:
    lines = (HOW_TO / PAGES[0]).read_text(encoding="utf-8").partition("## Options")[2].partition("##")[0]
    ours = [row.strip("| ").split(" | ")[1] for row in lines.splitlines() if row.startswith("| ")][1:]
    names = [name for cell in ours for name in re.findall(r"`([a-z_.]+)`", cell)]
    assert len(names) > 10
    for name in names:
        section, dot, key = name.rpartition(".")
        kind = section_type(SECTIONS[section]) if dot else Namespace
        assert key in kind.__struct_fields__, name


@pytest.mark.parametrize("page", PAGES)
def test_calls_and_options_in_our_column_exist(page: str) -> None:
    keys = {*Namespace.__struct_fields__, *METHODS, "rpc", "publish", "meta", "info"}
    for row in rows(page):
        for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", row[-1]):
            assert name in keys | {"conn_info", "chan_info", "history_ttl_s"}, name
