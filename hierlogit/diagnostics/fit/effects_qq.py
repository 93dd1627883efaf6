"""Ordered standardised modes of the cluster effects beside those of simulated data: the data of a Q-Q plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...engines.maximum.refitted import ReferenceFit
from ...errors import FitError
from ...validation import agree, quoted_list
from .cluster_outliers import standardised_modes
from .predictive_check import simulated_fits
from .simultaneous_band import normal_scores, simultaneous_band

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
#: Simulated data sets that a band needs.
FEWEST = 10


@dataclass(frozen=True)
class EffectQuantiles:
    """One effect of one grouping factor, with its clusters in order of the effect.

    Attributes
    ----------
    group, effect : str
    sd : float
        As it is estimated. If it is zero, so are all modes, and there is nothing to compare.
    levels : ndarray, shape (J,)
        Labels of the clusters.
    normal : ndarray, shape (J,)
        Expected standard normal order statistics, by Blom's approximation.
    observed : ndarray, shape (J,)
        Standardised conditional modes.
    middle : ndarray, shape (J,)
        Mean of the lowest, second lowest, ... mode of simulated data.
    low, high : ndarray, shape (J,)
        Ends of a simultaneous band: all modes of simulated data lie within it with a given probability.
        Not numbers if nearly all simulated data sets are left out.
    simulated : int
        Number of simulated data sets.
    without_variance : int
        How many of them are left out, because the sd of the effect was estimated as zero or nearly so: their modes have
        no shape.
    """

    group: str
    effect: str
    sd: float
    levels: npt.NDArray[Any]
    normal: FloatArray
    observed: FloatArray
    middle: FloatArray
    low: FloatArray
    high: FloatArray
    simulated: int
    without_variance: int

    @property
    def outside(self) -> npt.NDArray[np.bool_]:
        """Whether each mode lies outside the band."""
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
        Data sets to simulate, at most as many as the fit has draws.
    seed : int

    Raises
    ------
    FitError
        If the fit did not end at a maximum, or the sds of all effects are estimated as zero.
    """
    reference = ReferenceFit.of(fit)
    if not reference.usable:
        raise FitError("the fit did not end at a maximum, so there is nothing to simulate from: see fit.diagnostics.")
    sds = [float(reference.estimate.sd(group.name)[k]) for group, k in panels]
    if not any(sds):
        names = [f"{group.effects[k]} of {group.name}" for group, k in panels]
        raise FitError(
            f"{agree(names, 'the sd', 'the sds')} of {quoted_list(names)} {agree(names, 'is', 'are')} estimated as "
            "zero: the data show no more variation there than expected by chance, and all modes are zero, so that "
            "there is no distribution to look at."
        )
    simulated = [
        [np.sort(standardised_modes(fitted, group)[:, k]) for group, k in panels]
        for fitted in simulated_fits(fit, reference, replicates, seed)
    ]
    return [
        _of_panel(group, k, sd, standardised_modes(reference.observed, group)[:, k], np.array(modes), prob)
        for (group, k), sd, modes in zip(panels, sds, zip(*simulated, strict=True), strict=True)
    ]


def _of_panel(
    group: GroupBlock, k: int, sd: float, observed: FloatArray, simulated: FloatArray, prob: float
) -> EffectQuantiles:
    order = np.argsort(observed, kind="stable")
    # Modes are zero where the outcomes carry no information; if most are, the estimated sd is nearly zero.
    varying = simulated[(simulated != 0).mean(axis=1) > 0.5]
    if sd == 0 or len(varying) < FEWEST:  # nothing to compare with
        middle = low = high = np.full(len(order), np.nan)
    else:
        middle, (low, high) = varying.mean(axis=0), simultaneous_band(varying, prob)
    return EffectQuantiles(
        group=group.name,
        effect=group.effects[k],
        sd=sd,
        levels=group.levels[order],
        normal=normal_scores(len(order)),
        observed=observed[order],
        middle=middle,
        low=low,
        high=high,
        simulated=len(simulated),
        without_variance=len(simulated) - len(varying),
    )
