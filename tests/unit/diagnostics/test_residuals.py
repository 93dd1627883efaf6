"""Residuals of rows: against formulas, lme4, and the distributions that they should have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom, kstest, norm

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.design.outcome import Outcome
from hierlogit.diagnostics.residuals import _deviance, _pearson
from hierlogit.errors import PredictionError
from hierlogit.fits.fit import Fit
from hierlogit.fits.posterior import assemble


@pytest.fixture(scope="module")
def herds() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def women() -> Fit:
    model = hl.Model("use ~ age + urban + C(livch) + (1 | district)", hl.datasets.load("contraception"))
    return model.fit(hl.Laplace(seed=1))


def test_pearson_and_deviance_residuals_are_those_of_lme4(herds: Fit) -> None:
    # fit <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
    #              control = glmerControl("bobyqa", tolPwrss = 1e-11, optCtrl = list(rhobeg = 0.02, rhoend = 1e-8)))
    # residuals(fit, "pearson"), residuals(fit, "deviance")
    pearson, deviance = (hl.residuals(herds, kind)["residual"].to_numpy() for kind in ("pearson", "deviance"))
    first = [-1.33986160, 1.07512587, 2.87961560, -0.67726405, -0.23908404, -0.13952917]
    np.testing.assert_allclose(pearson[:6], first, atol=2e-5)
    first = [-1.43803183, 0.98874315, 2.35699783, -0.93685804, -0.24318454, -0.14242279]
    np.testing.assert_allclose(deviance[:6], first, atol=2e-5)
    quartiles = [-2.381793, -0.788811, -0.202413, 0.514602, 2.879616]
    np.testing.assert_allclose(np.quantile(pearson, [0, 0.25, 0.5, 0.75, 1]), quartiles, atol=2e-5)
    assert (pearson**2).sum() == pytest.approx(63.0782864, rel=1e-5)
    assert (deviance**2).sum() == pytest.approx(73.4717238, rel=1e-5)


def test_residuals_of_one_trial_are_their_formulas(women: Fit) -> None:
    assert women.estimate is not None
    design = women.model.design
    p = expit(design.X @ women.estimate.beta + women.estimate.modes["district"][design.groups[0].index, 0])
    y = design.outcome.y
    table = hl.residuals(women, "pearson")
    assert list(table.index) == list(design.table.rows)
    np.testing.assert_allclose(table["fitted"], p, rtol=1e-12)
    np.testing.assert_array_equal(table["observed"], y)
    np.testing.assert_allclose(table["residual"], np.where(y == 1, np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))))
    deviance = hl.residuals(women, "deviance")["residual"]
    np.testing.assert_allclose(deviance, np.where(y == 1, np.sqrt(-2 * np.log(p)), -np.sqrt(-2 * np.log1p(-p))))


def test_certain_predictions_leave_finite_residuals() -> None:
    y, p = np.array([0.0, 3.0, 3.0, 0.0]), np.array([0.0, 1.0, 0.0, 1.0])
    outcome = Outcome("y", "y", y, np.full(4, 3.0), binomial=True)
    for found in (_pearson(outcome, p), _deviance(outcome, p)):
        np.testing.assert_allclose(found[:2], 0, atol=1e-5)
        assert np.all(np.isfinite(found))
        assert found[2] > 10
        assert found[3] < -10


def test_quantile_residuals_lie_between_the_distribution_functions(herds: Fit) -> None:
    table = hl.residuals(herds, seed=4)
    y, n = herds.model.design.outcome.y, herds.model.design.outcome.trials
    low, high = binom.cdf(y - 1, n, table["fitted"]), binom.cdf(y, n, table["fitted"])
    share = (table["uniform"] - low) / (high - low)
    assert share.between(0, 1).all()
    assert kstest(share, "uniform").pvalue > 0.01
    np.testing.assert_allclose(table["residual"], norm.ppf(table["uniform"]))
    pd.testing.assert_frame_equal(table, hl.residuals(herds, seed=4))
    assert not np.allclose(table["residual"], hl.residuals(herds, seed=5)["residual"])


def with_known_parameters(fit: Fit) -> Fit:
    """The fit as if its estimates were the truth: all draws at the maximum."""
    assert fit.estimate is not None
    at, sizes = fit.estimate, {"chain": 1, "draw": 1000}
    posterior = fit.posterior.isel(chain=[0], draw=np.zeros(1000, dtype=int)).assign_coords(draw=np.arange(1000))
    values = {"beta": at.beta} | {f"sd_{name}": at.sd(name) for name in at.cholesky}
    fixed = {
        name: (variable.dims, np.broadcast_to(values.get(name, variable.to_numpy()[0, 0]), variable.shape).copy())
        for name, variable in posterior.data_vars.items()
    }
    assert posterior.sizes["draw"] == sizes["draw"]
    return Fit(fit.model, assemble(fit.model, posterior.assign(fixed), None, priors=False), fit.diagnostics, at)


def with_outcomes(fit: Fit, y: np.ndarray) -> Fit:
    return Fit(fit.model.with_outcome(y), fit.data, fit.diagnostics, fit.estimate)


@pytest.mark.parametrize("name", ["herds", "women"])
def test_quantile_residuals_are_normal_if_the_model_is_right(name: str, request: pytest.FixtureRequest) -> None:
    fit: Fit = request.getfixturevalue(name)
    random = np.random.default_rng(3)
    p, n = hl.residuals(fit, "pearson")["fitted"], fit.model.design.outcome.trials.astype(int)
    found = np.concatenate(
        [hl.residuals(with_outcomes(fit, random.binomial(n, p)), seed=k)["residual"] for k in range(20)]
    )
    assert kstest(found, "norm").pvalue > 0.01
    wrong = np.concatenate(
        [hl.residuals(with_outcomes(fit, random.binomial(n, p**1.2)), seed=k)["residual"] for k in range(20)]
    )
    assert kstest(wrong, "norm").pvalue < 1e-6


def test_with_new_clusters_residuals_hold_what_clusters_differ_by() -> None:
    """Outcomes in clusters never seen: uniform over all, and alike within a cluster."""
    layout = hl.Layout({"g": 150}, size=8, predictors={"x": "normal"})
    truth = {"beta": {"Intercept": -0.5, "x": 0.7}, "sd": {"g": 1.2}}
    rows = hl.simulate("y ~ x + (1 | g)", layout, seed=2, **truth)
    fit = with_known_parameters(hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=1)))
    at = fit.estimate
    assert at is not None
    random, design = np.random.default_rng(5), fit.model.design
    index = design.groups[0].index
    found = []
    for k in range(8):
        effects = at.sd("g")[0] * random.standard_normal(150)
        y = random.binomial(1, expit(design.X @ at.beta + effects[index]))
        found.append(hl.residuals(with_outcomes(fit, y), clusters="new", seed=k)["residual"].to_numpy())
    together = np.concatenate(found)
    assert together.mean() == pytest.approx(0, abs=0.06)
    assert together.std() == pytest.approx(1, abs=0.04)
    assert np.abs(np.quantile(together, [0.1, 0.5, 0.9]) - norm.ppf([0.1, 0.5, 0.9])).max() < 0.12
    averages = np.array([np.bincount(index, weights=one) / 8 for one in found])
    assert averages.std() > 0.42  # 0.35 if rows of a cluster had nothing in common
    fitted = hl.residuals(fit, "pearson", clusters="new", seed=1)["fitted"]
    average = hl.predictions(fit, clusters="average")["estimate"]
    # A thousand effects each, of a probability whose sd is below 0.3.
    np.testing.assert_allclose(fitted, average, atol=5 * 0.3 / np.sqrt(1000))


def test_fitted_probabilities_of_draws_are_their_means(make_fit, clustered_rows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(8, 10))
    table = hl.residuals(fit, seed=1)
    draws = Draws.of(fit.model, fit.posterior)
    design = fit.model.design
    p = expit(draws.beta @ design.X.T + draws.effects["clinic"][:, design.groups[0].index, 0])
    np.testing.assert_allclose(table["fitted"], p.mean(axis=0))
    y = design.outcome.y
    low, high = binom.cdf(y - 1, 1, p).mean(axis=0), binom.cdf(y, 1, p).mean(axis=0)
    assert (table["uniform"] >= low).all()
    assert (table["uniform"] <= high).all()
    some = hl.residuals(fit, "pearson", num_draws=7)["fitted"]
    at = np.linspace(0, len(draws) - 1, 7).round().astype(int)
    np.testing.assert_allclose(some, p[at].mean(axis=0))


def test_bins_by_fitted_probability_are_averages_of_equal_parts(herds: Fit) -> None:
    rows = hl.residuals(herds, "pearson")
    table = hl.residuals(herds, "binned", bins=7, seed=1)
    assert table["rows"].tolist() == [8] * 7
    order = np.argsort(rows["fitted"].to_numpy())
    y, n, p = herds.model.design.outcome.y, herds.model.design.outcome.trials, rows["fitted"].to_numpy()
    for k in range(7):
        part = order[8 * k : 8 * k + 8]
        one = table.iloc[k]
        assert one["fitted"] == pytest.approx(p[part].mean())
        assert (one["lower"], one["upper"]) == (p[part].min(), p[part].max())
        assert one["trials"] == n[part].sum()
        residual = (y[part] - n[part] * p[part]).sum() / n[part].sum()
        assert one["residual"] == pytest.approx(residual)
        assert one["bound_lb"] < one["expected"] < one["bound_ub"]
        assert one["outside"] == (not one["bound_lb"] <= residual <= one["bound_ub"])
    assert table["expected"].iloc[-1] > 0 > table["expected"].iloc[0]  # shrunken effects


def test_bounds_hold_nineteen_of_twenty_averages() -> None:
    """Outcomes drawn from the fitted probabilities."""
    fit = hl.Model("use ~ age + urban", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    random = np.random.default_rng(2)
    p = hl.residuals(fit, "pearson")["fitted"]
    fits = [with_outcomes(fit, random.binomial(1, p)) for _ in range(15)]
    outside = [hl.residuals(one, "binned", bins=15, replicates=60, seed=1)["outside"] for one in fits]
    assert 0.01 < np.concatenate(outside).mean() < 0.09


def test_bins_by_columns(women: Fit) -> None:
    frame = women.model.design.table.frame
    by_age = hl.residuals(women, "binned", by="age")
    assert by_age["rows"].sum() == len(frame)
    assert (by_age["lower"].to_numpy()[1:] > by_age["upper"].to_numpy()[:-1]).all()  # equal ages share a bin
    assert len(by_age) <= np.sqrt(len(frame)) + 1
    for column in ("urban", "livch", "district"):
        table = hl.residuals(women, "binned", by=column)
        assert table[column].tolist() == sorted(frame[column].unique())
        assert "lower" not in table
        expected = women.model.design.outcome.y - hl.residuals(women, "pearson")["fitted"].to_numpy()
        np.testing.assert_allclose(table["residual"], pd.Series(expected).groupby(frame[column].to_numpy()).mean())


def test_few_rows_make_few_bins_and_names_do_not_clash() -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"rows": random.normal(size=30), "y": random.integers(0, 2, 30)})
    fit = hl.Model("y ~ rows", rows).fit(hl.Laplace(seed=1))
    assert len(hl.residuals(fit, "binned")) == 10
    table = hl.residuals(fit, "binned", by="rows", bins=3)
    assert table["rows"].tolist() == [10, 10, 10]
    np.testing.assert_allclose(table["rows_in_data"], np.sort(rows["rows"]).reshape(3, 10).mean(axis=1))


def test_what_is_not_known_is_refused(herds: Fit) -> None:
    with pytest.raises(PredictionError, match="type='raw' is not allowed"):
        hl.residuals(herds, "raw")
    with pytest.raises(PredictionError, match="are for type='binned'"):
        hl.residuals(herds, "pearson", by="period")
    with pytest.raises(PredictionError, match="by: there is no column 'ward' in the model"):
        hl.residuals(herds, "binned", by="ward")
    with pytest.raises(PredictionError, match="bins=1 must be"):
        hl.residuals(herds, "binned", bins=1)
    with pytest.raises(PredictionError, match="clusters='none'"):
        hl.residuals(herds, clusters="none")
