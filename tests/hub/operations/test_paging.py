"""Pages: all of them together are everything, in order, whatever the order of looking."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.operations.paging import Page


@given(st.sets(st.text(min_size=1, max_size=4)).flatmap(lambda names: st.permutations(sorted(names))),
       st.integers(1, 5))  # fmt: skip
def test_pages_together_are_all_names_in_order(names: list[str], limit: int) -> None:
    read: list[str] = []
    cursor = ""
    while True:
        page = Page(limit, cursor)
        for name in names:
            if page.wants(name):
                page.add(name)
        found, cursor = page.take()
        assert len(found) == limit or not cursor
        read += found
        if not cursor:
            break
    assert read == sorted(names)
