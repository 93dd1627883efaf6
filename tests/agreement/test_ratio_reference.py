"""Likelihood-ratio tests against parametric bootstraps by glmmTMB and glm."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning

CASES = ("contraception_urban_slope", "cbpp_intercept", "bacteria_intercept", "bacteria_week_slope")
BOOTSTRAPPED = [name if name == "cbpp_intercept" else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


def fits_of(expected: dict[str, Any]) -> tuple[hl.results.Fit, hl.results.Fit]:
    """The smaller and the larger model."""
    data = hl.datasets.load(expected["data"].removesuffix(".csv"))
    with warnings.catch_warnings():
        # Laplace's method is poor for two of these, in the other software as here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        smaller, larger = (hl.Model(expected[f"{one}_python"], data).fit("laplace") for one in ("smaller", "larger"))
    return smaller, larger


@pytest.mark.parametrize("name", CASES)
def test_ratios_and_mixtures_are_those_of_other_software(name: str, reference: dict[str, Any]) -> None:
    expected = reference["parametric_bootstrap"][name]
    closed = hl.likelihood_ratio(*fits_of(expected))
    assert closed.statistic == pytest.approx(expected["observed_lrt"], abs=2e-5)
    assert closed.parameters == expected["df_difference"]
    assert closed.p_value == pytest.approx(expected["p_half_mixture"], rel=1e-4)
    assert closed.naive_p_value == pytest.approx(expected["p_chisq"], rel=1e-4)


@pytest.mark.parametrize("name", BOOTSTRAPPED)
def test_bootstrap_agrees_with_simulation_by_other_software(name: str, reference: dict[str, Any]) -> None:
    expected = reference["parametric_bootstrap"][name]
    n, other = 300, expected["nsim"]
    found = hl.likelihood_ratio(*fits_of(expected), "bootstrap", replicates=n, seed=1)
    assert found.failures == {}
    T = found.simulated
    assert T is not None
    # Shares beyond the quantiles of the other simulation, each with the errors of both.
    for share, quantile in expected["simulated_lrt"]["quantiles"].items():
        q = float(share.rstrip("%")) / 100
        error = np.sqrt(q * (1 - q) * (1 / n + 1 / other))
        if quantile > 0:
            assert np.mean(quantile >= T) == pytest.approx(q, abs=3.5 * error)
    none = expected["simulated_lrt"]["share_below_1e_4"]
    assert np.mean(T < 1e-4) == pytest.approx(none, abs=3.5 * np.sqrt(none * (1 - none) * (1 / n + 1 / other)))
    p = expected["p_parametric_bootstrap"]
    assert found.p_value == pytest.approx(p, abs=3.5 * np.sqrt(p * (1 / n + 1 / other)) + 1 / n)
