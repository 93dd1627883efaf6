"""Numbers as a person reads them."""

from __future__ import annotations

import math

import pytest

from hierlogit.formatting import cell, criterion, number, p_value, plain, probability


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("mean", -1.07272, "-1.073"),
        ("mean", 0.99949, "0.999"),
        ("mean", 0.003078, "0.00308"),
        ("mean", 0.0, "0"),
        ("mean", -12.3456, "-12.35"),
        ("mean", 5e-6, "5.0e-6"),
        ("odds_ratio", 1234567.5, "1.2e6"),
        ("odds_ratio", 250.04, "250.0"),
        ("ess_bulk", 2651.13, "2,651"),
        ("ess_bulk", math.nan, "-"),
        ("r_hat", math.nan, "-"),
        ("width", math.inf, "inf"),
        ("rows", 11734, "11,734"),
        ("p_value", 0.0, "< 0.001"),
        ("p_direction", 1.0, "> 0.999"),
        ("adjusted_p", 0.0042, "0.0042"),
        ("found", True, "True"),
        ("arm", "new", "new"),
    ],
)
def test_cells_have_three_or_four_digits(column: str, value: object, text: str) -> None:
    assert plain(cell(column, value)) == text


@pytest.mark.parametrize("value", [1e-12, 0.00123456, 0.1, 0.99999, 1.0, 3.14159, 27.1828, 999.95, 12345.678, 1e7])
def test_numbers_are_close_to_what_they_show(value: float) -> None:
    for write in (number, lambda one: cell("mean", one)):
        for sign in (1, -1):
            read = float(plain(write(sign * value)).replace(",", ""))
            assert read == pytest.approx(sign * value, rel=0.05 if value < 1e-5 or value > 1e6 else 0.006)


def test_text_for_terminals_is_ascii() -> None:
    shown = [number(-0.5), number(math.nan), number(math.inf), criterion(-1e4), cell("se", math.nan)]
    assert all(plain(text).isascii() for text in shown)


def test_no_probability_is_zero_or_one() -> None:
    assert probability(0.0) == "< 0.001"
    assert p_value(0.0) == "p < 0.001"
    assert p_value(0.0199) == "p = 0.020"
    assert probability(1.0) == "> 0.999"
    assert probability(math.nan) == "–"
