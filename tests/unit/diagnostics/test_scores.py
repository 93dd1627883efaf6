"""Scores by hand and over all pairs, their errors, and rows left out against fits without them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws, linear_predictor
from hierlogit.diagnostics.loo_rows import unseen_rows
from hierlogit.diagnostics.row_scores import auc, auc_error, mean_error
from hierlogit.diagnostics.scores import score_values
from hierlogit.errors import ConvergenceWarning, PredictionError
from hierlogit.fits.fit import Fit
from hierlogit.model_comparison.leave_out import integrated_log_likelihood, sampled_again

NUTS = hl.NUTS(seed=1, progress=False)


def one_by_one(p: np.ndarray, y: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability and outcome of every single trial."""
    outcomes = [[1] * int(a) + [0] * int(n - a) for a, n in zip(y, trials, strict=True)]
    return np.repeat(p, trials.astype(int)), np.concatenate(outcomes)


def pairs(p: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """For each event and non-event 1 if the event had the higher probability, 1/2 if the same."""
    events, others = p[outcome == 1][:, None], p[outcome == 0][None]
    return (events > others) + 0.5 * (events == others)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    p = random.choice(np.linspace(0.05, 0.95, 12), 40)
    trials = random.integers(1, 6, 40).astype(float)
    return p, random.binomial(trials.astype(int), p).astype(float), trials


def test_scores_by_hand() -> None:
    p, y = np.array([[0.1, 0.4, 0.8, 0.4], [0.5, 0.5, 0.5, 0.5]]), np.array([0.0, 1.0, 1.0, 0.0])
    found = score_values(p, y, np.ones(4))
    np.testing.assert_allclose(found[0], [(0.01 + 0.36 + 0.04 + 0.16) / 4, -np.log(0.9 * 0.4 * 0.8 * 0.6) / 4, 3.5 / 4])
    np.testing.assert_allclose(found[1], [0.25, np.log(2), 0.5])


def test_scores_count_every_trial(rows) -> None:
    p, y, trials = rows
    each, outcome = one_by_one(p, y, trials)
    expected = [
        np.mean((outcome - each) ** 2),
        -np.mean(np.log(np.where(outcome == 1, each, 1 - each))),
        pairs(each, outcome).mean(),
    ]
    np.testing.assert_allclose(score_values(p[None], y, trials)[0], expected)


def test_the_error_of_the_area_is_that_of_delong(rows) -> None:
    p, outcome = one_by_one(*rows)
    ordered = pairs(p, outcome)
    m, n = ordered.shape
    variance = ordered.mean(axis=1).var(ddof=1) / m + ordered.mean(axis=0).var(ddof=1) / n
    assert auc_error(p, outcome.astype(float), np.ones(len(p))) == pytest.approx(np.sqrt(variance))


def test_trials_of_a_row_are_not_independent() -> None:
    """The error of the area is the sd over samples of rows, also where rows of many trials share a probability."""
    random = np.random.default_rng(4)
    areas, errors, naive = [], [], []
    for _ in range(800):
        p, eta = np.empty(60), random.normal(size=60)
        p[:] = expit(eta + random.normal(size=60))  # predictions that miss some of what rows differ by
        trials = random.integers(1, 20, 60).astype(float)
        y = random.binomial(trials.astype(int), expit(eta)).astype(float)
        areas.append(auc(p, y, trials))
        errors.append(auc_error(p, y, trials))
        each, outcome = one_by_one(p, y, trials)
        naive.append(auc_error(each, outcome.astype(float), np.ones(len(each))))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.1)
    assert np.mean(naive) < 0.8 * np.std(areas)


@pytest.fixture(scope="module")
def herds() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


def test_table_of_the_sample(herds: Fit) -> None:
    found = hl.scores(herds, ci_prob=0.9)
    assert list(found.columns) == ["score", "sample", "estimate"]
    assert found["score"].tolist() == ["brier", "log_score", "auc"]
    outcome, design = herds.model.design.outcome, herds.model.design
    draws = Draws.of(herds.model, herds.posterior)
    p = expit(linear_predictor(draws, design.training_rows()))
    values = np.array([score_values(one[None], outcome.y, outcome.trials)[0] for one in p[:50]])
    assert not isinstance(found.draws.variable._data, np.ndarray)
    np.testing.assert_allclose(found.draws[0, [7, 3], 2], values[[7, 3], 2])
    np.testing.assert_allclose(found.draws.to_numpy()[0, :50], values)
    assert found.draws["row"].to_numpy().tolist() == ["brier training", "log_score training", "auc training"]
    at = hl.residuals(herds, "pearson")["fitted"].to_numpy()
    np.testing.assert_allclose(found["estimate"], score_values(at[None], outcome.y, outcome.trials)[0])


