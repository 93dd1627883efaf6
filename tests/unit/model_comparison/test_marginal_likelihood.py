"""The evidence of models: against sums over grids, a thermodynamic calculation, and what must not change it."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import binom, halfnorm, norm

import hierlogit as hl
from hierlogit.engines.importance import weighting
from hierlogit.engines.maximum.integrator import MOST_NODES
from hierlogit.errors import ConvergenceWarning, DataWarning, EngineError, FitError, ModelError
from hierlogit.model_comparison import marginal_likelihood
from hierlogit.model_comparison.marginal_likelihood import SMALL_CHANGE
from hierlogit.model_comparison.parameter_integral import REPLICATES, Integral, integral_over_parameters

FloatArray = npt.NDArray[np.float64]
PRIORS = {"Intercept": hl.priors.Normal(0, 1.5), "sd": hl.priors.HalfNormal(1)}
WITH_SLOPES = {**PRIORS, "beta": hl.priors.Normal(0, 1)}
FIXED = {"Intercept": hl.priors.Normal(0, 1.5), "beta": hl.priors.Normal(0, 1)}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(7)
    g = np.repeat(np.arange(9), 4)
    frame = pd.DataFrame({"g": [f"g{k}" for k in g], "x": random.normal(1.0, 0.8, 36), "n": random.integers(1, 4, 36)})
    p = 1 / (1 + np.exp(-(-0.4 + 0.5 * frame["x"] + random.normal(0, 0.9, 9)[g])))
    return frame.assign(k=random.binomial(frame["n"], p))


def test_intercept_and_sd_against_a_sum_over_a_grid(rows: pd.DataFrame) -> None:
    model = hl.Model("p(k, n) ~ 1 + (1 | g)", rows, priors=PRIORS)
    found = hl.evidence(model, draws=16384)
    intercepts, sds = np.linspace(-7, 7, 71), np.linspace(0, 6, 302)[1:] - 0.01
    v, weights = np.polynomial.hermite_e.hermegauss(61)
    log_weights = np.log(weights) - 0.5 * np.log(2 * np.pi)
    total = norm.logpdf(intercepts, 0, 1.5)[:, None] + halfnorm.logpdf(sds, 0, 1)
    for _, cluster in rows.groupby("g"):
        # All rows of a cluster have one probability; at a half, the coefficients are all that differs.
        k, n = cluster["k"].sum(), cluster["n"].sum()
        coefficients = binom.logpmf(cluster["k"], cluster["n"], 0.5).sum() + n * np.log(2)
        eta = intercepts[:, None, None] + sds[:, None] * v
        logs = coefficients + k * eta - n * np.logaddexp(0, eta)
        total += logsumexp(logs + log_weights, axis=2)
    cell = (intercepts[1] - intercepts[0]) * (sds[1] - sds[0])
    assert found.log_evidence == pytest.approx(logsumexp(total) + np.log(cell), abs=1e-3)
    assert found.method == "quadrature"
    assert found.mcse < 5e-4
    assert found.default_priors == ()


def test_intercept_and_slope_against_a_sum_over_a_grid(rows: pd.DataFrame) -> None:
    found = hl.evidence(hl.Model("p(k, n) ~ x", rows, priors=FIXED), draws=16384)
    a, b = np.linspace(-6, 6, 301), np.linspace(-5, 5, 301)
    total = norm.logpdf(a, 0, 1.5)[:, None] + norm.logpdf(b, 0, 1)
    for x, k, n in zip(rows["x"] - rows["x"].mean(), rows["k"], rows["n"], strict=True):
        total += binom.logpmf(k, n, 1 / (1 + np.exp(-(a[:, None] + b * x))))
    cell = (a[1] - a[0]) * (b[1] - b[0])
    assert found.log_evidence == pytest.approx(logsumexp(total) + np.log(cell), abs=1e-3)
    assert (found.method, found.nodes, found.integration_change) == ("exact", 1, 0.0)


def test_order_of_the_rows_and_seed(rows: pd.DataFrame) -> None:
    model = hl.Model("p(k, n) ~ x + (1 | g)", rows, priors=WITH_SLOPES)
    one = hl.evidence(model, draws=1024)
    permuted = hl.Model("p(k, n) ~ x + (1 | g)", rows.sample(frac=1, random_state=3), priors=WITH_SLOPES)
    assert hl.evidence(permuted, draws=1024).log_evidence == pytest.approx(one.log_evidence, abs=1e-6)
    assert hl.evidence(model.fit("laplace"), draws=1024).log_evidence == one.log_evidence
    other = hl.evidence(model, draws=1024, seed=5)
    assert other.log_evidence != one.log_evidence
    assert other.log_evidence == pytest.approx(one.log_evidence, abs=5 * np.hypot(one.mcse, other.mcse))


@pytest.mark.parametrize("good", [0.0, 2.0], ids=["one proposal", "a mixture of two"])
def test_proposals_do_not_change_the_value(rows: pd.DataFrame, good: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hl.Model("p(k, n) ~ x + (1 | g)", rows, priors=WITH_SLOPES)
    usual = integral_over_parameters(model, 9, 4096, seed=1)
    monkeypatch.setattr(weighting, "GOOD", good)
    other = integral_over_parameters(model, 9, 4096, seed=2)
    assert other.error < 0.01
    assert other.log_value == pytest.approx(usual.log_value, abs=5 * np.hypot(usual.error, other.error))


def test_importance_sampling_measures_the_same(rows: pd.DataFrame) -> None:
    """Its own points, of two nested factors."""
    model = hl.Model("p(k, n) ~ x + (1 | h/g)", rows.assign(h=rows["g"].str[1].astype(int) // 3), priors=WITH_SLOPES)
    measures = model.fit(hl.ImportanceSampling(draws=2000, seed=2, progress=False)).diagnostics.measures
    found = hl.evidence(model, draws=1024)
    error = 5 * np.hypot(found.mcse, measures["mcse_log_evidence"])
    assert found.method == "quadrature"
    assert found.log_evidence == pytest.approx(measures["log_evidence"], abs=error + 0.01)


def test_binary_rows_and_rows_with_trials_differ_by_the_coefficients() -> None:
    single = pd.DataFrame({"y": [1, 0, 1, 1, 0, 0, 1, 1], "x": [0.0] * 4 + [1.0] * 4})
    counted = pd.DataFrame({"k": [3, 2], "n": [4, 4], "x": [0.0, 1.0]})
    values = [
        hl.evidence(hl.Model(formula, table, priors=FIXED), draws=4096).log_evidence
        for formula, table in (("y ~ x", single), ("p(k, n) ~ x", counted))
    ]
    assert values[1] - values[0] == pytest.approx(np.log(4 * 6), abs=1e-4)


def test_crossed_factors_are_said_to_be_integrated_by_laplace(rows: pd.DataFrame) -> None:
    crossed = hl.Model("p(k, n) ~ 1 + (1 | g) + (1 | h)", rows.assign(h=np.arange(36) % 5), priors=PRIORS)
    found = hl.evidence(crossed, draws=256)
    assert (found.method, found.nodes) == ("Laplace", 1)
    assert np.isnan(found.integration_change)
    assert "Laplace's method, with an error that is not known" in repr(found)
    with pytest.raises(EngineError, match=r"nodes=\d+: .* effects of 'g', 'h'.* Leave nodes out"):
        hl.evidence(crossed, nodes=5)


def test_default_priors_are_warned_of(rows: pd.DataFrame) -> None:
    model = hl.Model("p(k, n) ~ x + (1 | g)", rows, priors={"beta": hl.priors.Normal(0, 1)})
    with pytest.warns(DataWarning, match=r"those of 'Intercept', 'sd_g\[Intercept\]' are the defaults"):
        found = hl.evidence(model, draws=256, nodes=5)
    assert found.default_priors == ("Intercept", "sd_g[Intercept]")


def test_unreliable_values_are_warned_of(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hl.Model("p(k, n) ~ x", rows, priors=FIXED)
    random = np.random.default_rng(1)
    heavy = Integral(np.zeros((1024, 2)), 1.5 * random.exponential(size=1024))  # Pareto, with a shape of 1.5
    monkeypatch.setattr(marginal_likelihood, "integral_over_parameters", lambda *_: heavy)
    with pytest.warns(ConvergenceWarning, match="Pareto k-hat of the importance weights is 1"):
        found = hl.evidence(model)
    assert not found.is_reliable
    assert "not reliable" in repr(found)


def test_too_few_nodes_are_warned_of() -> None:
    model = hl.Model("outcome ~ time + (1 | patientID)", hl.datasets.load("toenail"), priors=WITH_SLOPES)
    with pytest.warns(ConvergenceWarning, match="quadrature with 5 nodes in place of 3 changes"):
        hl.evidence(model, nodes=3, draws=256)


def test_nodes_do_for_all_of_the_posterior() -> None:
    """Single rows tell nothing of an sd, whose posterior reaches from zero to where five nodes are not enough."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.arange(8), "x": random.normal(size=8)})
    frame["y"] = (frame["x"] + random.logistic(size=8) > 0).astype(int)
    priors = {"Intercept": hl.priors.Normal(0, 1.5), "x": hl.priors.Normal(0, 3), "sd": hl.priors.Exponential(0.9)}
    with pytest.warns(DataWarning, match="single trial"):
        model = hl.Model("y ~ x + (1 | g)", frame, priors=priors)
    five, found, exact = (hl.evidence(model, nodes=nodes) for nodes in (5, None, 61))
    off = abs(five.log_evidence - exact.log_evidence)
    assert off > 2 * SMALL_CHANGE
    assert off / 2 < five.integration_change < 2 * off
    assert found.nodes > 5


