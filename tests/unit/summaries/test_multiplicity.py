"""Adjusted p-values and the largest of several deviations, against exact distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, studentized_range

from hierlogit.summaries.multiplicity import LargestDeviation, holm, single_step


def test_the_largest_difference_of_means_is_the_studentised_range() -> None:
    # All pairs of four independent means with the same known variance: Tukey's distribution.
    low, high = np.triu_indices(4, 1)
    pairs = (np.eye(4)[:, high] - np.eye(4)[:, low]) / np.sqrt(2)
    largest = LargestDeviation.of_t(pairs)
    for prob in (0.89, 0.95):
        tukey = studentized_range.ppf(prob, 4, np.inf) / np.sqrt(2)
        assert largest.quantile(prob) == pytest.approx(tukey, abs=0.01)
        assert largest.p_values(np.array([tukey]))[0] == pytest.approx(1 - prob, abs=0.002)
    again = LargestDeviation.of_t(pairs)
    np.testing.assert_array_equal(largest.ordered, again.ordered)


def test_independent_and_identical_deviations_are_the_two_ends() -> None:
    z = np.array([2.0, 2.5, 0.3])
    raw = 2 * norm.sf(z)
    independent = single_step(raw, z, LargestDeviation.of_t(np.eye(3)))
    np.testing.assert_allclose(independent, 1 - (1 - raw) ** 3, atol=0.003)
    identical = single_step(raw, z, LargestDeviation.of_t(np.ones((1, 3))))
    np.testing.assert_allclose(identical, raw, atol=0.003)


def test_p_values_too_small_to_simulate_are_those_of_sidak() -> None:
    z = np.array([9.0, np.nan, 0.1])
    raw = 2 * norm.sf(np.abs(z))
    adjusted = single_step(raw, z, LargestDeviation.of_t(np.eye(3)[:, [0, 2]]))
    assert raw[0] <= adjusted[0] <= 2 * raw[0]
    assert np.isnan(adjusted[1])
    assert adjusted[2] >= raw[2]


def test_draws_are_contained_together_in_their_share() -> None:
    draws = np.random.default_rng(1).standard_normal((1000, 7))
    reach = LargestDeviation.of_draws(draws).quantile(0.89)
    assert (np.abs(draws) <= reach).all(axis=1).mean() == pytest.approx(0.89, abs=0.001)


def test_more_deviations_than_values_are_reduced() -> None:
    deviations = np.random.default_rng(2).standard_normal((500, 2)) / np.sqrt(500)
    unit = deviations / np.sqrt((deviations**2).sum(axis=0))
    correlation = float(unit[:, 0] @ unit[:, 1])
    few = np.linalg.cholesky(np.array([[1, correlation], [correlation, 1]])).T
    both = [LargestDeviation.of_t(one).quantile(0.95) for one in (unit, few)]
    assert both[0] == pytest.approx(both[1], abs=0.01)


def test_holm_is_between_none_and_bonferroni() -> None:
    raw = np.array([0.02, 0.5, 0.001, np.nan])
    adjusted = holm(raw)
    np.testing.assert_allclose(adjusted[:3], [0.04, 0.5, 0.003])
    assert np.isnan(adjusted[3])


def test_the_smallest_is_multiplied_by_all_the_next_by_the_rest() -> None:
    # The example of R's p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm").
    np.testing.assert_allclose(holm(np.array([0.01, 0.02, 0.03, 0.04, 0.05])), [0.05, 0.08, 0.09, 0.09, 0.09])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9, 0.001])), [1.0, 1.0, 0.003])


def test_missing_values_do_not_count() -> None:
    np.testing.assert_allclose(holm(np.array([np.nan, 0.02, 0.01])), [np.nan, 0.02, 0.02])
    assert holm(np.empty(0)).shape == (0,)
