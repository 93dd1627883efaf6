"""Models with beta-binomial outcomes: by Laplace's method, MAP and NUTS."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import betaln, expit
from scipy.stats import betabinom

import hierlogit as hl
from hierlogit.binomial import simulated_successes
from hierlogit.density.marginal.overdispersed_laplace import laplace_likelihood
from hierlogit.density.variables import model_variables
from hierlogit.design.outcome import FAMILIES
from hierlogit.engines.engine import Engine
from hierlogit.engines.maximum.objective import Objective
from hierlogit.fits.fit import Fit
from hierlogit.model import Model

FloatArray = npt.NDArray[np.float64]

FORMULAS = {
    "no effects": "p(y, m) ~ x",
    "intercepts": "p(y, m) ~ x + (1 | g)",
    "correlated": "p(y, m) ~ x + (1 + x | g)",
    "crossed": "p(y, m) ~ 1 + (1 + x || g) + (1 | h)",
    "nested": "p(y, m) ~ x + (1 | h / k)",
}


def rows(phi: float, seed: int = 1) -> pd.DataFrame:
    """Counts in clusters whose effects have an sd of 0.7, with trials that vary."""
    rng = np.random.default_rng(seed)
    n = 90
    table = pd.DataFrame({"x": rng.normal(size=n).round(2), "g": np.arange(n) % 12, "h": np.arange(n) // 9})
    table["k"] = np.arange(n) % 3
    table["m"] = rng.integers(1, 25, n)
    eta = -0.5 + 0.6 * table["x"] + 0.7 * rng.normal(size=12)[table["g"]]
    y = simulated_successes(expit(eta.to_numpy()), table["m"].to_numpy(), rng, np.array(phi))
    return table.assign(y=y.astype(int))


def model_of(formula: str, phi: float = 4.0) -> Model:
    return hl.Model(formula, rows(phi), family="betabinomial")


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(FORMULAS["intercepts"])


@pytest.fixture(scope="module")
def fit(model: Model) -> Fit[Model]:
    return model.fit(hl.Laplace(seed=1))


@pytest.mark.parametrize("penalised", [False, True], ids=["likelihood", "posterior"])
@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
def test_the_gradient_is_exact(formula: str, penalised: bool) -> None:
    model = model_of(formula)
    objective = Objective(model, laplace_likelihood(model.arrangement), penalised=penalised)
    psi = np.random.default_rng(2).normal(0.5, 0.3, len(objective))
    point = objective.evaluate(psi)
    assert point.converged
    for k in range(len(psi)):
        moved = psi.copy()
        sides = []
        for step in (1e-5, -1e-5):
            moved[k] = psi[k] + step
            sides.append(objective.evaluate(moved).value)
        assert point.gradient[k] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
def test_the_likelihood_is_that_of_dense_matrices(formula: str) -> None:
    """Laplace's method at the mode that was found, by NumPy: value, stationarity and curvature."""
    model = model_of(formula)
    design, arrangement = model.design, model.arrangement
    objective = Objective(model, laplace_likelihood(arrangement), penalised=False)
    psi = np.random.default_rng(3).normal(0.5, 0.3, len(objective))
    value = objective.evaluate(psi).value
    phi, u = psi[-1] ** -2, objective.modes()
    A = np.zeros((design.n_rows, len(u)))
    for group, at, L in zip(design.groups, arrangement.positions, objective.cholesky(psi), strict=True):
        for i, level in enumerate(group.index):
            A[i, at[level]] += group.Z[i] @ L
    y, m = design.outcome.y, design.outcome.trials

    def row_values(eta: FloatArray) -> FloatArray:
        a, b = phi * expit(eta), phi * expit(-eta)
        values: FloatArray = betaln(a + y, b + m - y) - betaln(a, b)
        return values

    eta, step = design.X @ psi[: objective.p] + A @ u, 1e-4
    slope = (row_values(eta + step) - row_values(eta - step)) / (2 * step)
    curvature = (row_values(eta + step) - 2 * row_values(eta) + row_values(eta - step)) / step**2
    H = np.eye(len(u)) - A.T @ (curvature[:, None] * A)
    assert np.abs(A.T @ slope - u).max() < 1e-6
    expected = np.sum(betabinom.logpmf(y, m, phi * expit(eta), phi * expit(-eta))) - u @ u / 2
    assert value == pytest.approx(expected - np.linalg.slogdet(H)[1] / 2, abs=1e-5)