def few(outcomes: list[int], x: FloatArray) -> pd.DataFrame:
    """Twelve rows of four clusters."""
    return pd.DataFrame({"g": np.repeat(list("abcd"), 3), "y": outcomes, "x": x})


X = np.random.default_rng(5).normal(size=12)
SEPARATED = [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("outcomes", [SEPARATED, (X > 0).astype(int).tolist()], ids=["by clusters", "by a predictor"])
def test_heavy_tails_of_priors_and_few_clusters_against_simulation(outcomes: list[int]) -> None:
    """The likelihood has no maximum, and only the priors end the posterior: the proposal at the mode is of no use."""
    priors = {"Intercept": hl.priors.Normal(0, 2), "x": hl.priors.Cauchy(0, 10), "sd": hl.priors.HalfCauchy(5)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = hl.evidence(hl.Model("y ~ x + (1 | g)", few(outcomes, X), priors=priors), draws=1024)
    random = np.random.default_rng(1)
    n = 300_000
    intercept, slope = random.normal(0, 2, n), 10 * random.standard_cauchy(n)
    effects = 5 * np.abs(random.standard_cauchy(n)) * random.normal(size=(4, n))
    logs = np.zeros(n)
    for i, y in enumerate(outcomes):
        eta = intercept + slope * (X[i] - X.mean()) + effects[i // 3]
        logs -= np.logaddexp(0, -eta if y else eta)
    likelihood = np.exp(logs)
    error = likelihood.std() / likelihood.mean() / np.sqrt(n)
    # Quadrature with the nodes that are chosen is right to about 0.01 here.
    difference = 4 * np.hypot(error, found.mcse) + 0.02
    assert found.log_evidence == pytest.approx(np.log(likelihood.mean()), abs=difference)
    assert found.is_reliable
    assert difference < 0.2


def test_where_no_quadrature_is_fine_enough() -> None:
    """Under priors for sds of hundreds of thousands, even the most nodes miss some of the integral."""
    wide = {"Intercept": hl.priors.Normal(0, 2), "x": hl.priors.Cauchy(0, 10), "sd": hl.priors.HalfNormal(1e5)}
    model = hl.Model("y ~ x + (1 | g)", few(SEPARATED, X), priors=wide)
    with pytest.warns(ConvergenceWarning) as warned:
        found = hl.evidence(model)
    assert found.nodes == MOST_NODES
    assert any("66 nodes in place of 100" in str(one.message) for one in warned)


def test_imprecise_values_are_warned_of(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marginal_likelihood, "LARGE_ERROR", 1e-9)
    with pytest.warns(ConvergenceWarning, match=r"Monte Carlo error of its logarithm is .* Raise draws"):
        hl.evidence(hl.Model("p(k, n) ~ 1 + (1 | g)", rows, priors=PRIORS), draws=256)


def test_what_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match="neither a Model nor a Fit"):
        hl.evidence(rows)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="draws"):
        hl.evidence(hl.Model("p(k, n) ~ x", rows), draws=10)


def test_mean_and_error_of_ratios() -> None:
    ratios = np.random.default_rng(1).lognormal(0.3, 0.4, (REPLICATES, 50))
    integral = Integral(np.zeros((ratios.size, 1)), np.log(ratios).ravel() + 1000)
    means = ratios.mean(axis=1)
    assert integral.log_value == pytest.approx(1000 + np.log(means.mean()))
    assert integral.error == pytest.approx(means.std(ddof=1) / np.sqrt(REPLICATES) / means.mean())


@pytest.mark.slow
def test_thermodynamic_calculation_of_herds() -> None:
    """Stepping stones (Xie and others 2011, Systematic Biology 60: 150-160) through powers of the likelihood.

    All unknowns, the effects of the herds among them, are standard normal here before the data. Preconditioned
    Crank-Nicolson steps leave that distribution as it is, so that the likelihood alone decides on each step.
    """
    herds = hl.datasets.load("cbpp")
    model = hl.Model("p(successes, size) ~ period + (1 | herd)", herds, priors=WITH_SLOPES)
    design = model.design
    X, y, n, index = design.X.copy(), design.outcome.y, design.outcome.trials, design.groups[0].index
    X[:, 1:] -= X[:, 1:].mean(axis=0)
    scales = np.array([1.5, 1.0, 1.0, 1.0])
    coefficients = binom.logpmf(y, n, 0.5).sum() + n.sum() * np.log(2)

    def log_likelihood(z: np.ndarray) -> np.ndarray:
        eta = (z[..., :4] * scales) @ X.T + np.abs(z[..., 4:5]) * z[..., 5:][..., index]
        return coefficients - (y * np.logaddexp(0, -eta) + (n - y) * np.logaddexp(0, eta)).sum(axis=-1)

    random = np.random.default_rng(11)
    powers = np.linspace(0, 1, 41) ** 4
    lower, step = powers[:-1], np.diff(powers)
    # As large as the spread of the unknowns at each power, roughly.
    size = 0.5 / np.sqrt(1 + 60 * lower)[None, :, None]
    z = random.normal(size=(24, 40, 5 + 15))
    value, sums, kept = log_likelihood(z), [], 0
    for round_ in range(12_000):
        moved = np.sqrt(1 - size**2) * z + size * random.normal(size=z.shape)
        reached = log_likelihood(moved)
        accept = np.log(random.random(value.shape)) < lower * (reached - value)
        z[accept], value[accept] = moved[accept], reached[accept]
        # Neighbours exchange their places, even and odd ones in turn.
        left = np.arange(round_ % 2, 39, 2)
        swap = np.log(random.random((24, len(left)))) < step[left] * (value[:, left] - value[:, left + 1])
        for array in (z, value):
            chosen = swap[..., None] if array.ndim == 3 else swap
            one, other = array[:, left].copy(), array[:, left + 1].copy()
            array[:, left], array[:, left + 1] = np.where(chosen, other, one), np.where(chosen, one, other)
        if round_ >= 2_000:
            sums.append(step * value)
            kept += 1
    logs = np.array(sums)
    steps = logsumexp(logs, axis=0) - np.log(kept)
    estimates = steps.sum(axis=1)
    error = estimates.std(ddof=1) / np.sqrt(len(estimates))
    found = hl.evidence(model)
    assert error < 0.05
    assert found.log_evidence == pytest.approx(estimates.mean(), abs=4 * np.hypot(error, found.mcse))
