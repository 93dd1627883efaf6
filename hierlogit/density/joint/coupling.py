"""Coupling of the other factors' effects at the mode, with each other and with the fixed effects, and its removal.

`partial_centring` standardises each level by itself, as if levels were independent given the fixed effects. Those of
crossed factors are not once the first factor has been integrated out: if every person answers every item, a shift of
all items is compensated by a shift of all persons, and the mean of the items moves with the intercept through a narrow
ridge. With the precision matrix P of the variables v at the mode, given the fixed effects, and their regression B on
the variables x_fixed of the fixed effects,

    v = w + sum_d (lambda_d^-1/2 - 1) q_d q_d' w + B x_fixed

for the eigenvectors q_d of P whose eigenvalues lambda_d are small. A constant linear map changes the density by a
constant, so that it costs nothing but the products. All of P^-1/2 in place of the few eigenvectors was no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..marginal.laplace import LaplaceLikelihood

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Eigenvalues below this are taken out. Without coupling all are between 1 and 2, since levels are centred by a share
#: of the information.
LEAST_PRECISION = 0.7
#: The most eigenvectors for each independent part of the data: a mean of each effect of each factor is coupled, and
#: little else.
MOST_DIRECTIONS = 16
#: Relative error of the eigenvalues. The eigenvectors are orthogonal whatever it is.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Coupling:
    """The linear map of the other factors' variables; K effects at all levels, ordered factor, effect, level.

    Attributes
    ----------
    by_fixed : ndarray, shape (p, K)
        Shift of each variable by one unit of each variable of the fixed effects.
    start : ndarray of int, shape (D + 1,)
        Where the entries of each direction start.
    index : ndarray of int, shape (entries,)
        The variable of each entry.
    entry : ndarray, shape (entries,)
        Entries of the directions, which are orthonormal.
    stretch : ndarray, shape (D,)
        What is added along each direction, as a multiple: ``lambda^-1/2 - 1``.
    """

    by_fixed: FloatArray
    start: IntArray
    index: IntArray
    entry: FloatArray
    stretch: FloatArray


def uncoupled(p: int, columns: int) -> Coupling:
    """The identity for p fixed effects and that many effects at all levels."""
    none = np.empty(0)
    return Coupling(np.zeros((p, columns)), np.zeros(1, dtype=np.int64), none.astype(np.int64), none, none)


def coupling_at_mode(
    likelihood: LaplaceLikelihood,
    solved: FloatArray,
    gamma_scale: FloatArray,
    cholesky: Sequence[FloatArray],
    positions: Sequence[IntArray],
    information: Sequence[FloatArray],
    cross_information: Sequence[FloatArray],
) -> Coupling:
    """The coupling at the point where a likelihood was evaluated.

    Parameters
    ----------
    likelihood : LaplaceLikelihood
    solved : ndarray, shape (p, effects)
        By how much the conditional modes of the standardised effects fall with each coefficient of the basis.
    gamma_scale : ndarray, shape (p, p)
        Coefficients of the basis for each variable of the fixed effects.
    cholesky, positions, information, cross_information : list of ndarray
        Of all factors but the first: Cholesky factor (q, q), positions in `solved` (J, q), and what their levels are
        centred by, (q, q, J) and (p, q, J).
    """
    p, columns = len(solved), sum(at.size for at in positions)
    if not columns:
        return uncoupled(p, 0)
    # The factor C of each level's variables, v = C' u, by level; where each effect stands in v.
    factors = [
        np.linalg.cholesky(np.eye(len(L)) + np.einsum("ba,bcj,cd->jad", L, local, L))
        for L, local in zip(cholesky, information, strict=True)
    ]
    by_fixed, places, first = [], [], 0
    for L, at, C, cross in zip(cholesky, positions, factors, cross_information, strict=True):
        levels, q = at.shape
        modes = np.einsum("jca,kjc->kja", C, -solved[:, at])
        centres = np.linalg.solve(C, np.einsum("ca,kcj->jak", L, cross)).transpose(2, 0, 1)
        by_fixed.append(gamma_scale.T @ (modes + centres).transpose(0, 2, 1).reshape(p, q * levels))
        places.append(first + np.arange(q)[None, :] * levels + np.arange(levels)[:, None])
        first += q * levels
    directions = _directions(likelihood, factors, positions, places)
    return Coupling(
        by_fixed=np.concatenate(by_fixed, axis=1),
        start=np.concatenate([[0], np.cumsum([len(index) for index, _, _ in directions])]).astype(np.int64),
        index=np.concatenate([np.empty(0, dtype=np.int64), *(index for index, _, _ in directions)]),
        entry=np.concatenate([np.empty(0), *(entry for _, entry, _ in directions)]),
        stretch=np.array([stretch for _, _, stretch in directions], dtype=float),
    )


def _directions(
    likelihood: LaplaceLikelihood,
    factors: Sequence[FloatArray],
    positions: Sequence[IntArray],
    places: Sequence[IntArray],
) -> list[tuple[IntArray, FloatArray, float]]:
    """Index, entries and stretch of each direction of low precision, part by part."""
    row_index, work = likelihood.arrangement.row_index, likelihood.work
    base = (len(row_index.row_start) - 1) * int(row_index.q[0])
    # By column of the Schur complements: its level among all, and its place in v.
    columns = sum(at.size for at in positions)
    level_of, place_of = np.empty(columns, dtype=np.int64), np.empty(columns, dtype=np.int64)
    blocks, first = [], 0
    for C, at, place in zip(factors, positions, places, strict=True):
        level_of[at - base] = first + np.arange(len(at))[:, None]
        place_of[at - base] = place
        blocks += list(C)
        first += len(at)
    found: list[tuple[IntArray, FloatArray, float]] = []
    # Of parts too large for a dense covariance, no direction is known.
    without = {part.number for part in likelihood.parts_without_schur}
    for part, (start, stop) in enumerate(pairwise(row_index.col_start.tolist())):
        levels = level_of[start:stop]
        if part in without or len(np.unique(levels)) < 2:
            continue
        size = stop - start
        inverse = work.schur[row_index.schur_at[part] : row_index.schur_at[part + 1]].reshape(size, size)
        C = _block_diagonal(blocks, levels)
        precisions, vectors = _lowest(C.T @ inverse @ C)
        found += [
            (place_of[start:stop], vector, value**-0.5 - 1.0)
            for value, vector in zip(precisions, vectors.T, strict=True)
            if value < LEAST_PRECISION
        ]
    return found


def _block_diagonal(blocks: Sequence[FloatArray], levels: IntArray) -> FloatArray:
    """The blocks of some levels on the diagonal; columns of one level follow each other."""
    from scipy.linalg import block_diag

    firsts = np.flatnonzero(np.diff(levels, prepend=-1))
    matrix: FloatArray = block_diag(*(blocks[levels[at]] for at in firsts))
    return matrix


def _lowest(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lowest eigenvalues of the inverse of a covariance matrix, and their eigenvectors in columns.

    Raises
    ------
    LinAlgError
        If the matrix is not finite, or has no eigenvalues for another reason.
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh

    size = len(covariance)
    if not np.all(np.isfinite(covariance)):  # for which LAPACK writes messages of its own
        raise np.linalg.LinAlgError("the covariance matrix is not finite")
    if size <= MOST_DIRECTIONS:
        variances, vectors = np.linalg.eigh(covariance)
        return 1.0 / variances, vectors
    # A vector of its own, not ARPACK's, so that the same model gives the same draws.
    start = np.random.default_rng(0).standard_normal(size)
    try:
        variances, vectors = eigsh(covariance, k=MOST_DIRECTIONS, which="LA", v0=start, tol=TOLERANCE)
    except ArpackNoConvergence as error:  # the vectors found so far are orthogonal too
        variances, vectors = np.real(error.eigenvalues), np.real(error.eigenvectors)
    except ArpackError as error:
        raise np.linalg.LinAlgError(str(error)) from error
    return 1.0 / variances, vectors
