"""Logistic regressions without random effects: many outcomes of the same rows at once, by Newton's method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Newton's method: the largest number of steps, the largest change of a linear predictor in a step, and the tolerance.
MOST_STEPS, LONGEST_STEP, ACCURACY = 50, 2.0, 1e-9
#: The outcomes are separated if linear predictors of rows with proportions of 0 or 1 still change by more than `MOVING`
#: when a step would raise the log-likelihood of a trial by less than `FLAT`.
MOVING, FLAT = 1e-2, 1e-13
#: Least information about a coefficient of an orthogonal column, far below what separated outcomes leave.
LEAST = 1e-30
#: Products of two columns that are held at once.
TOGETHER = 2**22


@dataclass(frozen=True)
class LogisticRegressions:
    """Maximum-likelihood estimates of several logistic regressions with the same predictors.

    Attributes
    ----------
    coefficients : ndarray, shape (fits, p)
    finite : ndarray of bool, shape (fits,)
        Whether Newton's method found a maximum. If outcomes are separated there is none, and the coefficients are where
        the likelihood stopped rising.
    """

    coefficients: FloatArray
    finite: BoolArray
    _information: FloatArray
    _triangular: FloatArray

    def standard_errors(self) -> FloatArray:
        """Standard errors of the coefficients from the information, shape (fits, p); huge where there is no maximum."""
        values, vectors = np.linalg.eigh(self._information)
        scaled = vectors / np.sqrt(np.maximum(values, LEAST))[:, None, :]
        return np.linalg.norm(np.linalg.solve(self._triangular, scaled), axis=2)


def logistic_regressions(
    proportion: FloatArray, X: FloatArray, offset: FloatArray, trials: FloatArray, start: FloatArray
) -> LogisticRegressions:
    """Logistic regressions of several proportions on the same predictors.

    Products of columns are the same for all outcomes, as they are not in `unpooled_estimates`, where every cluster has
    rows of its own. Separation shows in a log-likelihood that no longer rises while linear predictors of rows without
    variation still move: with many rows, a finite maximum may have linear predictors as large as any fixed bound.

    Parameters
    ----------
    proportion : ndarray, shape (fits, n)
        Proportions of successes, observed or expected.
    X : ndarray, shape (n, p)
        Columns of full rank.
    offset, trials : ndarray, shape (n,)
        Offsets, and trials or other weights of the rows.
    start : ndarray, shape (fits, p)
        Coefficients to start from.

    Examples
    --------
    >>> X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> counts = np.array([[1.0, 2, 3, 4], [0, 0, 5, 5]])
    >>> found = logistic_regressions(counts / 5, X, np.zeros(4), np.full(4, 5.0), np.zeros((2, 2)))
    >>> found.coefficients[0].round(4), found.standard_errors()[0].round(4)
    (array([-1.3623,  0.9082]), array([0.8832, 0.4853]))
    >>> found.finite
    array([ True, False])
    """
    # Orthogonal columns keep full precision, whatever the units of the predictors.
    _, R = np.linalg.qr(X * np.sqrt(trials)[:, None])
    U = np.linalg.solve(R.T, X.T).T
    transformed, size = start @ R.T, float(trials.sum())
    information = np.empty((*transformed.shape, transformed.shape[1]))
    extreme = (proportion == 0) | (proportion == 1)
    blocks = _blocks(U)
    finite, unfinished = np.zeros(len(start), dtype=bool), np.arange(len(start))
    for _ in range(MOST_STEPS):
        gradient, of_these = _derivatives(proportion[unfinished], transformed[unfinished], U, blocks, offset, trials)
        information[unfinished] = of_these
        try:
            step = np.linalg.solve(of_these, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:  # probabilities of exactly 0 and 1
            break
        moves = np.abs(step @ U.T)
        longest = moves.max(axis=1)
        transformed[unfinished] += step * np.minimum(1, LONGEST_STEP / np.maximum(longest, LONGEST_STEP))[:, None]
        settled = longest < ACCURACY
        moving = (extreme[unfinished] & (moves > MOVING)).any(axis=1)
        separated = moving & ((gradient * step).sum(axis=1) < FLAT * size)
        finite[unfinished[settled]] = True
        unfinished = unfinished[~(settled | separated)]
        if not len(unfinished):
            break
    return LogisticRegressions(np.linalg.solve(R, transformed.T).T, finite, information, R)


#: Rows, and the products of each two of their columns.
type Block = tuple[slice, FloatArray]


def _blocks(U: FloatArray) -> Iterable[Block]:
    """Products of columns in blocks that fit in memory; a single one is kept for all steps."""
    rows = max(1, TOGETHER // max(1, U.shape[1]) ** 2)
    parts = [slice(first, first + rows) for first in range(0, len(U), rows)]
    return [(part, _products(U[part])) for part in parts] if len(parts) == 1 else _Blocks(U, parts)


@dataclass(frozen=True)
class _Blocks:
    """Blocks that are computed whenever they are needed."""

    U: FloatArray
    parts: list[slice]

    def __iter__(self) -> Iterator[Block]:
        return ((part, _products(self.U[part])) for part in self.parts)


def _products(U: FloatArray) -> FloatArray:
    return (U[:, :, None] * U[:, None, :]).reshape(len(U), -1)


def _derivatives(
    proportion: FloatArray,
    coefficients: FloatArray,
    U: FloatArray,
    blocks: Iterable[Block],
    offset: FloatArray,
    trials: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Gradient and information of each log-likelihood, shapes (fits, p) and (fits, p, p)."""
    from scipy.special import expit

    fitted = expit(coefficients @ U.T + offset)
    gradient = ((proportion - fitted) * trials) @ U
    fitted *= (1 - fitted) * trials
    p = U.shape[1]
    information = np.zeros((len(fitted), p * p))
    for part, products in blocks:
        information += fitted[:, part] @ products
    return gradient, information.reshape(-1, p, p)
