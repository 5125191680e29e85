"""The search for findings in one group of conversations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.testing.judge.rules import finding_in
from wsloop.testing.strategies import shortest

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.judge.conversation import Conversation, Finding, Transcript
    from wsloop.testing.strategies.conversing import Conversations

MAX_FINDINGS = 12
"""In one group; a server that breaks more rules than that is told the rest when these are mended."""


@dataclass(frozen=True)
class Case:
    """A finding, the shortest conversation that shows it, what was heard, and whether it shows each time."""

    finding: Finding
    said: Conversation
    heard: Transcript
    is_steady: bool


def search(
    play: Callable[[Conversation], Transcript],
    conversations: Conversations,
    known: set[str],
    *,
    count: int,
    seed: int,
    most: int = MAX_FINDINGS,
    is_over: Callable[[], bool] = bool,
) -> list[Case]:
    """Return the findings in one group, a rule once, and at most so many.

    Those in `known` are passed over, new ones are added to it. Once `is_over` nothing more is played: what
    was found is returned, as short as it had become.
    """
    cases: list[Case] = []
    played: dict[str, tuple[Finding, Transcript]] = {}

    def judge(said: Conversation) -> tuple[Finding, Transcript] | None:
        if is_over():
            return played.get(repr(said))
        heard = play(said)
        finding = finding_in(said, heard)
        if finding is None or finding.rule in known:
            return None
        played[repr(said)] = finding, heard
        return finding, heard

    while len(cases) < most and not is_over():
        played.clear()
        found = shortest(conversations, judge, count=count, seed=seed)
        if found is None:
            break
        finding, heard = found.verdict
        known.add(finding.rule)
        cases.append(Case(finding, found.example, heard, found.is_steady))
    return cases
