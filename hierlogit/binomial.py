"""The binomial distribution of outcomes: log-likelihood at a linear predictor, and simulated successes.

Successes are simulated from beta-binomial distributions, too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Shapes of beta distributions are not below this: NumPy refuses zero, to which tiny ones are rounded.
SMALLEST_SHAPE = 1e-300


def log_likelihood(y: FloatArray, trials: FloatArray, eta: FloatArray) -> FloatArray:
    """Log probability of `y` successes in `trials` at the linear predictor `eta`, with the binomial coefficient.

    Parameters
    ----------
    y, trials : ndarray, shape (n,)
        Successes and trials of each row.
    eta : ndarray, shape (..., n)
        Linear predictor on the logit scale.

    Returns
    -------
    ndarray, shape (..., n)

    Examples
    --------
    >>> import numpy as np
    >>> log_likelihood(np.array([1.0]), np.array([1.0]), np.array([800.0]))
    array([-0.])
    """
    # With c = log1p(exp(-|eta|)), log p = -max(-eta, 0) - c and log(1 - p) = -max(eta, 0) - c, without cancellation.
    result = np.abs(eta)
    np.negative(result, out=result)
    np.exp(result, out=result)
    np.log1p(result, out=result)
    result *= -trials
    result -= y * np.maximum(-eta, 0.0)
    result -= (trials - y) * np.maximum(eta, 0.0)
    if np.any(trials > 1):
        result += log_binomial_coefficient(y, trials)
    return result


def simulated_successes(
    probability: FloatArray, trials: FloatArray, random: np.random.Generator, phi: FloatArray | None = None
) -> FloatArray:
    """Simulated successes of rows with given probabilities.

    Parameters
    ----------
    probability : ndarray, shape (..., n)
    trials : ndarray, shape (n,)
    random : numpy.random.Generator
    phi : ndarray, shape (...), optional
        Precision of beta-binomial outcomes, for which the probabilities of the rows are means of beta distributions;
        infinite for binomial ones.

    Returns
    -------
    ndarray, shape (..., n)

    Examples
    --------
    >>> import numpy as np
    >>> simulated_successes(np.array([0.0, 1.0]), np.array([5.0, 7.0]), np.random.default_rng(1))
    array([0., 7.])
    """
    if phi is not None:
        probability = _beta_distributed(probability, np.asarray(phi)[..., None], random)
    # NumPy checks the probabilities, and draws no number for those of zero.
    if np.all(trials == 1) and probability.size and probability.min() > 0 and probability.max() <= 1:
        return _simulated_trials(
            np.broadcast_to(probability, np.broadcast_shapes(probability.shape, trials.shape)), random
        )
    return random.binomial(trials.astype(np.int64), probability).astype(np.float64)


def _simulated_trials(probability: FloatArray, random: np.random.Generator) -> FloatArray:
    """Outcomes of single trials: those of `numpy.random.Generator.binomial`, which computes them one by one.

    Parameters
    ----------
    probability : ndarray
        Above 0, and at most 1.
    """
    likely = probability > 0.5
    rarer = np.where(likely, 1.0 - probability, probability)
    found = random.random(probability.shape) > np.exp(np.log1p(-rarer))
    outcomes: FloatArray = (found != likely).astype(np.float64)
    return outcomes


def _beta_distributed(mean: FloatArray, phi: FloatArray, random: np.random.Generator) -> FloatArray:
    """Draws from beta distributions with precision `phi`; the mean where that is infinite."""
    finite = np.where(np.isfinite(phi), phi, 1.0)
    shapes = (np.maximum(finite * share, SMALLEST_SHAPE) for share in (mean, 1.0 - mean))
    return np.where(np.isfinite(phi), random.beta(*shapes), mean)


def variance_factor(trials: FloatArray, phi: FloatArray | float | None) -> FloatArray:
    """Variance of beta-binomial successes over that of binomial ones, ``(phi + m) / (phi + 1)``.

    Parameters
    ----------
    trials : ndarray, shape (n,)
    phi : ndarray, shape (...), or float, or None
        Precision of beta-binomial outcomes; infinite or None for binomial ones.

    Returns
    -------
    ndarray, shape (..., n)

    Examples
    --------
    >>> import numpy as np
    >>> variance_factor(np.array([1.0, 5.0]), np.array([3.0, np.inf]))
    array([[1., 2.],
           [1., 1.]])
    """
    tau = 1.0 / np.asarray(np.inf if phi is None else phi, dtype=np.float64)[..., None]
    factor: FloatArray = (1.0 + trials * tau) / (1.0 + tau)
    return factor


def log_binomial_coefficient(y: FloatArray, trials: FloatArray) -> FloatArray:
    """Logarithm of `trials` choose `y`, elementwise."""
    single = (trials == 1) & ((y == 0) | (y == 1))
    if np.all(single):  # SciPy, which takes a while to load, is not needed
        return np.zeros(np.shape(single))
    from scipy.special import gammaln

    return np.asarray(gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1))
