"""Differences between publications: what a receiver makes of one is the publication, byte for byte.

The two texts stand behind each other with a NUL between. What the receiver does is written from Fossil's
specification alone (`tests/hub/fossil.py`).
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.hub import fossil
from tools.fuzz.shaping import agree, promise
from wsloop.hub.delta import OVERHEAD_BYTES, delta, json_string


def one_input(data: bytes) -> None:
    """See the module. What is no UTF-8 is left out, for a publication is text."""
    base, _, target = data.decode("utf-8", "ignore").encode().partition(b"\0")
    difference = delta(base, target)
    if difference is None:
        return
    promise(
        len(json_string(difference)) + OVERHEAD_BYTES < len(json_string(target)),
        "a difference that is no gain",
    )
    agree(fossil.apply(base, difference), target, "the receiver makes something else of it")


def inputs() -> st.SearchStrategy[bytes]:
    """Draw texts of parts that come again: moved, doubled, left out."""
    part = st.sampled_from(
        (
            '{"symbol":"WSLP","bid":101.25,"ask":101.75},',
            '"caf\u00e9 \u2603 \U0001f600 au lait",',
            "the same words again ",
            "x",
            "\\n",
            '"',
        )
    ) | st.text(max_size=20)
    text = st.lists(part, max_size=12).map("".join)
    return st.builds(lambda base, target: f"{base}\0{target}".encode("utf-8", "ignore"), text, text)
