"""Functions that depend on the distribution of outcomes, with beta-binomial ones, against computations by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import betabinom, binom, norm

import hierlogit as hl
from hierlogit.binomial import simulated_successes, variance_factor
from hierlogit.density import outcome_likelihood
from hierlogit.density.linear_predictor import Draws
from hierlogit.density.pymc_graph import build_graph
from hierlogit.effects.numerics.given_other_rows import GivenOthers
from hierlogit.effects.numerics.given_outcomes import Seen, modes_of_effects
from hierlogit.errors import FitError, PredictionError, StudyError
from hierlogit.fits.fit import Fit
from hierlogit.model_comparison.leave_out import integrated_log_likelihood
from hierlogit.model_comparison.likelihood_ratio import mixture_tail

FORMULA = "p(k, n) ~ x + (1 | g)"
PHI = 4.0


def rows(clusters: int = 12, size: int = 6, seed: int = 1, phi: float = PHI) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    count = clusters * size
    g, x, n = np.repeat(np.arange(clusters), size), random.normal(size=count), random.integers(1, 25, count)
    p = expit(-0.3 + 0.8 * x + 0.7 * random.normal(size=clusters)[g])
    return pd.DataFrame({"g": g, "x": x, "n": n, "k": random.binomial(n, random.beta(phi * p, phi * (1 - p)))})


@pytest.fixture(scope="module")
def model() -> hl.Model:
    return hl.Model(FORMULA, rows(), family="betabinomial")


@pytest.fixture(scope="module")
def fit(model: hl.Model) -> Fit:
    return model.fit(hl.Laplace(seed=1, draws=200))


@pytest.fixture(scope="module")
def plain() -> Fit:
    return hl.Model(FORMULA, rows()).fit(hl.Laplace(seed=1, draws=200))


def fitted_probability(fit: Fit) -> np.ndarray:
    assert fit.estimate is not None
    design = fit.model.design
    p: np.ndarray = expit(design.X @ fit.estimate.beta + fit.estimate.modes["g"][design.groups[0].index, 0])
    return p


def shapes(p: Any, phi: Any) -> tuple[Any, Any]:
    return p * phi, (1 - p) * phi


# ---- the distribution ------------------------------------------------------------------------------------


def test_cumulative_probabilities_are_those_of_scipy() -> None:
    trials = np.array([1.0, 3.0, 12.0, 40.0, 40.0, 400.0])
    y = np.array([0.0, 3.0, 4.0, 0.0, 39.0, 395.0])
    p = np.array([[0.2, 0.5, 0.3, 0.01, 0.9, 0.99], [1e-8, 0.999, 0.5, 0.5, 0.5, 0.2]])
    for phi in ([0.3, 50.0], [1e6, 2.0]):
        fewer, at_most = outcome_likelihood.cumulative_probabilities(y, trials, p, np.array(phi))
        a, b = shapes(p, np.array(phi)[:, None])
        np.testing.assert_allclose(at_most, betabinom.cdf(y, trials, a, b), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fewer, betabinom.cdf(y - 1, trials, a, b), rtol=1e-6, atol=1e-9)
    nearly = outcome_likelihood.cumulative_probabilities(y, trials, p, np.full(2, np.inf))
    for values, count in zip(nearly, (y - 1, y), strict=True):
        np.testing.assert_allclose(values, binom.cdf(count, trials, p), rtol=1e-9, atol=1e-12)


def test_scores_are_derivatives_and_weights_those_of_the_quasi_likelihood() -> None:
    y, trials = np.array([0.0, 2.0, 7.0]), np.array([4.0, 2.0, 30.0])
    eta, phi = np.array([[-1.0, 0.3, 2.0], [0.1, -3.0, -1.0]]), np.array([0.8, 30.0])
    score, weight = outcome_likelihood.score_and_weight(y, trials, eta, phi)
    up, down = (outcome_likelihood.log_likelihood(y, trials, eta + step, phi) for step in (1e-5, -1e-5))
    np.testing.assert_allclose(score, (up - down) / 2e-5, rtol=1e-6)
    p = expit(eta)
    # The squared slope of the mean over the variance.
    variance = betabinom.var(trials, *shapes(p, phi[:, None]))
    np.testing.assert_allclose(weight, (trials * p * (1 - p)) ** 2 / variance)


def test_simulated_successes_have_the_distribution() -> None:
    drawn = simulated_successes(np.full(20_000, 0.3), np.full(20_000, 6.0), np.random.default_rng(1), np.array(1.5))
    frequencies = np.bincount(drawn.astype(int), minlength=7) / 20_000
    np.testing.assert_allclose(frequencies, betabinom.pmf(np.arange(7), 6, 0.45, 1.05), atol=0.012)


def test_outcomes_of_a_fit_vary_more_than_binomial_ones(model: hl.Model, make_fit: Callable[..., Fit]) -> None:
    fit = make_fit(model, None, draws=1500)
    fit.posterior["phi"][...] = PHI
    simulated = hl.posterior_predictive(fit, seed=1).posterior_predictive["k"].to_numpy()
    trials = model.design.outcome.trials
    draws = Draws.of(model, fit.posterior)
    p = expit(draws.beta @ model.design.X.T + draws.effects["g"][:, model.design.groups[0].index, 0])
    residual = simulated.reshape(len(p), -1) - trials * p
    ratio = (residual**2).mean(axis=0) / (trials * p * (1 - p)).mean(axis=0)
    np.testing.assert_allclose(ratio[trials > 5], variance_factor(trials, PHI)[trials > 5], rtol=0.2)


# ---- residuals, scores, rows left out ----------------------------------------------------------------------


def test_residuals(fit: Fit) -> None:
    assert fit.estimate is not None
    p, outcome, phi = fitted_probability(fit), fit.model.design.outcome, fit.estimate.phi
    pearson = hl.residuals(fit, "pearson")["residual"]
    sd = betabinom.std(outcome.trials, *shapes(p, phi))
    np.testing.assert_allclose(pearson, (outcome.y - outcome.trials * p) / sd, rtol=1e-6)
    uniform = hl.residuals(fit, seed=1)["uniform"]
    assert np.all(uniform <= betabinom.cdf(outcome.y, outcome.trials, *shapes(p, phi)) + 1e-9)
    assert np.all(uniform >= betabinom.cdf(outcome.y - 1, outcome.trials, *shapes(p, phi)) - 1e-9)
    with pytest.raises(PredictionError, match="depends on phi"):
        hl.residuals(fit, "deviance")


def test_scores_judge_the_probabilities(fit: Fit) -> None:
    assert fit.estimate is not None
    p, outcome = fitted_probability(fit), fit.model.design.outcome
    y, n = outcome.y, outcome.trials
    found = hl.scores(fit).set_index("score")["estimate"]
    assert found["log_score"] == pytest.approx(-(y * np.log(p) + (n - y) * np.log1p(-p)).sum() / n.sum())
    assert found["brier"] == pytest.approx((y * (1 - p) ** 2 + (n - y) * p**2).sum() / n.sum())


def one_draw(model: hl.Model, fit: Fit, phi: float) -> Draws:
    assert fit.estimate is not None
    return replace(Draws.at(fit.estimate), phi=np.array([phi]))


def log_integral(model: hl.Model, draws: Draws, chosen: np.ndarray) -> float:
    """Log of the probability of some rows of a cluster, by adaptive quadrature."""
    design, phi = model.design, float(draws.phi[0]) if draws.phi is not None else np.inf
    eta = (design.X @ draws.beta[0])[chosen]
    y, n, sd = design.outcome.y[chosen], design.outcome.trials[chosen], float(draws.cholesky["g"][0, 0, 0])

    def density(u: float) -> float:
        p = expit(eta + sd * u)
        return float(np.exp(np.sum(betabinom.logpmf(y, n, *shapes(p, phi)))) * norm.pdf(u))

    return float(np.log(quad(density, -9, 9, epsabs=0, epsrel=1e-9, limit=200)[0]))


def test_clusters_left_out_have_their_effects_integrated_out(model: hl.Model, fit: Fit) -> None:
    draws = one_draw(model, fit, 3.0)
    for level in (0, 5):
        left_out = model.design.groups[0].index == level
        found = integrated_log_likelihood(model, draws, left_out)[0]
        assert found == pytest.approx(log_integral(model, draws, np.flatnonzero(left_out)), abs=1e-4)


def test_rows_left_out_are_predicted_by_the_others_of_their_cluster(model: hl.Model, fit: Fit) -> None:
    draws = one_draw(model, fit, 3.0)
    of_cluster = np.flatnonzero(model.design.groups[0].index == 2)
    # One draw has no variance between draws, from which the share of a row would be known.
    given = GivenOthers(model, draws)
    given.__dict__["integrated"] = {"g": np.ones(model.design.n_rows, dtype=bool)}
    log_p, _ = given.of(of_cluster)
    for k, row in enumerate(of_cluster):
        others = of_cluster[of_cluster != row]
        expected = log_integral(model, draws, of_cluster) - log_integral(model, draws, others)
        assert log_p[0, k] == pytest.approx(expected, abs=1e-4)


def test_modes_of_new_clusters_maximise_the_density(model: hl.Model, fit: Fit) -> None:
    draws = one_draw(model, fit, 2.0)
    seen_rows = rows(clusters=1, seed=5).assign(g=99)
    seen = Seen(model.design.encode(seen_rows), seen_rows["k"].to_numpy(float), seen_rows["n"].to_numpy(float))
    sd = float(draws.cholesky["g"][0, 0, 0])
    mode = float(modes_of_effects(draws, seen)["g"][0, 0, 0]) / sd

    def log_density(u: float) -> float:
        p = expit(seen.rows.X @ draws.beta[0] + sd * u)
        return float(np.sum(betabinom.logpmf(seen.y, seen.trials, *shapes(p, 2.0))) - 0.5 * u**2)

    assert abs(log_density(mode + 1e-4) - log_density(mode - 1e-4)) / 2e-4 < 1e-3


# ---- simulated studies -------------------------------------------------------------------------------------


def twelve_trials(_: np.random.Generator, count: int) -> np.ndarray:
    return np.full(count, 12)


def test_studies_are_simulated_with_phi() -> None:
    layout = hl.Layout({"g": 300}, size=10, predictors={"n": twelve_trials})
    table = hl.simulate("p(k, n) ~ 1 + (1 | g)", layout, beta={"Intercept": 0.0}, sd={"g": 0.0}, phi=2.0, seed=1)
    assert table["k"].var() == pytest.approx(betabinom.var(12, 1.0, 1.0), rel=0.06)
    with pytest.raises(StudyError, match="phi"):
        hl.simulate("p(k, n) ~ 1 + (1 | g)", layout, beta={"Intercept": 0.0}, sd={"g": 0.0}, phi=-1.0)


def test_power_is_lower_than_with_binomial_counts() -> None:
    layout = hl.Layout({"g": 8}, size=6, predictors={"x": "normal", "n": twelve_trials})
    assumed: dict[str, Any] = {"beta": {"Intercept": 0.0, "x": 0.25}, "sd": {"g": 0.3}, "replicates": 30, "seed": 1}
    powers = [hl.power("p(k, n) ~ x + (1 | g)", layout, **assumed, phi=phi).table for phi in (1.0, None)]
    assert powers[0]["empirical_se"].iloc[0] > 1.4 * powers[1]["empirical_se"].iloc[0]
    assert powers[0]["model_se"].iloc[0] == pytest.approx(powers[0]["empirical_se"].iloc[0], rel=0.4)


def test_the_bootstrap_has_phi(fit: Fit) -> None:
    assert fit.estimate is not None
    boot = hl.bootstrap(fit, replicates=5, seed=1)
    assert boot.estimate["phi"] == fit.estimate.phi
    assert boot.values["phi"].between(1, 40).all()


# ---- comparisons -------------------------------------------------------------------------------------------


def test_the_likelihood_ratio_against_binomial_counts_is_that_of_a_variance(fit: Fit, plain: Fit) -> None:
    assert fit.estimate is not None
    assert plain.estimate is not None
    test = hl.likelihood_ratio(plain, fit)
    statistic = 2 * (fit.estimate.log_likelihood - plain.estimate.log_likelihood)
    assert test.statistic == pytest.approx(statistic)
    assert (test.parameters, test.variances, test.names) == (1, ("phi",), ("phi",))
    assert test.p_value == pytest.approx(mixture_tail(statistic, 1))
    with pytest.raises(FitError, match="only the first one has beta-binomial outcomes"):
        hl.likelihood_ratio(fit, plain)
    table = hl.compare({"binomial": plain, "beta-binomial": fit})
    assert table.index[0] == "beta-binomial"
    assert table.loc["beta-binomial", "parameters"] == 4
    drawn = hl.likelihood_ratio(plain, fit, "bootstrap", replicates=20, seed=1)
    assert drawn.p_value == pytest.approx(1 / 21)


def test_terms_are_tested_with_beta_binomial_outcomes(fit: Fit) -> None:
    tested = hl.test_terms(fit, "bootstrap", replicates=4, seed=1)
    assert tested["p_value"].le(1).all()
    slopes = hl.test_slopes(fit, replicates=50, seed=1)
    assert slopes["p_value"].between(0, 1).all()


# ---- variances ---------------------------------------------------------------------------------------------


def test_shares_of_the_latent_variance_are_those_of_a_trial(fit: Fit) -> None:
    assert fit.estimate is not None
    between, latent = fit.estimate.sd("g")[0] ** 2, np.pi**2 / 3
    assert hl.icc(fit)["estimate"].iloc[0] == pytest.approx(between / (between + latent))
    X, n = fit.model.design.X[:, 1], fit.model.design.outcome.trials
    centred = X - (n @ X) / n.sum()
    explained = fit.estimate.beta[1] ** 2 * (n * centred**2).sum() / (n.sum() - 1)
    whole = explained + between + latent
    assert hl.r2(fit)["estimate"].to_list() == pytest.approx([explained / whole, (explained + between) / whole])
    assert hl.mor(fit)["estimate"].iloc[0] == pytest.approx(np.exp(np.sqrt(2 * between) * norm.ppf(0.75)))


def test_expected_events_vary_more(fit: Fit) -> None:
    league = hl.league_table(fit)
    draws, design = Draws.of(fit.model, fit.posterior), fit.model.design
    assert draws.phi is not None
    variances = []
    for beta, L, phi in zip(draws.beta, draws.cholesky["g"][:, 0, 0], draws.phi, strict=True):
        nodes, weights = np.polynomial.hermite_e.hermegauss(31)
        p = expit((design.X @ beta)[:, None] + L * nodes) @ weights / weights.sum()
        n = design.outcome.trials
        variance = n * p * (1 - p) * (phi + n) / (phi + 1)
        variances.append(np.bincount(design.groups[0].index, variance))
    expected = np.sqrt(np.mean(variances, axis=0))
    np.testing.assert_allclose(league.table.sort_index()["expected_sd"], expected, rtol=1e-3)
    assert league.table["oe_exact89_lb"].isna().all()


# ---- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (hl.pooling, "beta-binomial outcomes"),
        (hl.plots.funnel, "counts of this model are beta-binomial"),
        (lambda fit: hl.ignoring_clusters(fit, replicates=0), "depend on each other"),
    ],
)
def test_what_is_defined_for_binomial_outcomes_only_is_refused(fit: Fit, call: Any, match: str) -> None:
    with pytest.raises(FitError, match=match):
        call(fit)


def test_checks_and_plots_of_the_fit_work(fit: Fit) -> None:
    found = hl.check(fit, replicates=50, seed=1)
    assert "overdispersion" not in set(found.table["check"])
    assert len(hl.calibration(fit, replicates=20, seed=1))
    assert len(hl.plots.residuals(fit, replicates=20, seed=1))
    assert hl.residuals(fit, "binned", replicates=20, seed=1)["bound_ub"].gt(0).all()


# ---- texts and programs ------------------------------------------------------------------------------------


def test_texts_name_the_distribution_and_its_parameter(model: hl.Model) -> None:
    latex = model.to_latex()
    assert r"\operatorname{BetaBinomial}(m_i, \phi p_i, \phi (1 - p_i))" in latex
    assert r"\phi &\sim \operatorname{LogNormal}" in latex
    assert "a beta distribution with the mean p" in " ".join(hl.explain(model).words.split())


def test_the_program_has_the_density_of_the_graph(
    model: hl.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = hl.explain(model).save(tmp_path / "program")
    names: dict[str, Any] = {"__name__": "program"}
    monkeypatch.chdir(program.parent)
    exec(program.read_text(), names)
    graph = build_graph(model)
    point = graph.initial_point()
    written, ours = (one.compile_logp(mode="FAST_COMPILE")(point) for one in (names["model"], graph))
    assert written == pytest.approx(ours)
    bambi = model.to_bambi()
    assert bambi.family.name == "beta_binomial"
