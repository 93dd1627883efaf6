"""Exact binomial limits against SciPy's binomial distribution, and over-dispersion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from hierlogit.clusters.binomial_limits import control_limits, overdispersion, tail_probabilities


@pytest.mark.parametrize("target", [0.004, 0.3, 0.9])
@pytest.mark.parametrize("prob", [0.95, 0.998])
def test_limits_enclose_what_is_not_improbable(target: float, prob: float) -> None:
    for trials in (1, 2, 5, 30, 700):
        every = np.arange(trials + 1.0)
        (low,), (high,) = control_limits(np.array([float(trials)]), target, prob)
        more, fewer = binom.sf(every - 1, trials, target), binom.cdf(every, trials, target)
        improbable = np.minimum(more, fewer) <= (1 - prob) / 2
        np.testing.assert_allclose(
            tail_probabilities(every, np.full(trials + 1, trials), target), np.minimum(more, fewer)
        )
        inside = (every / trials > low) & (every / trials < high)
        at_ends = (every / trials == low) | (every / trials == high)
        np.testing.assert_array_equal(improbable[~at_ends], ~inside[~at_ends])


def test_overdispersion_draws_in_the_outermost() -> None:
    z = np.array([0.5, -0.5, 1.0, -1.0, 0.2, 0.0, -0.2, 0.7, -0.7, 20.0])
    drawn_in = np.clip(z, -0.7, 1.0)
    found = overdispersion(10 + 3 * z, np.full(10, 10.0), np.full(10, 9.0))
    assert found == pytest.approx(np.mean(drawn_in**2))
    assert np.isnan(overdispersion(np.zeros(2), np.zeros(2), np.zeros(2)))
