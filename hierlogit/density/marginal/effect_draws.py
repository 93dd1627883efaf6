"""Draws of the random effects from their Gaussian approximation at the conditional mode, compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, after, copy, view
from .block_cholesky import solve_dense, solve_first, solve_last, solve_lower_transposed
from .conditional_mode import find_modes, joint_log_density, mode_gradient
from .fixed_effects import fixed_predictor
from .large_part import PartWithoutSchur
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def correlate_noise(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place; ``w.schur`` holds Cholesky factors."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        rest = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size - 1, -1, -1):
            rest[i] /= S[i * size + i]
            for k in range(i):
                rest[k] -= S[i * size + k] * rest[i]
        for j in range(r.part_start[part], r.part_start[part + 1]):
            level = view(x, j * q, (j + 1) * q)
            solve_lower_transposed(view(w.cholesky_first, j * q * q, (j + 1) * q * q), q, level)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            for a in range(q):
                row, total = after(w.solved_pair, r.matrix_at[j] + a * len(cols)), 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                level[a] -= total


@exact_kernel
def draw_effects(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    starts: FloatArray,
    noise: FloatArray,
    refactorise: bool,
    eta: FloatArray,
) -> None:
    """Draw effects from the Gaussian at their conditional mode, for each draw of the parameters.

    With `refactorise`, mode and H are those of each draw. Without, the mode is one Newton step from `starts` and H the
    matrix whose Cholesky factors are in the work arrays: for models that are expensive to factorise and whose
    parameters are known well.

    Parameters
    ----------
    gammas : shape (draws, p)
    cholesky : shape (draws, entries)
        Flat Cholesky factors.
    starts : shape (draws, effects)
        Replaced by the draws of the standardised effects.
    noise : shape (draws, effects)
        Standard normal numbers, overwritten.
    eta : shape (n,)
        Scratch.
    """
    parts = np.arange(len(r.part_start) - 1)
    for s in range(len(gammas)):
        fixed_predictor(r, gammas[s], eta)
        copy(starts[s], w.u)
        if refactorise:
            find_modes(r, w, cholesky[s], eta, parts)
        else:
            joint_log_density(r, w, cholesky[s], eta, parts)
            mode_gradient(r, w, cholesky[s], parts)
            solve_first(r, w, parts, w.step)
            solve_dense(r, w, parts, w.step)
            solve_last(r, w, parts, w.step)
            add_column(w.step, 1.0, w.u)
        correlate_noise(r, w, parts, noise[s])
        add_column(noise[s], 1.0, w.u)
        copy(w.u, starts[s])


def draw_effects_by_part(
    r: RowIndex,
    w: Work,
    special: Sequence[PartWithoutSchur],
    gammas: FloatArray,
    cholesky: FloatArray,
    starts: FloatArray,
    noise: FloatArray,
    eta: FloatArray,
) -> None:
    """As `draw_effects` without `refactorise`, where some parts have no dense Schur complement.

    Parameters
    ----------
    special : sequence of PartWithoutSchur
        Those parts, factorised.
    """
    parts = np.arange(len(r.part_start) - 1)
    others = np.setdiff1d(parts, [one.number for one in special])
    for s in range(len(gammas)):
        fixed_predictor(r, gammas[s], eta)
        w.u[:] = starts[s]
        joint_log_density(r, w, cholesky[s], eta, parts)
        mode_gradient(r, w, cholesky[s], parts)
        solve_first(r, w, others, w.step)
        solve_dense(r, w, others, w.step)
        solve_last(r, w, others, w.step)
        correlate_noise(r, w, others, noise[s])
        for one in special:
            one.solve(r, w, w.step)
            one.correlate(noise[s])
        w.u[:] += w.step + noise[s]
        starts[s] = w.u
