"""Intervals of draws are ArviZ's; a table of summaries keeps its draws, a part of it does not."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_base import rc_context
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.errors import PredictionError
from hierlogit.summaries.intervals import DrawTable, Interval, summarise


@pytest.mark.parametrize("kind", ["eti", "hdi"])
@given(
    draws=st.integers(20, 400),
    seed=st.integers(0, 2**32 - 1),
    prob=st.sampled_from([0.5, 0.8, 0.89, 0.9, 0.945, 0.95, 0.99]),
    skew=st.booleans(),
)
def test_intervals_are_those_of_arviz(kind: str, draws: int, seed: int, prob: float, skew: bool) -> None:
    values = np.random.default_rng(seed).normal(size=(draws, 3))
    values = np.exp(values) if skew else values
    low, high = Interval.of(prob, kind).ends(values)
    expected = getattr(arviz_stats, kind)(values, prob=prob, axis=0)
    expected = expected if expected.shape == (3, 2) else expected.T
    np.testing.assert_allclose(np.column_stack([low, high]), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_further_axes_are_kept(kind: str) -> None:
    draws = np.random.default_rng(1).normal(size=(100, 2, 3))
    low, high = Interval.of(0.9, kind).ends(draws)
    one = Interval.of(0.9, kind).ends(draws[:, 1, 2])
    assert low.shape == high.shape == (2, 3)
    assert (low[1, 2], high[1, 2]) == one


def test_the_highest_density_interval_is_not_wider_and_holds_its_share() -> None:
    draws = np.random.default_rng(2).exponential(size=(4001, 1))
    eti, hdi = Interval(0.89, "eti").ends(draws), Interval(0.89, "hdi").ends(draws)
    assert hdi[1][0] - hdi[0][0] < 0.9 * (eti[1][0] - eti[0][0])
    assert np.mean((draws >= hdi[0]) & (draws <= hdi[1])) == pytest.approx(0.89, abs=1e-3)


def test_defaults_are_those_of_arviz() -> None:
    assert Interval.of(None, None) == Interval(0.89, "eti")
    with rc_context({"stats.ci_prob": 0.5, "stats.ci_kind": "hdi"}):
        assert Interval.of(None, None) == Interval(0.5, "hdi")
        assert Interval.of(0.8, None) == Interval(0.8, "hdi")


@pytest.mark.parametrize(
    ("prob", "kind", "columns"),
    [
        (0.89, "eti", ("eti89_lb", "eti89_ub")),
        (0.945, "hdi", ("hdi94_5_lb", "hdi94_5_ub")),
        (0.07, "eti", ("eti7_lb", "eti7_ub")),
    ],
)
def test_columns_have_the_names_of_arviz(prob: float, kind: str, columns: tuple[str, str]) -> None:
    assert Interval(prob, kind).columns == columns


@pytest.mark.parametrize("prob", [0, 1, -0.1, 89, np.nan])
def test_the_probability_is_between_0_and_1(prob: float) -> None:
    with pytest.raises(PredictionError, match="must be a number between 0 and 1"):
        Interval.of(prob, "eti")


def test_an_interval_that_would_be_infinite_is_refused() -> None:
    with pytest.raises(PredictionError, match="is too near to 1: the interval would be infinite"):
        Interval.of(1 - 1e-16, "eti")


def test_the_kinds_are_named() -> None:
    with pytest.raises(PredictionError, match="ci_kind='wald' is not allowed; choose one of 'eti', 'hdi'"):
        Interval.of(0.9, "wald")


def test_summaries() -> None:
    draws = np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]])
    summary = summarise(draws, Interval(0.5, "eti"))
    assert list(summary) == ["mean", "sd", "eti50_lb", "eti50_ub"]
    np.testing.assert_allclose(summary["mean"], [3, 1])
    np.testing.assert_allclose(summary["sd"], [np.sqrt(7), np.sqrt(3)])
    np.testing.assert_allclose(summary["eti50_lb"], [1.5, 0])


def test_a_table_of_draws_is_a_frame_with_its_draws() -> None:
    values = np.arange(6.0).reshape(1, 2, 3)
    draws = xr.DataArray(values, dims=["chain", "draw", "row"])
    table = DrawTable.with_draws(pd.DataFrame({"mean": values.mean(axis=(0, 1))}), draws)
    assert isinstance(table, pd.DataFrame)
    assert table.draws is draws
    pd.testing.assert_frame_equal(pd.DataFrame(table), pd.DataFrame({"mean": [1.5, 2.5, 3.5]}))
    assert "1.5" in repr(table)


def test_parts_of_a_table_have_no_draws_that_could_mislead() -> None:
    table = DrawTable.with_draws(pd.DataFrame({"mean": [1.0, 2.0], "sd": [1.0, 1.0]}), np.zeros((4, 2)))
    for part in (table.iloc[:1], table[table["mean"] > 1], table[["mean"]], table.sort_values("mean"), table.head(1)):
        assert not hasattr(part, "draws")


@pytest.mark.parametrize("shape", [(40, 1), (40, 6), (2, 3), (1, 2), (7, 0), (12, 2, 3)])
def test_quantiles_are_those_of_numpy_and_the_draws_stay_in_order(shape: tuple[int, ...]) -> None:
    draws = np.random.default_rng(4).normal(size=shape)
    before = draws.copy()
    low, high = Interval(0.89, "eti").ends(draws)
    expected = np.quantile(draws, [0.055, 0.945], axis=0)
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    np.testing.assert_array_equal(draws, before)


def test_columns_with_missing_and_infinite_draws_have_the_ends_that_they_can_have() -> None:
    draws = np.ones((20, 3)) * np.arange(20)[:, None]
    draws[3, 0], draws[-3:, 1], draws[:, 2] = np.nan, np.inf, np.inf
    low, high = Interval(0.8, "eti").ends(draws)
    np.testing.assert_allclose(low, [np.nan, 1.9, np.inf])
    np.testing.assert_array_equal(high, [np.nan, np.inf, np.inf])
