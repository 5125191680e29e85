"""The fuzzers' targets without a fuzzer: what is kept of their inputs, and a moment of new ones."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.fuzz import __main__ as command
from tools.fuzz import bounds, campaign, seeds, table
from tools.fuzz.bounds import TooMuchError, bounded, check_exactly
from tools.fuzz.shaping import CUTTINGS, DisagreementError, cutting
from tools.fuzz.table import CORPUS_BYTES, CORPUS_FILES, TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
LONGEST = 20
"""Of each corpus: what is measured exactly, which takes three times as long."""


def judge(target: Target, path: Path, one_input: Callable[[bytes], None]) -> None:
    try:
        one_input(path.read_bytes())
    except Exception as error:
        error.add_note(f"To replay it: {command.replaying(target, path)}")
        raise


@EVERY
def test_every_input_that_is_kept_keeps_the_rule(target: Target) -> None:
    one_input = target.load().one_input
    kept = target.kept()
    assert kept
    for path in kept:
        judge(target, path, one_input)


@EVERY
def test_the_longest_inputs_are_within_their_bounds(target: Target) -> None:
    one_input = target.load().one_input
    for path in sorted(target.kept(), key=lambda path: path.stat().st_size)[-LONGEST:]:
        judge(target, path, lambda data: check_exactly(one_input, data))


@EVERY
def test_a_corpus_stays_small(target: Target) -> None:
    sizes = [path.stat().st_size for path in target.kept()]
    assert len(sizes) <= CORPUS_FILES
    assert sum(sizes) <= CORPUS_BYTES


def test_every_corpus_and_every_file_has_its_target() -> None:
    assert {path.name for path in (table.HERE / "corpus").iterdir()} == set(TARGETS)
    modules = {path.stem for path in (table.HERE / "targets").glob("*.py")}
    assert modules == {*TARGETS, "__init__"}


@EVERY
def test_a_moment_of_new_inputs(target: Target) -> None:
    module = target.load()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(module.inputs() | st.binary(max_size=100))
    def draw(data: bytes) -> None:
        module.one_input(data)

    draw()


@given(st.integers(0, 255), st.binary(max_size=300))
def test_a_cutting_leaves_nothing_out(choice: int, data: bytes) -> None:
    pieces = cutting(choice, data).pieces(data)
    assert b"".join(pieces) == data
    assert cutting(choice + CUTTINGS, data) == cutting(choice, data)


PLANTED = (
    ("config", "wsloop.daemon.texts.read"),
    ("patterns", "wsloop.hub.operations.globs.Glob.__init__"),
    ("patterns", "wsloop.hub.operations.expressions.Expression.__init__"),
)


@pytest.mark.parametrize(("name", "place"), PLANTED, ids=[place for _, place in PLANTED])
def test_an_error_that_nobody_raised_on_purpose_gets_out(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a plain ValueError is what is promised, its kinds are not: UnicodeError is one."""
    one_input = TARGETS[name].load().one_input

    def fails(*_: object, **__: object) -> None:
        b"\xff".decode()

    monkeypatch.setattr(place, fails)
    with pytest.raises(DisagreementError, match="an error UnicodeDecodeError"):
        for path in TARGETS[name].kept():
            one_input(path.read_bytes())


# -- bounds ----------------------------------------------------------------------------------


def test_an_input_that_takes_too_long_twice_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    took_s = iter((0.0, 5.0, 5.0, 5.1, 6.0, 9.0, 9.0, 19.0))
    monkeypatch.setattr("tools.fuzz.bounds.time.process_time", lambda: next(took_s))
    seen: list[bytes] = []
    run = bounded(seen.append)
    run(b"slow once")
    with pytest.raises(TooMuchError, match=r"3\.0 s for 10 bytes"):
        run(b"slow twice")
    assert seen == [b"slow once"] * 2 + [b"slow twice"] * 2


def test_an_input_that_makes_the_process_grow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = iter((1 << 20, 1 << 30))
    monkeypatch.setattr(bounds, "_largest_bytes", lambda: next(largest))
    with pytest.raises(TooMuchError, match="of memory for 3"):
        bounded(len)(b"big")  # type: ignore[arg-type]


