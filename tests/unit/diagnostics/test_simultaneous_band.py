"""Bands of Q-Q plots: they hold as many whole samples as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from hierlogit.diagnostics.fit.simultaneous_band import normal_scores, normal_simultaneous_band, simultaneous_band


def test_places_are_averages_of_ordered_normal_numbers() -> None:
    ordered = np.sort(np.random.default_rng(1).normal(size=(20_000, 15)), axis=1)
    np.testing.assert_allclose(normal_scores(15), ordered.mean(axis=0), atol=0.015)


@pytest.mark.parametrize("prob", [0.5, 0.89])
def test_a_band_of_skewed_curves_holds_others_like_them(prob: float) -> None:
    random = np.random.default_rng(2)
    curves = np.sort(random.exponential(size=(4000, 30)), axis=1)
    low, high = simultaneous_band(curves[:2000], prob)
    inside = ((curves >= low) & (curves <= high)).all(axis=1)
    assert inside[:2000].mean() == pytest.approx(prob, abs=0.001)
    assert inside[2000:].mean() == pytest.approx(prob, abs=0.04)
    middle = curves[:2000].mean(axis=0)
    assert (high - middle)[-1] > 1.3 * (middle - low)[-1]


def test_curves_that_hardly_vary_have_a_band() -> None:
    low, high = simultaneous_band(np.ones((50, 4)), 0.9)
    assert np.all(low <= 1)
    assert np.all(high >= 1)


def test_the_normal_band_holds_normal_samples_and_no_others() -> None:
    random, ranks = np.random.default_rng(3), np.r_[0:20, 30:270:10, 280:300]
    low, high = normal_simultaneous_band(300, ranks, 0.95)
    samples = np.sort(random.normal(size=(2000, 300)), axis=1)[:, ranks]
    inside = ((samples >= low) & (samples <= high)).all(axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.025)
    wide = 1.25 * samples
    assert ((wide >= low) & (wide <= high)).all(axis=1).mean() < 0.3


def test_the_band_of_a_single_quantile_is_its_interval() -> None:
    """The middle one of nine: its probability has a beta distribution."""
    low, high = normal_simultaneous_band(9, np.array([4]), 0.9)
    np.testing.assert_allclose([low[0], high[0]], norm.ppf(beta.ppf([0.05, 0.95], 5, 5)), atol=0.05)
