"""Trace ids after W3C Trace Context level 1; the sections are its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol import trace

if TYPE_CHECKING:
    import uuid

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE_ID}-{SPAN}-01"

hex_ids = st.binary(min_size=16, max_size=16).filter(any)
spans = st.binary(min_size=8, max_size=8).filter(any)
flags = st.binary(min_size=1, max_size=1)


@given(hex_ids, spans, flags)
def test_a_good_header_keeps_its_id_and_its_flags_and_loses_its_span(
    trace_id: bytes, span: bytes, flag: bytes
) -> None:
    found = trace.parse(f"00-{trace_id.hex()}-{span.hex()}-{flag.hex()}".encode())
    assert trace.trace_id(found) == trace_id.hex()
    own = b"\x01" * 8
    assert trace.traceparent(found, own) == f"00-{trace_id.hex()}-{own.hex()}-{flag.hex()}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        GOOD.upper(),  # 3.2.2.3: "lowercase"
        f" {GOOD}",
        f"{GOOD} ",
        f"{GOOD}\n",
        f"{GOOD}-00",  # version 00 has four fields
        f"{GOOD}, {GOOD}",  # 4.3: more than one
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace("-", "_"),
        f"ff-{TRACE_ID}-{SPAN}-01",  # 3.2.2.1: version ff is invalid
        f"00-{'0' * 32}-{SPAN}-01",  # 3.2.2.3: all zeros are invalid
        f"00-{TRACE_ID}-{'0' * 16}-01",  # 3.2.2.4
        f"00-{TRACE_ID}x-{SPAN}-01",
        f"0x-{TRACE_ID}-{SPAN}-01",
        f"cc-{TRACE_ID}-{SPAN}-01.more",  # more is behind a hyphen
    ],
)
def test_what_is_not_in_good_form_is_none(value: str) -> None:
    assert trace.parse(value.encode()) == ""


def test_a_later_version_may_say_more() -> None:
    for value in (f"cc-{TRACE_ID}-{SPAN}-01", f"cc-{TRACE_ID}-{SPAN}-01-what the future brings"):
        assert trace.trace_id(trace.parse(value.encode())) == TRACE_ID


def test_without_a_header_there_is_none() -> None:
    assert trace.parse(None) == ""


@given(st.binary(max_size=80))
def test_what_is_found_is_always_fit_to_be_sent_on(value: bytes) -> None:
    found = trace.parse(value)
    assert not found or re.fullmatch("[0-9a-f]{32}-[0-9a-f]{2}", found)


@given(hex_ids)
def test_a_trace_that_begins_here_can_be_read_by_the_next(entropy: bytes) -> None:
    begun = trace.begin(entropy)
    assert trace.parse(trace.traceparent(begun, b"\x00" * 7 + b"\x01").encode()) == begun


@given(st.uuids(version=4))
def test_a_clients_trace_is_its_id(client: uuid.UUID) -> None:
    begun = trace.begin_for(str(client))
    assert trace.trace_id(begun) == client.hex
    assert trace.parse(trace.traceparent(begun, b"\x01" * 8).encode()) == begun
