"""Probabilities of beta-binomial outcomes at linear predictors of several draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..binomial import log_binomial_coefficient
from .kernels.beta_binomial import cumulative, log_likelihoods, scores

FloatArray = npt.NDArray[np.float64]


def log_likelihood(y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray) -> FloatArray:
    """Log probability of `y` successes in `trials`, with the binomial coefficient.

    Parameters
    ----------
    y, trials : ndarray, shape (n,)
        Successes and trials of each row.
    eta : ndarray, shape (draws, n)
        Linear predictor on the logit scale.
    phi : ndarray, shape (draws,)
        Precision of the beta distribution of the rows' probabilities; infinite for binomial outcomes.

    Returns
    -------
    ndarray, shape (draws, n)

    Examples
    --------
    All numbers of successes are equally likely for ``alpha = beta = 1``:

    >>> import numpy as np
    >>> counts = np.arange(5.0)
    >>> np.exp(log_likelihood(counts, np.full(5, 4.0), np.zeros((1, 5)), np.array([2.0]))).round(12)
    array([[0.2, 0.2, 0.2, 0.2, 0.2]])
    """
    out = np.empty(eta.shape)
    y, trials, eta, tau = _contiguous(y, trials, eta, phi)
    log_likelihoods(y, trials, eta, tau, out)
    out += log_binomial_coefficient(y, trials)
    return out


def score(y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray) -> FloatArray:
    """Derivative of the log-likelihood of each row in its linear predictor, shape (draws, n); arguments as above."""
    out = np.empty(eta.shape)
    y, trials, eta, tau = _contiguous(y, trials, eta, phi)
    scores(y, trials, eta, tau, out)
    return out


def cumulative_probabilities(
    y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Probabilities of fewer successes than `y`, and of at most `y`, both of shape (draws, n); arguments as above.

    Examples
    --------
    >>> import numpy as np
    >>> one, four = np.array([1.0]), np.array([4.0])
    >>> fewer, at_most = cumulative_probabilities(one, four, np.zeros((1, 1)), np.array([2.0]))
    >>> fewer.round(12), at_most.round(12)
    (array([[0.2]]), array([[0.4]]))
    """
    fewer, at_most = np.empty(eta.shape), np.empty(eta.shape)
    y, trials, eta, tau = _contiguous(y, trials, eta, phi)
    cumulative(y, trials, eta, tau, fewer, at_most)
    return fewer, at_most


def _contiguous(
    y: FloatArray, trials: FloatArray, eta: FloatArray, phi: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The arrays as compiled code takes them, with the inverse of phi."""
    y, trials, eta, phi = (np.ascontiguousarray(array, dtype=np.float64) for array in (y, trials, eta, phi))
    return y, trials, eta, 1.0 / phi
