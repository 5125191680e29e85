"""The pack's measures: they see what they are there to see."""

from __future__ import annotations

import pytest

from tests.cve.kit import holding_at_most, is_linear, work


@pytest.mark.parametrize(
    "measure", [lambda n: 500, lambda n: n, lambda n: 7 * n + 90_000, lambda n: 3 * n - 1]
)
def test_a_linear_measure_is_linear(measure: object) -> None:
    assert callable(measure)
    assert is_linear(measure, 1000)


@pytest.mark.parametrize(
    "measure", [lambda n: n * n, lambda n: n * n + 90_000, lambda n: n * n // 10 + 30 * n]
)
def test_a_quadratic_measure_is_not(measure: object) -> None:
    assert callable(measure)
    assert not is_linear(measure, 1000)


def test_work_counts_calls_into_python_and_c() -> None:
    def action() -> None:
        for _ in range(100):
            len("")

    assert 100 <= work(action) <= 110


def test_what_is_held_meanwhile_counts_though_it_is_let_go() -> None:
    with pytest.raises(AssertionError, match="were held at once"), holding_at_most(100_000):
        bytearray(200_000)
    with holding_at_most(300_000):
        bytearray(200_000)
