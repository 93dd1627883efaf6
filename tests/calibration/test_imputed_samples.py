"""Coverage of pooled intervals in simulated studies with values missing completely at random and at random."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from hierlogit.errors import ConvergenceWarning, unsaid

from .imputed_samples import MECHANISMS, TRUTH, average_of, estimates_of, polya_gamma, simulated, summarised

#: Studies, and those of them whose average differences are looked at, which take longer.
STUDIES, AVERAGED = 200, 50


def test_polya_gamma_variables_have_their_moments() -> None:
    """Mean tanh(c / 2) / (2 c), and variance (sinh c - c) / (4 c^3 cosh(c / 2)^2)."""
    random = np.random.default_rng(1)
    for c in (0.5, 3.0):
        drawn = polya_gamma(np.full(20_000, c), random)
        assert drawn.mean() == pytest.approx(np.tanh(c / 2) / (2 * c), rel=0.02)
        assert drawn.var() == pytest.approx((np.sinh(c) - c) / (4 * c**3 * np.cosh(c / 2) ** 2), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_pooled_estimates_are_unbiased_and_intervals_have_their_coverage(mechanism: str) -> None:
    """Of congenial imputations; each number of intervals by a binomial test at 1 in 1,000."""
    with unsaid(ConvergenceWarning):
        studies = [simulated(mechanism, "congenial", number) for number in range(STUDIES)]
        table = summarised([*map(estimates_of, studies), *map(average_of, studies[:AVERAGED])])
    pooled = table.xs("pooled", level="fit")
    for inside, count in zip(pooled["inside"], pooled["studies"], strict=True):
        assert binomtest(int(inside), int(count), 0.95).pvalue > 1e-3
    # Sds by maximum likelihood are too small by some per cent, imputed or not.
    coefficients = [label for label in TRUTH if not label.startswith("sd_")]
    assert (pooled["bias"].abs() < 3 * pooled["mcse"])[coefficients].all()
    if mechanism == "mar":  # the complete rows lack events
        assert table["coverage"]["complete rows", "Intercept"] < 0.7
