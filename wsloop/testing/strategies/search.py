"""Searching for the shortest example that breaks a rule, outside of pytest."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import Flaky, NoSuchExample

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

Example = TypeVar("Example")
Verdict = TypeVar("Verdict")

_PHASES = (Phase.generate, Phase.shrink)


@dataclass(frozen=True)
class Found(Generic[Example, Verdict]):
    """The simplest failing example, what was said of it, and whether it failed each time it was tried."""

    example: Example
    verdict: Verdict
    is_steady: bool


def shortest(
    examples: SearchStrategy[Example],
    judge: Callable[[Example], Verdict | None],
    *,
    count: int = 100,
    seed: int = 0,
) -> Found[Example, Verdict] | None:
    """Try `count` examples drawn from `seed`; return the first that `judge` objects to, shrunk, or None.

    `judge` returns None for what is right. It is called again and again while an example shrinks. What it
    raises ends the search. The same seed tries the same examples as long as `judge` says the same.
    """
    seen: dict[str, Verdict] = {}
    last: list[Example] = []

    def objects(example: Example) -> bool:
        verdict = judge(example)
        if verdict is not None:
            seen[repr(example)] = verdict
            last.append(example)
        return verdict is not None

    budget = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=_PHASES,
        suppress_health_check=list(HealthCheck),
    )
    try:
        simplest = find(examples, objects, settings=budget, random=random.Random(seed))
    except NoSuchExample:
        simplest = None
    except Flaky:
        simplest = None
    if simplest is not None:
        return Found(simplest, seen[repr(simplest)], is_steady=True)
    return Found(last[-1], seen[repr(last[-1])], is_steady=False) if last else None
