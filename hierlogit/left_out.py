"""`Fit` without some rows → parameters and whatever else is asked of a fit: by another search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .engines.refit import Refitter, maximum_of
from .errors import FitError
from .fit import correlated_pairs
from .studies.bootstrap import numbers, parameters

if TYPE_CHECKING:
    from .estimate import Estimate
    from .fit import Fit
    from .model import Model
    from .studies.bootstrap import Statistic

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class SearchedAgain:
    """Numbers of a likelihood engine's fit without one cluster.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        With all clusters.
    index : ndarray of int, shape (n,)
        Cluster of each row.
    estimand : callable or None
    draws, seed : int
        Of the fit that the estimand is of, as the fit with all clusters has them.
    """

    model: Model
    estimate: Estimate
    index: IntArray
    estimand: Statistic | None
    draws: int
    seed: int

    @classmethod
    def of(cls, fit: Fit, index: IntArray, estimand: Statistic | None) -> SearchedAgain:
        """For a fit and its clusters."""
        if estimand is None:  # the report, which weighs draws, is not needed
            return cls(fit.model, maximum_of(fit), index, None, 0, 0)
        draws = fit.data["posterior"].sizes["draw"]
        return cls(fit.model, maximum_of(fit), index, estimand, draws, int(fit.report.seed or 0))

    def __call__(self, number: int) -> dict[str, float]:
        """What is found without cluster `number`.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or at one at infinity.
        """
        refitter, rows = Refitter(self.model, self.estimate), self.index == number
        if self.estimand is None:
            return known_parameters(self.model, refitter.without(rows).bounded_maximum())
        # The same draws about another maximum: what differs is the maximum, not the luck of the draws.
        return asked_of(refitter.fit_without(rows, self.draws, self.seed), self.estimand)


def asked_of(fit: Fit, estimand: Statistic | None) -> dict[str, float]:
    """Parameters of a likelihood engine's fit, and what else is asked of it.

    Raises
    ------
    FitError
        If the estimand has the name of a parameter.
    """
    found = known_parameters(fit.model, maximum_of(fit))
    return found if estimand is None else found | _named_apart(numbers(estimand(fit), "estimand"), found)


def known_parameters(model: Model, estimate: Estimate) -> dict[str, float]:
    """Parameters of an estimate; a correlation of effects one of which does not vary is none."""
    found = parameters(model, estimate)
    for block in model.design.groups:
        sd, name = estimate.sd(block.name), block.result_name
        for i, j in correlated_pairs(block):
            if sd[i] == 0 or sd[j] == 0:
                found[f"cor_{name}[{block.effects[i]}, {block.effects[j]}]"] = np.nan
    return found


def _named_apart(asked: dict[str, float], parameters: dict[str, float]) -> dict[str, float]:
    both = [name for name in asked if name in parameters]
    if both:
        raise FitError(f"the estimand has parts of the names of parameters, {both}: give them others.")
    return asked
