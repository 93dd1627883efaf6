"""Order statistics of a column in parts are those of the whole column, whatever its parts and its ties."""

import numpy as np
import pytest

from hierlogit.design import order_statistics as places
from hierlogit.design.column_rules import rule_of_order
from hierlogit.design.order_statistics import Intervals, Places, order_statistics, order_statistics_between
from hierlogit.design.row_counts import quantile_ranks, quantiles


def columns() -> list[np.ndarray]:
    random = np.random.default_rng(4)
    return [
        random.normal(size=500),
        random.integers(0, 7, 300).astype(float),
        np.concatenate([np.zeros(400), random.exponential(size=150)]),
        np.full(20, 3.0),
        np.array([1.0]),
    ]


@pytest.mark.parametrize("column", columns())
@pytest.mark.parametrize("kept", [2, 5, 40, 4000])
def test_order_statistics_are_those_of_the_whole_column(
    column: np.ndarray, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "PLACES", kept)
    parts = np.array_split(np.random.default_rng(1).permutation(column), min(4, len(column)))
    ranks = np.unique(np.linspace(0, len(column) - 1, 23).astype(np.int64))
    expected = np.sort(column)[ranks]
    low, high = order_statistics_between([Places.of(part) for part in parts], ranks)
    assert np.all((low <= expected) & (expected <= high))
    if kept == 4000:  # all values are kept, so that there is nothing between the bounds
        np.testing.assert_array_equal(low, high)
    found = order_statistics([Intervals.of(part, low, high) for part in parts], ranks)
    np.testing.assert_array_equal(found, expected)


def test_few_values_lie_between_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PLACES", 100)
    parts = np.array_split(np.random.default_rng(2).normal(size=20_000), 4)
    places_of = [Places.of(part) for part in parts]
    assert all(len(part.values) == 100 for part in places_of)
    low, high = order_statistics_between(places_of, np.array([0, 7000, 10_000, 19_999]))
    inside = [sum(int(((part >= a) & (part <= b)).sum()) for part in parts) for a, b in zip(low, high, strict=True)]
    # Each part has 50 values from one place to the next, and both bounds lie in one such step of each part.
    assert inside[0] == inside[-1] == 1
    assert max(inside) <= 2 * 4 * 51


@pytest.mark.parametrize("column", columns())
def test_a_rule_of_order_has_the_extremes_and_quantiles_of_all_rows(column: np.ndarray) -> None:
    probabilities = np.array([0.1, 1 / 3, 0.5, 0.9])
    ends = [0, len(column) - 1]
    ranks = np.unique(np.concatenate([ends, *quantile_ranks(len(column), probabilities)]).astype(np.int64))
    rule = rule_of_order(ranks, np.sort(column)[ranks])
    assert rule.counts.sum() == len(column)
    assert (rule.values.min(), rule.values.max()) == (column.min(), column.max())
    np.testing.assert_allclose(
        quantiles(rule.values, rule.counts, probabilities), np.quantile(column, probabilities), rtol=1e-14
    )
