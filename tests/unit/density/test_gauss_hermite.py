"""Adaptive quadrature and Laplace's method against integration by brute force."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import integrate
from scipy.special import expit, gamma

import hierlogit as hl
from hierlogit.binomial import log_binomial_coefficient, log_likelihood
from hierlogit.density.marginal.gauss_hermite import QuadratureLikelihood, grid
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.design.arrangement import Arrangement, arrange
from hierlogit.design.design import Design

BETA = np.array([-0.4, 0.7])


def rows(clusters: int, size: int, trials: int = 1, seed: int = 6) -> pd.DataFrame:
    """Rows of clusters, each with as many rows as the others."""
    rng = np.random.default_rng(seed)
    n = clusters * size
    x, z = rng.normal(size=(2, n))
    g = np.arange(n) % clusters
    eta = BETA[0] + BETA[1] * x + rng.normal(0, 1.2, clusters)[g] + rng.normal(0, 0.6, clusters)[g] * x
    m = np.full(n, trials) if trials == 1 else rng.integers(1, 2 * trials, n)
    frame = pd.DataFrame({"y": rng.binomial(m, expit(eta)), "m": m, "x": x, "z": z, "g": g})
    return frame.sample(frac=1, random_state=seed)


def designed(random: str, data: pd.DataFrame) -> tuple[Design, Arrangement]:
    left = "y" if (data["m"] == 1).all() else "prop(y, m)"
    design = hl.Model(f"{left} ~ x + {random}", data).design
    return design, arrange(design)


def evaluated(arrangement: Arrangement, L: np.ndarray, nodes: int) -> float:
    found = QuadratureLikelihood(arrangement, nodes).evaluate(arrangement.triangular @ BETA, L.ravel())
    assert found.converged
    return found.value


def laplace(arrangement: Arrangement, L: np.ndarray) -> float:
    return LaplaceLikelihood(arrangement).evaluate(arrangement.triangular @ BETA, L.ravel()).value


def integrands(design: Design, L: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Log joint density of each cluster's outcomes and its standardised effects, of shape (q, ...)."""
    (group,) = design.groups
    y, trials = design.outcome.y, design.outcome.trials
    fixed = design.offset + design.X @ BETA

    def of(level: int) -> Callable[[np.ndarray], np.ndarray]:
        own = group.index == level

        def joint(u: np.ndarray) -> np.ndarray:
            eta = fixed[own] + np.einsum("na,ab,b...->...n", group.Z[own], L, u)
            normal = -0.5 * (u**2).sum(axis=0) - 0.5 * len(u) * np.log(2 * np.pi)
            return log_likelihood(y[own], trials[own], eta).sum(axis=-1) + normal

        return joint

    return [of(level) for level in range(len(group.levels))]


def integral(joint: Callable[[np.ndarray], np.ndarray]) -> float:
    """Logarithm of the integral over one effect by SciPy's adaptive integration."""
    axis = np.linspace(-12, 12, 4001)
    logs = joint(axis[None])
    peak, top = float(axis[logs.argmax()]), float(logs.max())
    value, _ = integrate.quad(
        lambda u: float(np.exp(joint(np.array([u])) - top)),
        -12,
        12,
        points=[peak - 0.5, peak, peak + 0.5],
        epsabs=0,
        epsrel=1e-11,
        limit=200,
    )
    return top + float(np.log(value))


def by_quad(design: Design, L: np.ndarray) -> float:
    """Log-likelihood of a model of one effect."""
    return sum(integral(joint) for joint in integrands(design, L))


def by_trapezoid(design: Design, L: np.ndarray, h: float = 0.08, reach: float = 8.0) -> float:
    """Log-likelihood by the trapezoid rule on a grid, which is exact to rounding for smooth integrands like these."""
    axis = np.arange(-reach, reach + h / 2, h)
    q = len(L)
    u = np.stack(np.meshgrid(*[axis] * q, indexing="ij"))
    return sum(float(np.logaddexp.reduce(joint(u), axis=None)) + q * np.log(h) for joint in integrands(design, L))


