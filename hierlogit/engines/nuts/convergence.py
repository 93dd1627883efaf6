"""Posterior draws -> convergence measures and findings."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...fits.findings import Finding
from ...validation import agree, number_of

#: Thresholds of Vehtari et al. (2021), Bayesian Analysis 16: 667-718, and of Betancourt (2016), arXiv:1604.00695.
MAX_RHAT = 1.01
#: Up to this R-hat, chains differ little.
NEARLY = 1.05
MIN_ESS_PER_CHAIN = 100
MIN_BFMI = 0.3
#: Fraction of the transitions that may reach the maximum tree depth: in long chains some do by chance.
MAX_DEPTH_SHARE = 0.01


def convergence_measures(parameters: xr.DataArray, sample_stats: xr.Dataset) -> dict[str, float]:
    """Worst R-hat and effective sample sizes over the parameters, divergences, depth limit, lowest E-BFMI.

    Parameters
    ----------
    parameters : xarray.DataArray
        Draws of the estimated parameters, dims (chain, draw, parameter).
    sample_stats : xarray.Dataset
        The sampler's statistics.
    """
    import arviz_stats

    measures: dict[str, float] = {}
    values = parameters.to_dataset(name="value")
    sds = parameters.std(("chain", "draw"), skipna=False).to_numpy()
    measures["constant_parameters"] = float(np.sum(~(sds > 0)))
    # NumPy's minimum and maximum, since those of xarray skip values that are not numbers.
    if parameters.sizes["chain"] > 1:
        measures["max_rhat"] = float(np.max(arviz_stats.rhat(values)["value"].to_numpy()))
    measures["min_ess_bulk"] = float(np.min(arviz_stats.ess(values, method="bulk")["value"].to_numpy()))
    measures["min_ess_tail"] = float(np.min(arviz_stats.ess(values, method="tail")["value"].to_numpy()))
    measures["divergences"] = float(sample_stats["diverging"].sum()) if "diverging" in sample_stats else 0.0
    if "energy" in sample_stats:
        energy = sample_stats["energy"].transpose("chain", "draw").to_numpy()
        measures["min_bfmi"] = float(np.min(np.mean(np.diff(energy, axis=1) ** 2, axis=1) / energy.var(axis=1)))
    for name in ("reached_max_treedepth", "maxdepth_reached"):
        if name in sample_stats:
            measures["at_max_treedepth"] = float(sample_stats[name].sum())
    return measures


def _high_rhat(rhat: float) -> Finding:
    # Rounded away from the limit, so that it never reads as if it met the limit.
    shown = np.ceil(rhat * 1000) / 1000
    remedy = (
        "The chains nearly agree: more draws usually suffice."
        if rhat <= NEARLY
        else "The chains have not mixed: raise tune and draws, or simplify the random terms."
    )
    return Finding(
        "high_rhat", "warning", f"The largest R-hat is {shown:.3f}; it should be at most {MAX_RHAT}.", remedy
    )


def convergence_findings(
    measures: dict[str, float], chains: int, draws: int, requested: tuple[int, int]
) -> tuple[Finding, ...]:
    """The findings about `chains` chains of `draws` draws each, with advice.

    Parameters
    ----------
    measures : dict of str to float
        From `convergence_measures`.
    chains, draws : int
        Complete chains, and draws of each.
    requested : (int, int)
        Chains and draws that were requested; there are fewer after an interruption.
    """
    findings = []
    if (chains, draws) != requested:
        findings.append(
            Finding(
                "interrupted",
                "warning",
                f"Sampling was interrupted: {chains} of {requested[0]} chains have {draws:,} of {requested[1]:,} "
                "draws.",
                "These draws are kept; to get all of them, fit again with the same seed.",
            )
        )
    constant = int(measures["constant_parameters"])
    if constant:
        findings.append(
            Finding(
                "constant_draws",
                "error",
                f"{number_of(constant, 'parameter')} {agree(constant, 'is', 'are')} constant or not finite in all "
                "draws.",
                "Do not use these draws: look for extreme values in the data, and at the priors.",
            )
        )
    if measures["divergences"]:
        findings.append(
            Finding(
                "divergences",
                "warning",
                f"{measures['divergences']:.0f} of {chains * draws:,} transitions diverged.",
                "Raise target_accept (0.95, 0.99), or give the sds a tighter prior.",
            )
        )
    if measures.get("max_rhat", 1.0) > MAX_RHAT:
        findings.append(_high_rhat(measures["max_rhat"]))
    lowest = min(measures["min_ess_bulk"], measures["min_ess_tail"])
    if lowest < MIN_ESS_PER_CHAIN * chains:
        findings.append(
            Finding(
                "low_ess",
                "warning",
                f"The smallest effective sample size is {lowest:.0f}; it should be at least "
                f"{MIN_ESS_PER_CHAIN * chains}.",
                "Raise draws: means and intervals are still imprecise.",
            )
        )
    if measures.get("at_max_treedepth", 0.0) > MAX_DEPTH_SHARE * chains * draws:
        findings.append(
            Finding(
                "max_treedepth",
                "warning",
                f"{measures['at_max_treedepth']:.0f} of {chains * draws:,} transitions reached the maximum depth.",
                "Raise tune, or scale the columns of random slopes: each draw needs a long trajectory.",
            )
        )
    if measures.get("min_bfmi", 1.0) < MIN_BFMI:
        findings.append(
            Finding(
                "low_bfmi",
                "warning",
                f"The lowest E-BFMI is {measures['min_bfmi']:.2f}; it should be above {MIN_BFMI}.",
                "The sampler explores the tails slowly: raise tune and draws, or give the sds a tighter prior.",
            )
        )
    return tuple(findings)
