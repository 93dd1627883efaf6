"""The beta-binomial log-likelihood and its derivatives against sums that are written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.density.kernels import beta_binomial, binomial

FloatArray = npt.NDArray[np.float64]

trials = st.one_of(st.integers(1, 40), st.integers(41, 3000))
predictors = st.floats(-12, 12)
#: 1 / phi, from next to nothing to outcomes that are nearly all or none.
inverse_phis = st.floats(-30, 5).map(np.exp)


def one(value: float) -> FloatArray:
    return np.array([float(value)])


def linearised(y: float, m: float, x: float, tau: float) -> FloatArray:
    """Log-likelihood and its first three derivatives."""
    residual, weight, bend, value = (np.empty(1) for _ in range(4))
    beta_binomial.linearise(one(y), one(m), one(x), tau, residual, weight, bend, value)
    return np.concatenate([value, residual, -weight, -weight * bend])


def slopes(y: float, m: float, x: float, tau: float) -> FloatArray:
    """Derivatives in tau of the log-likelihood and of its first two derivatives."""
    score, residual, weight = (np.empty(1) for _ in range(3))
    beta_binomial.dispersion_slopes(one(y), one(m), one(x), tau, score, residual, weight)
    return np.concatenate([score, residual, -weight])


def written_out(y: int, m: int, x: float, tau: float) -> tuple[FloatArray, FloatArray]:
    """The same by sums of derivatives in p, in extended precision."""
    e = np.exp(np.longdouble(-abs(x)))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    p, q = (larger, smaller) if x >= 0 else (smaller, larger)
    k, h, j = (np.arange(n, dtype=np.longdouble) for n in (y, m - y, m))
    successes, failures, totals = p + k * tau, q + h * tau, 1 + j * tau
    dp, d2p, d3p = p * q, p * q * (q - p), p * q * (1 - 6 * p * q)
    by_p = np.sum(1 / successes) - np.sum(1 / failures)
    by_pp = -np.sum(successes**-2) - np.sum(failures**-2)
    by_ppp = 2 * np.sum(successes**-3) - 2 * np.sum(failures**-3)
    value = np.sum(np.log(successes)) + np.sum(np.log(failures)) - np.sum(np.log(totals))
    in_x = [value, dp * by_p, d2p * by_p + dp**2 * by_pp, d3p * by_p + 3 * dp * d2p * by_pp + dp**3 * by_ppp]
    by_tau = np.sum(k / successes) + np.sum(h / failures) - np.sum(j / totals)
    by_tau_p = -np.sum(k / successes**2) + np.sum(h / failures**2)
    by_tau_pp = 2 * np.sum(k / successes**3) + 2 * np.sum(h / failures**3)
    in_tau = [by_tau, dp * by_tau_p, d2p * by_tau_p + dp**2 * by_tau_pp]
    return np.array(in_x, dtype=np.float64), np.array(in_tau, dtype=np.float64)


@given(m=trials, share=st.floats(0, 1), x=predictors, tau=inverse_phis)
def test_the_log_likelihood_and_its_derivatives_are_those_of_the_sums(
    m: int, share: float, x: float, tau: float
) -> None:
    y = round(share * m)
    in_x, in_tau = written_out(y, m, x, tau)
    size = 1 + np.abs(in_x).max()
    np.testing.assert_allclose(linearised(y, m, x, tau), in_x, rtol=1e-11, atol=1e-13 * (m + size))
    # Of sums with opposite signs, each of which is about as large as the number of trials over the smaller probability.
    lost = 1e-13 * (m + np.abs(in_tau).max()) * (1 + np.exp(abs(x)))
    np.testing.assert_allclose(slopes(y, m, x, tau), in_tau, rtol=1e-10, atol=lost)


@given(m=trials, share=st.floats(0, 1), x=predictors, phi=st.floats(0.01, 1e4))
def test_the_log_likelihood_is_that_of_scipy(m: int, share: float, x: float, phi: float) -> None:
    from scipy.special import betaln, expit

    y = round(share * m)
    a, b = phi * expit(x), phi * expit(-x)
    expected = betaln(y + a, m - y + b) - betaln(a, b)
    found = beta_binomial.row_log_likelihood(float(y), float(m), x, 1 / phi)
    # Differences of logarithms of gamma functions lose digits where phi is large.
    assert abs(found - expected) < 1e-9 * (1 + abs(expected)) + 1e-12 * phi * np.log(phi + m + 2)


@given(m=st.integers(1, 3000), share=st.floats(0, 1), x=predictors)
def test_without_dispersion_it_is_binomial(m: int, share: float, x: float) -> None:
    y = round(share * m)
    residual, weight, one_minus_2p, value = (np.empty(1) for _ in range(4))
    binomial.linearise(one(y), one(m), one(x), residual, weight, one_minus_2p, value)
    expected = np.concatenate([value, residual, -weight, -weight * one_minus_2p])
    for tau in (0.0, 1e-24):
        np.testing.assert_allclose(linearised(y, m, x, tau), expected, rtol=1e-10, atol=1e-10)


@given(m=st.integers(2, 30), share=st.floats(0, 1), x=st.floats(-4, 4), tau=st.floats(0.01, 5))
def test_derivatives_are_those_of_differences(m: int, share: float, x: float, tau: float) -> None:
    y, step = round(share * m), 1e-5
    up, down = linearised(y, m, x + step, tau), linearised(y, m, x - step, tau)
    np.testing.assert_allclose(linearised(y, m, x, tau)[1:], (up - down)[:-1] / (2 * step), rtol=1e-6, atol=1e-6)
    up, down = linearised(y, m, x, tau * (1 + step)), linearised(y, m, x, tau * (1 - step))
    np.testing.assert_allclose(slopes(y, m, x, tau), (up - down)[:-1] / (2 * step * tau), rtol=1e-5, atol=1e-5)


@given(data=st.data(), tau=inverse_phis)
def test_rows_together_are_those_one_by_one(data: st.DataObject, tau: float) -> None:
    m = np.array(data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=8)), dtype=np.float64)
    y = np.array([data.draw(st.integers(0, int(most))) for most in m], dtype=np.float64)
    eta = np.array(data.draw(st.lists(predictors, min_size=len(m), max_size=len(m))))
    residual = np.empty(len(m))
    value, slope = beta_binomial.add_rows(y, m, eta.copy(), tau, residual)
    single = np.array([linearised(*row, tau) for row in zip(y, m, eta, strict=True)])
    score = np.array([slopes(*row, tau)[0] for row in zip(y, m, eta, strict=True)])
    assert value == pytest.approx(single[:, 0].sum(), rel=1e-11, abs=1e-10)
    assert slope == pytest.approx(score.sum(), rel=1e-9, abs=1e-9 * np.abs(score).max(initial=1.0))
    np.testing.assert_allclose(residual, single[:, 1], rtol=1e-10, atol=1e-10)


def test_outcomes_far_from_their_expectation_are_not_log_concave() -> None:
    assert linearised(10, 10, -8.0, 1.0)[2] > 0
    assert beta_binomial.variance_weight(10.0, -8.0, 1.0) > 0
