"""What to do about chains that do not mix: what moves together, why, and how many draws are needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import EngineError
from ...validation import number_of
from ..maximum.integrator import integrator
from .convergence import MAX_RHAT, MIN_ESS_PER_CHAIN, Convergence
from .coupling import Coupling, Movements
from .effects_form import integrated_group, obstacle_to_integration
from .quantities import Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from ...model_spec import ModelSpec
    from .options import SamplerOptions

#: With a larger R-hat, chains have not reached the same region: the number of draws they need cannot be told.
APART = 1.2
#: Steps of tuning that are advised at least.
LEAST_TUNE = 1000
#: The number of draws needed is raised by this factor, since effective sizes and R-hat are estimates: runs that were
#: repeated with the advised number met the limits in 14 of 24 cases with a factor of 1.2, and in 21 with 2.
MARGIN = 2.0
#: With fewer clusters, sds and correlations are known mostly from their priors.
FEW_CLUSTERS = 10
#: With fewer rows for each cluster, the data say little of an effect, and the effects follow their sd.
FEW_ROWS = 5
#: An sd explains a low E-BFMI if its correlation with the energy is at least this; divergences, if it is this many
#: standard deviations below its mean on average.
NOTED = 0.3


@dataclass(frozen=True)
class Advice:
    """Advice about a run of a sampler.

    Attributes
    ----------
    model : Model
    posterior, sample_stats : xarray.Dataset
        Complete draws and statistics, dims (chain, draw, ...).
    options : SamplerOptions
    convergence : Convergence
    seconds : mapping of str to float
        Wall time by stage.
    tried : str, optional
        Name of an engine that was tried first, and need not be tried again.
    """

    model: ModelSpec
    posterior: xr.Dataset
    sample_stats: xr.Dataset
    options: SamplerOptions
    convergence: Convergence
    seconds: Mapping[str, float]
    tried: str = ""

    @cached_property
    def movements(self) -> Movements:
        """Draws of what may move together."""
        effects = self.convergence.effects
        singles = {} if effects is None else effects.worst
        return Movements.of(self.model, self.posterior, list(singles.items()))

    def parameter(self, label: str) -> Quantity:
        """The parameter of that label."""
        return next(one for one in self.movements.quantities if one.words == label and one.kind in _PARAMETERS)

    def cause(self, worst: Quantity, coupling: Coupling) -> str:
        """Why the worst quantity moves slowly, given what it moves with; empty if the draws do not tell."""
        moving = (worst, *coupling.others)
        kinds = {one.kind for one in moving}
        factors = list(dict.fromkeys(one.factor for one in moving if one.factor is not None))
        spread = next((one for one in moving if one.kind in ("sd", "cor")), None)
        if "fixed" in kinds and kinds & {"mean", "effect"}:
            return (
                "The data tell their sum better than each of them. The model is not at fault: the terms need not be "
                "simplified."
            )
        if kinds == {"fixed"} and coupling.others:
            return (
                "The data hardly tell these coefficients apart: hl.check_data(model).columns shows which predictors "
                "are collinear. Give them tighter priors, or leave one out."
            )
        if spread is not None:
            return self._of_spread(spread)
        if "phi" in kinds:
            return (
                "The counts tell little about phi: give it a prior that you can defend, priors={'phi': ...}, or leave "
                "family= out if they vary no more than binomial ones."
            )
        if len(factors) > 1:
            return f"The data hardly tell the effects of {' and '.join(map(repr, factors))} apart."
        return ""

    def _of_spread(self, spread: Quantity) -> str:
        group = next(group for group in self.model.design.groups if group.name == spread.factor)
        clusters = len(group.levels)
        if clusters < FEW_CLUSTERS:
            return (
                f"{number_of(clusters, 'cluster')} of '{group.name}' tell little about {spread.words}: give it a prior "
                "that you can defend, for example by hl.prior_from_mor."
            )
        if spread.kind == "cor":
            return (
                f"hl.check_data(model).effects shows how many clusters of '{group.name}' are informative about "
                f"{spread.words}; if they are few, write || in place of | for uncorrelated effects."
            )
        rows = self.model.design.n_observations / clusters
        if rows < FEW_ROWS:
            return (
                f"With {rows:.2g} rows for each cluster of '{group.name}', the data say little of an effect, and the "
                "effects shrink and grow with their sd."
            )
        return ""

    def sampler(self, *moving: Quantity) -> str:
        """Another way of sampling in which these quantities do not move together; empty if they are all parameters."""
        from ...density.joint.model_arrays import unknown_families

        if not self.model.design.groups or unknown_families(self.model):
            return ""
        options = self.options
        if options.backend != "native":
            return "backend='native' scales such directions before it samples."
        if options.parameterization != "auto":
            return "parameterization='auto' scales such directions before it samples."
        if options.effects == "sampled" and not obstacle_to_integration(self.model, options.backend):
            name = integrated_group(self.model).name
            if any(one.factor == name for one in moving):
                return f"hl.NUTS(effects='integrated') integrates the effects of '{name}' out while it samples."
        tried = self.tried == "ImportanceSampling"
        if tried or all(one.kind == "fixed" for one in moving) or not self._integrable():
            return ""
        return "hl.ImportanceSampling() makes independent draws, with the cluster effects integrated out."

    def _integrable(self) -> bool:
        try:
            integrator(self.model.design, nodes=2)
        except EngineError:
            return False
        return True

    def more_draws(self, ess: float, rhat: float) -> str:
        """How many draws are needed, from the effective size per draw and from how R-hat falls with the draws."""
        chains, draws = self.posterior.sizes["chain"], self.posterior.sizes["draw"]
        if not np.isfinite(ess) or rhat > APART:
            return (
                f"The chains are not in the same region: pass tune={max(_rounded(2 * self.options.tune), LEAST_TUNE)}."
            )
        excess = (rhat**2 - 1) / (MAX_RHAT**2 - 1)
        times = MARGIN * max(MIN_ESS_PER_CHAIN * chains / ess, excess)
        needed = _rounded(max(times, MARGIN) * draws)
        return f"At this rate, draws={needed} would suffice{self._time(needed)}."

    def _time(self, draws: int) -> str:
        if "sample" not in self.seconds:
            return ""
        # An interrupted run has made fewer draws than it was asked for.
        each = self.seconds["sample"] / (self.options.tune + self.posterior.sizes["draw"])
        return f" (about {duration(each * (self.options.tune + draws))} of sampling)"

    # ---- where transitions fail ------------------------------------------------------------------------------------

    def funnel(self) -> Quantity | None:
        """The sd that moves most with the energy, which then moves slowly; None if there is none."""
        energy = self.sample_stats["energy"].transpose("chain", "draw").to_numpy()
        return self._strongest_sd(np.abs(self._with(energy - energy.mean(axis=1, keepdims=True))))

    def divergent(self) -> Quantity | None:
        """The sd that is smallest, by its own scatter, where transitions diverged; None if there is none."""
        diverging = self.sample_stats["diverging"].transpose("chain", "draw").to_numpy().astype(float)
        return self._strongest_sd(-(diverging.ravel() @ self.movements.values) / diverging.sum())

    def _with(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        spread = float(values.std()) or 1.0
        correlations: npt.NDArray[np.float64] = values.ravel() @ self.movements.values / (values.size * spread)
        return correlations

    def _strongest_sd(self, strength: npt.NDArray[np.float64]) -> Quantity | None:
        sds = [k for k, one in enumerate(self.movements.quantities) if one.kind == "sd"]
        strongest = max(sds, key=lambda k: strength[k], default=None)
        return None if strongest is None or strength[strongest] < NOTED else self.movements.quantities[strongest]


_PARAMETERS = ("fixed", "sd", "cor", "phi")


def _rounded(count: float) -> int:
    """Rounded up to two significant digits.

    Examples
    --------
    >>> _rounded(7_432), _rounded(1_000)
    (7500, 1000)
    """
    step = 10 ** max(int(np.floor(np.log10(count))) - 1, 0)
    return int(np.ceil(count / step) * step)


def duration(seconds: float) -> str:
    """A time in words, roughly.

    Examples
    --------
    >>> duration(0.4), duration(38), duration(400), duration(9000)
    ('1 s', '38 s', '7 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
