"""Quadrature of two nested factors: against fine integration, against differences, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.density.marginal.inner_quadrature import inner_modes
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.density.marginal.nested_gauss_hermite import KEPT, NestedQuadratureLikelihood
from hierlogit.design.arrangement import Arrangement, arrange
from hierlogit.errors import EngineError

BETA = np.array([-0.4, 0.7])


def rows(outer: int, inner: int, size: int, seed: int = 8) -> pd.DataFrame:
    """Rows of pupils in rooms in schools; rooms are numbered anew in every school, and some have few rows."""
    rng = np.random.default_rng(seed)
    school, room = rng.integers(0, outer, size), rng.integers(0, inner, size)
    x, z = rng.normal(size=(2, size))
    eta = BETA[0] + BETA[1] * x + rng.normal(0, 0.9, outer)[school] + rng.normal(0, 1.8, (outer, inner))[school, room]
    y = (rng.uniform(size=size) < 1 / (1 + np.exp(-eta))).astype(int)
    trials = rng.integers(1, 9, size)
    successes = rng.binomial(trials, 1 / (1 + np.exp(-eta)))
    names = {"school": [f"s{k}" for k in school], "room": [f"r{k}" for k in room]}
    return pd.DataFrame({"y": y, "successes": successes, "trials": trials, "x": x, "z": z, **names})


def arranged(formula: str, data: pd.DataFrame) -> Arrangement:
    return arrange(hl.Model(formula, data).design)


def fine_log_likelihood(data: pd.DataFrame, beta: np.ndarray, inner: float, outer: float, h: float = 0.05) -> float:
    """Log-likelihood of ``y ~ x + (inner | school:room) + (outer | school)`` by the trapezoid rule.

    The columns ``inner`` and ``outer`` of the data multiply the effects.
    """
    grid = np.arange(-9.0, 9.0 + h / 2, h)
    log_normal = np.log(h) - 0.5 * grid**2 - 0.5 * np.log(2 * np.pi)
    total = 0.0
    for _, school in data.groupby("school"):
        logs = log_normal.copy()
        for _, room in school.groupby("room"):
            own = np.zeros((len(grid), len(grid)))
            for row in room.itertuples():
                eta = beta[0] + beta[1] * row.x + outer * row.outer * grid[:, None] + inner * row.inner * grid
                own += row.y * eta - row.m * np.logaddexp(0.0, eta)
            logs += np.logaddexp.reduce(own + log_normal, axis=1)
        total += np.logaddexp.reduce(logs)
    return total


@pytest.mark.parametrize("offset", [-6.0, 0.0, 6.0])
def test_inner_modes_are_found_from_any_start(offset: float) -> None:
    """Rows that all have the same outcome, far from what their linear predictors say: Newton's steps are too long."""
    y, trials, eta, outer = np.ones(2), np.ones(2), np.array([-1.8, -1.7]) + offset, np.array([1.1, 1.1])
    inner, v = np.full(2, 3.1), np.linspace(-3, 3, 7)
    for start in (0.0, 2.0, 7.0):
        mode = np.full(len(v), start)
        assert inner_modes(y, trials, eta, inner, outer, v, mode, np.empty(4 * len(v)))
        x = eta[:, None] + outer[:, None] * v + inner[:, None] * mode
        gradient = (inner[:, None] * (1 - 1 / (1 + np.exp(-x)))).sum(axis=0) - mode
        np.testing.assert_allclose(gradient, 0.0, atol=1e-8)


def evaluated(
    formula: str, data: pd.DataFrame, nodes: int, inner: float, outer: float
) -> tuple[float, NestedQuadratureLikelihood]:
    arrangement = arranged(formula, data)
    likelihood = NestedQuadratureLikelihood(arrangement, nodes)
    found = likelihood.evaluate(arrangement.triangular @ BETA, np.array([inner, outer]))
    assert found.converged
    return found.value, likelihood


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ x + (1 | school/room)", {"inner": 1.0, "outer": 1.0}),
        ("y ~ x + (0 + z | school/room)", {"inner": "z", "outer": "z"}),
        ("y ~ x + (1 | school) + (0 + z | school:room)", {"inner": "z", "outer": 1.0}),
    ],
)
def test_value_is_that_of_fine_integration(formula: str, columns: dict[str, Any]) -> None:
    data = rows(4, 5, 40).assign(m=1)
    data = data.assign(
        **{name: data[column] if isinstance(column, str) else column for name, column in columns.items()}
    )
    expected = fine_log_likelihood(data, BETA, 1.8, 0.9)
    # Where a column takes values of two or three, effects are as steep as with an sd of five: these need more nodes.
    assert evaluated(formula, data, 81, 1.8, 0.9)[0] == pytest.approx(expected, abs=1e-7)
    assert evaluated(formula, data, 11, 1.8, 0.9)[0] == pytest.approx(expected, abs=3e-3)


