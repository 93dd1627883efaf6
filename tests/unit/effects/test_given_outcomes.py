"""New clusters of which some outcomes are known: draws of their effects against integrals on a grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.binomial import log_likelihood
from hierlogit.density.linear_predictor import Draws
from hierlogit.effects.numerics.given_outcomes import Seen, modes_of_effects, sampled_effects
from hierlogit.errors import PredictionError

MakeFit = Callable[..., hl.results.Fit]
MakeRows = Callable[..., pd.DataFrame]
COUNT = 40_000


@pytest.fixture(scope="module")
def one_draw(make_fit: MakeFit, clustered_rows: MakeRows) -> hl.results.Fit:
    """A fit with an intercept and a slope of each clinic, and a single draw."""
    return make_fit("healed ~ dose + (1 + dose | clinic)", clustered_rows(6, 8), draws=1, chains=1)


def _many(fit: hl.results.Fit) -> Draws:
    """One draw, many times over."""
    return Draws.of(fit.model, fit.posterior)[np.zeros(COUNT, dtype=np.intp)]


def _seen(fit: hl.results.Fit, rows: pd.DataFrame) -> Seen:
    outcome = fit.model.design.encode_outcome(rows)
    return Seen(fit.model.design.encode(rows), outcome.y, outcome.trials)


def _moments(fit: hl.results.Fit, seen: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and sd of both effects of the only new clinic, and the mode, on a grid."""
    draws, group = Draws.of(fit.model, fit.posterior), seen.rows.groups["clinic"]
    axis = np.linspace(-8, 8, 401)
    u = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    b = u @ draws.cholesky["clinic"][0].T
    eta = (seen.rows.X @ draws.beta[0] + seen.rows.offset) + b @ group.Z.T
    log_weight = log_likelihood(seen.y, seen.trials, eta).sum(axis=1) - 0.5 * (u**2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ b
    return mean, np.sqrt(weight @ (b - mean) ** 2), b[np.argmax(log_weight)]


@pytest.mark.parametrize("outcomes", [["yes"], ["no"] * 6, ["yes", "no", "yes", "yes", "no", "yes", "yes", "yes"]])
def test_effects_have_their_exact_moments(
    one_draw: hl.results.Fit, clustered_rows: MakeRows, outcomes: list[str]
) -> None:
    rows = clustered_rows(6, 8).iloc[: len(outcomes)].assign(clinic="new", healed=outcomes)
    seen = _seen(one_draw, rows)
    effects, accepted, size = sampled_effects(_many(one_draw), seen, np.random.default_rng(1))
    mean, sd, mode = _moments(one_draw, seen)
    found = effects["clinic"][:, 0]
    assert size == 2
    assert accepted > 0.5
    assert np.all(np.abs(found.mean(axis=0) - mean) < 4.5 * sd / np.sqrt(COUNT))
    np.testing.assert_allclose(found.std(axis=0), sd, rtol=0.02)
    at = modes_of_effects(Draws.of(one_draw.model, one_draw.posterior), seen)["clinic"][0, 0]
    np.testing.assert_allclose(at, mode, atol=0.03)  # the grid's own step


def test_dependent_factors_are_drawn_together(make_fit: MakeFit, clustered_rows: MakeRows) -> None:
    # A new clinic all of whose rows were read by a new reader: only the sum of both effects is seen.
    fit = make_fit("healed ~ dose + (1 | clinic) + (1 | reader)", clustered_rows(6, 8), draws=1, chains=1)
    rows = clustered_rows(6, 8).iloc[:8].assign(clinic="new", reader="Zoe", healed="yes")
    seen = _seen(fit, rows)
    effects, _, size = sampled_effects(_many(fit), seen, np.random.default_rng(2))
    clinic, reader = effects["clinic"][:, 0, 0], effects["reader"][:, 0, 0]
    assert size == 2
    draws = Draws.of(fit.model, fit.posterior)
    s, t = float(draws.cholesky["clinic"][0, 0, 0]), float(draws.cholesky["reader"][0, 0, 0])
    axis = np.linspace(-8, 8, 401)
    a, b = (grid.ravel() for grid in np.meshgrid(s * axis, t * axis))
    eta = seen.rows.X @ draws.beta[0] + (a + b)[:, None]
    log_weight = log_likelihood(seen.y, seen.trials, eta).sum(axis=1) - 0.5 * ((a / s) ** 2 + (b / t) ** 2)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    assert clinic.mean() == pytest.approx(weight @ a, abs=4.5 * s / np.sqrt(COUNT))
    assert reader.mean() == pytest.approx(weight @ b, abs=4.5 * t / np.sqrt(COUNT))
    expected = (weight @ (a * b) - (weight @ a) * (weight @ b)) / (s * t)
    assert expected < -0.02
    assert np.cov(clinic, reader)[0, 1] / (s * t) == pytest.approx(expected, abs=0.02)


def test_predictions_are_those_of_the_exact_distribution(one_draw: hl.results.Fit, clustered_rows: MakeRows) -> None:
    rows = clustered_rows(6, 8).iloc[:5].assign(clinic=["p", "p", "p", "q", "q"], healed=["yes"] * 3 + ["no"] * 2)
    posterior = one_draw.posterior.isel(draw=np.zeros(COUNT, dtype=int)).assign_coords(draw=np.arange(COUNT))
    from hierlogit.fits.posterior import assemble

    fit = hl.results.Fit(one_draw.model, assemble(one_draw.model, posterior, None), one_draw.diagnostics)
    at = pd.DataFrame({"dose": [2.0, 2.0, 2.0], "clinic": ["p", "q", rows["clinic"].iloc[0]]})
    found = hl.predictions(fit, at, given=rows, seed=1)
    draws = found.draws.values.reshape(-1, 3)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    for k, label in enumerate("pq"):
        own = rows[rows["clinic"] == label]
        seen = _seen(one_draw, own)
        axis = np.linspace(-8, 8, 401)
        u = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        known = Draws.of(one_draw.model, one_draw.posterior)
        b = u @ known.cholesky["clinic"][0].T
        eta = seen.rows.X @ known.beta[0] + b @ seen.rows.groups["clinic"].Z.T
        log_weight = log_likelihood(seen.y, seen.trials, eta).sum(axis=1) - 0.5 * (u**2).sum(axis=1)
        weight = np.exp(log_weight - log_weight.max())
        p = expit(known.beta[0] @ [1, 2.0] + b @ [1, 2.0])
        expected = weight @ p / weight.sum()
        assert draws[:, k].mean() == pytest.approx(expected, abs=4.5 * draws[:, k].std() / np.sqrt(COUNT))
    assert draws[:, 0].mean() > draws[:, 1].mean() + 0.1
    again = hl.predictions(fit, at, given=rows, seed=1).draws.values
    np.testing.assert_array_equal(again.reshape(-1, 3), draws)


def test_much_data_pin_the_new_cluster_down_as_a_fit_would() -> None:
    frame = hl.datasets.load("contraception")
    formula = "use ~ urban + livch + (1 | district)"
    left = frame["district"] == 1
    with_it = hl.Model(formula, frame).fit(hl.Laplace(draws=2000, seed=1))
    without = hl.Model(formula, frame[~left]).fit(hl.Laplace(draws=2000, seed=1))
    at = frame[left].iloc[:3]
    seen = hl.predictions(without, at, given=frame[left], seed=1)
    known = hl.predictions(with_it, at)
    np.testing.assert_allclose(seen["mean"], known["mean"], atol=0.02)
    np.testing.assert_allclose(seen["estimate"], known["estimate"], atol=0.01)
    np.testing.assert_allclose(seen["sd"], known["sd"], rtol=0.15)


def test_binomial_rows_count_their_trials(make_fit: MakeFit) -> None:
    cbpp = hl.datasets.load("cbpp")
    fit = make_fit("p(successes, size) ~ period + (1 | herd)", cbpp, draws=500)
    rows = cbpp.iloc[:1].assign(herd=99, size=[40], successes=[39])
    p = hl.predictions(fit, rows, given=rows, seed=1)
    assert p["mean"].iloc[0] > 0.8
    few = rows.assign(size=1, successes=1)
    assert hl.predictions(fit, rows, given=few, seed=1)["mean"].iloc[0] < p["mean"].iloc[0] - 0.1


def test_comparisons_know_the_new_clusters_too(make_fit: MakeFit, clustered_rows: MakeRows) -> None:
    rows = clustered_rows(6, 8)
    fit = make_fit("healed ~ dose + (1 + dose | clinic)", rows, draws=50)
    new = rows.iloc[:4].assign(clinic="new")
    both = hl.predictions(fit, pd.concat([new, new.assign(dose=new["dose"] + 1)]), given=new, seed=3).draws.values
    compared = hl.comparisons(fit, "dose", newdata=new, given=new, seed=3).draws.values
    np.testing.assert_allclose(compared, both[..., 4:] - both[..., :4])


def test_what_cannot_be_given_is_said(make_fit: MakeFit, clustered_rows: MakeRows) -> None:
    rows = clustered_rows(6, 8)
    fit = make_fit("healed ~ dose + (1 | clinic)", rows, draws=5)
    new = rows.iloc[:4].assign(clinic="new")
    with pytest.raises(PredictionError, match="every cluster in given= is in the training data"):
        hl.predictions(fit, new, given=rows)
    with pytest.raises(PredictionError, match="leave clusters= at 'observed' for 'clinic'"):
        hl.predictions(fit, new, given=new, clusters="average")
    with pytest.raises(PredictionError, match="'healed' has the value 'perhaps'; it must be one of 'no', 'yes'"):
        hl.predictions(fit, new, given=new.assign(healed="perhaps"))
    with pytest.raises(PredictionError, match="lack the column 'healed'"):
        hl.predictions(fit, new, given=new.drop(columns="healed"))
    with pytest.raises(PredictionError, match="1 cluster of 'clinic'.*'other'"):
        hl.predictions(fit, new.assign(clinic="other"), given=new)
