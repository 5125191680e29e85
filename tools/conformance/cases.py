"""What there is to pass: the groups of the Autobahn TestSuite, and what is said of single cases.

All tables are literal, so that a case that a new version of kosoku drops, or that comes out other
than explained here, fails the run instead of changing a number that nobody reads.
"""

from __future__ import annotations

from typing import NamedTuple


class Group(NamedTuple):
    """The cases that share their first number."""

    number: str
    title: str
    cases: int


PLAIN_GROUPS = (
    Group("1", "framing: text and binary of every length", 16),
    Group("2", "pings and pongs", 11),
    Group("3", "reserved bits", 7),
    Group("4", "reserved opcodes", 10),
    Group("5", "fragmentation", 20),
    Group("6", "UTF-8", 145),
    Group("7", "close handshake", 37),
    Group("9", "limits and performance: messages to 16 MiB", 54),
    Group("10", "automatic fragmentation", 1),
)
DEFLATE_GROUPS = (
    Group("12", "permessage-deflate: five kinds of data in 18 sizes", 90),
    Group("13", "permessage-deflate: seven offers in 18 sizes", 126),
)
"""These ask for the extension themselves; they only exist deflated."""

LEFT_OUT_DEFLATED = {
    "3.4": "sends RSV1 and expects a refusal; with the extension it has a meaning (RFC 7692 section 6)",
    "10.1.1": "counts the frames of its own message, which is compressed into one",
}
"""Cases of the plain groups that make no sense on a connection that has the extension."""

EXPLANATIONS = {
    "6.4.3": (
        "One short frame comes in three pieces. A frame of up to 32 KiB (`whole_frame_bytes`) is judged when "
        "it is whole, so invalid UTF-8 in its second piece is refused, with 1007, after the third. "
        "Larger frames, and fragments (6.4.1, 6.4.2), are refused at the first invalid byte."
    ),
    "6.4.4": "As 6.4.3, cut at other bytes.",
    "7.1.6": (
        "Informational by definition: two messages and a close in one go. The daemon answers all that came "
        "before the close frame, in order, and drops what came behind it."
    ),
    "7.13.1": (
        "Informational by definition: close code 5000, outside of every range of RFC 6455 section 7.4.2. "
        "Refused with 1002."
    ),
    "7.13.2": "As 7.13.1 with 65535.",
}
"""Every case that comes out NON-STRICT or INFORMATIONAL, and why that is as it should be."""

SLICE = (
    *(f"{group.number}.*" for group in PLAIN_GROUPS if group.number != "9"),
    "9.1.1", "9.1.6", "9.3.1", "9.4.9", "9.5.1", "9.7.1", "9.8.6",
)  # fmt: skip
DEFLATED_SLICE = (
    "12.1.5", "12.2.4", "12.3.2", "12.4.1", "12.5.3",
    "13.1.1", "13.2.4", "13.3.3", "13.4.2", "13.5.1", "13.6.5", "13.7.4",
)  # fmt: skip
"""What CI plays: every group, without most of what is long."""
