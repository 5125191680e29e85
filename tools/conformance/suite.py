"""Plays cases of the Autobahn TestSuite against a server, by kosoku; runs as a process of its own.

    python -m tools.conformance.suite URL plain|deflated CONCURRENCY CASE...

Prints one JSON list of verdicts; CASE may be a pattern as in `6.*`. A process of its own, because
the cases are old: loading them changes `sys.path` and `binascii`, and some may wait for minutes.

"deflated" offers permessage-deflate in cases that do not do so themselves. What such a case sends
frame by frame stays uncompressed, as RFC 7692 section 6 allows; what it sends as a message, and
what the server answers, is compressed. Where the server declines, the case is UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from tools.conformance.cases import DEFLATE_GROUPS, LEFT_OUT_DEFLATED

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(msgspec.Struct, frozen=True):
    """How one case came out, in the words of the TestSuite (`OK`, `NON-STRICT`, `FAILED` ...)."""

    case: str
    behavior: str
    closing: str
    text: str


def repair_texts(cases: dict[str, Any]) -> None:
    """Make the cases on UTF-8 send the bytes that Autobahn's do.

    Autobahn's cases are byte strings of Python 2. In kosoku's translation those that are valid
    UTF-8 became text with one character a byte (6.2.4 and most of 6.5 to 6.23), and are encoded a
    second time when they are sent: valid again, but not what the case is about.
    """
    for number, case in cases.items():
        payload = getattr(case, "PAYLOAD", None)
        if number.startswith("6.") and isinstance(payload, str):
            # What is no text in disguise is right as it is.
            with contextlib.suppress(UnicodeError):
                case.PAYLOAD = payload.encode("latin-1").decode("utf-8")


DEFLATE_CASES = tuple(f"{group.number}." for group in DEFLATE_GROUPS)


def take_plain_answers(cases: dict[str, Any]) -> None:
    """Let the cases on permessage-deflate take an answer that was not worth compressing.

    Kosoku hands over inflated messages as bytes, which these cases expect, and others as text.
    """

    def tolerant(strict: Any) -> Any:  # noqa: ANN401 - the cases are untyped
        class Tolerant(strict):  # type: ignore[misc]
            def onMessage(self, message: str | bytes, binary: bool) -> None:  # noqa: N802 - Autobahn's name
                if isinstance(message, str):
                    message = message.encode("latin-1" if binary else "utf-8")
                super().onMessage(message, binary)

        return _named_as(strict, Tolerant)

    for number, case in cases.items():
        if number.startswith(DEFLATE_CASES):
            cases[number] = tolerant(case)


def offer_deflate(cases: dict[str, Any]) -> None:
    """Replace each class in `cases` that does not offer permessage-deflate by one that does."""
    from kosoku import _kosoku

    offer, accept = _kosoku.PerMessageDeflateOffer, _kosoku.PerMessageDeflateResponseAccept

    def deflated(plain: Any) -> Any:  # noqa: ANN401 - the cases are untyped
        class Deflated(plain):  # type: ignore[misc]
            def __init__(self, protocol: Any) -> None:  # noqa: ANN401
                super().__init__(protocol)
                protocol.perMessageCompressionOffers = [offer()]
                protocol.perMessageCompressionAccept = accept

            def onOpen(self) -> None:  # noqa: N802 - Autobahn's name
                self.expectedClose = {"closedByMe": True, "closeCode": [1000], "requireClean": True}
                if self.p._perMessageCompress is None:
                    self.behavior = "UNIMPLEMENTED"
                    self.p.sendClose(1000)
                else:
                    super().onOpen()

            def onMessage(self, message: str | bytes, binary: bool) -> None:  # noqa: N802
                # These cases expect text, see above.
                if isinstance(message, bytes):
                    message = message.decode("latin-1" if binary else "utf-8")
                super().onMessage(message, binary)

        return _named_as(plain, Deflated)

    for number, plain in cases.items():
        if not number.startswith(DEFLATE_CASES):
            cases[number] = deflated(plain)


def _named_as(original: type, made: type) -> type:
    made.__name__ = original.__name__
    return made


def play(url: str, cases: Sequence[str], *, deflated: bool, concurrency: int) -> list[Verdict]:
    """Play `cases` and return a verdict for each."""
    import kosoku
    import kosoku.cases

    repair_texts(kosoku.cases.CASES)
    take_plain_answers(kosoku.cases.CASES)
    if deflated:
        offer_deflate(kosoku.cases.CASES)
    left_out = [*LEFT_OUT_DEFLATED] if deflated else []
    try:
        results = asyncio.run(kosoku.run_fuzzingclient(url, cases, left_out, concurrency=concurrency))
    except kosoku.FailureError as error:
        results = error.results  # of all cases, not only of those that failed
    return [
        Verdict(one.case_id, one.behavior.value, one.behavior_close.value, f"{one.result} {one.result_close}")
        for one in results
    ]


if __name__ == "__main__":
    _, url, mode, concurrency, *cases = sys.argv
    verdicts = play(url, cases, deflated=mode == "deflated", concurrency=int(concurrency))
    print(msgspec.json.encode(verdicts).decode(), flush=True)
    # Not by the usual way out: kosoku's threads may still be at it, and abort when the interpreter is gone.
    os._exit(0)
