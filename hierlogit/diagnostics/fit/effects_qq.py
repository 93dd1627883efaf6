"""Standardised modes of the clusters' effects in order, beside those of simulated data: what a Q-Q plot shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import FitError
from .cluster_outliers import standardised_modes
from .predictive_check import simulated_fits
from .refitted import ReferenceFit
from .simultaneous_band import normal_places, whole_band

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EffectQuantiles:
    """One effect of one grouping factor, its clusters from the lowest to the highest.

    Attributes
    ----------
    group, effect : str
    levels : ndarray, shape (J,)
        Labels of the clusters.
    normal : ndarray, shape (J,)
        Standard normal quantiles that as many numbers lie at, by Blom's approximation.
    observed : ndarray, shape (J,)
        Standardised modes.
    middle : ndarray, shape (J,)
        Mean of the lowest, second lowest, ... of simulated data.
    low, high : ndarray, shape (J,)
        Ends of the band that the modes of simulated data keep within, all of them, with a given probability.
    """

    group: str
    effect: str
    levels: npt.NDArray[Any]
    normal: FloatArray
    observed: FloatArray
    middle: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def outside(self) -> npt.NDArray[np.bool_]:
        """Whether each lies outside of the band."""
        return (self.observed < self.low) | (self.observed > self.high)


def effect_quantiles(
    fit: Fit, panels: list[tuple[GroupBlock, int]], prob: float, replicates: int, seed: int
) -> list[EffectQuantiles]:
    """Compare the modes of some effects with those of simulated data.

    Parameters
    ----------
    fit : Fit
    panels : list of (GroupBlock, int)
        Grouping factor and position of an effect.
    prob : float
        Of the band.
    replicates : int
        Data sets to simulate; as many as the fit has draws at most.
    seed : int

    Raises
    ------
    FitError
        If the fit did not end at a maximum.
    """
    anchor = ReferenceFit.of(fit)
    if not anchor.usable:
        raise FitError("the fit did not end at a maximum, so there is nothing to simulate from: see fit.diagnostics.")
    simulated = [
        [np.sort(standardised_modes(fitted, block)[:, k]) for block, k in panels]
        for fitted in simulated_fits(fit, anchor, replicates, seed)
    ]
    return [
        _of_panel(block, k, standardised_modes(anchor.observed, block)[:, k], np.array(modes), prob)
        for (block, k), modes in zip(panels, zip(*simulated, strict=True), strict=True)
    ]


def _of_panel(block: GroupBlock, k: int, observed: FloatArray, simulated: FloatArray, prob: float) -> EffectQuantiles:
    order = np.argsort(observed, kind="stable")
    low, high = whole_band(simulated, prob)
    return EffectQuantiles(
        group=block.name,
        effect=block.effects[k],
        levels=block.levels[order],
        normal=normal_places(len(order)),
        observed=observed[order],
        middle=simulated.mean(axis=0),
        low=low,
        high=high,
    )
