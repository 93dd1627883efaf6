"""Probabilities of binomial and beta-binomial outcomes at linear predictors of several draws, with derivatives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import binomial
from . import beta_binomial
from .kernels.binomial_residuals import kind_of, sums_of_rows

FloatArray = npt.NDArray[np.float64]


def log_likelihood(y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray | None) -> FloatArray:
    """Log probability of `y` successes in `trials`, with the binomial coefficient.

    Parameters
    ----------
    y, trials : ndarray, shape (n,)
    eta : ndarray, shape (draws, n)
        Linear predictor on the logit scale.
    phi : ndarray, shape (draws,), or None
        Precision of beta-binomial outcomes; None for binomial ones.

    Returns
    -------
    ndarray, shape (draws, n)

    Examples
    --------
    >>> counts, trials = np.array([0.0, 1.0]), np.ones(2)
    >>> np.exp(log_likelihood(counts, trials, np.zeros((1, 2)), None))
    array([[0.5, 0.5]])
    """
    if phi is None:
        return binomial.log_likelihood(y, trials, eta)
    return beta_binomial.log_likelihood(y, trials, eta, phi)


def total_log_likelihood(y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray | None) -> FloatArray:
    """Sum of `log_likelihood` over the rows, shape (draws,), for which `eta` may be overwritten.

    Examples
    --------
    >>> np.exp(total_log_likelihood(np.array([0.0, 1.0]), np.ones(2), np.zeros((1, 2)), None))
    array([0.25])
    """
    if phi is not None:
        of_rows: FloatArray = beta_binomial.log_likelihood(y, trials, eta, phi).sum(axis=1)
        return of_rows
    total = np.empty(len(eta))
    sums_of_rows(kind_of(trials), y, trials, eta.reshape(-1), total)
    return total + binomial.log_binomial_coefficient(y, trials).sum()


def score_and_weight(
    y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Derivative of the log-likelihood of each row in its linear predictor, and the information about it.

    The information of beta-binomial outcomes is that of the quasi-likelihood, which is positive for all outcomes.

    Returns
    -------
    score, weight : ndarray, shape (draws, n)
    """
    from scipy.special import expit

    p = expit(eta)
    weight: FloatArray = trials * p * (1 - p) / binomial.variance_factor(trials, phi)
    return y - trials * p if phi is None else beta_binomial.score(y, trials, eta, phi), weight


def cumulative_probabilities(
    y: FloatArray, trials: FloatArray, p: FloatArray, phi: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Probabilities of fewer successes than `y`, and of at most `y`.

    Parameters
    ----------
    y, trials : ndarray, shape (n,)
    p : ndarray, shape (draws, n)
        Probability of the event in one trial.
    phi : ndarray, shape (draws,), or None
        Precision of beta-binomial outcomes; None for binomial ones.

    Returns
    -------
    fewer, at_most : ndarray, shape (draws, n)

    Examples
    --------
    >>> fewer, at_most = cumulative_probabilities(np.array([1.0]), np.array([2.0]), np.array([[0.5]]), None)
    >>> fewer, at_most
    (array([[0.25]]), array([[0.75]]))
    """
    from scipy.special import bdtr, logit

    if phi is not None:
        return beta_binomial.cumulative_probabilities(y, trials, logit(p), phi)
    count = trials.astype(np.int64)  # SciPy warns about numbers of trials of type float
    # Below no successes there is nothing; SciPy is given a count that is not negative.
    fewer = np.where(y > 0, bdtr(np.maximum(y - 1, 0), count, p), 0.0)
    return fewer, np.asarray(bdtr(y, count, p))
