"""How a record becomes a line."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.log_format import MAX_FIELD, TextFormat, json_format

FIELDS: dict[str, Any] = {"conn": 7, "user": "ann", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}


def record(text: str = "hello", stack: str | None = None, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("wsloop.x", logging.INFO, "", 0, text, (), None, sinfo=stack)
    vars(made).update(extra)
    return made


def test_text_has_the_fields_of_a_connection_at_its_end() -> None:
    line = TextFormat().format(record(**FIELDS))
    assert line.endswith("INFO wsloop.x: hello [conn=7 user=ann trace_id=4bf92f3577b34da6a3ce929d0e0e4736]")


def test_what_is_not_about_a_connection_has_none() -> None:
    assert TextFormat().format(record()).endswith("INFO wsloop.x: hello")


def test_one_process_of_several_is_named() -> None:
    assert f" wsloop.x[worker-1 {os.getpid()}]: hello" in TextFormat("worker-1").format(record())


def test_json_has_them_as_fields_and_the_process_too() -> None:
    line = json.loads(json_format("worker-1").format(record(**FIELDS)))
    assert line.items() >= FIELDS.items()
    assert (line["process"], line["pid"]) == ("worker-1", os.getpid())


@given(st.text())
def test_no_user_can_forge_a_line_or_a_field(user: str) -> None:
    line = TextFormat().format(record(conn=7, user=user, trace_id="ab"))
    assert line.isprintable()
    head, _, tail = line.rpartition(" trace_id=ab]")
    assert not tail
    value = head.partition("hello [conn=7")[2].removeprefix(" user=")
    if value.startswith('"'):
        assert value.endswith('"')
        assert '"' not in value[1:-1].replace("\\\\", "").replace('\\"', "")
    else:
        assert value.isascii()
        assert not set(value) & set(" ]\"'=")
    assert len(value) <= 12 * MAX_FIELD


@pytest.mark.parametrize("stack", ["one\ntwo", "\x1b[2J\n2026 INFO forged"])
def test_a_block_of_lines_is_indented(stack: str) -> None:
    _, *block = TextFormat().format(record(stack=stack)).splitlines()
    assert len(block) == 2
    assert all(line.startswith("    ") and line.isprintable() for line in block)
    assert json.loads(json_format("alone").format(record(stack=stack)))["stack_info"] == stack
