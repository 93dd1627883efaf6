"""Tail probabilities against SciPy and uniformity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearson3

from hierlogit.studies.tail_probability import (
    COUNTED,
    Tail,
    leave_one_out_tail_probabilities,
    pearson_tail,
    tail_probability,
)


def test_the_tail_is_that_of_scipy() -> None:
    for value in (-3.0, -0.5, 0.0, 2.0, 5.0, 10.0):
        for skewness in (0.0, 0.01, 0.3, 1.0, 3.0):
            assert pearson_tail(value, skewness) == pytest.approx(pearson3.sf(value, skewness), rel=1e-10)
    assert pearson_tail(-5.0, 2.0) == 1.0  # below where the distribution begins


def test_many_beyond_are_counted_and_few_extrapolated() -> None:
    simulated = np.arange(200.0)
    assert tail_probability(199 - COUNTED + 1.0, simulated, "upper") == (1 + COUNTED) / 201
    # The numbers have no skewness: beyond the counted ones the tail is that of a normal distribution.
    z = (250 - 99.5) / simulated.std(ddof=1)
    assert tail_probability(250.0, simulated, "upper") == pytest.approx(pearson3.sf(z, 0))
    assert tail_probability(250.0, simulated, "both") == pytest.approx(2 * pearson3.sf(z, 0))
    assert tail_probability(-51.0, simulated, "both") == pytest.approx(2 * pearson3.sf(z, 0))
    assert tail_probability(-51.0, simulated, "upper") == 1.0
    assert tail_probability(99.5, simulated, "both") == 1.0


def test_numbers_that_do_not_vary() -> None:
    assert tail_probability(1.0, np.ones(99), "both") == 1.0
    assert tail_probability(2.0, np.ones(99), "both") == 0.02
    assert tail_probability(0.0, np.ones(99), "upper") == 1.0


def test_each_simulated_number_stands_beside_the_others() -> None:
    random = np.random.default_rng(2)
    simulated = random.gamma(3, size=60)
    found = leave_one_out_tail_probabilities(simulated, "both")
    expected = [tail_probability(simulated[k], np.delete(simulated, k), "both") for k in range(60)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("tail", ["upper", "both"])
def test_p_values_of_normal_numbers_are_uniform_also_far_out(tail: Tail) -> None:
    random = np.random.default_rng(3)
    found = np.array([tail_probability(v[0], v[1:], tail) for v in random.normal(size=(10_000, 201))])
    for level in (0.5, 0.2, 0.05, 0.01, 0.002):
        assert np.mean(found <= level) == pytest.approx(level, rel=0.05, abs=3.5 * np.sqrt(level / 10_000))


def test_p_values_of_skewed_numbers_are_nearly_uniform() -> None:
    random = np.random.default_rng(3)
    samples = random.chisquare(3, size=(10_000, 201))
    upper = np.array([tail_probability(v[0], v[1:], "upper") for v in samples])
    both = np.array([tail_probability(v[0], v[1:], "both") for v in samples])
    for level in (0.2, 0.05, 0.01):
        assert np.mean(upper <= level) == pytest.approx(level, rel=0.35)
        assert np.mean(both <= level) < 1.1 * level  # the short tail is taken as a longer one
    # A normal tail would find fourteen times as many as it should.
    assert np.mean(upper <= 0.001) < 0.0035
