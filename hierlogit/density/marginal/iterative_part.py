"""A large part of the data whose H is not factorised: conjugate gradients, and random probes for its log-determinant.

H is scaled to ``M = I + E`` with a unit diagonal, and equations are solved by conjugate gradients. With probes z of
random signs, ``log|M| = tr log M`` is the expectation of ``z' log(M) z``, which the coefficients of the conjugate
gradients for ``M^-1 z`` give by Lanczos quadrature (Ubaru, Chen and Saad 2017, SIAM Journal on Matrix Analysis and
Applications 38: 1075-1099), and ``M^-1`` is that of ``M^-1 z z'``. The probes only estimate what is left of the series

    log|M| = tr E - tr(E^2) / 2 + ...,    M^-1 = I - E + E^2 - ...

after their first terms, of which the traces and the diagonal are known. In crossed designs these are most of the
variance: two levels of different factors share few rows. All evaluations use the same probes, so that the likelihood
and the estimate of its gradient are smooth functions of the parameters.

Kündig and Sigrist (2025, arXiv 2505.09552) compare such methods for crossed random effects.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...errors import EngineError
from ...numba_support.compile import kernel
from ...python_process import usable_cores
from .cross_products import sum_products
from .hessian import PartEntries, hessian_values, keep_inverse
from .large_part import PartWithoutSchur
from .work import Work

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Random vectors by which traces are estimated, and the seed that they are drawn with.
PROBES, SEED = 16, 1
#: A residual this short, as a share of the right-hand side, ends the conjugate gradients; so do this many steps.
RESIDUAL, MOST_STEPS = 1e-11, 2000
#: Vectors that a thread multiplies by the matrix together: the matrix is read from memory once for all of them.
TOGETHER = 8
#: Steps of Lanczos's method for a draw of the effects.
DRAW_STEPS = 60


class IterativePart(PartWithoutSchur):
    """A part whose H is only multiplied by.

    Parameters
    ----------
    part : int
    entries : PartEntries

    Attributes
    ----------
    log_dets : ndarray
        Estimates of log|H| by each of the probes in use. Their mean is taken.
    """

    def __init__(self, part: int, entries: PartEntries) -> None:
        super().__init__(part)
        n = len(entries.columns)
        self._entries, self._values = entries, np.zeros(len(entries.row))
        self._diagonal = np.flatnonzero(entries.row == entries.column)
        self._diagonal = self._diagonal[np.argsort(entries.row[self._diagonal])]
        self._matrix, self._source = _matrix_of(entries)
        self._scale = np.ones(n)
        self._drawn = np.where(np.random.default_rng(SEED).random((n, PROBES)) < 0.5, -1.0, 1.0)
        self._probes = self._drawn
        self.log_dets = np.zeros(PROBES)

    def use_probes(self, chosen: slice) -> None:
        """Use some of the probes in the evaluations that follow."""
        self._probes = np.ascontiguousarray(self._drawn[:, chosen])

    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """The matrix M at the current effects."""
        sum_products(r, w, self._part)
        hessian_values(r, w, cholesky, self.number, self._values)
        self._scale = 1.0 / np.sqrt(self._values[self._diagonal])
        self._values *= self._scale[self._entries.row]
        self._values *= self._scale[self._entries.column]
        self._matrix.data[:] = self._values[self._source]
        self._solves = True

    def solve(self, r: RowIndex, w: Work, x: FloatArray) -> None:  # noqa: ARG002
        """Solve by conjugate gradients."""
        right = self._scale * x[self._entries.columns]
        x[self._entries.columns] = self._scale * _conjugate_gradients(self._matrix, right[:, None])[0][:, 0]

    def correlate(self, x: FloatArray) -> None:
        """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place, by Lanczos's method."""
        normal = x[self._entries.columns]
        x[self._entries.columns] = self._scale * _inverse_root_times(self._matrix, normal)

    def _invert(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:  # noqa: ARG002
        z, M, entries = self._probes, self._matrix, self._entries
        solved, logarithms = _solved_with_logarithms(M, z)
        once = M @ z - z
        twice = M @ once - once
        # Row sums of the squares of E.
        squares = M.copy()
        squares.data **= 2
        second = squares.sum(axis=1) - 1.0
        known = (z * once).sum(axis=0) - 0.5 * (once * once).sum(axis=0)
        log_dets = len(z) * logarithms - known - 0.5 * second.sum()
        self.log_dets = log_dets - 2.0 * np.log(self._scale).sum()
        w.log_det[self._part] = self.log_dets.mean()
        rest = solved - z + once
        inverse = -self._values
        _add_probes(entries.row, entries.column, z.ravel(), rest.ravel(), z.shape[1], inverse)
        inverse[self._diagonal] = 1.0 + second + (z * (rest - twice)).mean(axis=1)
        inverse *= self._scale[entries.row]
        inverse *= self._scale[entries.column]
        keep_inverse(w, entries, inverse)


def numbers(entries: PartEntries) -> int:
    """Numbers that an iterative part keeps and uses as scratch."""
    return 7 * len(entries.row) + (7 * PROBES + DRAW_STEPS) * len(entries.columns)


def _matrix_of(entries: PartEntries) -> tuple[csr_array, IntArray]:
    """A sparse matrix with both triangles, and the entry that each of its values comes from."""
    from scipy.sparse import csr_array

    n = len(entries.columns)
    within = entries.level[entries.row] == entries.level[entries.column]  # blocks that are complete
    across = np.flatnonzero(~within)
    row = np.concatenate([entries.row, entries.column[across]])
    column = np.concatenate([entries.column, entries.row[across]])
    source = np.concatenate([np.arange(len(within)), across])
    order = np.argsort(row * n + column)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    matrix = csr_array((np.zeros(len(order)), column[order].astype(np.int32), starts.astype(np.int32)), shape=(n, n))
    return matrix, source[order]


def _solved_with_logarithms(M: csr_array, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``M^-1 z``, and ``z' log(M) z / z'z`` of each column; `TOGETHER` columns at a time, in threads."""

    def solve(begin: int) -> tuple[FloatArray, FloatArray]:
        solved, steps, ratios = _conjugate_gradients(M, np.ascontiguousarray(z[:, begin : begin + TOGETHER]))
        return solved, _lanczos_logarithms(steps, ratios)

    begins = range(0, z.shape[1], TOGETHER)
    with ThreadPoolExecutor(min(len(begins), usable_cores())) as threads:
        found = list(threads.map(solve, begins))
    return np.concatenate([one for one, _ in found], axis=1), np.concatenate([one for _, one in found])


def _conjugate_gradients(M: csr_array, right: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``M^-1`` times columns, with the length of each step and the ratio of the squared residuals after and before it.

    Raises
    ------
    EngineError
        If the residuals do not become short.
    """
    solved, residual, direction = np.zeros_like(right), right.copy(), right.copy()
    squares = (right * right).sum(axis=0)
    first, steps, ratios = np.where(squares > 0.0, squares, 1.0), [], []
    for _ in range(MOST_STEPS):
        if not np.any(squares > RESIDUAL**2 * first):
            break
        product = M @ direction
        curvature = (direction * product).sum(axis=0)
        step = np.divide(squares, curvature, out=np.zeros_like(squares), where=curvature > 0.0)
        solved += step * direction
        product *= step
        residual -= product
        after = (residual * residual).sum(axis=0)
        ratio = np.divide(after, squares, out=np.zeros_like(after), where=squares > 0.0)
        direction *= ratio
        direction += residual
        squares = after
        steps.append(step)
        ratios.append(ratio)
    else:
        raise EngineError(
            f"the equations of {len(right):,} crossed random effects were not solved in {MOST_STEPS:,} steps of "
            "conjugate gradients: some effects are almost determined by others. Leave out a grouping factor, or merge "
            "rare levels."
        )
    return solved, np.array(steps), np.array(ratios)


def _lanczos_logarithms(steps: FloatArray, ratios: FloatArray) -> FloatArray:
    """``z' log(M) z / z'z`` of each column z, from the coefficients of its conjugate gradients.

    They are the entries of the tridiagonal matrix of Lanczos's method (Golub and Van Loan 2013, Matrix Computations,
    section 11.3), whose eigenvalues and first eigenvector entries are nodes and weights of a quadrature.
    """
    from scipy.linalg import eigh_tridiagonal

    logarithms = np.empty(steps.shape[1])
    for k in range(steps.shape[1]):
        used = steps[:, k] > 0.0
        step, ratio = steps[used, k], ratios[used, k]
        diagonal = 1.0 / step
        diagonal[1:] += ratio[:-1] / step[:-1]
        values, vectors = eigh_tridiagonal(diagonal, np.sqrt(ratio[:-1]) / step[:-1])
        logarithms[k] = vectors[0] ** 2 @ np.log(values)
    return logarithms


def _inverse_root_times(M: csr_array, x: FloatArray) -> FloatArray:
    """``M^-1/2 x`` by Lanczos's method."""
    from scipy.linalg import eigh_tridiagonal

    length = float(np.sqrt(x @ x))
    if length == 0.0:
        return x.copy()
    basis: list[FloatArray] = [x / length]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(DRAW_STEPS):
        product = M @ basis[-1]
        if beside:
            product -= beside[-1] * basis[-2]
        diagonal.append(float(product @ basis[-1]))
        product -= diagonal[-1] * basis[-1]
        size = float(np.sqrt(product @ product))
        if size < RESIDUAL:
            break
        beside.append(size)
        basis.append(product / size)
    values, vectors = eigh_tridiagonal(diagonal, beside[: len(diagonal) - 1])
    weights = length * (vectors @ (vectors[0] / np.sqrt(np.maximum(values, RESIDUAL))))
    total: FloatArray = np.einsum("k,kn->n", weights, np.array(basis[: len(diagonal)]))
    return total


@kernel
def _add_probes(
    row: IntArray, column: IntArray, z: FloatArray, rest: FloatArray, probes: int, inverse: FloatArray
) -> None:
    """Add the symmetric mean over the probes of ``rest z'`` to the entries of an inverse."""
    for k in range(len(row)):
        i, j, total = row[k] * probes, column[k] * probes, 0.0
        for p in range(probes):
            total += z[i + p] * rest[j + p] + rest[i + p] * z[j + p]
        inverse[k] += 0.5 * total / probes