def test_other_clusters_score_worse(herds: Fit) -> None:
    own, typical = hl.scores(herds)["estimate"], hl.scores(herds, clusters="typical")["estimate"]
    assert (own[:2] < typical[:2]).all()
    assert own[2] > typical[2]
    new = hl.scores(herds, clusters="new", seed=1)
    assert "estimate" not in new
    np.testing.assert_allclose(new["mean"], new.draws.mean(("chain", "draw")))
    np.testing.assert_allclose(new["eti89_lb"], new.draws.quantile(0.055, ("chain", "draw")))
    assert new["mean"][0] > typical[0]


def test_rows_left_out_of_a_likelihood_fit_are_predicted_by_fits_without_them(herds: Fit) -> None:
    frame = hl.datasets.load("cbpp")
    expected = np.empty(len(frame))
    for k in (0, 3, 17, 40, 55):
        without = hl.Model("p(successes, size) ~ period + (1 | herd)", frame.drop(index=frame.index[k])).fit("laplace")
        expected[k] = hl.predictions(without, frame.iloc[[k]])["estimate"].iloc[0]
    unseen = unseen_rows(herds)
    at = [0, 3, 17, 40, 55]
    np.testing.assert_allclose(unseen.probability[at], expected[at], rtol=1e-4)
    assert unseen.k_hat is None
    y, n, p = herds.model.design.outcome.y, herds.model.design.outcome.trials, unseen.probability
    table = hl.scores(herds, loo=True, ci_prob=0.95).set_index(["sample", "score"])
    loo = table.loc["loo"]
    squared, logs = y * (1 - p) ** 2 + (n - y) * p**2, -y * np.log(p) - (n - y) * np.log1p(-p)
    for name, values in (("brier", squared), ("log_score", logs)):
        assert loo.loc[name, "estimate"] == pytest.approx(values.sum() / n.sum())
        deviations = values - n * values.sum() / n.sum()
        assert loo.loc[name, "sd"] == pytest.approx(np.sqrt(56 / 55 * (deviations**2).sum()) / n.sum())
    assert loo.loc["auc", "estimate"] == auc(p, y, n)
    np.testing.assert_allclose(loo["eti95_ub"], loo["estimate"] + 1.959964 * loo["sd"], rtol=1e-6)
    assert (table.loc["training", "estimate"].iloc[:2] < loo["estimate"].iloc[:2]).all()


def small() -> pd.DataFrame:
    random = np.random.default_rng(3)
    x = random.normal(size=14)
    return pd.DataFrame({"x": x, "m": 3, "y": random.binomial(3, expit(0.3 + x))})


def test_weights_of_draws_agree_with_integrals() -> None:
    """A regression with two parameters, whose posteriors without each row are known from a grid."""
    frame = small()
    model = hl.Model("p(y, m) ~ x", frame, priors={"Intercept": hl.priors.Normal(0, 1), "x": hl.priors.Normal(0, 1)})
    fit = model.fit(hl.NUTS(draws=2000, seed=2, progress=False))
    a, b = np.meshgrid(np.linspace(-4, 5, 200), np.linspace(-4, 6, 200), indexing="ij")
    x, y, n = (frame[name].to_numpy() for name in ("x", "y", "m"))
    p = expit(a + b * x[:, None, None])
    kernel = y[:, None, None] * np.log(p) + (n - y)[:, None, None] * np.log1p(-p)
    # The intercept's prior is that of the intercept at the mean of x.
    prior = -0.5 * ((a + b * x.mean()) ** 2 + b**2)
    probability, log_probability = np.empty(14), np.empty(14)
    for k in range(14):
        weight = np.exp(prior + kernel.sum(axis=0) - kernel[k])
        weight /= weight.sum()
        probability[k], log_probability[k] = (weight * p[k]).sum(), np.log((weight * np.exp(kernel[k])).sum())
    unseen = unseen_rows(fit)
    np.testing.assert_allclose(unseen.probability, probability, atol=0.012)
    np.testing.assert_allclose(unseen.log_probability, log_probability, atol=0.05)
    with_all = hl.residuals(fit, "pearson")["fitted"]
    assert np.abs(with_all - probability).max() > 0.05
    scores = hl.scores(fit)
    np.testing.assert_array_equal(scores.attrs["pareto_k"], unseen.k_hat)
    assert len(pd.concat([scores, scores])) == 2 * len(scores)
    assert scores.set_index(["sample", "score"]).loc[("loo", "log_score"), "mean"] == pytest.approx(
        -log_probability.sum() / 42, abs=0.005
    )


