"""Score tests of columns that the model does not have: what adding them would do to the log-likelihood, without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.laplace import fixed_information
from ...design.arrangement import Arrangement, arrange

if TYPE_CHECKING:
    from .refitted import ReferenceFit, RefittedModel

FloatArray = npt.NDArray[np.float64]

#: A column whose part that is not in the model's own is smaller than this share of it is one of the model's.
NEW = 1e-6
#: Directions about which there is less information than this share of the most count as without any.
SINGULAR = 1e-8


class AddedColumns:
    """Rao's score tests of several sets of columns, from one evaluation of the gradient.

    The random effects are integrated out as in the fit. The information about the added coefficients is that of the
    penalised least squares, adjusted for the fixed effects. The sds count as known, which they are not in small
    samples: the statistics are to be compared with those of simulated data, whose sds are estimated as well.

    Parameters
    ----------
    anchor : ReferenceFit
    sets : mapping of str to ndarray, shape (n, k)
        Columns by name, as `unexplained` returns them: together they may depend on each other.

    References
    ----------
    Rao (1948), Mathematical Proceedings of the Cambridge Philosophical Society 44: 50-57.
    """

    def __init__(self, anchor: ReferenceFit, sets: Mapping[str, FloatArray]) -> None:
        self._anchor = anchor
        self._basis = orthogonal(np.column_stack([np.empty((anchor.model.design.n_rows, 0)), *sets.values()]))
        rows = len(self._basis)
        self._parts = {name: self._basis.T @ columns / rows for name, columns in sets.items()}
        self._last: tuple[RefittedModel, dict[str, float]] | None = None

    def statistic(self, fitted: RefittedModel, name: str) -> float:
        """Twice the rise of the log-likelihood that gradient and curvature promise if this set were added."""
        if self._last is None or self._last[0] is not fitted:
            self._last = fitted, self._statistics(fitted)
        return self._last[1][name]

    def _statistics(self, fitted: RefittedModel) -> dict[str, float]:
        design, k = self._anchor.model.design, self._basis.shape[1]
        arrangement = self._arrangement.with_counts(fitted.y, design.outcome.trials)
        likelihood = self._anchor.likelihood(arrangement)
        likelihood.work.u[:] = fitted.standardised_modes
        R, p = arrangement.triangular, len(design.fixed_effects)
        found = likelihood.evaluate(R @ np.concatenate([fitted.psi[:p], np.zeros(k)]), fitted.flat_cholesky)
        score = (R.T @ found.dgamma)[p:]
        information = R.T @ fixed_information(likelihood) @ R
        own, cross, rest = information[p:, p:], information[p:, :p], information[:p, :p]
        adjusted = own - cross @ np.linalg.pinv(rest, rcond=SINGULAR, hermitian=True) @ cross.T if p else own
        return {name: _quadratic(part.T @ score, part.T @ adjusted @ part) for name, part in self._parts.items()}

    @cached_property
    def _arrangement(self) -> Arrangement:
        design = self._anchor.model.design
        names = (*design.fixed_effects, *(f"added {k}" for k in range(self._basis.shape[1])))
        wider = replace(design, X=np.column_stack([design.X, self._basis]), fixed_effects=names, fixed_terms=names)
        return arrange(wider)


def _quadratic(score: FloatArray, information: FloatArray) -> float:
    return float(score @ np.linalg.pinv(information, rcond=SINGULAR, hermitian=True) @ score)


def unexplained(columns: FloatArray, X: FloatArray) -> FloatArray:
    """The part of columns that others do not explain: orthogonal, with mean squares of one; shape (n, k) or less.

    Examples
    --------
    >>> x = np.arange(6.0)[:, None]
    >>> line = np.column_stack([np.ones(6), x])
    >>> unexplained(3 * x + 2, line).shape, unexplained(x**2, line).shape
    ((6, 0), (6, 1))
    """
    basis = np.linalg.qr(X)[0] if X.shape[1] else np.empty((len(columns), 0))
    scaled = columns / np.sqrt(np.maximum((columns**2).mean(axis=0), 1e-300))
    left = scaled - basis @ (basis.T @ scaled)
    return orthogonal(left - basis @ (basis.T @ left))  # once more, for what rounding left


def orthogonal(columns: FloatArray) -> FloatArray:
    """An orthogonal basis of the columns, with mean squares of one, without directions that are next to nothing."""
    if not columns.shape[1]:
        return columns
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    root = np.sqrt(len(columns))
    return np.asarray(u[:, s > NEW * root] * root)
