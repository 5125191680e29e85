"""What messages say: texts with every length of character, bytes, and what is nearly UTF-8."""

from __future__ import annotations

from hypothesis import strategies as st

from wsloop.testing.wire import BINARY, TEXT

EDGES = (
    "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff",
    "\ue000", "\ufeff", "\ufffd", "\uffff", "\U00010000", "\U0010ffff",
)  # fmt: skip
"""The first and last character of each length in UTF-8, those around the surrogates, a byte order mark."""

BROKEN = (
    # A continuation byte alone.
    b"\x80", b"\xbf",
    # Longer than needed.
    b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    # Surrogates, and a pair of them.
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80",
    # Beyond U+10FFFF.
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
    # Cut off.
    b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2\x28\xa1", b"\xc3\xc3",
)  # fmt: skip
"""One of each way to be wrong (Unicode, table 3-7)."""

LARGE_RUNS = (
    ("a", 65535), ("a", 65536), ("a", 65537), ("\u20ac", 21845), ("\u00e9", 32768), ("\U0001f600", 16384),
)  # fmt: skip
"""(character, how often). In UTF-8 it is the last length that a header says in 16 bits, or one behind it."""


def utf8_edge_cases() -> st.SearchStrategy[str]:
    """Draw short texts of the characters at which encoders and decoders go wrong."""
    return st.lists(st.sampled_from(EDGES) | st.sampled_from("a\u00e9\u20ac\U0001f600"), max_size=12).map(
        "".join
    )


def text_payloads(max_size: int = 90) -> st.SearchStrategy[bytes]:
    """Draw valid UTF-8 of at most `max_size` characters: any, edge cases, runs of wide ones."""
    return st.one_of(
        st.text(max_size=min(max_size, 40)),
        utf8_edge_cases().map(lambda said: said[:max_size]),
        st.integers(min(1, max_size), max_size).map(lambda n: ("\u00e9\u20ac\U0001f600" * n)[:n]),
    ).map(str.encode)


def binary_payloads(max_size: int = 2100) -> st.SearchStrategy[bytes]:
    """Draw at most `max_size` bytes: any, and lengths around what a short header can say (125, 126)."""
    runs = st.integers(min(40, max_size // 3), max_size // 3).map(lambda n: b"\x00\xff7" * n)
    edges = [n for n in (124, 125, 126, 127, 128) if n <= max_size]
    bytes_ = st.binary(max_size=min(max_size, 40)) | runs
    return bytes_ | st.sampled_from(edges).map(lambda n: b"\xaa" * n) if edges else bytes_


def large_payloads() -> st.SearchStrategy[tuple[int, bytes]]:
    """Draw (opcode, payload) of 65,535 to 65,537 bytes: on both sides of what a header says in 16 bits.

    Each is one character again and again, so that it is printed as `'a' * 65536`. To be given to
    `messages`, which draws few of them by itself.
    """
    return st.tuples(st.sampled_from((TEXT, BINARY)), st.sampled_from(LARGE_RUNS).map(large))


def large(run: tuple[str, int]) -> bytes:
    """Return one of `LARGE_RUNS` in UTF-8."""
    character, times = run
    return character.encode() * times


def invalid_utf8() -> st.SearchStrategy[bytes]:
    """Draw bytes that are not UTF-8: one of `BROKEN`, with text around it."""

    def around(before: str, broken: bytes, behind: str) -> bytes:
        return before.encode() + broken + behind.encode()

    return st.builds(around, st.text(max_size=8), st.sampled_from(BROKEN), st.text(max_size=8)).filter(
        is_invalid
    )


def is_invalid(data: bytes) -> bool:
    """Tell whether bytes are not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False