def test_clusters_are_integrated_as_by_brute_force() -> None:
    """Clusters with many trials, for which Laplace's method is nearly exact."""
    table = pd.DataFrame({"y": [310, 420, 260, 450], "m": [900, 1000, 800, 700], "g": ["a", "a", "a", "b"]})
    model = hl.Model("p(y, m) ~ 1 + (1 | g)", table, family="betabinomial")
    objective = Objective(model, laplace_likelihood(model.arrangement), penalised=False)
    intercept, sd, phi = -0.4, 0.3, 20000.0
    u = np.linspace(-9, 9, 4001)
    p = expit(intercept + sd * u)[:, None]
    logs = np.asarray(betabinom.logpmf(table["y"].to_numpy(), table["m"].to_numpy(), phi * p, phi * (1 - p)))
    exact, step = 0.0, float(u[1] - u[0])
    for of_cluster in (logs[:, :3].sum(axis=1), logs[:, 3]):
        top = of_cluster.max()
        exact += top + np.log(np.exp(of_cluster - top - u**2 / 2).sum() * step / np.sqrt(2 * np.pi))
    assert objective.evaluate(np.array([intercept, sd, phi**-0.5])).value == pytest.approx(exact, abs=2e-3)


def test_the_mode_is_found_where_the_density_is_not_log_concave() -> None:
    """All of a cluster's trials succeed where none is expected: the curvature at the start has the wrong sign."""
    table = pd.DataFrame({"y": [30, 30, 0, 0], "m": 30, "g": ["a", "a", "b", "b"]})
    model = hl.Model("p(y, m) ~ 1 + (1 | g)", table, family="betabinomial")
    likelihood = laplace_likelihood(model.arrangement)
    objective = Objective(model, likelihood, penalised=False)
    point = objective.evaluate(np.array([-9.0, 4.0, 1.5]))
    assert point.converged
    assert np.isfinite(point.value)
    assert np.all(np.isfinite(point.gradient))


def test_estimates_are_near_the_truth_and_consistent(fit: Fit[Model]) -> None:
    estimate = fit.estimate
    assert estimate is not None
    assert estimate.phi is not None
    assert abs(np.log(estimate.phi / 4.0)) < 3 * estimate.phi_se / estimate.phi
    assert estimate.n_parameters == 4
    assert len(estimate.covariance) == 4
    at = hl.summary(fit, ci_prob=0.95).loc["phi"]
    assert at["component"] == "phi"
    assert at["estimate"] == estimate.phi
    assert at["se"] == estimate.phi_se
    assert at["wald95_lb"] < estimate.phi < at["wald95_ub"]
    assert np.log(at["wald95_lb"] * at["wald95_ub"]) == pytest.approx(2 * np.log(estimate.phi))


def test_the_profile_of_phi_is_that_of_refits(model: Model, fit: Fit[Model]) -> None:
    assert fit.estimate is not None
    table = hl.summary(fit, interval="profile", ci_prob=0.95, progress=False)
    objective = Objective(model, laplace_likelihood(model.arrangement), penalised=False)
    from hierlogit.engines.maximum.optimizer import climb
    from hierlogit.engines.maximum.starting_values import directions

    for end in ("profile95_lb", "profile95_ub"):
        psi = objective.at(fit.estimate)
        psi[-1] = table[end].to_numpy()[-1] ** -0.5
        start = objective.evaluate(psi)
        scale = directions(objective, start)[:, :-1]
        lost = fit.estimate.log_likelihood - climb(objective, start, scale).value
        assert lost == pytest.approx(1.920729, abs=2e-3)


def test_draws_have_the_spread_of_the_estimate(fit: Fit[Model]) -> None:
    estimate = fit.estimate
    assert estimate is not None
    assert estimate.phi is not None
    logs = np.log(fit.posterior["phi"].to_numpy())
    assert logs.mean() == pytest.approx(np.log(estimate.phi), abs=4 * logs.std() / np.sqrt(logs.size))
    assert logs.std() == pytest.approx(estimate.phi_se / estimate.phi, rel=0.15)
    assert fit.diagnostics.measures["pareto_k"] < 0.7