def test_counts_of_successes() -> None:
    from scipy.stats import binom

    data = rows(4, 5, 40)
    value, _ = evaluated("prop(successes, trials) ~ x + (1 | school/room)", data, 25, 1.3, 0.9)
    bare = data.assign(y=data["successes"], m=data["trials"], inner=1.0, outer=1.0)
    coefficients = binom.logpmf(bare["y"], bare["m"], 0.5).sum() + bare["m"].sum() * np.log(2)
    assert value == pytest.approx(fine_log_likelihood(bare, BETA, 1.3, 0.9) + coefficients, abs=1e-6)


def test_levels_of_many_rows() -> None:
    # So many that not all outer nodes of a level are handled at once; rows that hardly differ are as good as counts.
    nodes = 15
    data = rows(2, 2, 6 * KEPT // nodes**2)
    counted = data.assign(x=data["x"].round())
    apart = counted.assign(x=counted["x"] + 1e-12 * np.arange(len(data)))
    value, likelihood = evaluated("y ~ x + (1 | school/room)", apart, nodes, 1.8, 0.9)
    assert np.diff(likelihood.arrangement.row_index.row_start).min() * nodes**2 > KEPT
    expected, few = evaluated("y ~ x + (1 | school/room)", counted, nodes, 1.8, 0.9)
    assert len(few.arrangement.row_index.y) < 100
    assert value == pytest.approx(expected, rel=1e-10)
    point = likelihood.arrangement.triangular @ BETA, np.array([1.8, 0.9])
    slopes = [one.arrangement.triangular.T @ one.evaluate(*point).dgamma for one in (likelihood, few)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-7)


@pytest.mark.filterwarnings("ignore:'school' and 'school.room' are the same 12 clusters:hierlogit.errors.DataWarning")
def test_each_outer_level_with_one_inner_level() -> None:
    # The design's first factor is eliminated, which is the outer one here: integrals may be taken in either order.
    data = rows(12, 1, 40).assign(m=1, inner=1.0, outer=1.0)
    value, likelihood = evaluated("y ~ x + (1 | school) + (1 | school:room)", data, 35, 0.9, 1.8)
    assert likelihood.arrangement.factors == (0, 1)
    assert value == pytest.approx(fine_log_likelihood(data, BETA, 1.8, 0.9), abs=1e-6)


@pytest.mark.parametrize("nodes", [1, 2, 5, 8, 15])
@pytest.mark.parametrize(
    ("formula", "cholesky"),
    [
        ("y ~ x + (1 | school/room)", (1.8, 0.9)),
        ("y ~ x + (1 | school/room)", (-6.0, 3.0)),
        ("y ~ x + (1 | school/room)", (0.0, 0.7)),
        ("y ~ x + (1 | school/room)", (0.7, 0.0)),
        ("y ~ x + (0 + z | school/room)", (1.8, -0.9)),
        ("y ~ x + (1 | school) + (0 + z | school:room)", (1.8, 0.9)),
        ("prop(successes, trials) ~ x + (1 | school/room)", (1.8, 0.9)),
    ],
)
def test_gradient_is_that_of_the_value(formula: str, cholesky: tuple[float, float], nodes: int) -> None:
    arrangement = arranged(formula, rows(6, 5, 90))
    likelihood = NestedQuadratureLikelihood(arrangement, nodes)
    start = np.array([*arrangement.triangular @ BETA, *cholesky])

    def value(psi: np.ndarray) -> float:
        return likelihood.evaluate(psi[:2], psi[2:]).value

    expected = np.empty(4)
    for k, step in enumerate(1e-3 * np.eye(4)):
        near, far = value(start + step) - value(start - step), value(start + 2 * step) - value(start - 2 * step)
        expected[k] = (8 * near - far) / 12e-3
    found = likelihood.evaluate(start[:2], start[2:])
    gradient = np.array([*found.dgamma, *found.dcholesky])
    assert found.converged
    assert gradient == pytest.approx(expected, abs=1e-7 * np.abs(expected).max())


def test_one_node_is_laplace() -> None:
    arrangement = arranged("y ~ x + (1 | school/room)", rows(6, 5, 90))
    point = arrangement.triangular @ BETA, np.array([1.8, 0.9])
    one = NestedQuadratureLikelihood(arrangement, 1).evaluate(*point)
    laplace = LaplaceLikelihood(arrangement).evaluate(*point)
    assert one.value == pytest.approx(laplace.value, rel=1e-10)
    assert one.dgamma == pytest.approx(laplace.dgamma, abs=1e-9)
    assert one.dcholesky == pytest.approx(laplace.dcholesky, abs=1e-9)


def test_modes_and_variances_are_those_of_laplace() -> None:
    arrangement = arranged("y ~ x + (1 | school/room)", rows(6, 5, 90))
    point = arrangement.triangular @ BETA, np.array([1.8, 0.9])
    likelihood, laplace = NestedQuadratureLikelihood(arrangement, 9), LaplaceLikelihood(arrangement)
    likelihood.evaluate(*point)
    laplace.evaluate(*point)
    for name in (
        "u",
        "weight",
        "residual",
        "inverse_first",
        "inverse_other",
        "inverse_pair",
        "schur",
        "cholesky_first",
    ):
        assert getattr(likelihood.work, name) == pytest.approx(getattr(laplace.work, name), abs=1e-12), name


def test_values_of_outer_levels_add_up() -> None:
    value, likelihood = evaluated("y ~ x + (1 | school/room)", rows(6, 5, 90), 9, 1.8, 0.9)
    assert len(likelihood.values) == 6
    assert likelihood.values.sum() == pytest.approx(value, rel=1e-12)


def test_order_of_rows_does_not_matter() -> None:
    data = rows(6, 5, 90)
    shuffled = data.sample(frac=1, random_state=4)
    formula = "y ~ x + (1 | school/room)"
    value, _ = evaluated(formula, shuffled, 9, 1.8, 0.9)
    assert value == pytest.approx(evaluated(formula, data, 9, 1.8, 0.9)[0], rel=1e-13)


def test_without_spread_it_is_the_plain_log_likelihood() -> None:
    data = rows(6, 5, 90)
    eta = BETA[0] + BETA[1] * data["x"]
    expected = (data["y"] * eta - np.logaddexp(0.0, eta)).sum()
    assert evaluated("y ~ x + (1 | school/room)", data, 9, 0.0, 0.0)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cholesky", [(1e3, 1.0), (1.0, 1e3), (300.0, 300.0), (1e-9, 1e-9)])
def test_modes_are_found_far_away(cholesky: tuple[float, float]) -> None:
    value, _ = evaluated("y ~ x + (1 | school/room)", rows(6, 5, 90), 9, *cholesky)
    assert np.isfinite(value)


@pytest.mark.parametrize("name", ["guimmun_nested", "guimmun_null"])
def test_agrees_with_exact_maximum_likelihood(name: str, reference: dict[str, Any]) -> None:
    exact = reference["exact_ml"][name]
    model = hl.Model(reference["models"][name]["python_formula"], hl.datasets.load("guimmun"))
    arrangement = arrange(model.design)
    beta = np.array([exact["fixef"][label]["estimate"] for label in model.design.fixed_effects])
    cholesky = np.array([exact["sd"]["inner"], exact["sd"]["outer"]])
    values = {
        nodes: NestedQuadratureLikelihood(arrangement, nodes).evaluate(arrangement.triangular @ beta, cholesky)
        for nodes in (9, 17, 25, 35)
    }
    errors = {nodes: abs(found.value - exact["logLik"]) for nodes, found in values.items()}
    assert errors[9] < 2e-2
    assert errors[17] < 1e-3
    assert errors[25] < 1e-4
    # The reference is rounded to six decimals.
    assert errors[35] < 2e-6
    # The estimates are the maximum: in units of one standard error nothing changes.
    slope = arrangement.triangular.T @ values[35].dgamma
    units = np.array([exact["fixef"][label]["se"] for label in model.design.fixed_effects])
    assert np.abs(slope * units).max() < 1e-5


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("y ~ x", "number of grouping factors here is 1"),
        ("y ~ x + (1 | school)", "number of grouping factors here is 1"),
        ("y ~ x + (1 | school/room/x)", "number of grouping factors here is 3"),
        ("y ~ x + (1 + z | school) + (1 | school:room)", "they have 2 and 1"),
        ("y ~ x + (1 | school) + (1 | room)", "share rows with several of the other"),
    ],
)
def test_refuses_what_is_not_two_nested_factors(formula: str, text: str) -> None:
    data = rows(6, 5, 90)
    with pytest.raises(EngineError, match=text):
        NestedQuadratureLikelihood(
            arranged(formula, data.assign(x=data["x"].round() if "/x" in formula else data["x"])), 9
        )