# ---- the rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 8, 15])
def test_nodes_integrate_polynomials(nodes: int) -> None:
    v, log_weights = grid(nodes, 1)
    omega = np.exp(log_weights - v[0] ** 2)
    for degree in range(2 * nodes):
        # The integral of v^d exp(-v^2) is Gamma((d + 1) / 2) for even d.
        exact = float(gamma((degree + 1) / 2)) if degree % 2 == 0 else 0.0
        size = omega @ np.abs(v[0]) ** degree
        assert omega @ v[0] ** degree == pytest.approx(exact, rel=1e-11, abs=1e-12 * size)
    # Of the first power that is too high, the rule misses the square of a Hermite polynomial.
    missed = float(gamma(nodes + 1)) * np.sqrt(np.pi) / 2**nodes
    assert gamma(nodes + 0.5) - omega @ v[0] ** (2 * nodes) == pytest.approx(missed, rel=1e-6)


@pytest.mark.parametrize(("nodes", "dimensions"), [(1, 3), (2, 2), (4, 2), (3, 3)])
def test_a_product_rule_integrates_products_of_polynomials(nodes: int, dimensions: int) -> None:
    v, log_weights = grid(nodes, dimensions)
    assert v.shape == (dimensions, nodes**dimensions)
    assert len({tuple(point) for point in v.T}) == nodes**dimensions
    omega = np.exp(log_weights - (v**2).sum(axis=0))
    moments = [np.sqrt(np.pi), 0.0, np.sqrt(np.pi) / 2, 0.0, 0.75 * np.sqrt(np.pi), 0.0]
    for degrees in product(range(min(2 * nodes, 6)), repeat=dimensions):
        exact = np.prod([moments[degree] for degree in degrees])
        assert omega @ np.prod(v ** np.array(degrees)[:, None], axis=0) == pytest.approx(exact, rel=1e-12, abs=1e-12)


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [1, 5])
@pytest.mark.parametrize(
    ("random", "sd"), [("(1 | g)", 0.7), ("(1 | g)", 1.6), ("(1 | g)", -1.6), ("(0 + x | g)", 1.1)]
)
def test_one_effect_against_adaptive_integration(random: str, sd: float, trials: int) -> None:
    design, arrangement = designed(random, rows(5, 6, trials))
    L = np.array([[sd]])
    assert evaluated(arrangement, L, 35) == pytest.approx(by_quad(design, L), abs=1e-8)


@pytest.mark.parametrize("trials", [1, 5])
@pytest.mark.parametrize("L", [[[0.9, 0.0], [-0.3, 0.5]], [[1.2, 0.0], [0.8, -0.7]], [[0.8, 0.0], [0.5, 0.0]]])
def test_two_effects_against_a_fine_grid(L: list[list[float]], trials: int) -> None:
    design, arrangement = designed("(1 + x | g)", rows(4, 7, trials))
    L = np.array(L)
    assert evaluated(arrangement, L, 31) == pytest.approx(by_trapezoid(design, L), abs=1e-8)


@pytest.mark.filterwarnings(r"ignore:\d non-events for 1 coefficient:hierlogit.errors.DataWarning")
@pytest.mark.filterwarnings("ignore:3 correlated effects of 'g':hierlogit.errors.DataWarning")
def test_three_effects_against_a_grid() -> None:
    design, arrangement = designed("(1 + x + z | g)", rows(2, 8))
    L = np.array([[0.8, 0.0, 0.0], [-0.3, 0.5, 0.0], [0.2, 0.4, 0.6]])
    assert evaluated(arrangement, L, 15) == pytest.approx(by_trapezoid(design, L, 0.25, 7.0), abs=1e-6)


