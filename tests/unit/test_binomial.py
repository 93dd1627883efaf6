"""The binomial log-likelihood against SciPy, and far from zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from hierlogit.binomial import log_binomial_coefficient, log_likelihood, simulated_successes

rows = st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(-25, 25))


@given(st.lists(rows, min_size=1, max_size=8))
def test_equals_scipy(values: list[tuple[int, int, float]]) -> None:
    y, failures, eta = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    trials = y + failures
    found = log_likelihood(y, trials, eta)
    # log p and log(1 - p) written so that SciPy's own rounding near p = 1 does not enter
    expected = (
        binom.logpmf(y, trials, 0.5) + trials * np.log(2) - y * np.logaddexp(0, -eta) - failures * np.logaddexp(0, eta)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10)


def test_far_from_zero() -> None:
    eta = np.array([-1e4, -745.0, 745.0, 1e4])
    np.testing.assert_allclose(log_likelihood(np.ones(4), np.ones(4), eta), [-1e4, -745.0, 0.0, 0.0], atol=1e-300)
    np.testing.assert_allclose(log_likelihood(np.zeros(4), np.ones(4), eta), [0.0, 0.0, -745.0, -1e4], atol=1e-300)


def test_draws_by_rows() -> None:
    eta = np.random.default_rng(0).normal(size=(5, 3))
    y = np.array([1.0, 0.0, 1.0])
    np.testing.assert_allclose(log_likelihood(y, np.ones(3), eta), np.log(np.where(y == 1, expit(eta), expit(-eta))))


def test_simulated_successes_follow_the_binomial_distribution() -> None:
    trials, probability = np.array([1.0, 5.0, 0.0]), np.array([0.7, 0.2, 0.5])
    found = simulated_successes(np.tile(probability, (20_000, 1)), trials, np.random.default_rng(1))
    assert found.shape == (20_000, 3)
    for column, m, p in zip(found.T, trials, probability, strict=True):
        counts = np.arange(m + 1)
        expected = binom.pmf(counts, m, p)
        shares = (column[:, None] == counts).mean(axis=0)
        np.testing.assert_array_less(
            np.abs(shares - expected), 4.5 * np.sqrt(expected * (1 - expected) / 20_000) + 1e-9
        )


def test_single_trials_can_be_ordered_in_one_way() -> None:
    y, trials = np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 3.0])
    np.testing.assert_allclose(log_binomial_coefficient(y, trials), [0.0, 0.0, np.log(3.0)], atol=1e-15)
    np.testing.assert_array_equal(log_binomial_coefficient(y[:2], trials[:2]), [0.0, 0.0])


@pytest.mark.parametrize("shape", [(4000,), (3, 500), (1,), (2, 0)])
def test_outcomes_of_single_trials_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    probability = expit(np.random.default_rng(3).normal(0, 4, shape))
    probability.ravel()[: probability.size // 50] = 1.0
    ours, numpys = np.random.default_rng(4), np.random.default_rng(4)
    found = simulated_successes(probability, np.ones(shape[-1]), ours)
    np.testing.assert_array_equal(found, numpys.binomial(1, probability))
    assert found.dtype == np.float64
    assert ours.random() == numpys.random()  # as many numbers were drawn


def test_single_trials_of_probability_zero_draw_no_number() -> None:
    probability = np.array([0.5, 0.0, 1.0, 0.5])
    ours, numpys = np.random.default_rng(5), np.random.default_rng(5)
    np.testing.assert_array_equal(simulated_successes(probability, np.ones(4), ours), numpys.binomial(1, probability))
    assert ours.random() == numpys.random()


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_outcomes_of_single_trials_need_probabilities(wrong: float) -> None:
    with pytest.raises(ValueError, match="p < 0"):
        simulated_successes(np.array([0.5, wrong]), np.ones(2), np.random.default_rng(6))
