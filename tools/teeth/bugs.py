"""The planted bugs: patches with a header, and how one is put into a tree.

A file of `bugs/` begins with three fields, `What`, `Breaks` and `Hunters`, and is a unified diff from the
first line on that begins with `--- `. A hunk is put where its old lines stand, wherever that is in the file;
they must stand there once. So a change elsewhere in a file does no harm, and one of these lines is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "bugs"

FIELDS = ("What", "Breaks", "Hunters")


class BugError(Exception):
    """A patch that cannot be read, or that does not fit the sources any more."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a file, and what stands in their place once the bug is planted."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug.

    `what` is wrong; which promise or rule it `breaks`; `hunters`, names of `hunters.py`, in the order in
    which they are sent out: the first should find it.
    """

    name: str
    what: str
    breaks: str
    hunters: tuple[str, ...]
    hunks: tuple[Hunk, ...]


def read_all(directory: Path = HERE) -> list[Bug]:
    """Return all bugs in the order of their numbers. Raises BugError."""
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.patch"))]


def parse(name: str, text: str) -> Bug:
    """Return the bug that a patch describes. Raises BugError."""
    head, mark, diff = text.partition("\n--- ")
    fields: dict[str, str] = {}
    for line in head.splitlines():
        field, colon, value = line.partition(": ")
        if not colon or field not in FIELDS:
            raise BugError(f"{name}: {line!r} is none of {', '.join(FIELDS)}")
        fields[field] = value
    if set(fields) != set(FIELDS) or not mark:
        raise BugError(f"{name}: a header of {', '.join(FIELDS)} and a diff are needed")
    hunters = tuple(fields["Hunters"].split(", "))
    return Bug(name, fields["What"], fields["Breaks"], hunters, tuple(_hunks(name, "--- " + diff)))


def _hunks(name: str, diff: str) -> list[Hunk]:
    """Return the hunks of a unified diff."""
    found: list[Hunk] = []
    path = ""
    for line in diff.splitlines(keepends=True):
        if line.startswith("--- a/"):
            path = line[len("--- a/") :].strip()
        elif line.startswith("+++ b/"):
            continue
        elif line.startswith("@@ "):
            found.append(Hunk(path, "", ""))
        elif found and line[0] in " -+":
            last = found[-1]
            old = last.old if line[0] == "+" else last.old + line[1:]
            new = last.new if line[0] == "-" else last.new + line[1:]
            found[-1] = Hunk(path, old, new)
        else:
            raise BugError(f"{name}: {line!r} belongs in no unified diff")
    return found


def planted(bug: Bug, root: Path) -> dict[str, str]:
    """Return {path: text} of the files that the bug changes, as they are with it. Raises BugError."""
    texts: dict[str, str] = {}
    for hunk in bug.hunks:
        text = texts.get(hunk.path) or (root / hunk.path).read_text(encoding="utf-8")
        count = text.count(hunk.old)
        if count != 1:
            raise BugError(f"{bug.name}: its lines stand {count} times in {hunk.path}:\n{hunk.old}")
        texts[hunk.path] = text.replace(hunk.old, hunk.new)
    return texts


def plant(bug: Bug, root: Path) -> None:
    """Put the bug into the tree at `root`. Raises BugError, with nothing written, if it does not fit."""
    for path, text in planted(bug, root).items():
        (root / path).write_text(text, encoding="utf-8")
