"""The table in docs/reference/conformance.md, between two marks; it carries versions and no date."""

from __future__ import annotations

import platform
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING

from tools.conformance.cases import DEFLATE_GROUPS, EXPLANATIONS, LEFT_OUT_DEFLATED, PLAIN_GROUPS
from tools.conformance.judge import needs_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tools.conformance.suite import Verdict

BEGIN, END = "<!-- conformance: generated -->\n", "<!-- conformance: end -->\n"


def versions() -> str:
    """Return what was run against what."""
    return (
        f"wsloop {metadata.version('wsloop')}, CPython {platform.python_version()}; "
        f"kosoku {metadata.version('kosoku')}."
    )


def counts(verdicts: Sequence[Verdict], group: str) -> str:
    """Return how the cases of a group came out: "143 OK, 2 NON-STRICT"; a dash if none was played."""
    seen = Counter(one.behavior for one in verdicts if one.case.partition(".")[0] == group)
    return ", ".join(f"{number} {behavior}" for behavior, number in seen.most_common()) or "–"


def table(runs: Mapping[str, Sequence[Verdict]], made_with: str) -> str:
    """Return the Markdown between the marks; `runs` are the verdicts by the run's name."""
    lines = [made_with, "", f"| cases | what | {' | '.join(runs)} |", "|---" * (2 + len(runs)) + "|"]
    for group in (*PLAIN_GROUPS, *DEFLATE_GROUPS):
        cells = [counts(verdicts, group.number) for verdicts in runs.values()]
        lines.append(f"| {group.number}.* ({group.cases}) | {group.title} | {' | '.join(cells)} |")
    lines += ["", "Not `OK`, and why:", "", "| case | verdict | why |", "|---|---|---|"]
    seen = {one.case: one for verdicts in runs.values() for one in verdicts if needs_word(one)}
    for case, why in EXPLANATIONS.items():
        if case in seen:
            lines.append(f"| {case} | {seen[case].behavior} | {why} |")
    lines += ["", "Not played deflated:", ""]
    lines += [f"- {case} {why}." for case, why in LEFT_OUT_DEFLATED.items()]
    return "\n".join(lines)


def write(page: Path, content: str) -> None:
    """Put `content` between the marks of `page`, which must be there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{content}\n\n{END}{after}", encoding="utf-8")