def test_the_log_likelihood_of_draws_is_that_of_scipy(model: Model, fit: Fit[Model]) -> None:
    few = {"chain": 0, "draw": slice(0, 5)}
    design, posterior = model.design, fit.posterior.isel(few)
    effects = posterior["b_g"].to_numpy()[:, design.groups[0].index, 0]
    p = expit(posterior["beta"].to_numpy() @ design.X.T + effects)
    phi = posterior["phi"].to_numpy()[:, None]
    expected = betabinom.logpmf(design.outcome.y, design.outcome.trials, phi * p, phi * (1 - p))
    found = fit.data["log_likelihood"]["y"].isel(few)
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-9, atol=1e-9)


def test_counts_that_vary_less_than_binomial_ones_are_estimated_as_binomial() -> None:
    table = rows(np.inf)
    eta = -0.5 + 0.6 * table["x"] + 0.2 * (table["g"] % 3)
    table["y"] = np.round(table["m"] * expit(eta)).astype(int)
    fits = [
        hl.Model(FORMULAS["intercepts"], table, family=family).fit("laplace") for family in ("binomial", "betabinomial")
    ]
    plain, other = (one.estimate for one in fits)
    assert plain is not None
    assert other is not None
    assert other.phi == np.inf
    assert "phi = infinity" in other.boundary
    assert np.isnan(other.phi_se)
    assert "not_overdispersed" in {finding.code for finding in fits[1].diagnostics.findings}
    assert other.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.beta, plain.beta, rtol=1e-5, atol=1e-6)
    assert np.all(np.isinf(fits[1].posterior["phi"]))
    np.testing.assert_allclose(hl.summary(fits[1], interval="profile", progress=False).loc["phi"].iloc[-4], np.inf)


def test_the_trials_of_a_row_are_not_independent(model: Model) -> None:
    within = [hl.Model(FORMULAS["intercepts"], rows(4.0), family=family).fit("laplace") for family in FAMILIES]
    of_binomial, of_beta_binomial = (one.estimate for one in within)
    assert of_binomial is not None
    assert of_beta_binomial is not None
    design = model.design
    assert of_binomial.df.tolist() == [11, design.outcome.trials.sum() - 12 - 1]
    assert of_beta_binomial.df.tolist() == [11, design.n_rows - 12 - 1]


def test_map_is_pulled_to_the_prior_of_phi() -> None:
    priors = {"phi": hl.priors.LogNormal(np.log(50.0), 0.05)}
    fit = hl.Model(FORMULAS["intercepts"], rows(4.0), family="betabinomial", priors=priors).fit("map")
    assert fit.estimate is not None
    assert fit.estimate.phi == pytest.approx(50.0, rel=0.1)
    assert "phi" in fit.data["log_prior"]


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("no effects", hl.priors.Gamma(2, 0.1)),
        ("correlated", hl.priors.HalfNormal(20)),
        ("nested", hl.priors.LogNormal(2, 1)),
    ],
)
def test_the_sampled_density_is_that_of_the_graph(name: str, prior: hl.priors.Prior) -> None:
    model = hl.Model(FORMULAS[name], rows(4.0), family="betabinomial", priors={"phi": prior})
    assert hl.check_density(model, points=3).agrees


def test_nuts_agrees_with_the_posterior_mode(model: Model, tmp_path: Path) -> None:
    fit = model.fit(hl.NUTS(draws=500, chains=2, seed=3, progress=False, store=tmp_path / "run"))
    mode = model.fit("map").estimate
    assert mode is not None
    assert mode.phi is not None
    assert fit.diagnostics.status == "converged"
    logs = np.log(fit.posterior["phi"].to_numpy())
    assert abs(logs.mean() - np.log(mode.phi)) < 2 * logs.std()
    assert list(fit.posterior.data_vars) == ["beta", "sd_g", "phi", "b_g"]
    assert hl.summary(fit).loc["phi", "component"] == "phi"
    recovered = hl.recover(tmp_path / "run")
    assert recovered.model.family == "betabinomial"
    np.testing.assert_array_equal(recovered.posterior["phi"], fit.posterior["phi"])


