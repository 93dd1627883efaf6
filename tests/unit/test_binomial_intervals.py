"""Intervals for a probability against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from hierlogit.binomial_intervals import clopper_pearson, wilson


@pytest.mark.parametrize(("events", "trials"), [(0, 7), (7, 7), (3, 11), (1, 1), (40, 900)])
def test_clopper_pearson(events: int, trials: int) -> None:
    ends = clopper_pearson(np.array([events]), np.array([trials]), 0.9)
    exact = binomtest(events, trials).proportion_ci(0.9, method="exact")
    assert [float(end[0]) for end in ends] == pytest.approx([exact.low, exact.high])


@pytest.mark.parametrize(("events", "trials"), [(0, 2), (3, 10), (7, 7), (40, 118)])
def test_wilson(events: int, trials: int) -> None:
    low, high = wilson(np.array([events / trials]), np.array([float(trials)]), float(norm.ppf(0.945)))
    expected = binomtest(events, trials).proportion_ci(0.89, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [expected.low, expected.high], atol=1e-12)
