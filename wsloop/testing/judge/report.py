"""What the judge prints: a line for each group, then each finding with its conversation."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from wsloop.testing.judge.conversation import LEVELS, MARKER, told
from wsloop.testing.oracle import Pong

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wsloop.testing.judge.conversation import Conversation, Transcript
    from wsloop.testing.judge.search import Case

WIDTH = 110


def group_line(name: str, played: int, findings: int, *, is_cut: bool = False) -> str:
    """Return what is said of a group when it is through, or when its time was over (`is_cut`)."""
    how = "nothing found" if not findings else f"{findings} finding{'s' if findings > 1 else ''}"
    return f"{name:20} {played:6} conversations, {how}{' before its time was over' if is_cut else ''}"


def report(cases: Sequence[Case]) -> str:
    """Return all findings, what a server must do first."""
    order = list(LEVELS)
    ranked = sorted(cases, key=lambda case: order.index(case.finding.level))
    lines: list[str] = []
    for number, case in enumerate(ranked, 1):
        lines += _case(number, case)
    return "\n".join(lines)


def _case(number: int, case: Case) -> list[str]:
    finding = case.finding
    unsteady = [] if case.is_steady else ["   (not each time)"]
    return [
        f"\n{number}. {finding.level}: {finding.rule} ({finding.section})",
        *unsteady,
        *(f"   {line}" for line in conversation(case.said, case.heard)),
    ]


def conversation(said: Conversation, heard: Transcript) -> Iterator[str]:
    """Yield the lines of a conversation: what the client says, then what it hears."""
    plain = not said.frames
    if plain or said.request.wrong:
        yield from _wrapped("client", repr(said.request))
    if said.offer is not None:
        yield from _wrapped("client", f"offers {said.offer.header()}")
    if plain or said.offer is not None:
        agreed = ", ".join(heard.answer.values("sec-websocket-extensions"))
        yield from _wrapped("server", f"{heard.answer.status or 'no answer'} {agreed}".rstrip())
    for frame in said.frames:
        yield from _wrapped("client", repr(frame))
    if said.frames and said.cutting.pieces(b"ab" * 40) != [b"ab" * 40]:
        yield f"        (its bytes cut: {said.cutting!r})"
    if said.at_once:
        yield "        (all at once, without waiting for answers)"
    heard_said = [each for each in heard.heard.said if each != Pong(MARKER.payload)]
    for line in told(heard_said):
        yield from _wrapped("server", line)
    if heard.answer.status in (0, 101) and not said.request.wrong:  # otherwise nobody waited for the end
        yield f"        ({heard.end})"


def _wrapped(who: str, line: str) -> list[str]:
    first, *rest = wrap(line, WIDTH, break_on_hyphens=False) or [""]
    return [f"{who}: {first}", *(f"        {more}" for more in rest)]


def legend(cases: Sequence[Case]) -> str:
    """Return what the levels among the findings mean."""
    found = {case.finding.level for case in cases}
    return "\n".join(f"{level}: {meaning}" for level, meaning in LEVELS.items() if level in found)
