"""The pack's own table: enough cases, each under an identifier that looks like one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.cve.kit import FAULTS

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
IDENTIFIER = re.compile(r"CVE-(19|20)[0-9]{2}-[0-9]{4,7}|GHSA(-[23456789cfghjmpqrvwx]{4}){3}")


@pytest.fixture(autouse=True, scope="module")
def whole_pack() -> None:
    for name in MODULES:
        importlib.import_module(f"tests.cve.{name}")


def test_there_are_forty_cases_and_more() -> None:
    assert len({fault.test for fault in FAULTS}) >= 40
    assert len({identifier for fault in FAULTS for identifier in fault.identifiers}) >= 40


def test_every_case_has_an_identifier_and_says_what_it_is() -> None:
    for fault in FAULTS:
        assert fault.identifiers
        assert all(IDENTIFIER.fullmatch(identifier) for identifier in fault.identifiers)
        assert fault.where
        assert fault.fault
        assert fault.answer


def test_no_case_is_entered_twice() -> None:
    assert len({fault.test for fault in FAULTS}) == len(FAULTS)