def test_calls_and_memory_are_counted_exactly() -> None:
    check_exactly(lambda _data: None, b"")
    with pytest.raises(TooMuchError, match="calls for 0 bytes"):
        check_exactly(lambda _data: [len(b"") for _ in range(bounds.CALLS)].clear(), b"")
    with pytest.raises(TooMuchError, match="bytes of memory for 1"):
        check_exactly(lambda data: [bytearray(bounds.PEAK_BYTES + 1)].clear(), b"x")


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target with files of its own, which are elsewhere."""
    monkeypatch.setattr(table, "HERE", tmp_path)
    found = Target("proxies", "for a test")
    found.corpus.mkdir(parents=True)
    monkeypatch.setattr(command, "TARGETS", {found.name: found})
    monkeypatch.setattr(campaign, "HAS_ATHERIS", True)
    return found


def scripted(monkeypatch: pytest.MonkeyPatch, act: Callable[[tuple[str, ...]], int]) -> None:
    """Have `act` with its options take the place of the process with atheris."""
    monkeypatch.setattr(campaign, "_drive", lambda _target, *options: act(options))


def test_a_run_that_finds_nothing_ends_well(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def notes(options: tuple[str, ...]) -> int:
        asked.append(options)
        return 0

    scripted(monkeypatch, notes)
    assert command.main(["proxies", "--seconds", "7"]) == 0
    assert command.main([]) == 0
    assert "-max_total_time=7" in asked[0]
    assert "-max_total_time=60" in asked[1]
    assert str(target.corpus) in asked[0]


def test_what_breaks_the_rule_is_named_with_the_command_that_replays_it(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crash = target.crashes / "crash-1"

    def crashes(_options: tuple[str, ...]) -> int:
        crash.parent.mkdir(parents=True)
        crash.write_bytes(b"0X-Forwarded-For: 192.0.2.1")
        return 77

    scripted(monkeypatch, crashes)
    assert command.main(["proxies"]) == 1
    assert f"python -m tools.fuzz proxies --replay {crash}" in capsys.readouterr().err
    assert command.main(["proxies", "--replay", str(crash)]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert command.main(["--replay", str(crash)]) == 0  # the only target there is


def test_a_process_that_ends_without_a_finding_is_no_finding(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, lambda _options: 1)
    with pytest.raises(RuntimeError, match="proxies ended with 1"):
        campaign.run(target, 1)
    with pytest.raises(RuntimeError, match="could not merge"):
        campaign.minimise(target)


def test_a_small_corpus_keeps_bugs_and_what_reaches_something(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target.corpus / "old").write_bytes(b"old")
    (target.corpus / "bug-one").write_bytes(b"bug")

    def merges(options: tuple[str, ...]) -> int:
        by_lines = "-use_counters=0" in options
        made = [b"bug", b"x" * CORPUS_BYTES, b"new"] if by_lines else [b"new", b"more often"]
        campaign.keep(Path(options[2 if by_lines else 1]), made)
        return 0

    scripted(monkeypatch, merges)
    assert command.main(["--minimise"]) == 0
    assert sorted(path.read_bytes() for path in target.kept()) == [b"bug", b"more often", b"new"]
    assert (target.corpus / "bug-one").exists()


def test_no_more_than_a_corpus_may_have_is_chosen() -> None:
    first = [b"first", b"second"]
    chosen = campaign.few(first, [b"%d" % number for number in range(1000)], first)
    assert chosen[:2] == first
    assert len(set(chosen)) == len(chosen) < CORPUS_FILES
    assert max(map(len, chosen[2:])) <= 3


def test_seeds_are_the_same_each_time(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = seeds.of(target, 20)
    assert seeds.of(target, 20) == drawn
    monkeypatch.setattr(seeds, "of", lambda _target: drawn)
    assert command.main(["proxies", "--seeds"]) == 0
    assert {path.read_bytes() for path in target.found.iterdir()} == {*drawn}


def test_without_atheris_it_is_said_how_to_get_it(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "HAS_ATHERIS", False)
    assert command.main([target.name]) == 2
    assert ".[fuzz]" in capsys.readouterr().err


def test_the_endless_properties_are_a_target_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["differential", "--examples", "4", "--seed", "1"]) == 0
    assert "seed 1" in capsys.readouterr().err


def test_several_targets_cannot_replay_one_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--replay", "x"]) == 2
    assert "say which target" in capsys.readouterr().err


def test_the_process_hands_the_target_to_atheris(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for atheris, which is not needed for the tests."""
    told: list[object] = []

    class Followed:
        def __init__(self, include: list[str]) -> None:
            told.append({"wsloop.hub", "h11"} <= {*include})

        def __enter__(self) -> None:
            told.append("imports")

        def __exit__(self, *_fault: object) -> None:
            told.append("imported")

    stand_in = ModuleType("atheris")
    vars(stand_in).update(
        instrument_imports=Followed,
        Setup=lambda arguments, one_input: told.append((arguments, one_input(b"0"))),
        Fuzz=lambda: told.append("fuzz"),
    )
    monkeypatch.setitem(sys.modules, "atheris", stand_in)
    from tools.fuzz import driven

    driven.main(["driven.py", "program", "proxies", "-max_len=1"])
    assert told == [
        True,
        "imports",
        "imported",
        (["program", "-max_len=1"], None),
        "fuzz",
    ]
