"""Naive tests of coefficients that are zero, in outcomes simulated from a mixed model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...studies.parameters import Population
from ...studies.simulated_outcomes import generator, simulated_outcome
from .naive_regression import NaiveRegression

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NaiveTests:
    """Task that tests each of some coefficients in outcomes of one replicate in which it is zero.

    Attributes
    ----------
    design : Design
    population : Population
        The parameters to simulate from, but for the coefficient that is tested.
    naive : NaiveRegression
    start : ndarray, shape (p,)
        Coefficients to start from.
    tested : tuple of int
        Positions of the coefficients.
    seed : int
    """

    design: Design
    population: Population
    naive: NaiveRegression
    start: FloatArray
    tested: tuple[int, ...]
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The z statistics of replicate `number`, by label of the coefficient; near zero after separation."""
        random = generator(self.seed, number)
        successes = []
        for k in self.tested:
            beta = self.population.beta.copy()
            beta[k] = 0.0
            outcome = simulated_outcome(self.design, replace(self.population, beta=beta), random)
            successes.append(self.naive.sums(outcome))
        found = self.naive.fitted_to(np.array(successes), self.start)
        at = np.arange(len(self.tested)), np.array(self.tested)
        z = found.coefficients[at] / found.standard_errors()[at]
        return dict(zip((self.design.fixed_effects[k] for k in self.tested), z.tolist(), strict=True))