def test_more_nodes_are_nearer() -> None:
    design, arrangement = designed("(1 | g)", rows(12, 3))
    L = np.array([[2.0]])
    exact = by_quad(design, L)
    errors = [abs(evaluated(arrangement, L, nodes) - exact) for nodes in (1, 3, 7, 15, 31)]
    assert np.all(np.diff(np.log(errors)) < -0.7)


def test_values_by_level_add_up() -> None:
    design, arrangement = designed("(1 | g)", rows(5, 6, 4))
    likelihood = QuadratureLikelihood(arrangement, 35)
    value = likelihood.evaluate(arrangement.triangular @ BETA, np.array([1.1])).value
    own = [
        float(np.log(integrate.quad(lambda u, f=f: np.exp(f(np.array([u]))), -9, 9)[0]))
        for f in integrands(design, np.array([[1.1]]))
    ]
    assert likelihood.values.sum() + arrangement.log_coefficients == pytest.approx(value, rel=1e-13)
    # Levels keep their order, since there is one factor; coefficients are no part of their values.
    y, m = design.outcome.y, design.outcome.trials
    coefficients = np.bincount(design.groups[0].index, log_binomial_coefficient(y, m))
    assert likelihood.values == pytest.approx(own - coefficients, abs=1e-8)


# ---- Laplace's method --------------------------------------------------------------------------------------------


def second_order(design: Design, arrangement: Arrangement, sd: float) -> float:
    """What Laplace's method leaves out, to second order: f4 / (8 h^2) + 5 f3^2 / (24 h^3) of each cluster.

    Tierney and Kadane (1986), Journal of the American Statistical Association 81: 82-86.
    """
    likelihood = LaplaceLikelihood(arrangement)
    likelihood.evaluate(arrangement.triangular @ BETA, np.array([sd]))
    (group,), (positions,) = design.groups, arrangement.positions
    u = likelihood.work.u[positions[group.index, 0]]
    p = expit(design.offset + design.X @ BETA + sd * u * group.Z[:, 0])
    w = design.outcome.trials * p * (1 - p)
    scale = sd * group.Z[:, 0]
    h = 1 + np.bincount(group.index, scale**2 * w)
    third = -np.bincount(group.index, scale**3 * w * (1 - 2 * p))
    fourth = -np.bincount(group.index, scale**4 * w * (1 - 6 * p * (1 - p)))
    return float((fourth / (8 * h**2) + 5 * third**2 / (24 * h**3)).sum())


@pytest.mark.parametrize("random", ["(1 | g)", "(0 + x | g)"])
def test_laplace_is_near_where_clusters_are_large(random: str) -> None:
    design, arrangement = designed(random, rows(5, 80, 5))
    L = np.array([[1.1]])
    error = by_quad(design, L) - laplace(arrangement, L)
    assert 0 < abs(error) < 2e-2
    assert error == pytest.approx(second_order(design, arrangement, 1.1), rel=0.05)


def test_laplace_is_off_where_clusters_are_sparse() -> None:
    design, arrangement = designed("(1 | g)", rows(40, 2))
    L = np.array([[2.5]])
    exact = by_quad(design, L)
    assert abs(laplace(arrangement, L) - exact) > 0.5
    assert abs(evaluated(arrangement, L, 25) - exact) < 1e-3


def test_without_spread_no_method_is_needed() -> None:
    design, arrangement = designed("(1 + x | g)", rows(5, 6, 4))
    L = np.zeros((2, 2))
    exact = log_likelihood(design.outcome.y, design.outcome.trials, design.X @ BETA).sum()
    assert laplace(arrangement, L) == pytest.approx(exact, rel=1e-13)
    assert evaluated(arrangement, L, 5) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("sd", [30.0, 1e3, 1e-9])
def test_extreme_spreads_have_a_value(sd: float) -> None:
    _, arrangement = designed("(1 | g)", rows(12, 3))
    assert np.isfinite(evaluated(arrangement, np.array([[sd]]), 9))
    assert np.isfinite(laplace(arrangement, np.array([[sd]])))
