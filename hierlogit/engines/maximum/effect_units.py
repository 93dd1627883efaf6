"""Units of random effects in which a search is well scaled, where a predictor is far from zero.

Random slopes of a predictor whose values lie far from zero, as years and times do, almost cancel the random intercepts,
which are deviations at zero: in the entries of the Cholesky factor L, a step of one standard error along one of them is
thousands along another. The likelihood depends on ``Z L`` alone. With ``Z = Q T`` for orthogonal columns Q and a lower
triangular T, ``T L`` is lower triangular too, a linear function of L, and as well scaled as for predictors around zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock

FloatArray = npt.NDArray[np.float64]

#: A column is far from zero if its mean is more than this many of its standard deviations.
FAR = 50.0
#: Columns that are nearly dependent, up to this share, are left as they are.
DEPENDENT = 1e-13


@dataclass(frozen=True)
class EffectUnits:
    """Units of the effects of one grouping factor.

    Attributes
    ----------
    sds : ndarray, shape (q,)
        Standard deviation of each effect's column in these units; 1 for correlated effects that are rescaled.
    rescaled : ndarray of bool, shape (q,)
        The effects of sets with a column far from zero.
    triangular : list of (slice, ndarray)
        The effects of each such set, and its T.
    """

    sds: FloatArray
    rescaled: npt.NDArray[np.bool_]
    triangular: list[tuple[slice, FloatArray]]

    @classmethod
    def of(cls, group: GroupBlock, prior_sds: FloatArray | None) -> EffectUnits:
        """The units of a grouping factor's effects.

        Parameters
        ----------
        group : GroupBlock
        prior_sds : ndarray, shape (q,), optional
            Sds of the effects that are likely before the data are seen. They limit the directions about which the rows
            hold little.
        """
        sds, rescaled, triangular = group.column_sds.copy(), np.zeros(len(group.effects), dtype=bool), []
        far = np.abs(group.column_ranges[2]) > FAR * sds
        for part in group.set_slices:
            if not far[part].any():
                continue
            columns = group.Z[:, part] / np.sqrt(len(group.Z))
            if prior_sds is not None:
                columns = np.vstack([columns, np.diag(1.0 / prior_sds[part])])
            # Of the columns in reverse order, the triangle is the lower one.
            T = np.linalg.qr(columns[:, ::-1], mode="r")[::-1, ::-1]
            with np.errstate(over="ignore"):
                lengths = np.sqrt((columns**2).sum(axis=0))
            if np.any(np.abs(np.diag(T)) <= DEPENDENT * lengths):
                continue
            triangular.append((part, T))
            # A single effect stays an effect of its own column, whose values differ by little in these units.
            sds[part] = sds[part] / np.abs(np.diag(T)) if len(T) == 1 else 1.0
            rescaled[part] = True
        return cls(sds, rescaled, triangular)

    @cached_property
    def inverses(self) -> list[tuple[slice, FloatArray]]:
        """The inverse of each T, a lower triangle too."""
        return [(part, np.tril(np.linalg.inv(T))) for part, T in self.triangular]

    def scaled(self, L: FloatArray) -> FloatArray:
        """A Cholesky factor of the effects, with ``T L`` for the sets that are rescaled."""
        return _multiplied(self.triangular, L)

    def unscaled(self, scaled: FloatArray) -> FloatArray:
        """The Cholesky factor of the effects that `scaled` turns into this."""
        return _multiplied(self.inverses, scaled)


def _multiplied(factors: list[tuple[slice, FloatArray]], L: FloatArray) -> FloatArray:
    product = L.copy()
    for part, factor in factors:
        product[part, part] = factor @ L[part, part]
    return product
