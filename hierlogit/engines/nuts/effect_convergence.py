"""Convergence of the cluster effects: a quick look at all of them, and the usual measures of the worst.

The rank-normalised R-hat and effective sizes of thousands of effects would take longer than many a fit, because they
sort and transform the draws of each. Moments of half chains and of batches take one pass over the draws and find the
effects that are worst by any measure; only these are measured as parameters are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...fits.rank_normalised import bulk_ess, rhat
from .quantities import Quantity, cluster_effects, single_effect

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Effects whose moments are computed at the same time: their draws stay in the processor's cache.
BLOCK = 64
#: Effects that are measured in full, by each of the three quick measures.
WORST = 4


@dataclass(frozen=True)
class EffectConvergence:
    """The worst of the cluster effects.

    Attributes
    ----------
    count : int
        Number of cluster effects.
    rhat : float or None
        Their largest R-hat; None with a single chain.
    ess : float
        Their smallest bulk effective sample size.
    rhat_of, ess_of : (Quantity, ndarray)
        The effects that have these, with their draws, shape (chains, draws).
    """

    count: int
    rhat: float | None
    ess: float
    rhat_of: tuple[Quantity, FloatArray]
    ess_of: tuple[Quantity, FloatArray]

    @property
    def worst(self) -> dict[Quantity, FloatArray]:
        """The worst effects with their draws."""
        return dict([self.rhat_of, self.ess_of])

    @classmethod
    def of(cls, model: ModelSpec, posterior: xr.Dataset) -> EffectConvergence | None:
        """Of the draws of a model; None if it has no random effects."""
        found: list[tuple[Quantity, FloatArray]] = []
        count = 0
        for group in model.design.groups:
            effects = cluster_effects(group, posterior)
            flat = effects.reshape(*effects.shape[:2], -1)
            count += flat.shape[2]
            found += [(single_effect(group, int(k)), flat[..., k]) for k in suspects(flat)]
        if not found:
            return None
        drawn = np.stack([values for _, values in found], axis=-1)
        suspected = xr.DataArray(drawn, dims=("chain", "draw", "parameter"))
        ess = bulk_ess(suspected)
        fewest = largest = int(np.argmin(ess))
        largest_rhat = None
        if len(drawn) > 1:
            each = rhat(suspected)
            largest = int(np.argmax(each))
            largest_rhat = float(each[largest])
        return cls(count, largest_rhat, float(ess[fewest]), found[largest], found[fewest])


def suspects(values: FloatArray) -> npt.NDArray[np.intp]:
    """Positions of the effects that are worst by any quick measure.

    Parameters
    ----------
    values : ndarray, shape (chains, draws, k)

    Returns
    -------
    ndarray of int, shape (at most 3 * WORST,)
    """
    blocks = [
        quick_measures(np.ascontiguousarray(values[..., start : start + BLOCK]))
        for start in range(0, values.shape[2], BLOCK)
    ]
    # An effect that is not finite, or constant, has no measure and comes first.
    measures = np.nan_to_num(np.concatenate(blocks, axis=1), nan=np.inf)
    least = max(measures.shape[1] - WORST, 0)
    return np.unique(np.argpartition(measures, least, axis=1)[:, least:])


def quick_measures(values: FloatArray) -> FloatArray:
    """Three measures of each effect, larger if it converges worse, without ranks and autocorrelations.

    Parameters
    ----------
    values : ndarray, shape (chains, draws, k)

    Returns
    -------
    ndarray, shape (3, k)
        Variance of the means of half chains as a multiple of that of single draws; the same of the distances from the
        overall mean, which tells whether half chains vary equally; and the variance of the means of batches as a
        multiple of what it would be with independent draws.
    """
    chains, draws, k = values.shape
    half, length = draws // 2, int(np.sqrt(draws))
    centred = values - values.mean(axis=(0, 1))
    halves = centred[:, : 2 * half].reshape(2 * chains, half, k)
    batches = centred[:, : draws // length * length].reshape(-1, length, k)
    squares = np.einsum("hnk,hnk->hk", halves, halves) / half
    means, distances = halves.mean(axis=1), np.abs(halves).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [
                *(of.var(axis=0) / (squares - of**2).mean(axis=0) for of in (means, distances)),
                length * batches.mean(axis=1).var(axis=0) / squares.mean(axis=0),
            ]
        )
