"""A key's line is found in the right table."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsloop.daemon.places import place

TEXT = """\
top = 1
[channels]
presence = true
[namespaces.chat]
"presence" = true

 [namespaces."news"]  # not the other one
  presence=true
[client.deep]
"""


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        ("", "top", 1),
        ("channels", "presence", 3),
        ("namespaces.chat", "presence", 5),
        ("namespaces.news", "presence", 8),
        ("namespaces.news", "absent", 7),
        ("namespaces.chat", "", 4),
        ("", "namespaces", 4),
        ("", "client", 9),
        ("client", "absent", None),
        ("", "pres", None),
        ("server", "top", None),
    ],
)
def test_a_key_is_found_in_its_table(table: str, key: str, line: int | None) -> None:
    expected = "f.toml: " if line is None else f"f.toml:{line}: "
    assert place(Path("f.toml"), TEXT, table, key) == expected
