"""The planted bugs fit the sources, and three that are found quickly are found."""

from __future__ import annotations

import ast
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from tools.teeth import __main__ as teeth
from tools.teeth import hunting, page
from tools.teeth.bugs import Bug, BugError, Hunk, parse, plant, planted, read_all
from tools.teeth.hunters import HUNTERS, Catch, HuntError
from tools.teeth.hunting import ROOT, Verdict

if TYPE_CHECKING:
    from pathlib import Path

BUGS = read_all()

PATCH = """\
What: It is wrong.
Breaks: P0
Hunters: wheel, ring
--- a/one.py
+++ b/one.py
@@ -7,3 +7,3 @@
 first
-second
+another
 third
@@ -20,2 +20,1 @@
 last
-very last
"""

QUICK = {
    "no-gap-check": "simulator cluster",
    "key-without-user": "simulator one",
    "mask-0-registered": "kernel pollers",
}
"""Each found by this hunter in a second or two."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_fits_the_sources_and_is_python(bug: Bug) -> None:
    for path, text in planted(bug, ROOT).items():
        assert path.startswith("wsloop/")
        ast.parse(text)
    assert set(bug.hunters) <= set(HUNTERS)


def test_there_are_enough_of_them_and_each_is_small() -> None:
    assert len(BUGS) >= 34
    assert len({bug.name.partition("-")[2] for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        gone = sum(len(set(hunk.old.splitlines()) - set(hunk.new.splitlines())) for hunk in bug.hunks)
        come = sum(len(set(hunk.new.splitlines()) - set(hunk.old.splitlines())) for hunk in bug.hunks)
        assert gone <= 10, bug.name
        assert come <= 5, bug.name


def test_a_patch_is_a_header_and_a_diff() -> None:
    bug = parse("01-wrong", PATCH)
    assert (bug.what, bug.breaks, bug.hunters) == ("It is wrong.", "P0", ("wheel", "ring"))
    assert bug.hunks == (
        Hunk("one.py", "first\nsecond\nthird\n", "first\nanother\nthird\n"),
        Hunk("one.py", "last\nvery last\n", "last\n"),
    )


@pytest.mark.parametrize(
    "text",
    [
        PATCH.replace("What: ", "Why: "),
        PATCH.replace("Breaks: P0\n", ""),
        PATCH.partition("---")[0],
        PATCH + "more\n",
        PATCH.replace("@@ -7,3 +7,3 @@\n", ""),
    ],
)
def test_what_is_no_patch_is_told(text: str) -> None:
    with pytest.raises(BugError):
        parse("01-wrong", text)


def test_a_bug_is_planted_wherever_its_lines_stand_once(tmp_path: Path) -> None:
    source = tmp_path / "one.py"
    source.write_text("new\nfirst\nsecond\nthird\nnew\nlast\nvery last\n")
    plant(parse("01-wrong", PATCH), tmp_path)
    assert source.read_text() == "new\nfirst\nanother\nthird\nnew\nlast\n"
    with pytest.raises(BugError, match="0 times"):
        plant(parse("01-wrong", PATCH), tmp_path)
    source.write_text("first\nsecond\nthird\n" * 2)
    with pytest.raises(BugError, match="2 times"):
        plant(parse("01-wrong", PATCH), tmp_path)


def test_three_quick_ones_are_killed(capsys: pytest.CaptureFixture[str]) -> None:
    only = [option for name in QUICK for option in ("--only", name)]
    hunters = [option for name in QUICK.values() for option in ("--hunter", name)]
    assert teeth.main([*only, *hunters, "--no-control", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["bug"]["name"].partition("-")[2]: each["killer"] for each in told} == QUICK
    assert all(each["catches"][-1][1]["count"] > 0 for each in told)


class Found:
    """A hunter that finds this in every tree, or cannot hunt if it is None."""

    def __init__(self, found: str | None) -> None:
        self.found = found

    def hunt(self, _root: Path) -> Catch:
        if self.found is None:
            raise HuntError("no bullets")
        return Catch(5, "steps", self.found, 0.1)


@pytest.fixture
def game(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Found]:
    """Let one bug be hunted by who is put in here."""
    hunters: dict[str, Found] = {}
    monkeypatch.setattr(hunting, "HUNTERS", hunters)
    monkeypatch.setattr(hunting, "copied", lambda _bug: nullcontext(tmp_path))
    monkeypatch.setattr(hunting, "ordinary_day", lambda _root: "")
    monkeypatch.setattr(teeth, "chosen", lambda _only: [BUGS[0]])
    for name in BUGS[0].hunters:
        hunters[name] = Found("")
    return hunters


def test_a_bug_that_nobody_finds_survives(game: dict[str, Found], capsys: pytest.CaptureFixture[str]) -> None:
    assert teeth.main([]) == 1
    assert "nobody" in capsys.readouterr().out


def test_a_hunter_that_cannot_hunt_is_told(
    game: dict[str, Found], capsys: pytest.CaptureFixture[str]
) -> None:
    game[BUGS[0].hunters[0]] = Found(None)
    assert teeth.main([]) == 1
    assert "no bullets" in capsys.readouterr().out


def test_a_hunter_that_finds_something_where_nothing_is_fails_the_run(
    game: dict[str, Found], capsys: pytest.CaptureFixture[str]
) -> None:
    game[BUGS[0].hunters[-1]] = Found("a shadow")
    assert teeth.main([]) == 1
    assert "where there is no bug: a shadow" in capsys.readouterr().err
    assert teeth.main(["--no-control"]) == 0


def test_a_bug_that_spoils_the_ordinary_day_proves_nothing(
    game: dict[str, Found], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hunting, "ordinary_day", lambda _root: "nobody can talk")
    assert teeth.main([]) == 1
    assert "nobody can talk" in capsys.readouterr().out


def test_bugs_are_chosen_by_number_name_or_pattern() -> None:
    assert [bug.name for bug in teeth.chosen(["01"])] == [BUGS[0].name]
    assert {"20-wheel", "21-wheel"} <= {bug.name[:8] for bug in teeth.chosen(["wheel-*"])}
    assert teeth.chosen([]) == BUGS


def test_the_page_tells_who_found_what(tmp_path: Path) -> None:
    catch, nothing = Catch(1200, "steps", "P4", 1.0), Catch(7, "examples", "", 1.0)
    killed = Verdict(BUGS[0], "simulator one", (("ring", nothing), ("simulator one", catch)))
    alive = Verdict(BUGS[1], "", (("ring", nothing),))
    by_property = Verdict(BUGS[1], "ring", (("ring", Catch(7, "examples", "full", 1.0)),))
    assert page.summary([killed, alive]) == "1 of 2 killed, 1 by the simulator in a median of 1,200 steps."
    assert page.summary([by_property, alive]) == (
        "1 of 2 killed, 1 by a property in a median of 7 examples or steps."
    )
    assert page.summary([alive]) == "0 of 1 killed."
    target = tmp_path / "teeth.md"
    target.write_text(f"before\n{page.BEGIN}old\n{page.END}after\n")
    page.write(target, page.table([killed, alive]))
    text = target.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| simulator one | 1,200 steps |" in text
    assert "| nobody | 7 looked at |" in text
    assert "old" not in text
