"""The posterior density of parameters alone: its gradient, its constants, and its variables."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.unbounded_variables import UnboundedVariables
from hierlogit.engines.maximum.integrator import likelihood_at
from hierlogit.engines.maximum.marginal_posterior import MarginalPosterior
from hierlogit.errors import EngineError

FORMULAS = {
    "one effect": "y ~ x + (1 | g)",
    "correlated slopes": "y ~ x + (1 + x + w | g)",
    "two sets": "y ~ x + (1 + w | g) + (0 + x | g)",
    "nested": "y ~ x + w + (1 | h/g)",
    "no effects": "y ~ x + w",
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    size = 120
    g = rng.integers(0, 15, size)
    x, w = rng.normal(2.0, 1.5, size), rng.normal(size=size)
    eta = -0.5 + 0.4 * x + rng.normal(0, 0.8, 15)[g] + rng.normal(0, 0.6, 15)[g] * x
    y = (rng.uniform(size=size) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": [f"g{k}" for k in g], "h": [f"h{k // 4}" for k in g]})


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
@pytest.mark.parametrize("sd", [pr.Exponential(1.0), pr.Decov(1.5, 2.0, 0.7), pr.HalfStudentT(4, 1.5)], ids=repr)
def test_gradient_is_that_of_the_density(formula: str, sd: pr.ScalePrior, rows: pd.DataFrame) -> None:
    priors = {} if "(" not in formula else {"sd": sd}
    model = hl.Model(formula, rows, priors=priors)
    posterior = MarginalPosterior(model, nodes=1 if "(" not in formula else 5)
    x, step = 0.4 * np.random.default_rng(2).standard_normal(posterior.n_dim), 1e-5
    differences = [
        (posterior.log_density(x + step * e) - posterior.log_density(x - step * e)) / (2 * step)
        for e in np.eye(posterior.n_dim)
    ]
    np.testing.assert_allclose(posterior.log_density_and_gradient(x)[1], differences, rtol=1e-6, atol=1e-6)


def test_density_is_prior_plus_likelihood_of_the_estimate(rows: pd.DataFrame) -> None:
    model = hl.Model(FORMULAS["one effect"], rows)
    estimate = model.fit("map").estimate
    assert estimate is not None
    posterior = MarginalPosterior(model, nodes=5)
    x = posterior.variables.at(estimate.beta, [estimate.cholesky["g"]])
    np.testing.assert_allclose(posterior.beta(x), estimate.beta)
    np.testing.assert_allclose(posterior.cholesky(x)[0], estimate.cholesky["g"], atol=1e-12)
    likelihood = likelihood_at(model, estimate, nodes=5)
    log_likelihood = likelihood.values.sum() + model.arrangement.log_coefficients
    expected = float(posterior.variables.log_prior(x)) + log_likelihood
    assert posterior.log_density(x) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("sd", [pr.Exponential(0.7), pr.Decov(1.5, 2.0, 0.7), pr.LogNormal(0.2, 0.6)], ids=repr)
@pytest.mark.parametrize(
    ("formula", "ranges"),
    [
        ("y ~ 1 + (1 | g)", [(-14, 14, 801), (-17, 4, 43)]),
        ("y ~ 0 + (1 + x | g)", [(-17, 4, 43), (-17, 4, 43), (-6, 6, 25)]),
    ],
)
def test_prior_integrates_to_one(
    formula: str, ranges: list[tuple[float, float, int]], sd: pr.ScalePrior, rows: pd.DataFrame
) -> None:
    """By the trapezoid rule, whose error is negligible for smooth densities that vanish at both ends."""
    priors = {"sd": sd, "cor": pr.LKJ(1.5)} if "x" in formula else {"sd": sd}
    variables = UnboundedVariables(hl.Model(formula, rows, priors=priors))
    axes = [np.linspace(*one) for one in ranges]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert np.exp(variables.log_prior(mesh)).sum() * cell == pytest.approx(1.0, abs=1e-4)


def test_correlations_have_their_prior(rows: pd.DataFrame) -> None:
    """The density of three correlations is that of LKJ times the determinant of their derivative in the variables."""
    model = hl.Model("y ~ 0 + (1 + x + w | g)", rows, priors={"cor": pr.LKJ(2.5)})
    variables = UnboundedVariables(model)
    pairs = tuple(zip(*combinations(range(3), 2), strict=True))

    def correlations(z: np.ndarray) -> np.ndarray:
        L = variables.cholesky(np.concatenate([np.zeros(3), z]))[0]
        return L @ L.T

    z, step = np.array([0.3, -0.8, 0.5]), 1e-6
    moved = [correlations(z + step * e)[pairs] - correlations(z - step * e)[pairs] for e in np.eye(3)]
    expected = pr.LKJ(2.5).logpdf(correlations(z)) + np.linalg.slogdet(np.array(moved) / (2 * step))[1]
    sds = sum(float(prior.logpdf(1.0)) for prior in model.priors.sd["g"])  # at log sds of zero
    assert float(variables.log_prior(np.concatenate([np.zeros(3), z]))) - sds == pytest.approx(float(expected))


def test_ends_of_the_parameters_have_a_vector(rows: pd.DataFrame) -> None:
    variables = UnboundedVariables(hl.Model("y ~ x + (1 + x | g)", rows))
    x = variables.at(np.zeros(2), [np.array([[0.0, 0.0], [0.5, 0.0]])])
    assert np.all(np.isfinite(x))
    x = variables.at(np.zeros(2), [np.array([[0.7, 0.0], [-0.5, 0.0]])])
    np.testing.assert_allclose(variables.cholesky(x)[0], [[0.7, 0.0], [-0.5, 0.0]], atol=1e-3)


def test_beyond_floats_there_is_no_density(rows: pd.DataFrame) -> None:
    posterior = MarginalPosterior(hl.Model("y ~ x + (1 | g)", rows), nodes=3)
    x = np.array([0.0, 0.0, 800.0])
    value, gradient = posterior.log_density_and_gradient(x)
    assert value == -np.inf
    assert not np.any(gradient)


def test_crossed_factors_are_for_one_node(rows: pd.DataFrame) -> None:
    model = hl.Model("y ~ x + (1 | g) + (1 | k)", rows.assign(k=np.arange(len(rows)) % 7))
    with pytest.raises(EngineError, match="nested factors"):
        MarginalPosterior(model, nodes=5)
    assert np.isfinite(MarginalPosterior(model, nodes=1).log_density(np.zeros(4)))


@pytest.mark.parametrize("formula", [*FORMULAS.values(), "y ~ x + (1 | g) + (1 | k)"])
def test_many_densities_are_those_of_single_vectors(formula: str, rows: pd.DataFrame) -> None:
    model = hl.Model(formula, rows.assign(k=np.arange(len(rows)) % 7))
    posterior = MarginalPosterior(
        model, nodes=1 if formula in (FORMULAS["no effects"], "y ~ x + (1 | g) + (1 | k)") else 6
    )
    x = 0.5 * np.random.default_rng(4).standard_normal((5, posterior.n_dim))
    one_by_one = [posterior.log_density(one) for one in x]
    np.testing.assert_allclose(posterior.log_densities(x), one_by_one, rtol=1e-9)
