"""Draws of random effects given the parameters: against their distribution by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

import hierlogit as hl
from hierlogit.density.marginal.conditional_draws import draw_nested, draw_several, draw_single
from hierlogit.density.marginal.gauss_hermite import grid
from hierlogit.density.marginal.log_concave import MOST_TANGENTS, draw_below_hull, insert_tangent, normal, uniform
from hierlogit.density.marginal.work import make_work

DRAWS = 4000
GRID = np.linspace(-7.0, 7.0, 561)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Levels of few rows with one outcome, and of many trials with both."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(6), [1, 2, 2, 3, 4, 4])
    size = len(g)
    trials = np.where(g < 3, 1, rng.integers(1, 15, size))
    y = np.where(g == 1, 1, np.where(g == 0, 0, rng.binomial(trials, 0.3)))
    frame = pd.DataFrame({"y": y, "m": trials, "x": rng.normal(size=size), "g": g, "h": g // 3})
    return frame.astype({"g": str, "h": str})


def states(seed: int) -> np.ndarray:
    return np.random.SeedSequence(seed).generate_state(DRAWS, np.uint64)[:, None]


def repeated(values: list[float]) -> np.ndarray:
    return np.repeat(np.array(values)[None], DRAWS, axis=0)


def log_likelihood(r: object, eta: np.ndarray) -> np.ndarray:
    return r.y[:, None] * eta - r.trials[:, None] * np.logaddexp(0.0, eta)  # type: ignore[attr-defined]


def p_value(draws: np.ndarray, log_density: np.ndarray) -> float:
    """Of the test of Kolmogorov and Smirnov against a density on `GRID`."""
    density = np.exp(log_density - log_density.max())
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return float(kstest(draws, lambda x: np.interp(x, GRID, cdf / cdf[-1])).pvalue)


@pytest.mark.parametrize("sd", [0.4, 2.5, 9.0])
def test_one_effect_has_its_conditional_distribution(sd: float, rows: pd.DataFrame) -> None:
    r = hl.Model("p(y, m) ~ x + (1 | g)", rows).arrangement.row_index
    gamma, u = [-0.7, 0.5], np.empty((DRAWS, 6))
    draw_single(r, repeated(gamma), repeated([sd]), states(1), u, np.zeros(1, dtype=np.uint64))
    eta = r.offset + r.X @ np.array(gamma)
    for j in range(6):
        at = slice(r.row_start[j], r.row_start[j + 1])
        log_density = log_likelihood(r, eta[:, None] + sd * GRID)[at].sum(axis=0) - 0.5 * GRID**2
        assert p_value(u[:, j], log_density) > 1e-3


def test_slopes_have_their_conditional_distribution(rows: pd.DataFrame) -> None:
    r = hl.Model("p(y, m) ~ x + (1 + x | g)", rows).arrangement.row_index
    work, n = make_work(r), len(r.y)
    gamma, L, u = [-0.7, 0.5], np.array([[1.6, 0.0], [-0.9, 1.2]]), np.empty((DRAWS, 12))
    draw_several(r, work, repeated(gamma), repeated(L.ravel().tolist()), states(2), u, np.zeros(1, dtype=np.uint64))
    eta = r.offset + r.X @ np.array(gamma)
    Z = r.Z.reshape(2, n)
    coarse = GRID[::4]
    first, second = np.meshgrid(coarse, coarse, indexing="ij")
    for j in range(6):
        at = slice(r.row_start[j], r.row_start[j + 1])
        joint = -0.5 * (first**2 + second**2)
        for i in range(at.start, at.stop):
            x = eta[i] + (Z[:, i] @ L)[0] * first + (Z[:, i] @ L)[1] * second
            joint += r.y[i] * x - r.trials[i] * np.logaddexp(0.0, x)
        for a, axis in ((0, 1), (1, 0)):
            marginal = np.logaddexp.reduce(joint, axis=axis)
            assert p_value(u[:, 2 * j + a], np.interp(GRID, coarse, marginal)) > 1e-3


@pytest.mark.parametrize("sds", [(0.8, 0.6), (3.0, 0.3), (0.5, 2.5)])
def test_nested_effects_have_their_conditional_distribution(sds: tuple[float, float], rows: pd.DataFrame) -> None:
    r = hl.Model("p(y, m) ~ x + (1 | h/g)", rows).arrangement.row_index
    gamma, u = [-0.7, 0.5], np.empty((DRAWS, 8))
    points, log_weights = grid(25, 1)
    draw_nested(
        r, repeated(gamma), repeated(list(sds)), np.ascontiguousarray(points[0]), log_weights, states(4), u,
        np.zeros(1, dtype=np.uint64),
    )  # fmt: skip
    eta = r.offset + r.X @ np.array(gamma)
    inner, outer = GRID[::4], GRID
    for part in range(2):
        levels = range(r.part_start[part], r.part_start[part + 1])
        of_levels = []
        for j in levels:
            both = np.repeat(-0.5 * inner[None] ** 2, len(outer), axis=0)
            for i in range(r.row_start[j], r.row_start[j + 1]):
                x = eta[i] + sds[0] * inner + sds[1] * outer[:, None]
                both += r.y[i] * x - r.trials[i] * np.logaddexp(0.0, x)
            of_levels.append(both)
        totals = [np.logaddexp.reduce(both, axis=1) for both in of_levels]
        log_outer = -0.5 * outer**2 + sum(totals)
        assert p_value(u[:, 6 + part], log_outer) > 1e-3
        for j, both, total in zip(levels, of_levels, totals, strict=True):
            given_others = np.logaddexp.reduce(both + (log_outer - total)[:, None], axis=0)
            assert p_value(u[:, j], np.interp(GRID, inner, given_others)) > 1e-3


def test_work_ends_where_it_is_stopped(rows: pd.DataFrame) -> None:
    r = hl.Model("p(y, m) ~ x + (1 | g)", rows).arrangement.row_index
    u = np.full((DRAWS, 6), np.nan)
    draw_single(r, repeated([0.0, 0.0]), repeated([1.0]), states(1), u, np.ones(1, dtype=np.uint64))
    assert np.all(np.isnan(u))


def test_hull_of_two_tangents_gives_a_two_sided_exponential() -> None:
    tangents, state = np.empty((4, MOST_TANGENTS)), np.array([5], dtype=np.uint64)
    count = insert_tangent(*tangents[:3], 0, 1.0, -2.0, -2.0)
    count = insert_tangent(*tangents[:3], count, -1.0, -1.0, 1.0)
    draws = np.array([draw_below_hull(*tangents[:3], count, tangents[3], state) for _ in range(DRAWS)])
    np.testing.assert_allclose(draws[:, 1], np.where(draws[:, 0] > 0, -2 * draws[:, 0], draws[:, 0]), atol=1e-12)
    assert kstest(draws[:, 0], lambda x: np.where(x < 0, 2 * np.exp(x) / 3, 1 - np.exp(-2 * x) / 3)).pvalue > 1e-3


def test_random_numbers_have_their_distributions() -> None:
    state = np.array([7], dtype=np.uint64)
    assert kstest([uniform(state) for _ in range(DRAWS)], "uniform").pvalue > 1e-3
    assert kstest([normal(state) for _ in range(DRAWS)], "norm").pvalue > 1e-3
