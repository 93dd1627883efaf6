"""Pareto-smoothed importance sampling: weights that turn draws of one distribution into draws of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]
#: Ratios to which a distribution of the tail can be fitted.
FEWEST_IN_TAIL = 5
#: Largest Pareto k-hat at which the weights of any number of draws are reliable.
MOST_K_HAT = 0.7


def psis(log_ratios: FloatArray, r_eff: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Log importance weights with a smoothed upper tail, and the Pareto shape k-hat of that tail.

    Parameters
    ----------
    log_ratios : ndarray, shape (..., draws)
        Logarithm of the target density divided by the density of the draws, up to a constant.
    r_eff : float
        Effective divided by actual number of draws; see `relative_efficiency`.

    Returns
    -------
    log_weights : ndarray, shape (..., draws)
        The weights sum to one.
    k_hat : ndarray, shape (...)
        To be compared with `khat_threshold`. Infinite if nearly all weight is on one draw; 0 if all weights, or all of
        the largest, are equal.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Journal of Machine Learning Research 25(72).

    Examples
    --------
    >>> log_ratios = 0.3 * np.random.default_rng(1).exponential(size=4000)
    >>> log_weights, k_hat = psis(log_ratios)
    >>> round(float(np.exp(log_weights).sum()), 12), round(float(k_hat), 1)
    (1.0, 0.3)
    """
    log_weights, k_hat = np.empty_like(log_ratios), np.empty(log_ratios.shape[:-1])
    for index in np.ndindex(k_hat.shape):
        log_weights[index], k_hat[index] = _psis_of_one(log_ratios[index], r_eff)
    return log_weights, k_hat


def _psis_of_one(log_ratios: FloatArray, r_eff: float) -> tuple[FloatArray, float]:
    from scipy.special import logsumexp

    from ..arviz_statistics import arviz_stats

    if not np.isfinite(log_ratios.max()):  # no draw has a density, or some have an infinite or unknown one
        return np.full_like(log_ratios, -np.log(len(log_ratios))), np.inf
    unsmoothed: FloatArray = log_ratios - logsumexp(log_ratios)
    if np.ptp(log_ratios) == 0:  # equal ratios have no tail to which a distribution could be fitted
        return unsmoothed, 0.0
    try:
        # If nearly all weights are negligible relative to the largest, the shape overflows to a small number.
        with np.errstate(over="raise", invalid="raise"):
            # ArviZ expects the log-likelihood of the rows left out, whose inverse gives the weights: the sign changes.
            smoothed, shape = arviz_stats.base.array_stats.psislw(-log_ratios, r_eff=r_eff)
    except FloatingPointError:
        return unsmoothed, np.inf
    except ValueError:  # too few ratios, or the largest are equal, so that there is no tail either
        return unsmoothed, 0.0 if np.ptp(np.sort(log_ratios)[-FEWEST_IN_TAIL:]) == 0 else np.inf
    return smoothed, float(shape) if np.isfinite(shape) else np.inf


def khat_threshold(draws: int) -> float:
    """Largest Pareto k-hat at which importance weights are reliable, ``min(1 - 1 / log10(draws), 0.7)``.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Journal of Machine Learning Research 25(72).

    Examples
    --------
    >>> round(khat_threshold(1000), 3), khat_threshold(4000)
    (0.667, 0.7)
    """
    return min(1 - 1 / float(np.log10(draws)), MOST_K_HAT)


def relative_efficiency(draws: xr.Dataset) -> float:
    """Effective divided by actual number of draws, averaged over all variables; dims (chain, draw, ...)."""
    from ..arviz_statistics import arviz_stats

    effective = arviz_stats.ess(draws, method="mean")
    values = np.concatenate([effective[name].to_numpy().ravel() for name in effective.data_vars])
    return float(np.nanmean(values)) / (draws.sizes["chain"] * draws.sizes["draw"])
