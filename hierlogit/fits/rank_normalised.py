"""R-hat and the effective sample size in the bulk, of draws that are normalised by their ranks.

They are ArviZ's statistics of the normalised draws. ArviZ itself normalises by functions of SciPy's distributions,
whose import takes longer than all the rest.

References
----------
Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis 16: 667-718.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]
#: Draws of each chain from which ArviZ's statistics of halves of chains exist.
FEWEST = 8


def rhat(values: xr.DataArray) -> FloatArray:
    """Rank-normalised R-hat of each parameter, the larger one of bulk and tails; dims (chain, draw, parameter)."""
    from ..arviz_statistics import arviz_stats

    halves = _halves(values)
    if halves.shape[1] < FEWEST // 2 or not np.isfinite(halves).all():
        return np.asarray(arviz_stats.rhat(values.to_dataset(name="value"))["value"])
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    bulk, tail = (
        np.asarray(arviz_stats.rhat(_normalised(one), method="identity")["value"]) for one in (halves, folded)
    )
    # The tails of draws with two values have none.
    return np.where(tail > bulk, tail, bulk)


def bulk_ess(values: xr.DataArray) -> FloatArray:
    """Effective sample size in the bulk, of each parameter; dims (chain, draw, parameter)."""
    from ..arviz_statistics import arviz_stats

    halves = _halves(values)
    if halves.shape[1] < FEWEST // 2 or not np.isfinite(halves).all():
        return np.asarray(arviz_stats.ess(values.to_dataset(name="value"), method="bulk")["value"])
    return np.asarray(arviz_stats.ess(_normalised(halves), method="identity")["value"])


def _halves(values: xr.DataArray) -> FloatArray:
    """The halves of all chains, shape (2 chains, draws, parameters)."""
    draws = values.transpose("chain", "draw", "parameter").to_numpy()
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def _normalised(draws: FloatArray) -> xr.Dataset:
    """Normal quantiles of the ranks of each parameter's draws."""
    import xarray as xr
    from scipy.special import ndtri

    size = draws.shape[0] * draws.shape[1]
    ranks = np.stack([_ranks(draws[..., k].ravel()) for k in range(draws.shape[2])], axis=-1).reshape(draws.shape)
    return xr.Dataset({"value": (("chain", "draw", "parameter"), ndtri((ranks - 3 / 8) / (size - 2 * 3 / 8 + 1)))})


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1 on, and their average for equal values.

    Examples
    --------
    >>> _ranks(np.array([5.0, 2.0, 5.0]))
    array([2.5, 1. , 2.5])
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    averages: FloatArray = np.cumsum(counts) - 0.5 * (counts - 1)
    return averages[place]
