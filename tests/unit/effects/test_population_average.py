"""Probabilities averaged over clusters: against adaptive integration, brute force and theory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, ndtr

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.effects.numerics import population_average
from hierlogit.effects.numerics.population_average import (
    average_probability,
    average_slope,
    predictor_sd,
    predictor_sd_slope,
    rule_for,
)

MakeFit = Callable[..., hl.results.Fit]


def _integral(m: float, s: float) -> float:
    value, _ = quad(
        lambda v: expit(m + s * v) * np.exp(-0.5 * v * v) / np.sqrt(2 * np.pi),
        -12,
        12,
        points=[np.clip(-m / s, -12, 12)] if s > 0 else None,
        epsabs=1e-13,
        limit=500,
    )
    return float(value)


@given(st.floats(-15, 15), st.floats(0, 25))
def test_probability_is_the_integral(m: float, s: float) -> None:
    found = average_probability(np.array([[m]]), np.array([[s]]))[0, 0]
    assert found == pytest.approx(_integral(m, s), abs=2e-9)


@given(st.floats(-8, 8), st.floats(0.05, 12), st.floats(-2, 2), st.floats(-2, 2))
def test_slope_is_the_derivative(m: float, s: float, dm: float, ds: float) -> None:
    h = 1e-5 * max(1.0, s)
    high, low = (_integral(m + side * h * dm, s + side * h * ds) for side in (1, -1))
    found = average_slope(*(np.array([value]) for value in (m, s, dm, ds)))[0]
    assert found == pytest.approx((high - low) / (2 * h), abs=2e-7)


def test_wide_and_narrow_clusters_in_one_call_do_not_disturb_each_other() -> None:
    m, s = np.array([0.3, 0.3, -4.0]), np.array([0.0, 30.0, 1e-9])
    found = average_probability(m, s)
    np.testing.assert_allclose(found, [_integral(a, b) for a, b in zip(m, s, strict=True)], atol=2e-9)


@pytest.mark.parametrize("s", [16.01, 40.0, 500.0])
@pytest.mark.parametrize("m", [-30.0, 0.0, 7.0, 300.0])
def test_wide_clusters(m: float, s: float) -> None:
    one, h = np.ones(1), 1e-3 * s
    assert average_probability(m * one, s * one)[0] == pytest.approx(_integral(m, s), abs=2e-9)
    slopes = average_slope(m * one, s * one, one, 0 * one), average_slope(m * one, s * one, 0 * one, one)
    rise = (_integral(m + h, s) - _integral(m - h, s)) / (2 * h)
    growth = (_integral(m, s + h) - _integral(m, s - h)) / (2 * h)
    assert [slopes[0][0], slopes[1][0]] == pytest.approx([rise, growth], abs=1e-6 / s)


@pytest.mark.parametrize("s", [1e6, 1e12, 1e300])
def test_clusters_so_wide_that_each_is_certain(s: float) -> None:
    # The number of nodes must not grow with the sd.
    found = average_probability(np.array([0.0, s, -s]), np.full(3, s))
    np.testing.assert_allclose(found, ndtr([0, 1, -1]), atol=2 / s + 1e-10)


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_average_is_that_of_a_million_clusters(make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]) -> None:
    # Slopes, two sets of effects, and a crossed factor: one integral, against every effect drawn for itself.
    rows = clustered_rows(8, 6)
    fit = make_fit("healed ~ dose + arm + (1 + dose | clinic) + (0 + arm | reader)", rows, draws=1, chains=2)
    new = rows.iloc[[0, 7, 20]]
    averaged = hl.predictions(fit, new, clusters="average").draws.values[:, 0]
    rng = np.random.default_rng(1)
    draws, encoded = Draws.of(fit.model, fit.posterior), fit.model.design.encode(new)
    for k in range(2):
        eta = encoded.X @ draws.beta[k] + encoded.offset + np.zeros((10**6, 3))
        for name, group in encoded.groups.items():
            effects = rng.standard_normal((10**6, group.Z.shape[1])) @ draws.cholesky[name][k].T
            eta += effects @ group.Z.T
        simulated = expit(eta)
        se = simulated.std(axis=0) / 1000
        assert np.all(np.abs(simulated.mean(axis=0) - averaged[k]) < 4 * se)


def test_spread_counts_chosen_factors_only(make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]) -> None:
    fit = make_fit("healed ~ dose + (1 + dose | clinic) + (1 | reader)", clustered_rows(5, 6), draws=3)
    draws, rows = Draws.of(fit.model, fit.posterior), fit.model.design.training_rows()
    sd = fit.posterior["sd_clinic"].values.reshape(-1, 2)
    cor = fit.posterior["cor_clinic"].values.reshape(-1, 2, 2)
    z = rows.groups["clinic"].Z
    clinic = np.sqrt(np.einsum("na,sa,sab,sb,nb->sn", z, sd, cor, sd, z))
    reader = fit.posterior["sd_reader"].values.reshape(-1, 1)
    np.testing.assert_allclose(predictor_sd(draws, rows, ["clinic"]), clinic)
    np.testing.assert_allclose(predictor_sd(draws, rows, ["reader", "clinic"]), np.hypot(clinic, reader))
    assert np.all(predictor_sd(draws, rows, []) == 0)


def test_a_factor_may_be_averaged_over_and_another_observed(
    make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]
) -> None:
    rows = clustered_rows(5, 6)
    fit = make_fit("healed ~ dose + (1 | clinic) + (1 | reader)", rows, draws=4)
    found = hl.predictions(fit, clusters={"clinic": "average"}).draws.values.reshape(-1, len(rows))
    draws = Draws.of(fit.model, fit.posterior)
    design = fit.model.design
    group = next(one for one in design.groups if one.name == "reader")
    eta = draws.beta @ design.X.T + draws.effects["reader"][:, group.index, 0]
    sd = np.broadcast_to(draws.cholesky["clinic"][:, :, 0], eta.shape)
    expected = [[_integral(a, b) for a, b in zip(*pair, strict=True)] for pair in zip(eta, sd, strict=True)]
    np.testing.assert_allclose(found, expected, atol=2e-9)


def test_averaging_shrinks_towards_a_half(make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(6, 8), draws=20)
    typical = hl.predictions(fit, clusters="typical").draws.values
    average = hl.predictions(fit, clusters="average").draws.values
    assert np.all(np.abs(average - 0.5) < np.abs(typical - 0.5))
    # The linear predictor of the average is the logit of the averaged probability, not the average of logits.
    logit = hl.predictions(fit, clusters="average", scale="link").draws.values
    np.testing.assert_allclose(expit(logit), average, atol=1e-12)


def test_new_clusters_have_the_average_as_their_mean_and_more_spread(
    make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]
) -> None:
    rows = clustered_rows(6, 8)
    fit = make_fit("healed ~ dose + (1 + dose | clinic)", rows, draws=20_000, chains=1)
    at = rows.iloc[[0, 10]].assign(clinic=["p", "q"])
    new = hl.predictions(fit, at, clusters="new", seed=1).draws.values.reshape(-1, 2)
    average = hl.predictions(fit, at, clusters="average").draws.values.reshape(-1, 2)
    assert np.all(np.abs(new.mean(0) - average.mean(0)) < 4 * new.std(0) / np.sqrt(20_000))
    assert np.all(new.std(0) > 2 * average.std(0))


def test_many_rows_are_interpolated(monkeypatch: pytest.MonkeyPatch, make_fit: MakeFit) -> None:
    """Between so many points that the error is below that of the rule."""
    fit = make_fit("use ~ age + (1 | district)", hl.datasets.load("contraception"), draws=20)
    one_by_one = hl.predictions(fit, clusters="average").draws.values
    monkeypatch.setattr(population_average, "LEAST_ROWS", 1000)
    interpolated = hl.predictions(fit, clusters="average").draws.values
    np.testing.assert_allclose(interpolated, one_by_one, rtol=0, atol=1e-9)
    assert np.any(interpolated != one_by_one)


def test_slope_of_the_spread_is_its_derivative(make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]) -> None:
    table = clustered_rows(5, 6)
    fit = make_fit("healed ~ dose + (1 + dose + I(dose**2) | clinic) + (1 | reader)", table, draws=3)
    draws, factors, gap = Draws.of(fit.model, fit.posterior), ["clinic", "reader"], 1e-4
    rows, above, below = (
        fit.model.design.encode(table.assign(dose=table["dose"] + step)) for step in (0, gap / 2, -gap / 2)
    )
    sd = predictor_sd(draws, rows, factors)
    expected = (predictor_sd(draws, above, factors) - predictor_sd(draws, below, factors)) / gap
    found = predictor_sd_slope(sd, draws, above, below, gap, factors)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found).max() > 0.01
    zero = predictor_sd_slope(np.zeros_like(sd), draws, above, below, gap, ["reader"])
    np.testing.assert_array_equal(zero, 0)


def test_rows_with_several_sds_in_turn_have_all_digits_in_both_tails() -> None:
    random = np.random.default_rng(5)
    mean = np.concatenate([random.normal(0.0, 3.0, 500), random.normal(0.0, 300.0, 500)])
    sd = random.choice([0.0, 0.3, 1.0, 2.0, 5.0, 9.0], 1000)
    nodes, weights = rule_for(sd)
    expected = expit(mean[:, None] + sd[:, None] * nodes) @ weights
    normal = expected > 1e-290
    np.testing.assert_allclose(average_probability(mean, sd)[normal], expected[normal], rtol=1e-12)
