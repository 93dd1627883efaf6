"""Leave-one-out by row and by cluster: against integrals, ArviZ, and samples that have not seen the cluster."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from arviz_stats.utils import ELPDData
from scipy.special import expit

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.effects.numerics.given_other_rows import GivenOthers
from hierlogit.errors import FitError
from hierlogit.model_comparison.leave_out import integrated_log_likelihood, sampled_again

#: Districts of the survey, half of all.
DISTRICTS = 30


@pytest.fixture(scope="module")
def survey() -> pd.DataFrame:
    rows = hl.datasets.load("contraception")
    return rows[rows["district"].isin(rows["district"].unique()[:DISTRICTS])]


@pytest.fixture(scope="module")
def fit(survey: pd.DataFrame) -> hl.results.Fit:
    model = hl.Model("use ~ age + I(age**2) + urban + (1 + urban | district)", survey)
    return model.fit(hl.NUTS(draws=500, seed=1, progress=False))


@pytest.fixture(scope="module")
def by_district(fit: hl.results.Fit) -> ELPDData:
    return hl.loo(fit, "district")


def exact(fit: hl.results.Fit, district: object) -> tuple[float, float]:
    """Log of the mean probability of a district's outcomes in a sample without it, and its Monte-Carlo error."""
    group = fit.model.design.groups[0]
    rows = group.levels[group.index] == district
    again = sampled_again(fit, rows)
    log_p = integrated_log_likelihood(fit.model, Draws.of(fit.model, again.posterior), rows)
    p = np.exp(log_p - log_p.max())
    return float(np.log(p.mean()) + log_p.max()), float(p.std() / p.mean() / np.sqrt(len(p) / 4))


def agrees(fit: hl.results.Fit, found: ELPDData, districts: pd.Index) -> None:
    assert found.n_data_points == DISTRICTS
    assert (found.pareto_k < 0.7).all()
    for district in districts:
        value, error = exact(fit, district)
        # Draws are taken to be worth a quarter of their number, in both samples.
        assert float(found.elpd_i.sel(district=district)) == pytest.approx(value, abs=4 * np.sqrt(2) * error)


def test_weights_agree_with_samples_without_the_district(fit: hl.results.Fit, by_district: ELPDData) -> None:
    largest = by_district.pareto_k.to_series().sort_values(ascending=False)
    agrees(fit, by_district, largest.index[:2])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")  # few draws, many times
def test_weights_agree_with_samples_without_each_district(fit: hl.results.Fit, by_district: ELPDData) -> None:
    agrees(fit, by_district, pd.Index(fit.model.design.groups[0].levels))


def test_clusters_are_predicted_with_their_effects_integrated_out(fit: hl.results.Fit) -> None:
    """One district's contribution, from integrals on a fine grid and plain importance weights."""
    district = "5"
    group = fit.model.design.groups[0]
    rows = np.flatnonzero(group.levels[group.index].astype(str) == district)
    draws, design = Draws.of(fit.model, fit.posterior), fit.model.design
    v = np.linspace(-6, 6, 61)
    first, second = np.meshgrid(v, v)
    weight = np.exp(-0.5 * (first**2 + second**2)) / (2 * np.pi) * (v[1] - v[0]) ** 2
    values = []
    for s in range(0, len(draws), 100):
        L, eta = draws.cholesky["district"][s], design.X[rows] @ draws.beta[s]
        A = group.Z[rows] @ L
        p = expit(eta[:, None, None] + A[:, 0, None, None] * first + A[:, 1, None, None] * second)
        values.append(np.log((np.where(design.outcome.y[rows, None, None] == 1, p, 1 - p).prod(axis=0) * weight).sum()))
    found = integrated_log_likelihood(fit.model, draws, group.levels[group.index].astype(str) == district)
    np.testing.assert_allclose(found[::100], values, atol=1e-4)


def test_rows_of_large_clusters_are_left_out_as_arviz_does(fit: hl.results.Fit) -> None:
    found, expected = hl.loo(fit), arviz_stats.loo(fit.data, pointwise=True)
    weighted = (found.elpd_i["method"] == "weights").to_numpy()
    assert 0.8 < weighted.mean() < 1
    np.testing.assert_allclose(found.elpd_i[weighted], expected.elpd_i[weighted], atol=1e-12)
    assert found.n_data_points == fit.model.design.n_rows


def test_rows_alone_in_their_clusters_are_left_out_as_clusters_are() -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"x": random.normal(size=60), "n": 20, "row": [f"r{k:02d}" for k in range(60)]})
    frame["k"] = random.binomial(20, expit(0.2 + 0.5 * frame["x"] + random.normal(size=60)))
    fit = hl.Model("p(k, n) ~ x + (1 | row)", frame).fit(hl.NUTS(draws=500, seed=1, progress=False))
    by_row, by_cluster = hl.loo(fit), hl.loo(fit, "row")
    np.testing.assert_allclose(by_row.elpd_i.to_numpy(), by_cluster.elpd_i.to_numpy(), atol=1e-8)
    np.testing.assert_allclose(by_row.pareto_k.to_numpy(), by_cluster.pareto_k.to_numpy(), atol=1e-6)
    assert set(by_row.elpd_i["method"].to_numpy()) == {"integrated"}
    assert by_row.p > 3 * by_cluster.p  # it counts the effects of the rows' clusters


