"""A proposal with tails as heavy as those of the priors, for what the proposal at the mode misses.

The posterior density is prior times likelihood, and the likelihood is bounded: relative to a mixture with a
distribution whose tails are not lighter than the prior's, no weight is large (Hesterberg 1995, Technometrics 37:
185-194).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.unbounded_variables import UnboundedVariables

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Probability in either tail of the prior of an sd by which the tails of its logarithm are matched, and how much longer
#: those of the proposal are.
TAIL, LONGER = 1e-4, 1.1


@dataclass(frozen=True)
class WideProposal:
    """Independent Cauchy distributions of the coefficients that have priors, logistic ones of all other variables.

    Attributes
    ----------
    variables : UnboundedVariables
    location, scale : ndarray, shape (p,)
        Those of the priors of the coefficients.
    centre, spread : ndarray, shape (d - p,)
        Medians and scales of the logarithms of the sds and of the correlation variables.
    """

    variables: UnboundedVariables
    location: FloatArray
    scale: FloatArray
    centre: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, model: ModelSpec, variables: UnboundedVariables) -> WideProposal:
        """The proposal for the priors of a model."""
        fixed = [model.priors.fixed[label] for label in model.design.fixed_effects]
        centre, spread = [], []
        for group in model.design.groups:
            for prior in model.priors.sd[group.name]:
                low, middle, high = (math.log(max(prior.quantile(p), 1e-300)) for p in (TAIL, 0.5, 1 - TAIL))
                centre.append(middle)
                spread.append(LONGER * max(middle - low, high - middle) / math.log((1 - TAIL) / TAIL))
        # The density of a correlation variable falls as exp(-2 a |z|).
        spread += (LONGER / (2 * variables.correlation_powers)).tolist()
        return cls(
            variables,
            np.array([getattr(prior, prior.location) for prior in fixed], dtype=np.float64),
            np.array([getattr(prior, prior.scale) for prior in fixed], dtype=np.float64),
            np.concatenate([centre, np.zeros(len(variables.correlation_powers))]),
            np.array(spread),
        )

    def points(self, uniform: FloatArray) -> FloatArray:
        """Points from uniform ones, whose first d columns count; shape (count, d)."""
        p, d = self.variables.n_fixed, self.variables.n_dim
        coefficients = self.location + self.scale * np.tan(np.pi * (uniform[:, :p] - 0.5))
        others = uniform[:, p:d]
        return self.variables.of_centred(coefficients, self.centre + self.spread * np.log(others / (1 - others)))

    def log_density(self, x: FloatArray) -> FloatArray:
        """Normalised log density of vectors of shape (m, d), shape (m,)."""
        t = (self.variables.centred(x) - self.location) / self.scale
        size = np.abs(x[:, self.variables.n_fixed :] - self.centre) / self.spread
        density: FloatArray = self.variables.log_volume(x) - (np.log(np.pi * self.scale) + np.log1p(t**2)).sum(axis=1)
        density -= (size + 2 * np.log1p(np.exp(-size)) + np.log(self.spread)).sum(axis=1)
        return density
