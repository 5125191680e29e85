"""Times and sizes with units: read as they are meant, refused in words that name the units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.units import BYTES_IN, MS_IN, UnitError, duration, parse, size, spell


@given(st.integers(0, 10**12), st.sampled_from(sorted(BYTES_IN)))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    expected = number * BYTES_IN[unit]
    for text in (
        f"{number}{unit}",
        f"{number} {unit}",
        f" {number}{unit.lower()} ",
        f"{number}{unit.upper()}",
    ):
        assert size(text) == expected
    assert type(size(f"{number}{unit}")) is int


@given(st.integers(0, 10**9), st.sampled_from(sorted(MS_IN)), st.sampled_from(["s", "ms"]))
def test_a_time_is_its_number_times_its_unit(number: int, unit: str, base: str) -> None:
    assert duration(f"{number}{unit}", base) == number * MS_IN[unit] / MS_IN[base]


@given(st.integers(0, 10**9), st.sampled_from(["s", "ms", "B"]))
def test_a_number_without_a_unit_is_in_the_base_unit(number: int, base: str) -> None:
    assert parse(str(number), base) == number


@given(st.integers(0, 10**9), st.integers(0, 999), st.sampled_from(["s", "ms"]))
def test_decimals_are_exact(whole: int, thousandths: int, base: str) -> None:
    assert duration(f"{whole}.{thousandths:03}{base}", base) == float(f"{whole}.{thousandths:03}")


@given(st.integers(0, 2**40))
def test_a_size_that_was_spelt_is_read_as_it_was(value: int) -> None:
    assert size(spell(value, "B")) == value


@given(st.integers(0, 10**9), st.sampled_from(["s", "ms"]))
def test_a_time_that_was_spelt_is_read_as_it_was(value_ms: int, unit: str) -> None:
    value = value_ms / MS_IN[unit]
    assert parse(spell(value, unit), unit) == value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (25.0, "s", "25s"), (0.1, "s", "0.1s"), (300.0, "s", "5m"), (3600.0, "s", "1h"), (0.0, "s", "0s"),
        (86400.0 * 365, "s", "365d"), (0.0, "ms", "0ms"), (1.5, "ms", "1.5ms"), (1000.0, "ms", "1s"),
        (1024, "B", "1KiB"), (1 << 20, "B", "1MiB"), (1000, "B", "1000B"), (0, "B", "0B"),
    ],
)  # fmt: skip
def test_what_is_spelt_is_short(value: float, unit: str, text: str) -> None:
    assert spell(value, unit) == text


@given(st.text())
def test_whatever_is_written_is_an_amount_or_an_error_that_names_the_units(text: str) -> None:
    for unit, words in (("s", "ms, s, m, h or d"), ("B", "KiB")):
        try:
            assert parse(text, unit) >= 0
        except UnitError as error:
            assert words in str(error) or "whole number of bytes" in str(error)


@pytest.mark.parametrize(
    "text", ["", "s", "5 parsecs", "-1s", "1e3s", "nan", "inf", "1s2s", "1..2s", "0x10", "1M"]
)
def test_what_is_no_time_is_told_with_the_units(text: str) -> None:
    with pytest.raises(UnitError, match="is not a time: a number is, with ms, s, m, h or d, as in 30s"):
        duration(text)


@pytest.mark.parametrize("text", ["", "KiB", "1Kb it", "1TB", "-1", "64 k"])
def test_what_is_no_size_is_told_with_the_units(text: str) -> None:
    with pytest.raises(UnitError, match="is not a size: a number is, with B, kB, MB, GB, KiB, MiB or GiB"):
        size(text)


def test_half_a_byte_is_none() -> None:
    assert size("1.5KiB") == 1536
    with pytest.raises(UnitError, match=r"'0\.3KiB' is not a whole number of bytes"):
        size("0.3KiB")