def test_log_scores_are_those_of_leave_one_out() -> None:
    rows = hl.datasets.load("bacteria")
    rows = rows[rows["ID"].isin(rows["ID"].unique()[:25])]
    fit = hl.Model("y ~ week_gt2 + (1 | ID)", rows).fit(NUTS)
    table = hl.scores(fit).set_index(["sample", "score"])
    found = hl.loo(fit, refit=False)
    assert table.loc[("loo", "log_score"), "mean"] == pytest.approx(-found.elpd / len(rows), abs=2e-4)
    assert table.loc[("loo", "log_score"), "sd"] == pytest.approx(found.se / len(rows), rel=0.01)
    assert list(hl.scores(fit, loo=False)["sample"].unique()) == ["training"]
    assert list(hl.scores(fit, clusters="average")["sample"].unique()) == ["training"]


@pytest.mark.slow
def test_weights_of_draws_agree_with_samples_without_the_row() -> None:
    frame = hl.datasets.load("bacteria")
    frame = frame[frame["ID"].isin(frame["ID"].unique()[:8])]
    model = hl.Model("y ~ 1 + (1 | ID)", frame, priors={"sd": hl.priors.HalfNormal(1)})
    fit = model.fit(hl.NUTS(draws=2000, target_accept=0.99, seed=1, progress=False))
    unseen, design = unseen_rows(fit), fit.model.design
    for k in range(design.n_rows):
        rows = np.arange(design.n_rows) == k
        again = sampled_again(fit, rows)
        log_p = integrated_log_likelihood(fit.model, Draws.of(fit.model, again.posterior), rows)
        exact = np.logaddexp.reduce(log_p) - np.log(len(log_p))
        # Eight thousand draws each, worth a quarter of them, of probabilities whose sd is below 0.2.
        assert np.exp(unseen.log_probability[k]) == pytest.approx(np.exp(exact), abs=0.025)


def test_what_is_not_known_of_rows_left_out_is_said() -> None:
    frame = pd.DataFrame({"x": [0.0] * 10 + [1.0] * 10, "y": [0, 1] * 5 + [1] * 9 + [0]})
    fit = hl.Model("y ~ x", frame).fit(hl.Laplace(seed=1))
    with pytest.warns(ConvergenceWarning, match="Without 1 of 20 rows there is no maximum: 19"):
        hl.scores(fit, loo=True)
    alone = pd.DataFrame({"x": [0] * 11 + [1], "m": 40, "y": [20] * 11 + [36]})  # one row informs the coefficient
    sampled = hl.Model("p(y, m) ~ x", alone).fit(NUTS)
    with pytest.warns(ConvergenceWarning, match="Pareto k-hat is over 0.70") as said:
        hl.scores(sampled)
    assert said[0].filename == __file__


def test_what_cannot_be_is_refused(herds: Fit) -> None:
    with pytest.raises(PredictionError, match="clusters='typical': with loo=True rows are left out"):
        hl.scores(herds, clusters="typical", loo=True)
    with pytest.raises(PredictionError, match="clusters='none' is not allowed"):
        hl.scores(herds, clusters="none")
    with pytest.raises(PredictionError, match="num_draws=0"):
        hl.scores(herds, num_draws=0)


def test_tables_of_several_fits_are_joined(make_fit: Callable[..., hl.results.Fit]) -> None:
    rows = hl.datasets.load("contraception").iloc[::4]
    fit = make_fit("use ~ 1 + (1 | district)", rows, draws=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hl.errors.ConvergenceWarning)  # these draws are of no posterior
        tables = [hl.scores(fit), hl.scores(fit, seed=1)]
    assert len(tables[0].attrs["pareto_k"]) == len(rows)
    both = pd.concat(tables, keys=["one", "other"])
    assert list(both.loc["other", "score"]) == list(tables[1]["score"])


def test_rows_of_very_many_trials_have_finite_scores(make_fit: Callable[..., hl.results.Fit]) -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": rng.normal(size=24), "n": 100_000})
    rows["k"] = rng.binomial(rows["n"], 0.4)
    with pytest.warns(ConvergenceWarning, match="Pareto k-hat"):  # these draws are of no posterior
        found = unseen_rows(make_fit("p(k, n) ~ x", rows, draws=60))
    assert np.all(found.log_probability < np.log(np.finfo(float).tiny))
    assert np.isfinite(found.log_probability).all()


def test_errors_of_clusters_of_rows(rows) -> None:
    """Rows that are there twice, together in a cluster, tell no more than once."""
    p, y, trials = rows
    twice, cluster = np.tile(np.arange(len(p)), 2), np.tile(np.arange(len(p)), 2)
    once = auc_error(p, y, trials)
    assert auc_error(p[twice], y[twice], trials[twice], cluster) == pytest.approx(once)
    assert auc_error(p[twice], y[twice], trials[twice]) < 0.8 * once
    assert mean_error(y[twice], trials[twice], cluster) == pytest.approx(mean_error(y, trials))
