"""Frames as values: their repr makes them again, their bytes are what the RFC shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.testing import commands, deflating, requests, wire
from wsloop.testing.strategies import broken_sequences, cuttings, hostile_frames, schedules, valid_sequences
from wsloop.testing.wire import (
    Cutting,
    Frame,
    binary,
    close,
    cut_at,
    cut_every,
    encode_frames,
    frame,
    more,
    ping,
    pong,
    shown,
    text,
)

if TYPE_CHECKING:
    from types import ModuleType

anything = st.one_of(valid_sequences(), broken_sequences(), hostile_frames().map(lambda each: (each,)))


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (text("Hello", mask=None), "810548656c6c6f"),
        (text("Hello", mask=b"\x37\xfa\x21\x3d"), "818537fa213d7f9f4d5158"),
        (text("Hel", fin=False, mask=None), "010348656c"),
        (more("lo", mask=None), "80026c6f"),
        (ping(b"Hello", mask=None), "890548656c6c6f"),
        (pong(b"Hello", mask=b"\x37\xfa\x21\x3d"), "8a8537fa213d7f9f4d5158"),
        (binary(bytes(256), mask=None), "827e0100" + "00" * 256),
        (binary(bytes(65536), mask=None), "827f0000000000010000" + "00" * 65536),
        (close(1000, mask=None), "880203e8"),
        (frame(3, rsv=7, fin=False, mask=None), "7300"),
    ],
)
def test_the_examples_of_rfc_6455_section_5_7(said: Frame, data: str) -> None:
    assert said.encode() == bytes.fromhex(data)


@settings(deadline=None)
@given(anything)
def test_a_repr_makes_the_same_frames_again(frames: tuple[Frame, ...]) -> None:
    assert eval(repr(frames), vars(wire)) == frames
    assert eval(repr(encode_frames(frames)), vars(wire)) == encode_frames(frames)


@given(st.one_of(cuttings(), schedules()))
def test_a_cutting_or_schedule_does_too(drawn: object) -> None:
    assert eval(repr(drawn), vars(wire)) == drawn


@given(st.binary(max_size=60), cuttings())
def test_pieces_together_are_the_stream(data: bytes, cutting: Cutting) -> None:
    pieces = cutting.pieces(data)
    assert b"".join(pieces) == data
    assert all(pieces)


@given(st.binary(max_size=60), schedules(max_pause_s=2.0))
def test_a_schedule_sends_every_piece(data: bytes, schedule: wire.Schedule) -> None:
    sends = schedule.sends(data)
    assert b"".join(piece for _, piece in sends) == data
    assert all(0.0 <= pause_s <= 2.0 for pause_s, _ in sends)


def test_a_conversation_reads_as_one() -> None:
    said = (
        text("he", fin=False),
        ping(b"?"),
        more("llo"),
        close(1000, "bye"),
        close(),
    )
    assert repr(said) == ("(text('he', fin=False), ping(b'?'), more('llo'), close(1000, 'bye'), close())")
    assert repr(frame(3, b"ab", rsv=2, mask=None, width=16, length=9)) == (
        "frame(3, b'ab', rsv=2, mask=None, length=9, width=16)"
    )
    assert repr(text(b"\xff")) == "text(b'\\xff')"


@given(st.text("ab", min_size=1, max_size=6), st.integers(1, 60))
def test_what_repeats_is_told_shortly(unit: str, times: int) -> None:
    said = shown((unit * times)[:-1])
    assert eval(said) == (unit * times)[:-1]
    assert len(said) <= 70


def test_cuts() -> None:
    assert cut_at().pieces(b"abc") == [b"abc"]
    assert cut_at(1).pieces(b"abc") == [b"a", b"bc"]
    assert cut_every(2).pieces(b"abcde") == [b"ab", b"cd", b"e"]
    assert cut_at(3).pieces(b"") == []


@pytest.mark.parametrize("module", [wire, deflating, requests, commands])
def test_a_star_brings_what_is_defined_there(module: ModuleType) -> None:
    for name in module.__all__:
        assert getattr(getattr(module, name), "__module__", module.__name__) in (
            module.__name__,
            "builtins",
            "typing",
            "collections.abc",
        )
    public = {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    }
    assert public - {"How", "Printer", "Shown"} <= set(module.__all__)
