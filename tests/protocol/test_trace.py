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


# -- tracestate, section 3.3 ---------------------------------------------------------------------

keys = st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}(@[a-z][a-z0-9_*/-]{0,8})?", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=",="), max_size=20)
blanks = st.text(" \t", max_size=2)


@given(st.dictionaries(keys, values.map(lambda value: f"{value.strip()}!"), min_size=1, max_size=8), blanks)
def test_a_good_state_is_passed_on_as_it_came(members: dict[str, str], blank: str) -> None:
    state = f"{blank},{blank}".join(f"{key}={value}" for key, value in members.items())
    assert trace.parse_state(state.encode()) == (state if len(state) <= trace.MAX_STATE else "")
    assert trace.parse_state(f"{state},{members.popitem()[0]}=twice".encode()) == ""


@given(st.binary(max_size=600))
def test_whatever_comes_is_bounded_and_printable(value: bytes) -> None:
    state = trace.parse_state(value)
    assert state in ("", value.decode("latin-1"))
    assert len(state) <= trace.MAX_STATE
    assert state.replace("\t", " ").isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        " , ",
        "a",
        "=1",
        "a=",
        "A=1",
        "a =1",
        "a= ",
        "a=1=2",
        "a=1,b",
        "a=1,a=2",  # "Only one entry per key is allowed"
        "a=\x01",
        "a=\u00e9",
        f"{'k' * 257}=1",
        f"k={'v' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
        "a=1" + "," * 32,
        f"a={'v' * 250},b={'v' * 250},c={'v' * 10}",  # 518 bytes
    ],
)
def test_a_state_that_is_not_in_good_form_is_dropped(value: str) -> None:
    assert trace.parse_state(value.encode("latin-1")) == ""


def test_the_largest_state_passes() -> None:
    state = ",".join(f"k{number:02}={'v' * 11}" for number in range(trace.MAX_STATE_MEMBERS)) + "v"
    assert len(state) == trace.MAX_STATE
    assert trace.parse_state(state.encode()) == state
    assert trace.parse_state(None) == ""
