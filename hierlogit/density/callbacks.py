"""The joint density as C functions, which a sampler written in another language calls without Python.

A C function cannot be given NumPy arrays: it gets the address of a table with the address and the length of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import carray, cfunc, types

from .compiled import exact_kernel, pointer
from .joint import FloatArray, Joint, affine, evaluate
from .scales import make_roots, scale_priors, total_square

IntArray = npt.NDArray[np.int64]

#: What the sampler is told: a point that it may not go to, and a density that is not a number.
DIVERGED = 4
WRONG_SIZE = -1
#: Length of the table: an address and a length for each array of `Joint` and of `Outputs`.
TABLE = 2 * (33 + 4)

_LOG_DENSITY = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)
_EXPAND = types.int64(
    types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.voidptr
)


@exact_kernel
def _floats(table: IntArray, k: int) -> FloatArray:
    found: FloatArray = carray(pointer(table[2 * k]), (table[2 * k + 1],), np.float64)
    return found


@exact_kernel
def _whole(table: IntArray, k: int) -> IntArray:
    found: IntArray = carray(pointer(table[2 * k]), (table[2 * k + 1],), np.int64)
    return found


@exact_kernel
def joint_of(table: IntArray) -> Joint:
    """The arrays whose addresses stand in a table, in the order of `Joint`."""
    return Joint(
        _floats(table, 0),
        _floats(table, 1),
        _floats(table, 2),
        _floats(table, 3),
        _floats(table, 4),
        _floats(table, 5),
        _floats(table, 6),
        _floats(table, 7),
        _floats(table, 8),
        _floats(table, 9),
        _floats(table, 10),
        _floats(table, 11),
        _floats(table, 12),
        _floats(table, 13),
        _floats(table, 14),
        _floats(table, 15),
        _floats(table, 16),
        _floats(table, 17),
        _floats(table, 18),
        _floats(table, 19),
        _whole(table, 20),
        _whole(table, 21),
        _whole(table, 22),
        _whole(table, 23),
        _whole(table, 24),
        _whole(table, 25),
        _whole(table, 26),
        _whole(table, 27),
        _whole(table, 28),
        _whole(table, 29),
        _whole(table, 30),
        _whole(table, 31),
        _whole(table, 32),
    )


class Outputs(NamedTuple):
    """Which numbers of a position are kept, and in which order: the user's.

    For each of the design's groups, one after the other.
    """

    factor: IntArray  # which factor of the density it is
    correlated: IntArray  # 1 if the correlation matrix is kept
    standardised: IntArray  # 1 if the standardised effects are kept
    order: IntArray  # (sum of J,) the number that the density gives to each level


@exact_kernel
def expand(l: Joint, o: Outputs, x: FloatArray, out: FloatArray) -> None:
    """Write what is kept of a position: beta, then sds, correlations and effects of each group.

    Effects stand level by level; see `output_shapes`.
    """
    p, scales = len(l.gamma0), len(l.centre)
    u, b = np.empty(l.variable_at[-1]), np.empty(l.variable_at[-1])
    evaluate(l, x, np.empty(len(x)), u, b)
    affine(l.beta0, l.beta_spread, x, out)
    unbounded = np.empty(scales)
    for k in range(scales):
        unbounded[k] = l.centre[k] + l.width[k] * x[p + k]
    n_roots = total_square(l.q)
    sd, rows, roots, slope = np.empty(len(l.sd_family)), np.zeros(n_roots), np.zeros(n_roots), np.empty(scales)
    scale_priors(l.sd_family, l.sd_arguments, l.set_size, unbounded, sd, slope)
    make_roots(l.q, l.effect_at, l.set_first, l.cor_start, l.power, unbounded, sd, rows, roots, slope)
    at, first = p, 0
    for g in range(len(o.factor)):
        t = o.factor[g]
        q, J = l.q[t], l.levels[t]
        out[at : at + q] = sd[l.effect_at[t] : l.effect_at[t + 1]]
        at += q
        if o.correlated[g]:
            root_at = total_square(l.q[:t])
            for a in range(q):
                for c in range(q):
                    total = 0.0
                    for d in range(q):
                        total += rows[root_at + a * q + d] * rows[root_at + c * q + d]
                    out[at + a * q + c] = 1.0 if a == c else total
            at += q * q
        for kept in range(1 + o.standardised[g]):
            source = u if kept else b
            for j in range(J):
                for a in range(q):
                    out[at + j * q + a] = source[l.variable_at[t] + a * J + o.order[first + j]]
            at += J * q
        first += J


@cfunc(_LOG_DENSITY, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def log_density_callback(n: int, x: Any, grad: Any, value: Any, table: Any) -> int:
    """Value and gradient; what nutpie asks of a compiled model."""
    l = joint_of(carray(table, (TABLE,), np.int64))
    size = len(l.gamma0) + len(l.centre) + l.variable_at[-1]
    if n != size:
        return WRONG_SIZE
    u, b = np.empty(l.variable_at[-1]), np.empty(l.variable_at[-1])
    slope = carray(grad, (size,))
    found = evaluate(l, carray(x, (size,)), slope, u, b)
    carray(value, (1,))[0] = found
    return 0 if np.isfinite(found) and np.all(np.isfinite(slope)) else DIVERGED


@cfunc(_EXPAND, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def expand_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """What is kept of a position; what nutpie asks of a compiled model."""
    addresses = carray(table, (TABLE,), np.int64)
    l = joint_of(addresses)
    size = len(l.gamma0) + len(l.centre) + l.variable_at[-1]
    if n != size:
        return WRONG_SIZE
    first = len(l)
    o = Outputs(
        _whole(addresses, first),
        _whole(addresses, first + 1),
        _whole(addresses, first + 2),
        _whole(addresses, first + 3),
    )
    expand(l, o, carray(x, (size,)), carray(out, (n_out,)))
    return 0


def table_of(arrays: Joint, outputs: Outputs) -> IntArray:
    """Addresses and lengths of arrays, which must outlive the table."""
    return np.array([[one.ctypes.data, one.size] for one in (*arrays, *outputs)], dtype=np.int64).ravel()
