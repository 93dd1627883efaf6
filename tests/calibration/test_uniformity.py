"""The judgement on ranks: right probabilities, and ranks of wrong posteriors do not pass."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.ecdf_utils import get_pointwise_confidence_band, simulate_confidence_bands
from scipy.special import ndtr

from .uniformity import IntArray, band, chance_of_tail, numbers_below, p_value, tail_probabilities

N, L = 600, 100


def test_numbers_below_count_ranks() -> None:
    assert numbers_below(np.array([0, 2, 2, 3]), 3).tolist() == [1, 1, 3]


def test_chance_of_a_tail_is_that_of_all_samples_of_two_ranks() -> None:
    ranks = [(first, second) for first in range(4) for second in range(4)]
    tails = np.array([tail_probabilities(2, 3)[range(3), numbers_below(np.array(pair), 3)].min() for pair in ranks])
    for tail in np.unique(tails):
        assert chance_of_tail(tail, 2, 3) == pytest.approx(np.mean(tails <= tail), abs=1e-12)


def test_bands_are_those_that_arviz_simulates() -> None:
    share = np.arange(1, L + 1) / (L + 1)
    pointwise = simulate_confidence_bands(N, 1, share, 0.9, 4000, np.random.default_rng(1))
    assert chance_of_tail((1 - pointwise) / 2, N, L) == pytest.approx(0.1, abs=0.02)
    fewest, most = band(N, L, 0.9)
    theirs = get_pointwise_confidence_band(pointwise, N, share)
    assert np.abs(fewest / N - theirs[0]).max() <= 1.5 / N
    assert np.abs(most / N - theirs[1]).max() <= 1.5 / N


def test_uniform_ranks_leave_a_band_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    samples = rng.integers(0, L + 1, (1000, 200))
    p = np.array([p_value(ranks, L) for ranks in samples])
    fewest, most = band(200, L, 0.9)
    below = np.array([numbers_below(ranks, L) for ranks in samples])
    outside = ((below < fewest) | (below > most)).any(axis=1)
    assert np.array_equal(outside, p <= 0.1)
    assert 0.07 <= outside.mean() <= 0.13
    assert 0.45 <= np.mean(p <= 0.5) <= 0.55


def ranks_of_posterior(location: float, width: float, seed: int) -> IntArray:
    """Ranks where truth is N(location, 1) and the draws are N(0, width)."""
    rng = np.random.default_rng(seed)
    return rng.binomial(L, ndtr(rng.normal(location, 1, N) / width))


@pytest.mark.parametrize(
    ("location", "width"), [(0, 1.5), (0, 1 / 1.5), (0.3, 1), (-0.3, 1)], ids=["wide", "narrow", "low", "high"]
)
def test_wrong_posteriors_are_noticed(location: float, width: float) -> None:
    assert p_value(ranks_of_posterior(0, 1, 5), L) > 0.05
    assert p_value(ranks_of_posterior(location, width, 5), L) < 1e-6


def test_correlated_draws_are_noticed() -> None:
    # Of 100 draws in runs of 20 equal ones, the rank is that among 5.
    ranks = 20 * np.random.default_rng(6).integers(0, 6, N)
    assert p_value(ranks, L) < 1e-6
