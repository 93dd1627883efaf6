"""Coefficients of the population: recovered from a million simulated clusters, and where nothing is averaged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.variance.attenuation import nearest_coefficients

MakeFit = Callable[..., hl.results.Fit]


def at_truth(formula: str, data: pd.DataFrame, beta: list[float], L: Any) -> hl.results.Fit:
    fit = hl.Model(formula, data).fit(hl.Laplace(draws=100, seed=1))
    assert fit.estimate is not None
    (name,) = fit.estimate.cholesky
    exact = replace(fit.estimate, beta=np.array(beta), cholesky={name: np.atleast_2d(L)})
    return hl.results.Fit(fit.model, fit.data, fit.diagnostics, exact)


def estimates(fit: hl.results.Fit) -> pd.DataFrame:
    return hl.conditional_vs_average(fit).xs("estimate", axis="columns", level=1)


GRID = pd.DataFrame({"x": np.repeat([-1.0, 0.0, 1.0, 2.5], 10), "arm": np.tile(["a", "b"], 20)})
CASES = {
    "intercepts": ("(1 | g)", [[2.0]]),
    "slopes": ("(1 + x | g)", [[1.0, 0.0], [-0.4, 0.9]]),
}


@pytest.mark.parametrize("case", CASES)
def test_average_coefficients_are_those_of_a_simulated_population(case: str) -> None:
    """One row from each of a million clusters, and a logistic regression that knows no clusters."""
    term, L = CASES[case]
    beta, rng, repeats = [-1.0, 0.8, 0.5], np.random.default_rng(3), 125_000
    cells = GRID.drop_duplicates()
    rows = GRID.assign(y=rng.integers(0, 2, len(GRID)), g=np.arange(len(GRID)) // 4)
    found = estimates(at_truth(f"y ~ x + arm + {term}", rows, beta, L))
    Z = np.column_stack([np.ones(len(cells)), cells["x"]])[:, : len(L)]
    effects = rng.standard_normal((len(cells), repeats, len(L))) @ np.array(L).T
    eta = beta[0] + beta[1] * cells["x"] + beta[2] * (cells["arm"] == "b")
    p = expit(eta.to_numpy()[:, None] + np.einsum("crk,ck->cr", effects, Z))
    counts = cells.assign(events=(rng.uniform(size=p.shape) < p).sum(axis=1), n=repeats)
    # Rows as often as in training.
    plain = hl.Model("p(events, n) ~ x + arm", counts).fit(hl.Laplace(draws=100, seed=1)).estimate
    assert plain is not None
    average = found.loc[["Intercept", "x", "arm[b]"], "average"].to_numpy()
    assert np.all(np.abs(average - plain.beta) < 4 * plain.standard_errors)
    assert np.all(found["conditional"].abs() > found["average"].abs())
    if case == "intercepts":  # the usual approximation is off by more than the simulation's error
        approximate = found.loc[["Intercept", "x", "arm[b]"], "approximate"].to_numpy()
        assert np.any(np.abs(approximate - plain.beta) > 6 * plain.standard_errors)
        factor = found["approximate"] / found["conditional"]
        np.testing.assert_allclose(factor, 1 / np.sqrt(1 + 0.3459 * 4), rtol=1e-4)
        np.testing.assert_allclose(found["ratio"], factor, rtol=0.08)


def test_saturated_averages_are_known_exactly() -> None:
    rows = GRID.assign(y=np.arange(len(GRID)) % 3 % 2, g=np.arange(len(GRID)) // 4)
    found = estimates(at_truth("y ~ arm + (1 | g)", rows, [-1.0, 1.7], 1.5))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    p = expit(np.array([-1.0, 0.7])[:, None] + 1.5 * nodes) @ weights / weights.sum()
    logit = np.log(p / (1 - p))
    assert found.loc["Intercept", "average"] == pytest.approx(logit[0], abs=1e-8)
    assert found.loc["arm[b]", "average"] == pytest.approx(logit[1] - logit[0], abs=1e-8)
    assert found.loc["arm[b]", "ratio"] == pytest.approx((logit[1] - logit[0]) / 1.7, abs=1e-8)


def test_without_variance_nothing_is_attenuated() -> None:
    rows = GRID.assign(y=np.arange(len(GRID)) % 3 % 2, g=np.arange(len(GRID)) // 4)
    found = estimates(at_truth("y ~ x + arm + (1 | g)", rows, [-1.0, 0.8, 0.5], 0.0))
    np.testing.assert_allclose(found["average"], found["conditional"], atol=1e-8)
    np.testing.assert_allclose(found["ratio"], 1, atol=1e-8)


def test_trials_are_rows() -> None:
    rows = GRID.assign(y=np.arange(len(GRID)) % 3 % 2, g=np.arange(len(GRID)) // 4)
    rows = pd.concat([rows, rows[rows["x"] < 0], rows[rows["x"] < 0]])
    counted = rows.groupby(["x", "arm", "g"], as_index=False).agg(events=("y", "sum"), n=("y", "size"))
    one = estimates(at_truth("y ~ x + arm + (1 | g)", rows, [-1.0, 0.8, 0.5], 1.5))
    other = estimates(at_truth("p(events, n) ~ x + arm + (1 | g)", counted, [-1.0, 0.8, 0.5], 1.5))
    averages = ["average", "ratio"]  # the others do not depend on how often rows occur
    pd.testing.assert_frame_equal(one[averages], other[averages], rtol=1e-9)
    balanced = estimates(at_truth("y ~ x + arm + (1 | g)", rows.iloc[: len(GRID)], [-1.0, 0.8, 0.5], 1.5))
    assert abs(balanced.loc["x", "average"] - one.loc["x", "average"]) > 1e-4


def test_draws_are_solved_one_by_one(make_fit: MakeFit) -> None:
    fit = make_fit("use ~ age + urban + offset(ch01) + (1 + urban | district)", _contraception(), draws=10)
    table = hl.conditional_vs_average(fit)
    assert "estimate" not in table["average"]
    draws = table.draws.values.reshape(20, 3, 4)
    beta = fit.posterior["beta"].values.reshape(20, 3)
    np.testing.assert_array_equal(draws[..., 0], beta)
    np.testing.assert_allclose(draws[..., 2], draws[..., 1] / beta)
    factor = draws[..., 3] / beta
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape))
    # The equations that a maximum of the likelihood fulfils.
    average = hl.predictions(fit, clusters="average").draws.values.reshape(20, -1)
    design = fit.model.design
    fitted = expit(draws[..., 1] @ design.X.T + design.offset)
    assert np.abs((average - fitted) @ (design.X / design.column_sds)).max() < 1e-5


def test_each_coefficient_is_one_row(make_fit: MakeFit) -> None:
    sampled = hl.conditional_vs_average(make_fit("use ~ age + urban + (1 | district)", _contraception(), draws=10))
    maximum = hl.conditional_vs_average(hl.Model("use ~ age + urban + (1 | district)", _contraception()).fit("laplace"))
    for table, middle in ((sampled, "mean"), (maximum, "estimate")):
        assert list(table.index) == ["Intercept", "age", "urban[Y]"]
        assert table.draws.dims == ("chain", "draw", "term", "quantity")
        for quantity in ("conditional", "average", "ratio"):
            of_quantity = table[quantity]
            chosen = "median" if (quantity, middle) == ("ratio", "mean") else middle
            assert (of_quantity["eti89_lb"] < of_quantity["eti89_ub"]).all()
            assert chosen in of_quantity
            values = table.draws.sel(quantity=quantity, term="urban[Y]").quantile([0.055, 0.945]).values
            np.testing.assert_allclose(of_quantity.loc["urban[Y]", ["eti89_lb", "eti89_ub"]].tolist(), values)
        lines = repr(table).splitlines()
        assert re.findall(r"\w+", lines[1])[:3] == ["conditional", "average", "ratio"]
        assert [line.split()[0] for line in lines[2:6]] == ["term", "Intercept", "age", "urban[Y]"]
        assert max(map(len, lines)) <= 100


def _contraception() -> pd.DataFrame:
    return hl.datasets.load("contraception").assign(ch01=lambda d: (d["ch"] == "Y").astype(float))


@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.01, 4),
    units=st.floats(1e-3, 1e3),
    start=st.floats(-3, 3),
)
def test_coefficients_are_found_from_anywhere(seed: int, scale: float, units: float, start: float) -> None:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(60), rng.normal(1, 1, 60), units * rng.normal(5, 1, 60)])
    beta = rng.normal(0, scale, (4, 3)) / [1, 1, units]
    offset, weights = rng.normal(size=60), rng.uniform(0.5, 2, 60)
    p = expit(beta @ X.T + offset)
    try:
        found = nearest_coefficients(p, X, offset, weights, np.full((4, 3), start) / [1, 1, units])
    except FitError:
        # Probabilities that are all but 0 or 1 tell no coefficients.
        assert np.min(np.mean(p * (1 - p), axis=1)) < 1e-2
        return
    np.testing.assert_allclose(expit(found @ X.T + offset), p, atol=1e-6)


def test_a_model_without_fixed_effects(make_fit: MakeFit) -> None:
    with pytest.raises(FitError, match="no fixed effects"):
        hl.conditional_vs_average(make_fit("use ~ 0 + (1 | district)", hl.datasets.load("contraception"), draws=5))
