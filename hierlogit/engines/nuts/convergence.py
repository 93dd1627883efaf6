"""Posterior draws -> convergence measures, with the parameters and cluster effects that are worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...fits.posterior import parameter_draws
from ...fits.rank_normalised import bulk_ess, rhat
from .effect_convergence import EffectConvergence
from .options import INTEGRATION_ERROR

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Thresholds of Vehtari et al. (2021), Bayesian Analysis 16: 667-718, and of Betancourt (2016), arXiv:1604.00695.
MAX_RHAT = 1.01
MIN_ESS_PER_CHAIN = 100
MIN_BFMI = 0.3
#: Probability that the largest R-hat of the cluster effects is beyond its limit by chance alone.
CHANCE = 0.01
#: Estimated effective sizes scatter downwards: if 3,000 effects have 100 effective draws in each of four chains, the
#: smallest of the 3,000 estimates is between 120 and 200 in place of 400. Below a quarter it is no chance.
MIN_ESS_PER_CHAIN_OF_EFFECTS = 25


@dataclass(frozen=True)
class Convergence:
    """Convergence measures of a run, and what they are of.

    Attributes
    ----------
    measures : dict of str to float
    rhat_of, ess_of : str
        The parameters with the largest R-hat, and with the smallest effective size in bulk or tails.
    effects : EffectConvergence or None
        The worst cluster effects.
    """

    measures: dict[str, float]
    rhat_of: str
    ess_of: str
    effects: EffectConvergence | None

    @classmethod
    def of(cls, model: ModelSpec, posterior: xr.Dataset, sample_stats: xr.Dataset) -> Convergence:
        """Of the draws and the statistics of a sampler."""
        from ...arviz_statistics import arviz_stats

        parameters = parameter_draws(model, posterior)
        labels = parameters["parameter"].to_numpy()
        sds = parameters.std(("chain", "draw"), skipna=False).to_numpy()
        measures = {"constant_parameters": float(np.sum(~(sds > 0)))}
        bulk = bulk_ess(parameters)
        tail = arviz_stats.ess(parameters.to_dataset(name="value"), method="tail")["value"].to_numpy()
        fewest = largest = int(np.argmin(np.minimum(bulk, tail)))
        # NumPy's minimum and maximum, since those of xarray skip values that are not numbers.
        if parameters.sizes["chain"] > 1:
            each = rhat(parameters)
            largest = int(np.argmax(each))
            measures["max_rhat"] = float(each[largest])
        measures |= {"min_ess_bulk": float(np.min(bulk)), "min_ess_tail": float(np.min(tail))}
        effects = EffectConvergence.of(model, posterior)
        if effects is not None:
            measures |= {} if effects.rhat is None else {"max_rhat_effects": effects.rhat}
            measures["min_ess_effects"] = effects.ess
        return cls(measures | transition_measures(sample_stats), str(labels[largest]), str(labels[fewest]), effects)


def transition_measures(sample_stats: xr.Dataset) -> dict[str, float]:
    """Divergences, lowest E-BFMI, and transitions at the maximum depth."""
    measures = {"divergences": float(sample_stats["diverging"].sum()) if "diverging" in sample_stats else 0.0}
    if "energy" in sample_stats:
        energy = sample_stats["energy"].transpose("chain", "draw").to_numpy()
        measures["min_bfmi"] = float(np.min(np.mean(np.diff(energy, axis=1) ** 2, axis=1) / energy.var(axis=1)))
    for name in ("reached_max_treedepth", "maxdepth_reached"):
        if name in sample_stats:
            measures["at_max_treedepth"] = float(sample_stats[name].sum())
    if INTEGRATION_ERROR in sample_stats:
        errors = sample_stats[INTEGRATION_ERROR].to_numpy()
        known = errors[~np.isnan(errors)]
        if len(known) > 1:  # an error that is the same everywhere has no effect on the posterior
            measures[INTEGRATION_ERROR] = float(np.std(known))
    return measures


def largest_rhat_by_chance(chains: int, effects: int) -> float:
    """The R-hat that the largest of many effects exceeds with a probability of `CHANCE`, at the least effective size.

    The means of the two halves of each chain, with half of `MIN_ESS_PER_CHAIN` effective draws each, are nearly normal,
    so that the ratio of the variance between them to that within is a chi-squared variable divided by its degrees of
    freedom. With four chains the limit is 1.016 for a single effect, 1.032 for a hundred and 1.044 for four thousand;
    chains with an effective size of 400 that were simulated for 2,000 effects had a largest R-hat of 1.038 (median).

    Parameters
    ----------
    chains : int
    effects : int
        Number of effects, for which the probability is divided (Bonferroni).

    Examples
    --------
    >>> round(largest_rhat_by_chance(4, 4000), 3)
    1.044
    """
    from scipy.special import chdtri

    degrees = 2 * chains - 1
    excess = float(chdtri(degrees, CHANCE / effects)) / degrees - 1
    return max(MAX_RHAT, float(np.sqrt(1 + excess / (MIN_ESS_PER_CHAIN / 2))))
