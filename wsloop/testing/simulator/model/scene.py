"""When something happened, and how a broken promise is told."""

from __future__ import annotations

from typing import NoReturn

from wsloop.testing.simulator.violation import Violation

PROMISES = {
    "P1": "an acknowledgement means appended",
    "P2": "a publish with a key is appended once",
    "P3": "there is one order for all",
    "P4": "there is no silent gap",
    "P5": "what the history window holds arrives, and once",
    "P6": "a loss on a quiet channel is found within 10 s",
    "P7": "another epoch is never recovered",
    "P8": "when faults stop, everybody is at the top within 30 s",
    "wire": "what goes on the wire is the head of what was queued",
    "close": "nothing follows a close",
    "pulse": "who is pinged answers, or is closed for want of a pong",
    "states": "a connection's states follow its table",
    "budget": "a turn's work is within its budget",
    "bounds": "every queue has an end",
    "rest": "nothing is left at rest",
    "speech": "what the server says is what the protocol says",
    "company": "who is in a channel is told who comes and goes",
    "deadline": "what takes too long is ended",
    "faults": "no fault of our own",
}
"""All that is checked: its name, and what it says. P1 to P8 are the promises of messaging."""


class Scene:
    """The present moment of a run: `step` and `now_s` are kept up to date by whoever runs it.

    `is_lossless`: whether nothing can be lost between a broker and its hub, as where both are in one process;
    `is_orderly`: nor come twice or out of order. What has no offset cannot be judged where it may.
    `found` is the first violation: one that is raised inside the server would end there.
    """

    __slots__ = ("found", "is_lossless", "is_orderly", "now_s", "step")

    def __init__(self, *, is_lossless: bool = True, is_orderly: bool = True) -> None:
        self.step = 0
        self.now_s = 0.0
        self.is_lossless = is_lossless
        self.is_orderly = is_orderly
        self.found: Violation | None = None

    def broken(self, name: str, text: str) -> NoReturn:
        """Raise the Violation of a promise; `text` says who, where and what, without the full stop."""
        when = f"step {self.step}, {self.now_s:.3f} s"
        violation = Violation(name, f"{PROMISES[name]}, but {text} ({when})")
        if self.found is None:
            self.found = violation
        raise violation
