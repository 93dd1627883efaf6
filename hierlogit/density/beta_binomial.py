"""The log-likelihood of beta-binomial outcomes at linear predictors of several draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..binomial import log_binomial_coefficient
from .kernels.beta_binomial import log_likelihoods

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
    y, trials = (np.ascontiguousarray(counts, dtype=np.float64) for counts in (y, trials))
    log_likelihoods(y, trials, np.ascontiguousarray(eta), 1.0 / np.asarray(phi, dtype=np.float64), out)
    out += log_binomial_coefficient(y, trials)
    return out
