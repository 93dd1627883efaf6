"""The posterior density of the parameters of a model of shards, with the random effects integrated out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.unbounded_variables import UnboundedVariables
from ..engines.maximum.marginal_posterior import MarginalPosterior
from ..engines.maximum.optimizer import climb
from ..engines.maximum.starting_values import starting_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engines.maximum.objective import Point
    from .objective import ShardedObjective

FloatArray = npt.NDArray[np.float64]

#: Vectors whose log densities are computed in one round: so few that an interruption loses little, so many that workers
#: are busy for much longer than it takes to send them.
IN_A_ROUND = 250


class Counted:
    """Shows the rounds of several objectives as those of one fit.

    Parameters
    ----------
    show : callable
        Takes the number of the round and what was found in it, as from `hierlogit.progress.steps`.
    """

    def __init__(self, show: Callable[[int, str], None]) -> None:
        self._show = show
        self.rounds, self.state = 0, ""

    def __call__(self, _number: int, state: str) -> None:
        """Show one more round."""
        self.rounds, self.state = self.rounds + 1, state
        self._show(self.rounds, state)


class SummedPosterior(MarginalPosterior):
    """The log posterior density of the parameters, whose log-likelihood is a sum over shards.

    Each evaluation depends on its vectors alone, and not on those before it.

    Parameters
    ----------
    objective : ShardedObjective
        The log-likelihood.
    penalised : ShardedObjective
        The same with the log prior density.
    counted : Counted
        Shows the rounds of both.
    """

    objective: ShardedObjective

    def __init__(self, objective: ShardedObjective, penalised: ShardedObjective, counted: Counted) -> None:
        self.model, self.nodes, self.objective = objective.model, objective.nodes, objective
        self.variables = UnboundedVariables(self.model, objective.triangular)
        self._penalised, self._counted = penalised, counted

    def start(self) -> Point:
        """The mode in the scale of the Cholesky factors, where a search for the one in the vector x starts."""
        return climb(self._penalised, *starting_point(self._penalised, self._penalised.plain_regression()))

    def gradients(self, x: FloatArray) -> FloatArray:
        """Gradients of the log density at vectors of shape (m, n_dim), of the same shape, in one round."""
        with np.errstate(all="ignore"):
            psi, prior = self.psi(x), self.variables.log_prior(x)
        inside = np.flatnonzero(np.isfinite(prior) & np.all(np.isfinite(psi), axis=1))
        gradients = np.zeros_like(x)
        points = self.objective.evaluate_all(psi[inside])
        self._counted(0, f"gradients at {len(inside)} points")
        for place, point in zip(inside, points, strict=True):
            gradients[place] = self._with_prior(x[place], float(prior[place]), point)[1]
        return gradients

    def _log_likelihoods(self, psi: FloatArray, _stop: npt.NDArray[np.uint64] | None) -> FloatArray:
        values = np.empty(len(psi))
        for start in range(0, len(psi), IN_A_ROUND):
            part = slice(start, start + IN_A_ROUND)
            values[part] = self.objective.sums.log_likelihoods(self.nodes, psi[part])
            self._counted(0, f"log densities at {min(part.stop, len(psi)):,} of {len(psi):,} vectors")
        return values
