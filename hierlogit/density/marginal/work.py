"""The arrays that an evaluation of a marginal likelihood fills.

In all compiled functions of this folder ``r`` is the row index of an arrangement, ``w`` these arrays and `parts` the
parts of the data to work on: each call takes many parts, since passing the arguments costs as much as the work on a
small cluster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel
from ...numba_support.struct_by_address import by_address

FloatArray = npt.NDArray[np.float64]


@by_address
class Work(NamedTuple):
    """Arrays that an evaluation fills; one set for each thread.

    Blocks stand one after the other in flat arrays. There are four kinds: ``first``, a level of the eliminated factor
    with itself; ``pair``, a level of the eliminated factor with a level of another one; ``other``, a level of another
    factor with itself; ``cross``, levels of two other factors.
    """

    u: FloatArray  # standardised effects
    b: FloatArray  # effects on the logit scale, b = L u
    eta: FloatArray  # (n,)
    residual: FloatArray  # (n,) y - m p
    weight: FloatArray  # (n,) m p (1 - p)
    one_minus_2p: FloatArray  # (n,) weight * one_minus_2p is the derivative of the weight in eta
    deta: FloatArray  # (n,) rows' log-likelihoods; in the gradient the derivative in each row's linear predictor
    score: FloatArray  # Z' residual, by level
    gradient: FloatArray  # of the joint log density in u
    step: FloatArray  # H^-1 gradient
    # Z'WZ by block.
    products_first: FloatArray
    products_pair: FloatArray
    products_other: FloatArray
    products_cross: FloatArray
    # By level: the Cholesky factor of D_j, Z'WZ times the Cholesky factors L of the other factors, and D_j^-1 B.
    cholesky_first: FloatArray
    scaled_pair: FloatArray
    solved_pair: FloatArray
    # Blocks of H^-1.
    inverse_first: FloatArray
    inverse_pair: FloatArray
    inverse_other: FloatArray
    inverse_cross: FloatArray
    # The Schur complements, part by part: factorised, or inverted.
    schur: FloatArray
    # By part.
    log_joint: FloatArray  # joint log density
    log_det: FloatArray  # log|H|
    decrement: FloatArray  # Newton decrement gradient' H^-1 gradient: twice what the joint log density can still gain


def work_sizes(row_index: RowIndex) -> list[int]:
    """Length of each of the arrays."""
    n, levels, q = len(row_index.y), len(row_index.row_start) - 1, int(row_index.q[0])
    columns = levels * q + int(row_index.col_start[-1])
    pairs, other, cross = int(row_index.matrix_at[-1]), int(row_index.other_at[-1]), int(row_index.cross_at[-1])
    sizes = [columns, columns, n, n, n, n, n, columns, columns, columns]
    sizes += [levels * q * q, pairs, other, cross, levels * q * q, pairs, pairs, levels * q * q, pairs, other, cross]
    sizes += [int(row_index.schur_at[-1])] + 3 * [len(row_index.part_start) - 1]
    return sizes


def make_work(row_index: RowIndex) -> Work:
    """Arrays for evaluations of an arrangement, with all effects at zero."""
    return Work(*(np.zeros(size) for size in work_sizes(row_index)))


@exact_kernel
def first_columns(r: RowIndex) -> int:
    """Number of effects of the eliminated factor: where those of the other factors start in ``u``."""
    columns: int = (len(r.row_start) - 1) * r.q[0]
    return columns


@exact_kernel
def largest_block(r: RowIndex) -> int:
    """Entries of the largest block."""
    widest = 0
    for width in r.q:
        widest = max(widest, width)
    return widest * widest
