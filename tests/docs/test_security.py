"""The security page names settings and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsloop.daemon.table import all_keys
from wsloop.hub.operations.table import METHODS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")][1:]
SHOWN_BY = sorted({name for row in ROWS for name in re.findall(r"`(tests/\S+::\w+)`", row[-1])})


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_test_that_is_named_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_threat_has_a_test() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        assert re.search(r"`tests/\S+::\w+`", row[-1]), row[0]


def test_settings_and_variables_that_are_named_exist() -> None:
    paths = {key.path for key in all_keys()}
    sections = "|".join({key.section for key in all_keys()})
    named = re.findall(rf"`((?:{sections})\.\w+)`", PAGE)
    assert len(named) > 15
    assert set(named) <= paths
    variables = {f"WSLOOP_{path.replace('.', '__')}".upper() for path in paths} | {"WSLOOP_TLS__KEY_PASSWORD"}
    assert set(re.findall(r"WSLOOP_\w+", PAGE)) <= variables


def test_methods_of_the_api_that_are_named_exist() -> None:
    (cell,) = [row[2] for row in ROWS if row[2].startswith("API: ")]
    assert set(re.findall(r"`(\w+)`", cell)) <= set(METHODS)
