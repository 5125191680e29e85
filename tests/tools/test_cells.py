from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.cells import CELLS, DOCUMENT_STAMP, DOCUMENTS, documents
from tools.bench.model import Cell
from tools.bench.report import COLUMNS
from tools.bench.servers.options import ROLES
from tools.bench.stream import masked_frame


def test_cells_have_names_of_their_own_and_a_kind_that_servers_and_report_know() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert {cell.kind.name for cell in CELLS} == set(ROLES) == set(COLUMNS)


@given(size=st.integers(0, 70000))
def test_the_length_of_a_frame_is_told_right(size: int) -> None:
    cell = Cell("x", CELLS[0].kind, "", size_bytes=size)
    assert cell.frame_bytes == len(masked_frame(1, bytes(size), b"abcd"))


@pytest.mark.parametrize("size", [64, 100, 1024, 5000])
def test_documents_are_json_of_the_size_asked_for_and_all_differ(size: int) -> None:
    texts = documents(size)
    assert {len(text) for text in texts} == {size}
    assert len(set(texts)) == DOCUMENTS
    assert all(text.startswith(DOCUMENT_STAMP.encode()) for text in texts)
    assert {json.loads(text)["id"] for text in texts} == {"0" * 16}
    assert texts == documents(size)
