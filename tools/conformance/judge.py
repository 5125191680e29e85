"""What passes: everything but FAILED, UNIMPLEMENTED, ERROR, a wrong close, and what nobody explained."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tools.conformance.cases import EXPLANATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.conformance.cases import Group
    from tools.conformance.suite import Verdict

TO_EXPLAIN = ("NON-STRICT", "INFORMATIONAL")


def needs_word(verdict: Verdict) -> bool:
    """Tell whether a case conforms and yet did not come out plainly right."""
    return verdict.behavior in TO_EXPLAIN and verdict.closing in ("OK", "INFORMATIONAL")


def faults(verdicts: Iterable[Verdict], explanations: Mapping[str, str] = EXPLANATIONS) -> list[str]:
    """Return a line for every case that must not come out so, an explanation nobody needs included."""
    found = []
    for one in verdicts:
        if needs_word(one):
            if one.case not in explanations:
                found.append(f"{one.case}: {one.behavior}, and nothing explains it: {one.text}")
        elif (one.behavior, one.closing) != ("OK", "OK"):
            found.append(f"{one.case}: {one.behavior}, close {one.closing}: {one.text}")
        elif one.case in explanations:
            found.append(f"{one.case}: OK, yet the tool explains why it is not")
    return found


def missing(verdicts: Iterable[Verdict], groups: Iterable[Group], left_out: Iterable[str] = ()) -> list[str]:
    """Return a line for every group of which not all cases were played, as a whole run must."""
    cases = [one.case for one in verdicts]
    spared = list(left_out)
    found = []
    for group in groups:
        pattern = f"{group.number}.*"
        played = sum(fnmatchcase(case, pattern) for case in cases)
        wanted = group.cases - sum(fnmatchcase(case, pattern) for case in spared)
        if played != wanted:
            found.append(f"{pattern}: {played} cases were played, of {wanted}")
    return found
