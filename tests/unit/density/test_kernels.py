"""The compiled exponential and logarithm against NumPy's; the rows' log-likelihood and its derivatives."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import hierlogit as hl
from hierlogit.binomial import log_binomial_coefficient, log_likelihood
from hierlogit.density.kernels import binomial
from hierlogit.density.kernels.binomial import (
    MULTIPLIED,
    bernoulli_variance,
    exp_of_negative,
    linearise,
    log1p_of_unit,
    logarithm,
    logistic,
    one_minus_two_p,
    sum_of_logarithms,
)

LEAST = 3.3075530036384e-308  # exp(-708)

rows = st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(-800, 800) | st.floats(-6, 6)).filter(
    lambda row: row[0] + row[1] > 0
)


def units_apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest distance in units in the last place of what is expected."""
    return float(np.max(np.abs(found - expected) / np.spacing(np.abs(expected))))


def over(function: object, x: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in x])  # type: ignore[operator]


def spread(top: float) -> np.ndarray:
    """Numbers from 0 to `top` on all scales: evenly spaced, by powers of ten, and both ends."""
    rng = np.random.default_rng(1)
    scaled = top * 10.0 ** rng.uniform(-330, 0, 5000)
    return np.concatenate([[0.0, top, 5e-324, 2.3e-308, 1e-16], top * rng.uniform(size=20000), scaled])


