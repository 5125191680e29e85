"""The judge of `make conformance`, and the page it writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.conformance import page, suite
from tools.conformance.cases import (
    DEFLATE_GROUPS,
    EXPLANATIONS,
    LEFT_OUT_DEFLATED,
    PLAIN_GROUPS,
    Group,
)
from tools.conformance.judge import faults, missing
from tools.conformance.suite import Verdict

PAGE = Path(__file__).parents[2] / "docs/reference/conformance.md"


def verdict(case: str, behavior: str = "OK", closing: str = "OK") -> Verdict:
    return Verdict(case, behavior, closing, "as it went")


def test_the_groups_are_all_517_cases() -> None:
    assert sum(group.cases for group in (*PLAIN_GROUPS, *DEFLATE_GROUPS)) == 517


def test_what_is_right_or_explained_passes() -> None:
    passed = [
        verdict("1.1.1"),
        verdict("6.4.3", "NON-STRICT"),
        verdict("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
    ]
    assert faults(passed, {"6.4.3": "because", "7.1.6": "because"}) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (verdict("1.1.1", "FAILED"), "1.1.1: FAILED, close OK"),
        (verdict("1.1.1", "OK", "WRONG CODE"), "close WRONG CODE"),
        (verdict("1.1.1", "NON-STRICT", "UNCLEAN"), "close UNCLEAN"),
        (verdict("12.1.1", "UNIMPLEMENTED"), "UNIMPLEMENTED"),
        (verdict("12.1.1", "ERROR", "FAILED"), "ERROR"),
        (verdict("3.2", "NON-STRICT"), "nothing explains it"),
        (verdict("6.4.3"), "OK, yet the tool explains"),
    ],
)
def test_anything_else_is_a_fault(bad: Verdict, words: str) -> None:
    (fault,) = faults([verdict("1.2.1"), bad], {"6.4.3": "because"})
    assert words in fault


def test_a_case_that_was_not_played_is_missed() -> None:
    group = Group("3", "reserved bits", 2)
    assert missing([verdict("3.1"), verdict("3.2")], [group]) == []
    assert missing([verdict("3.1"), verdict("13.1.1")], [group]) == ["3.*: 1 cases were played, of 2"]
    assert missing([verdict("3.1")], [group], left_out=["3.4", "10.1.1"]) == []


def test_the_table_counts_and_explains(tmp_path: Path) -> None:
    plain = [verdict("6.1.1"), verdict("6.1.2"), verdict("6.4.3", "NON-STRICT")]
    table = page.table({"plain": plain, "deflated": []}, "made with care")
    assert "| 6.* (145) | UTF-8 | 2 OK, 1 NON-STRICT | – |" in table
    assert f"| 6.4.3 | NON-STRICT | {EXPLANATIONS['6.4.3']} |" in table
    assert "7.13.1" not in table
    file = tmp_path / "page.md"
    file.write_text(f"before\n{page.BEGIN}old{page.END}after\n", encoding="utf-8")
    page.write(file, table)
    assert file.read_text(encoding="utf-8") == f"before\n{page.BEGIN}\n{table}\n\n{page.END}after\n"


def test_the_page_in_the_docs_tells_what_the_tool_knows() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for case, why in EXPLANATIONS.items():
        assert f"| {case} |" in text
        assert why in text
    for case, why in LEFT_OUT_DEFLATED.items():
        assert f"- {case} {why}." in text
    for group in (*PLAIN_GROUPS, *DEFLATE_GROUPS):
        assert f"| {group.number}.* ({group.cases}) | {group.title} |" in text
    assert "FAILED" not in text


def test_cases_on_compression_take_plain_answers() -> None:
    class Case:
        def onMessage(self, message: bytes, binary: bool) -> None:  # noqa: N802 - Autobahn's name
            self.received = (message, binary)

    cases = {"12.1.1": Case, "1.1.1": Case}
    suite.take_plain_answers(cases)
    assert cases["1.1.1"] is Case
    assert cases["12.1.1"].__name__ == "Case"
    for message, binary, expected in (("é", False, b"\xc3\xa9"), ("é", True, b"\xe9"), (b"x", True, b"x")):
        case = cases["12.1.1"]()
        case.onMessage(message, binary)  # type: ignore[arg-type]
        assert case.received == (expected, binary)


def test_texts_that_were_bytes_become_what_the_bytes_mean() -> None:
    cases = {
        "6.2.1": SimpleNamespace(PAYLOAD="Hello-µ"),
        "6.5.5": SimpleNamespace(PAYLOAD="κόσμε".encode().decode("latin-1")),
        "6.6.1": SimpleNamespace(PAYLOAD=b"\xce"),
        "9.2.1": SimpleNamespace(PAYLOAD="\xce\xba"),
        "9.7.1": SimpleNamespace(),
    }
    suite.repair_texts(cases)
    assert [vars(case).get("PAYLOAD") for case in cases.values()] == [
        "Hello-µ",
        "κόσμε",
        b"\xce",
        "\xce\xba",
        None,
    ]
