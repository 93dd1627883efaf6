"""The Laplace approximation of a part of the rows, whose clusters share effects with those of other parts.

The rows are divided by the levels of the eliminated factor, ``u_1``, and all parts share the effects ``u_2`` of the
other factors. With ``l`` the log-likelihood of a part's rows, the joint log density at the modes of ``u_1`` is a
function of ``u_2`` alone,

    f(u_2) = sum over parts of max over u_1 of (l(u_1, u_2) - |u_1|^2 / 2)  -  |u_2|^2 / 2

In the notation of `block_cholesky`, its gradient is ``A_2'r - u_2``, and its negative Hessian is the Schur complement
``S = I + sum (A_2'W A_2 - B'D^-1 B)``: both, and the terms of log|D|, are sums over the parts. So are those of the
gradient of the approximation (`laplace_gradient`). Given the blocks of ``S^-1``, each part has a share of ``s = A't``;
with ``k_2 = S^-1 sum (s_2 - B'D^-1 s_1)``, it has its own ``k_1 = D^-1 s_1 - D^-1 B k_2`` and its rows' share of the
derivatives. These are the two steps by which `block_cholesky` solves with H, with the sum over the parts between them
(Tierney and Kadane 1986, Journal of the American Statistical Association 81: 82-86, for the approximation; Bates et al.
2015, Journal of Statistical Software 67, section 5, for the structure).

What a part returns depends on the parameters and ``u_2`` alone, and not on what was evaluated before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement, OneFactorRowIndex, RowIndex
from .block_cholesky import eliminate, solve_first, solve_last
from .conditional_mode import find_modes, joint_log_density, mode_gradient
from .cross_products import sum_products
from .effects_to_predictor import add_effects, scale_effects, sum_by_level, times_cholesky_transposed
from .evaluation import MODE_TOLERANCE, Evaluation, sum_of_parts
from .fixed_effects import fixed_predictor
from .laplace import LaplaceLikelihood
from .laplace_gradient import finish_gradient, start_gradient
from .selected_inverse import select_inverse
from .work import first_columns, make_work

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JointShare:
    """A part's share of the joint log density at the modes of its own effects.

    Attributes
    ----------
    log_joint : float
    score : ndarray, shape (K,)
        Gradient in the common effects, without that of their own density.
    schur : ndarray, shape (K (K + 1) / 2,)
        Lower triangle, row by row, of the negative Hessian in them, without that of their own density.
    log_det : float
        ``log|D|``.
    converged : bool
        Whether the modes were found.
    """

    log_joint: float
    score: FloatArray
    schur: FloatArray
    log_det: float
    converged: bool


@dataclass(frozen=True)
class AtMode:
    """The common effects of all parts at the mode, and what a part needs of the others there.

    Attributes
    ----------
    effects : ndarray, shape (K,)
    inverse : ndarray, shape (K, K)
        ``S^-1``.
    moves : ndarray, shape (K,)
        ``k_2``; empty while it is not known.
    """

    effects: FloatArray
    inverse: FloatArray
    moves: FloatArray


class GivenCommonEffects(LaplaceLikelihood):
    """A part's share of the Laplace approximation.

    Not to be used by two threads at a time.

    Parameters
    ----------
    arrangement : Arrangement
        Its eliminated factor has the part's own levels.

    Attributes
    ----------
    arrangement : Arrangement
    work : Work
    cholesky : ndarray
        Flat Cholesky factors of the last evaluation.
    dcholesky : ndarray, shape (connected parts of the rows, entries)
    common : AtMode or None
        Where `evaluate` takes the common effects.
    """

    def __init__(self, arrangement: Arrangement) -> None:
        row_index = arrangement.row_index
        self.arrangement = arrangement
        # The Schur complement is not kept: it goes to where the shares are added up.
        self.work = make_work(row_index._replace(schur_at=np.zeros_like(row_index.schur_at)))
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self._parts = self._small = np.arange(len(row_index.part_start) - 1)
        self._large = []
        self.dcholesky = np.zeros((len(self._parts), len(self.cholesky)))
        self.common: AtMode | None = None
        self._own = _eliminated_alone(row_index)
        self._own_work = make_work(self._own)
        self._levels = np.arange(len(row_index.row_start) - 1)
        self._eta = np.empty(len(row_index.y))
        #: What the work arrays hold: the modes at a point, and the first half of the gradient there.
        self._at, self._started = b"", b""
        self._score = np.empty(0)

    def joint(self, gamma: FloatArray, cholesky: FloatArray, effects: FloatArray) -> JointShare:
        """The share of the joint log density at common effects, shape (K,)."""
        schur = self._find_modes(gamma, cholesky, effects)
        row_index, work = self.arrangement.row_index, self.work
        dense = np.zeros((len(effects), len(effects)))
        for part in self._parts.tolist():
            columns = _columns(row_index, part)
            dense[columns, columns] = schur[row_index.schur_at[part] : row_index.schur_at[part + 1]].reshape(
                columns.stop - columns.start, -1
            )
        dense[np.diag_indices(len(dense))] -= 1.0
        return JointShare(
            float(work.log_joint.sum()) + self.arrangement.log_coefficients,
            work.step[first_columns(row_index) :] + effects,
            dense[np.tril_indices(len(dense))],
            float(work.log_det.sum()),
            bool(self._own_work.decrement.max() <= MODE_TOLERANCE),
        )

    def start(self, gamma: FloatArray, cholesky: FloatArray, common: AtMode) -> FloatArray:
        """The share of ``s_2 - B'D^-1 s_1``, shape (K,), from the common effects and ``S^-1``."""
        point = _point(gamma, cholesky, common.effects)
        if self._started == point:
            return self._score
        if self._at != point:
            self._find_modes(gamma, cholesky, common.effects)
        row_index = self.arrangement.row_index
        blocks = [_columns(row_index, part) for part in self._parts.tolist()]
        inverses = [common.inverse[columns, columns].ravel() for columns in blocks]
        work = self.work._replace(schur=np.concatenate(inverses))
        select_inverse(row_index, work, self._parts)
        self.dcholesky[:] = 0.0
        start_gradient(row_index, work, cholesky, self._parts, self.dcholesky.ravel())
        solve_first(row_index, work, self._parts, work.step)
        self._at, self._started = b"", point  # half of the gradient stands in the arrays
        self._score = work.step[first_columns(row_index) :].copy()
        return self._score

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """The share of the log-likelihood and of its gradient at the common effects of `common`."""
        assert self.common is not None
        self.start(gamma, cholesky, self.common)
        row_index, work = self.arrangement.row_index, self.work
        work.step[first_columns(row_index) :] = self.common.moves
        solve_last(row_index, work, self._parts, work.step)
        finish_gradient(row_index, work, cholesky, self._parts, self.dcholesky.ravel())
        self._started = b""
        converged = bool(self._own_work.decrement.max() <= MODE_TOLERANCE)
        return sum_of_parts(self.arrangement, self.values, work.deta, self.dcholesky, converged=converged)

    def information(
        self, gamma: FloatArray, cholesky: FloatArray, effects: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The shares of the information about the coefficients, and of their products with the common effects.

        Returns
        -------
        of_coefficients : ndarray, shape (p, p)
            ``X'WX - C_1'D^-1 C_1`` with ``C = A'WX``: what is left when the part's own effects are eliminated.
        with_common : ndarray, shape (p, K)
            ``(C_2 - B'D^-1 C_1)'``.
        """
        self._find_modes(gamma, cholesky, effects)
        row_index, work = self.arrangement.row_index, self.work
        base, p = first_columns(row_index), row_index.X.shape[1]
        weighted = row_index.X * work.weight[:, None]
        crossed, solved = np.empty((p, len(work.u))), np.empty((p, len(work.u)))
        for k, column in enumerate(np.ascontiguousarray(weighted.T)):
            sum_by_level(row_index, self._parts, column, work.gradient)
            times_cholesky_transposed(row_index, cholesky, self._parts, work.gradient, crossed[k])
            solved[k] = crossed[k]
            solve_first(row_index, work, self._parts, solved[k])
        self._at = b""  # the gradient in the arrays is another one now
        return weighted.T @ row_index.X - crossed[:, :base] @ solved[:, :base].T, solved[:, base:]

    def _find_modes(self, gamma: FloatArray, cholesky: FloatArray, effects: FloatArray) -> FloatArray:
        """The modes of the own effects, searched for from zero, into the work arrays; returns the Schur complements."""
        row_index, base = self.arrangement.row_index, first_columns(self.arrangement.row_index)
        work = self.work._replace(schur=np.zeros(int(row_index.schur_at[-1])))
        parts, own = self._parts, self._own_work
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        work.u[:base] = own.u[:] = 0.0
        work.u[base:] = effects
        scale_effects(row_index, cholesky, parts, work.u, work.b)
        work.eta[:] = self._eta
        add_effects(row_index, parts, work.b, work.eta)
        find_modes(self._own, own, cholesky[: int(self._own.cholesky_at[-1])], work.eta.copy(), self._levels)
        # The last step, which the search has computed and not taken, brings the modes to rounding error.
        work.u[:base] = own.u + own.step
        joint_log_density(row_index, work, cholesky, self._eta, parts)
        # The density of the common effects is counted once, where the shares are added up.
        work.log_joint[:] += 0.5 * np.add.reduceat(effects**2, row_index.col_start[:-1])
        mode_gradient(row_index, work, cholesky, parts)
        sum_products(row_index, work, parts)
        eliminate(row_index, work, cholesky, parts)
        solve_first(row_index, work, parts, work.step)
        self._at, self._started = _point(gamma, cholesky, effects), b""
        return work.schur


def _point(gamma: FloatArray, cholesky: FloatArray, effects: FloatArray) -> bytes:
    return np.concatenate([gamma, cholesky, effects]).tobytes()


def _columns(row_index: RowIndex, part: int) -> slice:
    """The columns of the common effects in a connected part of the rows."""
    return slice(int(row_index.col_start[part]), int(row_index.col_start[part + 1]))


def _eliminated_alone(row_index: RowIndex) -> OneFactorRowIndex:
    """The row index of the same rows with the eliminated factor alone, each of whose levels is a part."""
    levels = len(row_index.row_start) - 1
    none, zeros = np.empty(0, dtype=np.int64), np.zeros(levels + 1, dtype=np.int64)
    alone = row_index._replace(
        q=row_index.q[:1].copy(),
        z_at=row_index.z_at[:1].copy(),
        cholesky_at=row_index.cholesky_at[:2].copy(),
        part_start=np.arange(levels + 1),
        col_start=zeros,
        schur_at=zeros,
        row_col=none,
        row_other=none,
        row_pair=none,
        row_cross=none,
        pair_start=zeros,
        pair_factor=none,
        pair_first=none,
        matrix_at=zeros,
        matrix_cols=none,
        other_start=zeros,
        other_factor=none,
        other_col=none,
        other_at=np.zeros(1, dtype=np.int64),
        cross_start=zeros,
        cross_factors=np.empty((2, 0), dtype=np.int64),
        cross_cols=np.empty((2, 0), dtype=np.int64),
        cross_at=np.zeros(1, dtype=np.int64),
    )
    return OneFactorRowIndex(*alone)
