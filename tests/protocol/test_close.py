from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import SERVER, Connection
from wsproto.events import CloseConnection

from tests.protocol.kit import client_frame
from wsloop.protocol.close import CloseCode, encode_close, is_valid_received, truncate_reason
from wsloop.testing.wire import CLOSE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "close-codes.md"


def test_every_code_is_judged_as_wsproto_judges_it() -> None:
    for code in [*range(5100), 65535]:
        connection = Connection(SERVER)
        connection.receive_data(client_frame(CLOSE, code.to_bytes(2, "big")))
        (event,) = connection.events()
        assert isinstance(event, CloseConnection)
        accepted = event.reason == "" and event.code == code
        assert is_valid_received(code) == accepted, code


@given(st.text(max_size=300))
def test_a_reason_is_a_prefix_of_at_most_123_bytes_cut_between_characters(reason: str) -> None:
    data = truncate_reason(reason)
    assert len(data) <= 123
    assert reason.startswith(data.decode("utf-8"))
    if len(reason.encode()) > 123:
        assert len(data) >= 120
    else:
        assert data == reason.encode()


def test_a_reason_that_would_be_cut_within_a_character_loses_the_whole_character() -> None:
    assert truncate_reason("x" * 122 + "é") == b"x" * 122
    assert truncate_reason("x" * 121 + "é") == b"x" * 121 + "é".encode()


def test_a_lone_surrogate_in_a_reason_becomes_a_question_mark() -> None:
    assert truncate_reason("a\ud800b") == b"a?b"


@given(st.sampled_from([1000, 1011, 1013, 3000, 3999, 4000, 4999]), st.text(max_size=300))
def test_a_close_payload_fits_a_control_frame(code: int, reason: str) -> None:
    payload = encode_close(code, reason)
    assert len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == code


def test_no_code_is_an_empty_payload() -> None:
    assert encode_close(1005) == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1014, 1015, 1016, 2999, 5000, 65536, -1])
def test_codes_that_may_not_be_sent_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        encode_close(code)


def test_no_code_takes_no_reason() -> None:
    with pytest.raises(ValueError, match="1005"):
        encode_close(1005, "because")


def test_the_reference_lists_every_code() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    missing = [code for code in CloseCode if f"| {code.value} |" not in text]
    assert not missing
