"""Logistic regressions of clusters by themselves: against a general optimiser, and where they do not exist."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from hierlogit.diagnostics.data.separation import Separation
from hierlogit.variance.no_pooling import unpooled_estimates


def _loss(a: np.ndarray, y: np.ndarray, trials: np.ndarray, offset: np.ndarray, X: np.ndarray) -> float:
    eta = offset + X @ a
    return float(np.sum(trials * np.logaddexp(0, eta) - y * eta))


def test_each_cluster_is_at_its_own_maximum() -> None:
    rng = np.random.default_rng(1)
    index = rng.permutation(np.repeat(np.arange(6), 40))
    X = np.column_stack([np.ones(240), rng.normal(3, 2, 240), rng.normal(size=240)])
    trials = rng.integers(1, 9, 240).astype(float)
    offset = rng.normal(size=240)
    y = rng.binomial(trials.astype(int), 0.4).astype(float)
    for start in (np.zeros((6, 3)), rng.normal(0, 0.5, (6, 3))):
        own, covariances = unpooled_estimates(y, trials, offset, X, index, start, np.eye(3))
        for j in range(6):
            rows = index == j
            data = y[rows], trials[rows], offset[rows], X[rows]
            best = minimize(_loss, own[j] + 0.1, data, method="BFGS", options={"gtol": 1e-5})
            np.testing.assert_allclose(own[j], best.x, atol=1e-5)
            p = 1 / (1 + np.exp(-data[2] - data[3] @ own[j]))
            information = data[3].T @ (data[3] * (data[1] * p * (1 - p))[:, None])
            np.testing.assert_allclose(covariances[j], np.linalg.inv(information), rtol=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(-2, 2), st.sampled_from([0, 1]), st.sampled_from([1, 3])),
        min_size=3,
        max_size=24,
    ),
    st.floats(-4, 4),
)
def test_estimates_exist_where_columns_are_independent_and_outcomes_overlap(
    rows: list[tuple[int, int, int, int]], shift: float
) -> None:
    """As the linear programs say that look for directions of separation; of a predictor that is 0, the intercept."""
    index, x, y, trials = (np.array(column) for column in zip(*rows, strict=True))
    X = np.column_stack([np.ones(len(x)), x])
    start = np.full((3, 2), shift)
    own, _ = unpooled_estimates(y.astype(float), trials.astype(float), 0.3 * x, X, index, start, np.eye(2))
    for j in range(3):
        some = index == j
        if len(set(x[some].tolist())) > 1:
            kind = Separation.of(X[some], y[some].astype(float), trials[some].astype(float)).kind
            expected = [kind == "overlap"] * 2
        else:
            expected = [not x[some].any() and 0 < y[some].sum() < trials[some].sum(), False]
        assert np.isfinite(own[j]).tolist() == expected


def test_large_offsets_and_columns_of_other_units() -> None:
    rng = np.random.default_rng(3)
    index, x = np.repeat(np.arange(2), 200), rng.normal(size=400)
    y = rng.binomial(1, 1 / (1 + np.exp(-(x + 0.5)))).astype(float)
    X, ones, none = np.column_stack([np.ones(400), x]), np.ones(400), np.zeros((2, 2))
    plain, _ = unpooled_estimates(y, ones, 0 * x, X, index, none, np.eye(2))
    moved, covariances = unpooled_estimates(y, ones, 12 + 0 * x, X * [1, 1e6], index, none, np.eye(2))
    np.testing.assert_allclose(moved * [1, 1e6], plain - [12, 0], rtol=1e-7)
    assert np.isfinite(covariances).all()


def test_nothing_to_estimate() -> None:
    own, covariances = unpooled_estimates(
        np.array([0.0, 1]), np.ones(2), np.zeros(2), np.zeros((2, 1)), np.array([0, 1]), np.zeros((2, 1)), np.eye(1)
    )
    assert np.isnan(own).all()
    assert covariances.shape == (2, 1, 1)


def test_coefficients_that_the_rows_tell_although_others_are_not_told() -> None:
    """Columns that are constant, and equal to each other, in units of their own."""
    rng = np.random.default_rng(4)
    index, x = np.repeat(np.arange(3), 50), rng.normal(size=150)
    y, ones, offset = rng.binomial(1, 0.4, 150).astype(float), np.ones(150), rng.normal(size=150)
    z = 1e4 * np.where(index == 0, rng.normal(size=150), np.where(index == 1, 0.0, 2 * x))
    X = np.column_stack([ones, x, z])
    start, loadings = rng.normal(0, 0.1, (3, 3)) * [1, 1, 1e-4], np.vstack([np.eye(3), [0, 1, 2e4]])
    own, covariances = unpooled_estimates(y, ones, offset, X, index, start, loadings)
    told = [[True] * 4, [True, True, False, False], [True, False, False, True]]
    np.testing.assert_array_equal(np.isfinite(own), told)
    np.testing.assert_array_equal(np.isfinite(np.diagonal(covariances, axis1=1, axis2=2)), told)
    some = index > 0  # without z, whose part in the third cluster is one of x
    alone, spread = unpooled_estimates(
        y[some], ones[some], offset[some], X[some, :2], index[some], start[:, :2], np.eye(2)
    )
    np.testing.assert_allclose(own[[1, 2, 2], [0, 0, 3]], alone[[1, 2, 2], [0, 0, 1]], rtol=1e-7)
    np.testing.assert_allclose(covariances[2][np.ix_([0, 3], [0, 3])], spread[2], rtol=1e-6)
    np.testing.assert_allclose(covariances[1][:2, :2], spread[1], rtol=1e-6)
