"""Compressed messages as values: their repr makes them again, their bytes are read by the oracle."""

from __future__ import annotations

from hypothesis import given, settings

from wsloop.testing import deflating
from wsloop.testing.deflating import Deflated, DeflateParameters, Deflater, deflated_binary, deflated_text
from wsloop.testing.oracle import Binary, Deflate, Text, read
from wsloop.testing.strategies import compressed_messages
from wsloop.testing.wire import encode_frames


@settings(deadline=None)
@given(compressed_messages())
def test_a_repr_makes_the_same_message_again(message: Deflated) -> None:
    assert eval(repr(message), vars(deflating)) == message


def test_messages_refer_back_and_final_blocks_do_not_harm() -> None:
    deflater = Deflater(10, takeover=True)
    said = [
        deflated_text("hello"),
        deflated_text("hello"),
        deflated_binary(b"x", is_final=True),
        deflated_text("hello"),
    ]
    frames = [frame for each in said for frame in each.frames(deflater)]
    assert len(frames[1].payload) < len(frames[0].payload)
    assert read(encode_frames(frames), deflate=Deflate(10)).said == (
        Text("hello"), Text("hello"), Binary(b"x"), Text("hello"),
    )  # fmt: skip


def test_offers_are_written_as_the_rfc_writes_them() -> None:
    offer = DeflateParameters(True, True, 10, 11)
    assert offer.header() == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=11"
    )
    assert DeflateParameters(client_limits=True).header() == "permessage-deflate; client_max_window_bits"