def test_rows_of_clusters_of_two_agree_with_samples_without_them() -> None:
    """With the effects of the draws, every k-hat of this kind is large, or the prediction too good."""
    random = np.random.default_rng(3)
    trial, treat = np.repeat(np.arange(26), 2), np.tile([0, 1], 26)
    frame = pd.DataFrame({"trial": trial, "treat": treat, "size": 26})
    frame["events"] = random.binomial(26, expit(-0.5 + 0.6 * treat + 1.2 * random.normal(size=26)[trial]))
    fit = hl.Model("p(events, size) ~ treat + (1 | trial)", frame).fit(hl.NUTS(seed=1, progress=False))
    found = hl.loo(fit, refit=False)
    assert float(found.pareto_k.max()) < 0.7
    for row in np.argsort(found.elpd_i.to_numpy())[:3].tolist():
        rows = np.arange(52) == row
        draws = Draws.of(fit.model, sampled_again(fit, rows).posterior)
        log_p = GivenOthers(fit.model, draws).of(np.array([row]))[0][:, 0]
        exact_value = np.logaddexp.reduce(log_p) - np.log(len(log_p))
        assert float(found.elpd_i[row]) == pytest.approx(exact_value, abs=0.04)


@pytest.mark.slow
def test_rows_with_effects_of_their_own_within_clusters_agree_with_samples_without_them() -> None:
    """Herds, and an effect of each row nested in them: weights of draws that know either effect fail."""
    model = hl.Model("p(successes, size) ~ period + (1 | herd) + (1 | obs)", hl.datasets.load("cbpp"))
    fit = model.fit(hl.NUTS(draws=4000, seed=1, progress=False))
    found, given = hl.loo(fit, refit=False), GivenOthers(fit.model, Draws.of(fit.model, fit.posterior))
    assert set(found.elpd_i["method"].to_numpy()) == {"integrated"}
    assert float(found.pareto_k.max()) < 0.7
    for row in np.argsort(found.pareto_k.to_numpy())[-2:].tolist():
        rows = np.arange(56) == row
        draws = Draws.of(fit.model, sampled_again(fit, rows).posterior)
        log_p = GivenOthers(fit.model, draws).of(np.array([row]))[0][:, 0]
        exact_value = np.logaddexp.reduce(log_p) - np.log(len(log_p))
        weights = np.exp(-given.of(np.array([row]))[0][:, 0])
        error = weights.std() / weights.mean() / np.sqrt(len(weights) / 2)  # draws are worth about half their number
        assert error < 0.05
        assert float(found.elpd_i[row]) == pytest.approx(exact_value, abs=4 * error)


def test_arviz_compares_clusters(by_district: ELPDData, survey: pd.DataFrame) -> None:
    other = hl.Model("use ~ urban + (1 | district)", survey).fit(hl.NUTS(draws=500, seed=2, progress=False))
    found = arviz_stats.compare({"full": by_district, "small": hl.loo(other, "district")})
    assert list(found.index) == ["full", "small"]


def test_clusters_whose_weights_fail_are_sampled_without() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"g": np.repeat([f"c{k:02d}" for k in range(12)], 30)})
    frame["y"] = (random.random(len(frame)) < 0.4).astype(int)
    frame.loc[frame["g"] == "c07", "y"] = 1
    frame = frame[(frame["g"] == "c07") | (frame.index % 3 == 0)]
    fit = hl.Model("y ~ 1 + (1 | g)", frame).fit(hl.NUTS(draws=1000, seed=1, progress=False))
    with pytest.warns(UserWarning, match="shape parameter of Pareto distribution"):
        weighted = hl.loo(fit, "g", refit=False)
    mended = hl.loo(fit, "g")
    assert weighted.warning
    assert not mended.warning
    assert float(weighted.pareto_k.sel(g="c07")) > 0.7
    assert float(mended.pareto_k.sel(g="c07")) == 0
    value, error = exact(fit, "c07")
    assert float(mended.elpd_i.sel(g="c07")) == pytest.approx(value, abs=1e-12)
    assert float(weighted.elpd_i.sel(g="c07")) > value + error  # too good, by weights that fail
    rest = [f"c{k:02d}" for k in range(12) if k != 7]
    np.testing.assert_array_equal(weighted.elpd_i.sel(g=rest), mended.elpd_i.sel(g=rest))
    assert mended.elpd == pytest.approx(float(mended.elpd_i.sum()))
    assert mended.se == pytest.approx(np.sqrt(12 * mended.elpd_i.to_numpy().var()))
    assert mended.elpd + mended.p == pytest.approx(weighted.elpd + weighted.p)


def test_what_has_no_posterior_is_refused() -> None:
    fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit("laplace")
    with pytest.raises(FitError, match="loo is for fits by hl.NUTS"):
        hl.loo(fit)
