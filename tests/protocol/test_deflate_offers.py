"""Negotiation by RFC 7692 sections 5 and 7.1: a table of offers, and websockets as a second opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.headers import parse_extension

from tests.protocol.kit import UPGRADE_HEADERS
from wsloop.errors import HandshakeError
from wsloop.protocol.deflate import DeflateOptions, compressor_for
from wsloop.protocol.deflate_offers import negotiate, parse_offer
from wsloop.protocol.upgrade import examine
from wsloop.testing.strategies import broken_offers

if TYPE_CHECKING:
    from wsloop.testing.deflating import BrokenOffer

DEFAULT = DeflateOptions()
TAKEOVER = DeflateOptions(client_context_takeover=True)
P = "permessage-deflate"
YES = f"{P}; server_no_context_takeover; server_max_window_bits=12; client_no_context_takeover"


def yes(bits: int) -> str:
    return YES.replace("=12", f"={bits}")


def kept(client_bits: int, server_bits: int = 12) -> str:
    return (
        f"{P}; server_no_context_takeover; server_max_window_bits={server_bits}"
        f"; client_max_window_bits={client_bits}"
    )


# offer -> answer by default, answer with client context takeover (None: declined)
OFFERS: dict[str, tuple[str | None, str | None]] = {
    # What browsers and libraries send.
    f"{P}": (YES, YES),
    f"{P}; client_max_window_bits": (YES, kept(12)),
    f"{P}; client_max_window_bits; server_no_context_takeover": (YES, kept(12)),
    f"{P}; client_no_context_takeover; client_max_window_bits": (YES, YES),
    f"{P}; server_no_context_takeover; client_no_context_takeover": (YES, YES),
    f"{P}; client_max_window_bits=15; server_max_window_bits=15": (YES, kept(12)),
    f"{P}; client_no_context_takeover; server_max_window_bits=15": (YES, YES),
    # Each parameter alone.
    f"{P}; server_no_context_takeover": (YES, YES),
    f"{P}; client_no_context_takeover": (YES, YES),
    # server_max_window_bits: ours is 12 at most, theirs is obeyed; 8 cannot be had from zlib.
    f"{P}; server_max_window_bits=15": (YES, YES),
    f"{P}; server_max_window_bits=14": (YES, YES),
    f"{P}; server_max_window_bits=13": (YES, YES),
    f"{P}; server_max_window_bits=12": (YES, YES),
    f"{P}; server_max_window_bits=11": (yes(11), yes(11)),
    f"{P}; server_max_window_bits=10": (yes(10), yes(10)),
    f"{P}; server_max_window_bits=9": (yes(9), yes(9)),
    f"{P}; server_max_window_bits=8": (None, None),
    f"{P}; server_max_window_bits=9; client_max_window_bits=9": (yes(9), kept(9, 9)),
    # client_max_window_bits: without or with a value; said in the answer only where it matters.
    f"{P}; client_max_window_bits=15": (YES, kept(12)),
    f"{P}; client_max_window_bits=14": (YES, kept(12)),
    f"{P}; client_max_window_bits=13": (YES, kept(12)),
    f"{P}; client_max_window_bits=12": (YES, kept(12)),
    f"{P}; client_max_window_bits=11": (YES, kept(11)),
    f"{P}; client_max_window_bits=10": (YES, kept(10)),
    f"{P}; client_max_window_bits=9": (YES, kept(9)),
    f"{P}; client_max_window_bits=8": (YES, kept(8)),
    # Quoted values are the same values.
    f'{P}; server_max_window_bits="12"': (YES, YES),
    f'{P}; server_max_window_bits="9"': (yes(9), yes(9)),
    f'{P}; client_max_window_bits="10"': (YES, kept(10)),
    f'{P}; server_max_window_bits="8"': (None, None),
    f'{P}; server_max_window_bits="08"': (None, None),
    f'{P}; server_max_window_bits="16"': (None, None),
    f'{P}; server_max_window_bits=""': (None, None),
    f'{P}; server_max_window_bits="': (None, None),
    f'{P}; server_max_window_bits="12': (None, None),
    f'{P}; server_max_window_bits=" 12"': (None, None),
    # White space is the grammar's.
    f"{P};server_max_window_bits=10": (yes(10), yes(10)),
    f"{P} ; \tserver_max_window_bits = 10": (yes(10), yes(10)),
    f" {P} ": (YES, YES),
    # Out of range.
    f"{P}; server_max_window_bits=7": (None, None),
    f"{P}; server_max_window_bits=16": (None, None),
    f"{P}; server_max_window_bits=0": (None, None),
    f"{P}; server_max_window_bits=100": (None, None),
    f"{P}; client_max_window_bits=7": (None, None),
    f"{P}; client_max_window_bits=16": (None, None),
    f"{P}; client_max_window_bits=0": (None, None),
    # No number, or not written as RFC 7692 section 7.1.2 wants it.
    f"{P}; server_max_window_bits": (None, None),
    f"{P}; server_max_window_bits=": (None, None),
    f"{P}; server_max_window_bits=012": (None, None),
    f"{P}; server_max_window_bits=09": (None, None),
    f"{P}; server_max_window_bits=+12": (None, None),
    f"{P}; server_max_window_bits=-12": (None, None),
    f"{P}; server_max_window_bits=12.0": (None, None),
    f"{P}; server_max_window_bits=1e1": (None, None),
    f"{P}; server_max_window_bits=0x0c": (None, None),
    f"{P}; server_max_window_bits=1_2": (None, None),
    f"{P}; server_max_window_bits=twelve": (None, None),
    f"{P}; server_max_window_bits=\u0661\u0662": (None, None),
    f"{P}; client_max_window_bits=": (None, None),
    f"{P}; client_max_window_bits=010": (None, None),
    f"{P}; client_max_window_bits=true": (None, None),
    # A value where none is allowed.
    f"{P}; server_no_context_takeover=1": (None, None),
    f"{P}; server_no_context_takeover=true": (None, None),
    f"{P}; client_no_context_takeover=1": (None, None),
    f'{P}; client_no_context_takeover=""': (None, None),
    # Twice the same, equal or not.
    f"{P}; server_no_context_takeover; server_no_context_takeover": (None, None),
    f"{P}; client_no_context_takeover; client_no_context_takeover": (None, None),
    f"{P}; server_max_window_bits=12; server_max_window_bits=12": (None, None),
    f"{P}; server_max_window_bits=12; server_max_window_bits=10": (None, None),
    f"{P}; client_max_window_bits; client_max_window_bits": (None, None),
    f"{P}; client_max_window_bits; client_max_window_bits=12": (None, None),
    # Unknown parameters; names are exact.
    f"{P}; foo": (None, None),
    f"{P}; foo=bar": (None, None),
    f"{P}; server_max_window_bits=12; foo": (None, None),
    f"{P}; Server_Max_Window_Bits=12": (None, None),
    f"{P}; max_window_bits=12": (None, None),
    f"{P}; server_no_context_takeover2": (None, None),
    f"{P};": (None, None),
    f"{P}; =12": (None, None),
    # Other extensions.
    "permessage-bzip2": (None, None),
    "x-webkit-deflate-frame": (None, None),
    "Permessage-Deflate": (None, None),
    "permessage-deflate2": (None, None),
    "permessage": (None, None),
    "": (None, None),
    # Several: the first that can be had is taken (RFC 7692 section 5.1).
    f"{P}; server_max_window_bits=8, {P}; server_max_window_bits=9": (yes(9), yes(9)),
    f"{P}; server_max_window_bits=10, {P}": (yes(10), yes(10)),
    f"{P}; foo, {P}; server_max_window_bits=11, {P}": (yes(11), yes(11)),
    f"{P}; foo, {P}; server_max_window_bits=8": (None, None),
    f"x-other; a=1, {P}; client_max_window_bits": (YES, kept(12)),
    f"{P}, {P}; server_max_window_bits=9": (YES, YES),
}


def answer(header: str, options: DeflateOptions) -> str | None:
    agreement = negotiate(header.split(", "), options)
    return None if agreement is None else agreement.header.decode()


@pytest.mark.parametrize("header", OFFERS)
def test_an_offer_gets_its_answer(header: str) -> None:
    by_default, with_takeover = OFFERS[header]
    assert answer(header, DEFAULT) == by_default
    assert answer(header, TAKEOVER) == with_takeover


def test_the_table_is_long_enough() -> None:
    assert len(OFFERS) >= 60


def second_opinion(header: str, options: DeflateOptions) -> str | None:
    """Return the answer of the websockets library with the same wishes."""
    server = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=not options.client_context_takeover,
        server_max_window_bits=options.window_bits,
        client_max_window_bits=options.window_bits if options.client_context_takeover else None,
    )
    for name, parameters in parse_extension(header.strip(" \t")):
        if name == P:
            try:
                response, _ = server.process_request_params(parameters, [])
            except NegotiationError:
                continue
            return "; ".join([P, *(key if value is None else f"{key}={value}" for key, value in response)])
    return None


def is_grammatical(header: str) -> bool:
    """Whether the upgrade lets such a header through."""
    headers = {**UPGRADE_HEADERS, "Sec-WebSocket-Extensions": header}
    try:
        pairs = tuple((k.lower().encode(), v.encode("latin-1").strip(b" \t")) for k, v in headers.items())
        examine("GET", "/", "1.1", pairs)
    except (HandshakeError, UnicodeEncodeError):
        return False
    return True


# Ours are terser or stricter, and still legal: no client_max_window_bits where it has no use; no
# context takeover for a client that cannot limit its window, or does not want it.
def normal(answer: str | None, options: DeflateOptions) -> set[str] | None:
    if answer is None:
        return None
    parts = set(answer.split("; "))
    if not options.client_context_takeover or "client_no_context_takeover" in parts:
        parts = {part for part in parts if not part.startswith("client_max_window_bits")}
    return parts


@pytest.mark.parametrize("options", [DEFAULT, TAKEOVER], ids=["default", "takeover"])
@pytest.mark.parametrize("header", [header for header in OFFERS if is_grammatical(header)])
def test_websockets_answers_the_same(header: str, options: DeflateOptions) -> None:
    ours = normal(answer(header, options), options)
    theirs = normal(second_opinion(header, options), options)
    if ours and options.client_context_takeover and "client_max_window_bits" not in header:
        assert ours - {"client_no_context_takeover"} == (theirs or set()) - {"client_no_context_takeover"}
    else:
        assert ours == theirs


def test_most_of_the_table_is_grammatical() -> None:
    assert sum(map(is_grammatical, OFFERS)) >= 60


tokens = st.sampled_from(
    ["8", "9", "12", "15", "16", "012", '"10"', '"15"', "x", "true", '"foo"', "-1", "1" * 50]
)
parameters = st.one_of(
    st.sampled_from(
        ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits", "x"]
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(["server_max_window_bits", "client_max_window_bits", "server_no_context_takeover"]),
        tokens,
    ),
)
offers = st.builds(
    lambda name, parts: "; ".join([name, *parts]),
    st.sampled_from([P, P, P, "x-other"]),
    st.lists(parameters, max_size=4),
)
options = st.builds(DeflateOptions, window_bits=st.integers(9, 15), client_context_takeover=st.booleans())


def is_legal_answer_to(offer: str, response: str) -> bool:
    """Whether the websockets client, having sent this offer, would take the response.

    It cannot compress with a window of 8 bits, and offers no such thing: to it, 8 is said as 9.
    """
    sent = parse_offer(offer)
    if sent is None:
        return False
    server_bits, client_bits = sent.get("server_max_window_bits"), sent.get("client_max_window_bits")
    client = ClientPerMessageDeflateFactory(
        server_no_context_takeover="server_no_context_takeover" in sent,
        client_no_context_takeover="client_no_context_takeover" in sent,
        server_max_window_bits=int(server_bits) if server_bits else None,
        client_max_window_bits=max(int(client_bits), 9)
        if client_bits
        else ("client_max_window_bits" in sent or None),
    )
    said = response.replace("client_max_window_bits=8", "client_max_window_bits=9")
    [(_, parameters)] = parse_extension(said)
    try:
        client.process_response_params(parameters, [])
    except NegotiationError:
        return False
    return True


@given(st.lists(offers, max_size=4), options)
@example([f"{P}; client_max_window_bits=8"], TAKEOVER)
def test_whatever_is_offered_the_answer_is_legal_for_the_first_offer_that_can_be_had(
    offered: list[str], wishes: DeflateOptions
) -> None:
    agreement = negotiate(offered, wishes)
    alone = [negotiate([offer], wishes) for offer in offered]
    assert agreement is next((one for one in alone if one is not None), None)
    if agreement is not None:
        first = next(offer for offer, one in zip(offered, alone, strict=True) if one is not None)
        assert is_legal_answer_to(first, agreement.header.decode())
        assert 0 <= agreement.kept_bytes <= 1 << wishes.window_bits
        assert bool(agreement.kept_bytes) <= wishes.client_context_takeover


@given(
    st.lists(st.one_of(offers, st.text(), st.text('pm;="8 \t,').map(f"{P};".__add__)), max_size=4), options
)
def test_nothing_that_is_offered_raises(offered: list[str], wishes: DeflateOptions) -> None:
    agreement = negotiate(offered, wishes)
    assert (agreement is None) == all(negotiate([offer], wishes) is None for offer in offered)


def test_equal_agreements_are_one_object_and_share_their_compressor() -> None:
    one = negotiate([P], DEFAULT)
    other = negotiate([f"{P}; client_max_window_bits"], DeflateOptions())
    assert one is other
    assert one is not None
    assert one.compressor is compressor_for(DEFAULT, 12)


@pytest.mark.parametrize(("bits", "kept_bytes"), [(8, 512), (9, 512), (10, 1024), (12, 4096), (15, 4096)])
def test_what_is_kept_of_a_client_is_its_window_and_never_more_than_ours(bits: int, kept_bytes: int) -> None:
    offer = f"{P}; client_max_window_bits={bits}"
    with_takeover, without = negotiate([offer], TAKEOVER), negotiate([offer], DEFAULT)
    assert with_takeover is not None
    assert without is not None
    assert with_takeover.kept_bytes == kept_bytes
    assert without.kept_bytes == 0


@given(broken_offers(), options)
def test_a_broken_offer_is_declined_and_the_next_one_taken(
    broken: BrokenOffer, options: DeflateOptions
) -> None:
    assert broken.wrong
    assert negotiate([broken.header()], options) is None
    assert negotiate([broken.header(), P], options) == negotiate([P], options)


@given(broken_offers())
def test_websockets_declines_what_is_broken(broken: BrokenOffer) -> None:
    assert second_opinion(broken.header(), DEFAULT) is None
