"""Products of small matrices, inverses of triangular ones, and derivatives through Cholesky factors, compiled.

Matrices stand row by row in flat arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import kernel
from ...numba_support.vectors import add_column, fill, window

FloatArray = npt.NDArray[np.float64]


@kernel
def multiply(q: int, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """``out = A B`` for A of shape (q, q), and B and `out` of q rows; all of them flat.

    By loops: BLAS costs more for a few effects, and seconds to compile the calls.
    """
    columns = len(out) // q
    for a in range(q):
        row = window(out, a * columns, columns)
        fill(row, 0.0)
        for c in range(q):
            add_column(window(B, c * columns, columns), A[a * q + c], row)


@kernel
def multiply_transposed(q: int, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """``out = A' B``, as `multiply`."""
    columns = len(out) // q
    for a in range(q):
        row = window(out, a * columns, columns)
        fill(row, 0.0)
        for c in range(q):
            add_column(window(B, c * columns, columns), A[c * q + a], row)


@kernel
def invert_lower(q: int, R: FloatArray, out: FloatArray) -> None:
    """Inverse of a lower triangular matrix; `out` is zero above the diagonal."""
    for j in range(q):
        out[j * q + j] = 1.0 / R[j * q + j]
        for i in range(j + 1, q):
            total = 0.0
            for k in range(j, i):
                total -= R[i * q + k] * out[k * q + j]
            out[i * q + j] = total / R[i * q + i]


@kernel
def derivative_in_curvature(
    q: int, R: FloatArray, inverse: FloatArray, dC: FloatArray, half: FloatArray, scratch: FloatArray, dH: FloatArray
) -> None:
    """Derivative of the objective in ``H = R R'``, given that in ``C = R^-T``, of an objective with ``-log|R|``."""
    # d C = -R^-T dR' R^-T, so that the derivative in R is -R^-T dC' R^-T; only its lower triangle counts.
    multiply(q, dC, inverse, scratch)
    multiply(q, inverse, scratch, half)
    for a in range(q):
        for b in range(q):
            dH[a * q + b] = -half[b * q + a] if b <= a else 0.0
        dH[a * q + a] -= 1.0 / R[a * q + a]
    # Reverse of the Cholesky factorisation (Murray 2016, arXiv 1602.07527, equation 10).
    multiply_transposed(q, R, dH, half)
    for a in range(q):
        for b in range(a + 1):
            scratch[a * q + b] = scratch[b * q + a] = 0.5 * half[a * q + b]
    multiply_transposed(q, inverse, scratch, half)
    multiply(q, half, inverse, dH)
