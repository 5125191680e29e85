from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from wsloop.protocol.limits import Limits

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"


def test_defaults_are_those_of_the_design() -> None:
    limits = Limits()
    assert (limits.head_bytes, limits.headers, limits.line_bytes) == (16384, 128, 8192)
    assert (limits.message_bytes, limits.fragments) == (1 << 20, 1024)


def test_a_message_may_be_allowed_32_mib_and_more() -> None:
    assert Limits(message_bytes=32 << 20).message_bytes == 32 << 20
    assert Limits(message_bytes=2**63 - 1).message_bytes == 2**63 - 1


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, 2**63, 1.5, True, "1", None])
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a whole number"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_a_line_cannot_be_longer_than_its_head() -> None:
    with pytest.raises(ValueError, match=r"line_bytes \(8192\) must not exceed head_bytes \(4096\)"):
        Limits(head_bytes=4096)


@pytest.mark.parametrize("value", [130, 65536])
def test_a_whole_frame_holds_a_control_frame_and_fits_a_ring(value: int) -> None:
    with pytest.raises(ValueError, match="whole_frame_bytes must be from 131 to 65535"):
        Limits(whole_frame_bytes=value)


def test_the_reference_gives_every_name_and_default() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    missing = [
        field.name for field in fields(Limits) if f"| `{field.name}` | {field.default:,} |" not in text
    ]
    assert not missing