def linearised(y: np.ndarray, trials: np.ndarray, eta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    residual, weight, one_minus_2p, log_likelihood = np.full((4, len(eta)), np.nan)
    linearise(y, trials, eta, residual, weight, one_minus_2p, log_likelihood)
    return float(log_likelihood.sum()), residual, weight, one_minus_2p


def columns(values: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, failures, eta = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    return y, y + failures, eta


# ---- the two functions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [708.0, 2.0])
def test_the_exponential_is_numpys(top: float) -> None:
    x = -spread(top)
    # NumPy's own are within one unit of the true values.
    assert units_apart(over(exp_of_negative, x), np.exp(x)) <= 2.5


def test_the_exponential_at_halves_of_ln_2() -> None:
    # Where the power of two changes, the series has the largest arguments.
    middle = -(np.arange(1000) + 0.5) * np.log(2)
    x = np.concatenate([middle, np.nextafter(middle, 0.0), np.nextafter(middle, -np.inf)])
    assert units_apart(over(exp_of_negative, x), np.exp(x)) <= 2.5


def test_the_ends_of_the_exponential() -> None:
    assert exp_of_negative(0.0) == exp_of_negative(-0.0) == exp_of_negative(-5e-324) == 1.0
    assert exp_of_negative(-708.0) == pytest.approx(LEAST, rel=1e-13)
    for below in (-708.5, -745.0, -1000.0, -1e300, -np.inf):
        assert exp_of_negative(below) == exp_of_negative(-708.0)
    assert np.isnan(exp_of_negative(np.nan))


def test_logarithms_from_one_on_are_numpys() -> None:
    random = np.random.default_rng(1)
    x = np.concatenate([[1.0, np.nextafter(1.0, 2.0)], 1.0 + spread(1.0), np.exp(random.uniform(0.0, 709.0, 10_000))])
    assert units_apart(over(logarithm, x), np.log(x)) <= 6.0


def test_functions_that_call_the_exponential_leave_it_as_it_is(tmp_path: Path) -> None:
    # Compiled on behalf of a function that takes liberties with sums, it may not inherit them: 1 + x - 1 is not x here.
    code = """
        import numpy as np
        from hierlogit.density.kernels.binomial import exp_of_negative, linearise
        out = np.zeros((4, 1))
        linearise(np.ones(1), np.ones(1), np.array([-0.4]), *out)
        print(out[-1, 0], exp_of_negative(-0.4))
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=environment, capture_output=True, text=True, check=True
    )
    total, exponential = map(float, done.stdout.split())
    assert exponential == pytest.approx(np.exp(-0.4), rel=1e-15)
    assert total == pytest.approx(-np.log1p(np.exp(0.4)), rel=1e-15)


def test_the_logarithm_is_numpys() -> None:
    change = 0.41421356237309503
    e = np.concatenate([spread(1.0), [change, np.nextafter(change, 0.0), np.nextafter(change, 1.0)]])
    assert units_apart(over(log1p_of_unit, e), np.log1p(e)) <= 3.5


def test_the_ends_of_the_logarithm() -> None:
    assert log1p_of_unit(0.0) == 0.0
    assert log1p_of_unit(1.0) == pytest.approx(np.log(2), rel=3e-16)
    assert np.isnan(log1p_of_unit(np.nan))


# ---- the logistic function ---------------------------------------------------------------------------------------


@given(st.floats(-800, 800) | st.floats(-6, 6))
def test_the_logistic_function_keeps_its_digits_in_both_tails(x: float) -> None:
    e, d, p = logistic(x)
    q = expit(-x)
    # Each caller compiles it anew, and some releases of Numba fuse other operations there: the last digit may differ.
    assert p == pytest.approx(binomial.expit(x), rel=3e-16, abs=1e-323)
    assert p == pytest.approx(expit(x), rel=1e-14, abs=1e-306)
    assert e == pytest.approx(math.exp(-abs(x)), rel=1e-14, abs=1e-306)
    assert bernoulli_variance(e, d) == pytest.approx(p * q, rel=1e-14, abs=1e-306)
    assert one_minus_two_p(x, e, d) == pytest.approx(-math.tanh(0.5 * x), rel=1e-13, abs=1e-15)


def test_it_is_evaluated_in_one_place() -> None:
    package = Path(hl.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    assert sum(text.count("exp_of_negative(-abs(") for text in sources) == 1
    # Its definition, other logarithms, rows, their sums, and rows at the nodes of quadrature, of new clusters, of
    # proposals and of their slopes; those of beta-binomial outcomes, with the derivatives for a search and for the
    # sampler.
    assert sum(text.count("log1p_of_unit(") for text in sources) == 11


# ---- rows --------------------------------------------------------------------------------------------------------


@given(st.lists(rows, min_size=1, max_size=12))
def test_sum_is_that_of_the_rows(values: list[tuple[int, int, float]]) -> None:
    y, trials, eta = columns(values)
    expected = (log_likelihood(y, trials, eta) - log_binomial_coefficient(y, trials)).sum()
    # Coefficients of up to 80 trials are near 50: taking them off again costs digits.
    assert linearised(y, trials, eta)[0] == pytest.approx(expected, rel=1e-13, abs=1e-11)


@given(st.lists(st.tuples(st.booleans(), st.floats(-800, 800)), min_size=1, max_size=12))
def test_sum_of_single_trials_keeps_its_digits(values: list[tuple[bool, float]]) -> None:
    y, eta = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    expected = log_likelihood(y, np.ones(len(y)), eta).sum()
    assert linearised(y, np.ones(len(y)), eta)[0] == pytest.approx(expected, rel=1e-14, abs=2e-307)


@given(st.lists(rows, min_size=1, max_size=12))
def test_derivatives_are_the_closed_forms(values: list[tuple[int, int, float]]) -> None:
    y, trials, eta = columns(values)
    _, residual, weight, one_minus_2p = linearised(y, trials, eta)
    p, q = expit(eta), expit(-eta)
    # y - m p = y (1 - p) - (m - y) p: the second has digits left where the first cancels.
    np.testing.assert_allclose(residual, y * q - (trials - y) * p, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(weight, trials * p * q, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(one_minus_2p, -np.tanh(0.5 * eta), rtol=1e-13, atol=1e-15)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(-30, 30)), min_size=1, max_size=6))
def test_each_derivative_is_the_slope_of_the_one_before(values: list[tuple[int, int, float]]) -> None:
    y, trials, eta = columns(values)
    _, residual, weight, one_minus_2p = linearised(y, trials, eta)

    def at(which: int, shift: float) -> np.ndarray:
        if which:
            return np.asarray(linearised(y, trials, eta + shift)[which])
        return log_likelihood(y, trials, eta + shift)

    def slope(which: int, h: float = 2e-3) -> np.ndarray:
        near, far = at(which, h) - at(which, -h), at(which, 2 * h) - at(which, -2 * h)
        return (8 * near - far) / (12 * h)

    np.testing.assert_allclose(residual, slope(0), atol=2e-9)
    np.testing.assert_allclose(weight, -slope(1), atol=2e-9)
    np.testing.assert_allclose(weight * one_minus_2p, slope(2), atol=2e-9)


@pytest.mark.parametrize("trials", [1.0, 2.0, 1000.0])
def test_far_from_zero_all_is_finite(trials: float) -> None:
    eta = np.array([-800.0, -746.0, -709.0, -708.0, -40.0, -0.0, 0.0, 40.0, 708.0, 709.0, 746.0, 800.0])
    for y in (0.0, trials):
        found = linearised(np.full(12, y), np.full(12, trials), eta)
        for values in found:
            assert np.all(np.isfinite(values))
        below = -np.minimum(eta, 0.0) if y else np.maximum(eta, 0.0)
        total = trials * (below + np.log1p(np.exp(-np.abs(eta)))).sum()
        assert found[0] == pytest.approx(-total, rel=1e-14)
        np.testing.assert_allclose(found[1], y - trials * expit(eta), rtol=1e-14, atol=1e-15)
        assert np.all(found[2] > 0)
        np.testing.assert_array_equal(np.sign(found[3]), -np.sign(eta))


def test_one_linear_predictor_that_is_no_number_spoils_the_sum() -> None:
    # The search for a mode tells by it that a step went too far.
    assert np.isnan(linearised(np.ones(2), np.ones(2), np.array([0.3, np.nan]))[0])


def test_no_rows() -> None:
    assert linearised(np.empty(0), np.empty(0), np.empty(0))[0] == 0.0


@pytest.mark.parametrize("n", [0, 1, 9, MULTIPLIED - 1, MULTIPLIED, MULTIPLIED + 1, 5000])
def test_sum_of_logarithms(n: int) -> None:
    rng = np.random.default_rng(n)
    values = np.concatenate([1.0 + rng.uniform(size=n), 10.0 ** rng.uniform(0, 300, n // 2), [1.0, 1.9999999999999998]])
    assert sum_of_logarithms(values) == pytest.approx(math.fsum(np.log(values)), rel=1e-14)


@pytest.mark.parametrize("strange", [np.nan, -np.nan, np.copysign(np.nan, -1.0), np.inf])
def test_sum_of_logarithms_is_no_number_where_one_is_not(strange: float) -> None:
    for place in range(12):
        values = np.full(12, 3.0)
        values[place] = strange
        assert np.isnan(sum_of_logarithms(values))
