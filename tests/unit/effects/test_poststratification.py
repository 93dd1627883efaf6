"""Averages over the cells of a census, with their numbers of people as weights, also for states without respondents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hierlogit as hl
from hierlogit.errors import PredictionError

MakeFit = Callable[..., hl.results.Fit]
FORMULA = "support ~ sex + education + repvote + (1 + sex | state)"


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit) -> hl.results.Fit:
    return make_fit(FORMULA, hl.datasets.load("opinion"), draws=1000)


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return hl.datasets.load("opinion_cells").sample(frac=1, random_state=1, ignore_index=True)


def test_averages_are_weighted_means_of_draws(fit: hl.results.Fit, cells: pd.DataFrame) -> None:
    some = cells.assign(n=cells["n"].where(cells["age"] != "70+", 0))
    options: dict[str, Any] = {"allow_new_levels": True, "seed": 1, "num_draws": 50}
    each = hl.predictions(fit, some, **options).draws.values[0]
    for by in (["state"], ["region", "sex"], ["age"]):
        counted = some if by != ["age"] else some[some["n"] > 0]
        table = hl.predictions(fit, some if by != ["age"] else counted, by=by, weights="n", **options)
        groups = counted.groupby(by, observed=True)
        assert len(table) == groups.ngroups
        for position, (_, group) in enumerate(groups):
            weights = group["n"].to_numpy()
            by_hand = (each[:, group.index] * weights).sum(axis=1) / weights.sum()
            np.testing.assert_allclose(table.draws.values[0, :, position], by_hand, rtol=1e-12)
            assert table["total_weight"][position] == weights.sum()
            assert table["rows"][position] == len(group)
    nation = hl.predictions(fit, some, by=True, weights="n", **options)
    by_hand = np.average(each, axis=1, weights=some["n"])
    np.testing.assert_allclose(nation.draws.values[0, :, 0], by_hand, rtol=1e-12)


def test_states_without_respondents_are_drawn_from_the_distribution_between_states(
    fit: hl.results.Fit, cells: pd.DataFrame
) -> None:
    people = cells.query("age == '18-29' and education == 'college'")
    new = people[people["state"].isin(["AK", "HI"])].sort_values(["state", "sex"])  # men first
    link = hl.predictions(fit, new, scale="link", allow_new_levels=True, seed=3).draws.values.reshape(-1, 4)
    typical = hl.predictions(fit, new, scale="link", clusters="typical").draws.values.reshape(-1, 4)
    beta = fit.posterior["beta"].stack(sample=("chain", "draw"))
    fixed = beta.sel(fixed_effect="Intercept") + beta.sel(fixed_effect="education[college]")
    for row, votes in zip((0, 2), new["repvote"].iloc[[0, 2]], strict=True):
        expected = fixed + beta.sel(fixed_effect="repvote") * votes
        np.testing.assert_allclose(typical[:, row], expected, atol=1e-12)
    effects = link - typical
    sd = fit.posterior["sd_state"].stack(sample=("chain", "draw")).sel(state_effect="Intercept").values
    men = effects[:, [0, 2]] / sd[:, None]
    assert stats.kstest(men.ravel(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(men.T)[0, 1]) < 4 / np.sqrt(len(men))
    averages = hl.predictions(fit, new, by="state", weights="n", allow_new_levels=True, seed=3).draws.values
    shares = new["n"].to_numpy().reshape(2, 2) / new.groupby("state")["n"].sum().to_numpy()[:, None]
    by_hand = (1 / (1 + np.exp(-link)).reshape(-1, 2, 2) * shares).sum(axis=2)
    np.testing.assert_allclose(averages.reshape(-1, 2), by_hand, rtol=1e-10)


def test_states_without_respondents_leave_the_others_as_they_are(fit: hl.results.Fit, cells: pd.DataFrame) -> None:
    known = cells[~cells["state"].isin(["AK", "HI"])]
    for some in (cells, cells[cells["state"].isin(["AK", "HI", "CA"])]):  # most rows known, and most rows unknown
        table = hl.predictions(fit, some, by="state", weights="n", allow_new_levels=True, seed=1, num_draws=50)
        alone = hl.predictions(fit, known, by="state", weights="n", num_draws=50)
        shared = alone["state"][alone["state"].isin(some["state"])]
        left = table.draws.values[0][:, table["state"].isin(shared)]
        np.testing.assert_allclose(left, alone.draws.values[0][:, shared.index], rtol=1e-12)


def test_differences_and_totals(fit: hl.results.Fit, cells: pd.DataFrame) -> None:
    known = cells[cells["state"].isin(["CA", "TX", "NY"])]
    table = hl.predictions(fit, known, by="state", weights="n")
    differences = hl.predictions(fit, known, by="state", weights="n", hypothesis=["CA - TX = 0"])
    by_hand = table.draws.values[..., 0] - table.draws.values[..., 2]
    np.testing.assert_allclose(differences.draws.values[..., 0], by_hand)
    pairs = hl.predictions(fit, known, by="state", weights="n", hypothesis="pairwise")
    assert [*pairs["hypothesis"]] == ["(NY) - (CA)", "(TX) - (CA)", "(TX) - (NY)"]
    assert [*table["total_weight"]] == [*known.groupby("state")["n"].sum()]


def test_a_column_of_the_rows_named_like_the_weights_is_set_aside(fit: hl.results.Fit, cells: pd.DataFrame) -> None:
    some = cells[cells["state"].isin(["CA", "TX"])].assign(total_weight=cells["state"])
    table = hl.predictions(fit, some, by="total_weight", weights="n")
    assert [*table.columns[:3]] == ["total_weight_in_data", "rows", "total_weight"]
    assert [*table["total_weight_in_data"]] == ["CA", "TX"]
    assert "total_weight" not in hl.predictions(fit, some, by="state")


def test_groups_without_people_are_named(fit: hl.results.Fit, cells: pd.DataFrame) -> None:
    nobody = (cells["state"] == "VT") & (cells["age"] == "70+")
    some = cells.assign(n=cells["n"].where(~nobody, 0))
    message = r"sum to zero in 1 of 200 groups of rows by 'state', 'age', which has no average: 'VT, 70\+'\. Leave"
    with pytest.raises(PredictionError, match=message):
        hl.predictions(fit, some, by=["state", "age"], weights="n", allow_new_levels=True)
    table = hl.predictions(fit, some[some["n"] > 0], by=["state", "age"], weights="n", allow_new_levels=True, seed=1)
    assert len(table) == 199
    with pytest.raises(PredictionError, match="sum to zero, so that there is no average"):
        hl.predictions(fit, some[nobody], by=True, weights="n")


def test_short_blocks_of_draws_change_nothing(
    fit: hl.results.Fit, cells: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"by": "state", "weights": "n", "allow_new_levels": True, "seed": 1, "num_draws": 100}
    whole = hl.predictions(fit, cells, **options).draws.values
    monkeypatch.setattr("hierlogit.density.linear_predictor.CACHED", 7 * len(cells))
    np.testing.assert_array_equal(hl.predictions(fit, cells, **options).draws.values, whole)
    monkeypatch.setattr("hierlogit.density.linear_predictor.CACHED", 1)
    np.testing.assert_array_equal(hl.predictions(fit, cells, **options).draws.values, whole)
