"""permessage-deflate (RFC 7692): offers, compressed messages, and compressed data that is damaged."""

from __future__ import annotations

from hypothesis import strategies as st

from wsloop.testing.deflating import (
    EMPTY_BLOCK,
    BrokenOffer,
    Deflated,
    DeflateParameters,
    deflated,
    final_block,
)
from wsloop.testing.strategies.texts import binary_payloads, text_payloads
from wsloop.testing.wire import BINARY, TEXT

SENTENCE = b'{"push":{"channel":"chat:index","pub":{"data":{"text":"hello, hello, world"},"offset":17}}}'

LEAST_SAID = 8
"""Bytes that a compressor refers back to instead of saying them again."""

FAR_BYTES = (0, 300, 600, 3000, 9000)
"""Between what is said twice: within and beyond the windows from 9 to 13 bits."""


def deflate_offers() -> st.SearchStrategy[DeflateParameters]:
    """Draw legal offers of a client's, all parameters on and off, windows from 8 to 15 bits."""
    bits = st.none() | st.integers(8, 15)
    return st.builds(
        DeflateParameters,
        server_no_takeover=st.booleans(),
        client_no_takeover=st.booleans(),
        server_bits=bits,
        client_bits=bits,
        client_limits=st.booleans(),
    )


_NO_WINDOWS = ("0", "7", "16", "99", "100", "012", "+12", "-12", "12.0", "twelve", '"16"')
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")


def broken_offers() -> st.SearchStrategy[BrokenOffer]:
    """Draw offers that a server must decline: each breaks one rule, named in `wrong`; parts may be right."""
    flag, window = st.sampled_from(_FLAGS), st.sampled_from(_WINDOWS)
    bits = st.builds("{}={}".format, window, st.integers(9, 15))
    twice = (flag | bits | st.just(_WINDOWS[1])).map(lambda each: f"{each}; {each}")
    unknown = st.sampled_from(("x", "x=1", "max_window_bits=12", "server_no_context_takeover2"))
    wrong = st.one_of(
        _wrong(
            st.builds("{}={}".format, window, st.sampled_from(_NO_WINDOWS)), "a window is not from 8 to 15"
        ),
        _wrong(st.just(_WINDOWS[0]), "a window without a value needs one"),
        _wrong(st.builds("{}={}".format, flag, st.sampled_from(("1", "true"))), "a flag has a value"),
        _wrong(twice, "a parameter is named twice"),
        _wrong(unknown, "a parameter is not known"),
    )
    return st.builds(_offer, wrong, st.lists(st.sampled_from(_FLAGS), max_size=2, unique=True), st.booleans())


def _wrong(parameters: st.SearchStrategy[str], why: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(parameters, st.just(why))


def _offer(wrong: tuple[str, str], right: list[str], is_first: bool) -> BrokenOffer:
    """Return an offer of something wrong, with flags that it does not name before or behind it."""
    parameters, why = wrong
    around = [each for each in right if each not in parameters]
    said = [parameters, *around] if is_first else [*around, parameters]
    return BrokenOffer("; ".join(["permessage-deflate", *said]), why)


def repetitive_payloads(max_size: int = 20_000) -> st.SearchStrategy[bytes]:
    """Draw what compresses well and badly: bytes, texts, slices of JSON, short runs repeated many times.

    None is longer than `max_size` bytes (1 or more).
    """
    run = st.binary(min_size=1, max_size=min(50, max_size))
    return st.one_of(
        st.binary(max_size=min(200, max_size)),
        st.text(max_size=min(100, max_size // 4)).map(str.encode),
        st.integers(0, min(3000, max_size)).map(lambda n: (SENTENCE * (n // len(SENTENCE) + 1))[:n]),
        st.tuples(run, st.integers(1, max(1, max_size // 50))).map(lambda pair: pair[0] * pair[1]),
    )


def _coming_back(max_size: int) -> st.SearchStrategy[bytes]:
    """Draw what is said, and said again behind something else."""
    said = st.binary(min_size=LEAST_SAID, max_size=max(LEAST_SAID, min(50, max_size // 4)))
    between = st.sampled_from([each for each in FAR_BYTES if each <= max_size // 2])
    return st.builds(lambda said, between: said + b"-" * between + said, said, between)


@st.composite
def compressed_messages(draw: st.DrawFn, max_size: int = 20_000) -> Deflated:
    """Draw messages of at most `max_size` bytes (4 or more), to be sent compressed, in one or more frames."""
    opcode = draw(st.sampled_from((TEXT, BINARY)))
    widest = max_size // 4  # characters; the longest are four bytes
    repeated = st.tuples(
        st.text(min_size=1, max_size=min(12, widest)), st.integers(1, max(1, max_size // 50))
    )
    texts = text_payloads(min(90, widest)) | repeated.map(lambda pair: (pair[0] * pair[1]).encode())
    others = binary_payloads(min(2100, max_size)) | repetitive_payloads(max_size)
    comes_back = opcode == BINARY and max_size > 2 * LEAST_SAID and draw(st.booleans())
    data = draw(_coming_back(max_size) if comes_back else texts if opcode == TEXT else others)
    cuts = tuple(draw(st.lists(st.integers(0, 500), max_size=3)))
    return Deflated(opcode, data, cuts, draw(st.sampled_from((False, False, False, True))))


def damaged_deflate() -> st.SearchStrategy[bytes]:
    """Draw payloads of compressed messages, many of them damaged: blocks of all kinds, and garbage."""
    # Fixed Huffman codes behind the first byte: random symbols, of which many are faults.
    garbage = st.binary(min_size=1, max_size=30).map(lambda data: bytes([data[0] & 0xF8 | 2]) + data[1:])
    block = st.one_of(
        st.binary(max_size=20),
        garbage,
        st.binary(max_size=12).map(final_block),
        st.binary(max_size=12).map(lambda data: deflated(data) + EMPTY_BLOCK),
        st.just(b"\x00" + EMPTY_BLOCK),
    )
    return st.lists(block, max_size=4).map(b"".join)
