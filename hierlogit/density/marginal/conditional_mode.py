"""The conditional mode of the random effects given the parameters, by Newton's method, compiled.

The mode maximises the joint log density ``l(u) - |u|^2 / 2`` of the outcomes and the standardised effects. Its gradient
is ``A' residual - u``, and minus its matrix of second derivatives is ``H = I + A'WA``. lme4 calls these steps penalised
iteratively reweighted least squares.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import copy, view
from ..kernels.binomial import linearise
from .block_cholesky import eliminate, factorise_dense, solve_dense, solve_first, solve_last
from .cross_products import sum_products
from .effects_to_predictor import add_effects, move, product, scale_effects, sum_by_level, times_cholesky_transposed
from .evaluation import MODE_TOLERANCE
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Newton's method ends where the joint log density can rise by less than half of this.
TOLERANCE = 1e-18
#: After more steps than these it ends where the rise counts as none: rounding may keep it from becoming less.
MANY_STEPS = 30
MOST_STEPS = 200
MOST_HALVINGS = 40


@kernel
def joint_log_density(r: RowIndex, w: Work, cholesky: FloatArray, eta_fixed: FloatArray, parts: IntArray) -> None:
    """Log-likelihood of each part's rows minus ``|u|^2 / 2``, with the rows' derivatives in the work arrays."""
    scale_effects(r, cholesky, parts, w.u, w.b)
    k = 0
    while k < len(parts):  # neighbouring parts together: their rows are neighbours too
        stop = k + 1
        while stop < len(parts) and parts[stop] == parts[stop - 1] + 1:
            stop += 1
        first, last = r.row_start[r.part_start[parts[k]]], r.row_start[r.part_start[parts[stop - 1] + 1]]
        eta = view(w.eta, first, last)
        copy(view(eta_fixed, first, last), eta)
        add_effects(r, view(parts, k, stop), w.b, w.eta)
        linearise(
            view(r.y, first, last),
            view(r.trials, first, last),
            eta,
            view(w.residual, first, last),
            view(w.weight, first, last),
            view(w.one_minus_2p, first, last),
            view(w.deta, first, last),
        )
        k = stop
    for part in parts:
        total = 0.0
        for log_likelihood in view(w.deta, r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]):
            total += log_likelihood
        w.log_joint[part] = total - 0.5 * product(r, part, w.u, w.u)


@kernel
def mode_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray) -> None:
    """Gradient in u of the joint log density, ``A' residual - u``, into ``w.gradient`` and ``w.step``."""
    sum_by_level(r, parts, w.residual, w.score)
    times_cholesky_transposed(r, cholesky, parts, w.score, w.gradient)
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for c in range(r.part_start[part] * q, r.part_start[part + 1] * q):
            w.gradient[c] -= w.u[c]
            w.step[c] = w.gradient[c]
        for c in range(base + r.col_start[part], base + r.col_start[part + 1]):
            w.gradient[c] -= w.u[c]
            w.step[c] = w.gradient[c]


@kernel
def ascend(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Take the steps of some parts, halved until no joint log density is lower than before."""
    before = w.log_joint.copy()
    for part in parts:
        move(r, part, 1.0, w.step, w.u)
    joint_log_density(r, w, cholesky, eta, parts)
    fraction, chosen = 1.0, np.empty_like(parts)
    for _ in range(MOST_HALVINGS):
        # Written so that NaN counts as lower.
        count = 0
        for part in parts:
            if not w.log_joint[part] >= before[part] - 1e-12 * abs(before[part]):
                chosen[count] = part
                count += 1
        if count == 0:
            return
        worse = chosen[:count]
        fraction *= 0.5
        for part in worse:
            move(r, part, -fraction, w.step, w.u)
        joint_log_density(r, w, cholesky, eta, worse)


@kernel
def find_modes(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Find the modes of some parts by Newton's method, from the effects in ``w.u``.

    Afterwards the work arrays hold the factorisation of H at the mode.
    """
    joint_log_density(r, w, cholesky, eta, parts)
    active, kept = parts, np.empty_like(parts)
    for step in range(MOST_STEPS):
        tolerance = TOLERANCE if step < MANY_STEPS else MODE_TOLERANCE
        mode_gradient(r, w, cholesky, active)
        sum_products(r, w, active)
        eliminate(r, w, cholesky, active)
        factorise_dense(r, w, active)
        solve_first(r, w, active, w.step)
        solve_dense(r, w, active, w.step)
        solve_last(r, w, active, w.step)
        for part in active:
            w.decrement[part] = product(r, part, w.gradient, w.step)
        count = 0
        for part in active:
            if w.decrement[part] > tolerance:
                kept[count] = part  # not before its own place in `active`, which may be the same memory
                count += 1
        if count == 0:
            return
        active = kept[:count]
        ascend(r, w, cholesky, eta, active)
