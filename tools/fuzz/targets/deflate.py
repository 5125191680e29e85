"""permessage-deflate: offers to an agreement, and compressed payloads through the inflater under a cap.

The first byte chooses: `o`, offers as they stand in a header; otherwise bits 0 to 2 say how the payload is
cut, 3 and 4 which cap, bit 5 whether messages may refer back. Payloads follow each other behind two bytes
of length. The reference is zlib itself, without a cap.
"""

from __future__ import annotations

import zlib

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.errors import HandshakeError, ProtocolError
from wsloop.protocol import upgrade
from wsloop.protocol.deflate import EMPTY_BLOCK, DeflateOptions
from wsloop.protocol.deflate_offers import NAME, negotiate, parse_offer
from wsloop.protocol.inflate import MAX_FINAL_BLOCKS, Inflater
from wsloop.testing.deflating import deflated
from wsloop.testing.strategies import damaged_deflate, deflate_offers, repetitive_payloads

CAPS = (1, 20, 1000, 100_000)
OPTIONS = (DeflateOptions(), DeflateOptions(window_bits=9, client_context_takeover=True))
CODES = (1007, 1008, 1009)
KEPT_BYTES = 1 << 15
MOST_BYTES = 8 * 1024 * 1024
"""Of the reference: more than 2,048 bytes can become."""


def one_input(data: bytes) -> None:
    """See the module."""
    if data[:1] == b"o":
        _offer(data[1:])
    elif data:
        _inflate(data[0], data[1:])


def _offer(value: bytes) -> None:
    try:
        offers = upgrade.extensions(((b"sec-websocket-extensions", value),))
    except HandshakeError:
        return
    for options in OPTIONS:
        agreement = negotiate(offers, options)
        if agreement is None:
            continue
        answer = parse_offer(agreement.header.decode("ascii"))
        promise(answer is not None, f"an agreement that is no legal one: {agreement.header!r}")
        promise(any(NAME in offer for offer in offers), "an agreement that nobody asked for")
        agree(bool(agreement.kept_bytes), "client_no_context_takeover" not in (answer or {}), "what is kept")
        sent = agreement.compressor.compress(value)
        agree(Inflater(len(value)).message(sent), value, "what is sent is not what was said")


def _inflate(how: int, rest: bytes) -> None:
    cap, keeps = CAPS[how >> 3 & 3], bool(how & 32)
    at_once = Inflater(cap, KEPT_BYTES if keeps else 0)
    by_pieces = Inflater(cap, KEPT_BYTES if keeps else 0)
    window = b""
    while rest:
        length = 2 + int.from_bytes(rest[:2], "big")
        payload, rest = rest[2:length], rest[length:]
        whole = _outcome(at_once, [payload], is_whole=True)
        agree(_outcome(by_pieces, cutting(how, payload).pieces(payload)), whole, "cuts change what comes out")
        expected = _reference(payload, window)
        if isinstance(whole, int):
            promise(whole in CODES, f"close code {whole}")
            promise(whole != 1009 or expected is None or len(expected) > cap, "1009 within the cap")
            return
        promise(len(whole) <= cap, "more than the cap")
        agree(whole, expected, "zlib makes something else of it")
        window = (window + whole)[-KEPT_BYTES:] if keeps else b""


def _outcome(inflater: Inflater, pieces: list[bytes], *, is_whole: bool = False) -> bytes | int:
    """Return what a message says, or the close code for what it is instead."""
    try:
        if is_whole:
            return inflater.message(b"".join(pieces))
        for piece in pieces:
            inflater.feed(piece)
        return inflater.take(final=True)
    except ProtocolError as error:
        return error.close_code


def _reference(payload: bytes, window: bytes) -> bytes | None:
    """Return what zlib makes of a message without a cap; None for what is damaged or too big."""
    made = b""
    left = payload + EMPTY_BLOCK + b"\x01\x00\x00\xff\xff" if payload else b""
    for _ in range(MAX_FINAL_BLOCKS + 2):
        if not left:
            return made
        stream = zlib.decompressobj(-15, zdict=window) if window else zlib.decompressobj(-15)
        window = b""
        try:
            made += stream.decompress(left, MOST_BYTES)
        except zlib.error:
            return None
        if not stream.eof:
            return None
        left = stream.unused_data
        if left == EMPTY_BLOCK + b"\x01\x00\x00\xff\xff":
            return made
    return None


def inputs() -> st.SearchStrategy[bytes]:
    """Draw offers, and messages compressed rightly and wrongly."""
    offers = st.lists(deflate_offers().map(lambda offer: offer.header()) | st.just("x; a=1"), max_size=3)
    takeover = st.lists(repetitive_payloads(1500), max_size=3).map(_with_takeover)
    payloads = damaged_deflate() | repetitive_payloads(1500).map(deflated)
    messages = takeover | st.lists(payloads, min_size=1, max_size=3)
    return st.one_of(
        offers.map(lambda each: b"o" + ", ".join(each).encode()),
        st.builds(lambda how, each: bytes([how]) + _packed(each), st.integers(0, 63), messages),
    )


def _with_takeover(texts: list[bytes]) -> list[bytes]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -12)
    return [compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4] for text in texts]


def _packed(payloads: list[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in payloads)
