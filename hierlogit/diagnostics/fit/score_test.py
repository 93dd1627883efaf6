"""Score tests of columns that the model lacks, without fitting the larger model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.fixed_effects import fixed_information
from ...design.arrangement import Arrangement, arrange
from ...design.projection import orthogonal

if TYPE_CHECKING:
    from ...engines.maximum.refitted import ReferenceFit, RefittedModel

FloatArray = npt.NDArray[np.float64]

#: Directions with less information than this fraction of the largest count as directions without any.
SINGULAR = 1e-8


class AddedColumns:
    """Rao's score tests of several sets of columns, from one evaluation of the gradient.

    The random effects are integrated out as in the fit. The information about the added coefficients is that of
    penalised least squares, adjusted for the fixed effects. The sds are treated as known, which they are not in small
    samples: compare the statistics with those of simulated data, for which the sds are estimated as well.

    Parameters
    ----------
    reference : ReferenceFit
    sets : mapping of str to ndarray, shape (n, k)
        Columns by name, as `unexplained` returns them; those of different sets may depend on each other.

    References
    ----------
    Rao (1948), Mathematical Proceedings of the Cambridge Philosophical Society 44: 50-57.
    """

    def __init__(self, reference: ReferenceFit, sets: Mapping[str, FloatArray]) -> None:
        self._reference = reference
        self._basis = orthogonal(np.column_stack([np.empty((reference.model.design.n_rows, 0)), *sets.values()]))
        rows = len(self._basis)
        self._parts = {name: self._basis.T @ columns / rows for name, columns in sets.items()}
        self._last: tuple[RefittedModel, dict[str, float]] | None = None

    def statistic(self, fitted: RefittedModel, name: str) -> float:
        """Score statistic of a set: twice the predicted rise of the log-likelihood if it were added."""
        if self._last is None or self._last[0] is not fitted:
            self._last = fitted, self._statistics(fitted)
        return self._last[1][name]

    def _statistics(self, fitted: RefittedModel) -> dict[str, float]:
        design, k = self._reference.model.design, self._basis.shape[1]
        arrangement = self._arrangement.with_outcome(replace(design.outcome, y=fitted.y))
        likelihood = self._reference.likelihood(arrangement)
        likelihood.work.u[:] = fitted.standardised_modes
        R, p = arrangement.triangular, len(design.fixed_effects)
        evaluation = likelihood.evaluate(R @ np.concatenate([fitted.psi[:p], np.zeros(k)]), fitted.flat_cholesky)
        score = (R.T @ evaluation.dgamma)[p:]
        information = R.T @ fixed_information(likelihood) @ R
        added, cross, fixed = information[p:, p:], information[p:, :p], information[:p, :p]
        adjusted = added - cross @ np.linalg.pinv(fixed, rcond=SINGULAR, hermitian=True) @ cross.T if p else added
        return {name: _quadratic(part.T @ score, part.T @ adjusted @ part) for name, part in self._parts.items()}

    @cached_property
    def _arrangement(self) -> Arrangement:
        design = self._reference.model.design
        names = (*design.fixed_effects, *(f"added {k}" for k in range(self._basis.shape[1])))
        wider = replace(design, X=np.column_stack([design.X, self._basis]), fixed_effects=names, fixed_terms=names)
        return arrange(wider)


def _quadratic(score: FloatArray, information: FloatArray) -> float:
    return float(score @ np.linalg.pinv(information, rcond=SINGULAR, hermitian=True) @ score)