def test_a_fit_is_saved_with_its_family(fit: Fit[Model], tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.nc")
    again = hl.load(tmp_path / "fit.nc")
    assert again.model.family == "betabinomial"
    assert again.model.priors == fit.model.priors
    assert again.estimate is not None
    assert fit.estimate is not None
    assert again.estimate.phi == fit.estimate.phi
    np.testing.assert_array_equal(again.posterior["phi"], fit.posterior["phi"])
    assert pickle.loads(pickle.dumps(fit.model)).family == "betabinomial"


def test_the_prior_of_phi_is_shown_and_replaced(model: Model) -> None:
    assert "correlation within rows 0.048 (90 % in 0.0019 to 0.57)" in repr(model).replace("\n" + 42 * " ", " ")
    changed = model.with_priors({"phi": hl.priors.Exponential(0.1)})
    assert changed.priors.phi == hl.priors.Exponential(0.1)
    assert changed.family == "betabinomial"
    assert [one.name for one in model_variables(model)] == [
        "slopes_scaled",
        "intercept_at_means",
        "beta",
        "sd_g",
        "u_g",
        "b_g",
        "phi",
        "y",
    ]


BINARY = {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
SINGLE = {"y": [0, 1, 1, 0], "m": [1, 1, 1, 1], "g": ["a", "a", "b", "b"]}
COUNTS = {"y": [0, 2, 1, 3], "m": [4, 4, 4, 4], "g": ["a", "a", "b", "b"], "phi": [1.0, 2.0, 4.0, 3.0]}


@pytest.mark.parametrize(
    ("formula", "data", "options", "error", "said"),
    [
        ("y ~ x", BINARY, {}, hl.errors.DesignError, "'y' is binary, and a single trial cannot vary more"),
        ("p(y, m) ~ 1", SINGLE, {}, hl.errors.DesignError, "no row has more than one trial"),
        ("p(y, m) ~ phi", COUNTS, {}, hl.errors.DesignError, "'phi' is the name of the precision"),
        (
            "p(y, m) ~ 1",
            COUNTS,
            {"family": "poisson"},
            hl.errors.DesignError,
            "family='poisson' is not allowed",
        ),
        ("p(y, m) ~ 1", COUNTS, {"family": 3}, hl.errors.DesignError, "family=3 is not allowed"),
        (
            "p(y, m) ~ 1",
            COUNTS,
            {"priors": {"phi": hl.priors.Normal(0, 1)}},
            hl.errors.PriorError,
            "prior of 'phi': Normal",
        ),
        (
            "p(y, m) ~ 1",
            COUNTS,
            {"family": "binomial", "priors": {"phi": hl.priors.Exponential(1)}},
            hl.errors.PriorError,
            "the model has no parameter 'phi'",
        ),
    ],
)
def test_what_a_family_does_not_allow_is_refused(
    formula: str, data: Mapping[str, object], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        hl.Model(formula, data, **{"family": "betabinomial", **options})


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (hl.AGQ(), "quadrature is for binomial outcomes"),
        (hl.Laplace(restricted=True), "the restricted likelihood is for binomial outcomes"),
        (hl.ImportanceSampling(), "importance sampling integrates the effects out by quadrature"),
        (hl.NUTS(effects="integrated"), "effects='integrated' is for binomial outcomes"),
    ],
)
def test_engines_without_the_family_say_so(model: Model, engine: Engine, said: str) -> None:
    with pytest.raises(hl.errors.EngineError, match=said):
        model.fit(engine)


def test_marginal_likelihoods_are_refused(model: Model) -> None:
    with pytest.raises(hl.errors.EngineError, match="are for binomial outcomes"):
        hl.evidence(model)


@pytest.mark.parametrize(("seed", "unbounded"), [(25, True), (47, False)])
def test_an_interval_of_phi_without_an_upper_end_is_a_finding(seed: int, unbounded: bool) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"m": 6, "x": rng.normal(size=30)})
    fit = hl.Model("p(y, m) ~ x", table.assign(y=rng.binomial(6, expit(table["x"]))), family="betabinomial").fit(
        "laplace"
    )
    evidence = [one.evidence for one in fit.diagnostics.findings if one.code == "unbounded_interval"]
    assert np.isinf(hl.summary(fit)["wald89_ub"]["phi"]) == unbounded == bool(evidence)
    assert not unbounded or "The standard error of 'phi' is more than 2.5 times the estimate" in evidence[0]
