"""Coefficients of each cluster: the fixed effects with the deviations of the cluster added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.design import Design
from ..design.grouping import GroupBlock
from ..fits.arguments import require_fit
from ..fits.central_draw import central_draw
from ..fits.fit import Fit
from ..fits.repeated_findings import note_of_zero_sds, repeats_findings
from ..result_table import ResultTable
from .cluster_picture import ClusterPicture
from .intervals import CHUNK_SIZE, Interval, put_block, summarise

FloatArray = npt.NDArray[np.float64]
#: Distance of a column from the span of others, and a loading that counts as zero, for columns of size one.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class VaryingCoefficients:
    """The coefficients that vary over the clusters of a factor, as functions of fixed effects and deviations.

    A cluster's linear predictor ``x'beta + z'b`` is written as ``x'a``, with its own coefficients ``a = beta + C b``
    where ``Z = X C``. Usually ``C`` only selects, as in ``x + (1 + x | g)``. It does more if a term is coded
    differently: in ``arm + (0 + arm | g)`` there is an effect for each arm, and the coefficient of the second arm is a
    difference. Columns of ``Z`` outside the span of ``X`` are further coefficients, whose fixed effect is zero.

    Attributes
    ----------
    labels : tuple of str, length r
    columns : ndarray, shape (n, r)
        Columns of the training rows that the coefficients multiply.
    fixed : ndarray of int, shape (r,)
        Positions among the fixed effects; -1 for coefficients without a fixed effect.
    loadings : ndarray, shape (r, q)
        The rows of ``C``.
    """

    labels: tuple[str, ...]
    columns: FloatArray
    fixed: npt.NDArray[np.intp]
    loadings: FloatArray

    @classmethod
    def of(cls, design: Design, group: GroupBlock) -> VaryingCoefficients:
        """The coefficients that vary over the clusters of one grouping factor."""
        columns, labels = design.X, list(design.fixed_effects)
        loadings = np.zeros((len(labels) + len(group.effects), len(group.effects)))
        for k, (label, column) in enumerate(zip(group.effects, group.Z.T, strict=True)):
            equal = np.flatnonzero((columns == column[:, None]).all(axis=0))
            if equal.size:
                loadings[equal[0], k] = 1.0
                continue
            weights, outside = _expressed(columns, column)
            if outside:
                loadings[len(labels), k] = 1.0
                columns, labels = np.column_stack([columns, column]), [*labels, label]
            else:
                loadings[: len(weights), k] = weights
        varying = np.flatnonzero(loadings[: len(labels)].any(axis=1))
        fixed = np.where(varying < len(design.fixed_effects), varying, -1)
        return cls(tuple(labels[k] for k in varying), columns[:, varying], fixed, loadings[varying])

    def fixed_part(self, beta: FloatArray) -> FloatArray:
        """Fixed effects, shape (draws, p), of these coefficients; shape (draws, r), with zeros where there is none."""
        padded = np.column_stack([beta, np.zeros(len(beta))])
        return padded[:, self.fixed]

    def of_clusters(self, beta: FloatArray, effects: FloatArray) -> FloatArray:
        """Coefficients of clusters with these effects, shape (draws, clusters, q); shape (draws, clusters, r)."""
        coefficients: FloatArray = self.fixed_part(beta)[:, None] + effects @ self.loadings.T
        return coefficients


def _expressed(columns: FloatArray, column: FloatArray) -> tuple[FloatArray, bool]:
    """The weights with which columns make another, and whether it is outside of their span."""
    if not columns.shape[1]:
        return np.empty(0), True
    sizes, size = np.linalg.norm(columns, axis=0), np.linalg.norm(column)
    scaled = np.linalg.lstsq(columns / sizes, column / size, rcond=None)[0]
    missed = np.linalg.norm(columns / sizes @ scaled - column / size)
    return np.where(np.abs(scaled) > TOLERANCE, scaled * size / sizes, 0.0), bool(missed > TOLERANCE)


@repeats_findings
def coef(
    fit: Fit, group: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> ResultTable:
    """Coefficients of each cluster: fixed effects plus the deviations of the cluster, on the logit scale.

    They are the intercept and slopes of the cluster's own curve. `ranef` has the deviations alone.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        One grouping factor; all of them if not given.
    ci_prob, ci_kind
        As for `summary`.

    Returns
    -------
    ResultTable
        Indexed by ``group``, ``level`` and ``effect``, with the coefficients that vary over the factor. For likelihood
        fits ``estimate``, the fixed effect at the maximum plus the conditional mode, as in lme4. ``mean``, ``sd`` and
        the ends of the interval are of the posterior draws, so that they include the uncertainty of the fixed effects
        and of the sds, also for likelihood fits. With several grouping factors, the deviations of the others are zero.

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.

    See Also
    --------
    hierlogit.ranef : Deviations from the fixed effects.
    hierlogit.pooling : Compares these coefficients with those of each cluster by itself.
    hierlogit.plots.caterpillar : Draws them, with ``fixed=True``, as does ``plot()`` of the table.

    Notes
    -----
    Effects that are coded differently in the fixed and the random part are brought to the coding of the fixed part:
    with ``arm + (0 + arm | clinic)``, a clinic has an intercept and a difference between the arms.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> table = hl.coef(model.fit(hl.Laplace(seed=1)))
    >>> table.xs(1, level="level")["estimate"].round(2).to_list()
    [-1.53, 1.14]
    """
    require_fit(fit)
    interval = Interval.of(ci_prob, ci_kind)
    factors = fit.model.design.chosen_groups(group)
    tables = [coefficient_table(fit, factor, interval) for factor in factors]
    fixed = zip(fit.model.design.fixed_effects, central_draw(fit).beta[0].tolist(), strict=True)
    picture = ClusterPicture("caterpillar", tuple(fixed))
    title, note = "Coefficients of clusters (logit scale)", note_of_zero_sds(fit, factors)
    return ResultTable.of(pd.concat(tables), title, picture=picture, note=note)


def coefficient_table(fit: Fit, factor: GroupBlock, interval: Interval) -> pd.DataFrame:
    """The table of `coef` for one grouping factor."""
    varying, draws = VaryingCoefficients.of(fit.model.design, factor), Draws.of(fit.model, fit.posterior)
    effects, count = draws.effects[factor.name], len(varying.labels)
    index = pd.MultiIndex.from_product(
        [[factor.name], factor.levels, varying.labels], names=["group", "level", "effect"]
    )
    columns: dict[str, FloatArray] = {}
    if fit.estimate is not None:
        point = Draws.at(fit.estimate)
        columns["estimate"] = varying.of_clusters(point.beta, point.effects[factor.name]).ravel()
    step = max(1, CHUNK_SIZE // (len(draws) * count))
    for start in range(0, len(factor.levels), step):
        some = varying.of_clusters(draws.beta, effects[:, start : start + step])
        flat = some.reshape(len(draws), -1)
        part = slice(start * count, start * count + flat.shape[1])
        put_block(columns, summarise(flat, interval), part, len(index))
    return pd.DataFrame(columns, index=index)
