"""The joint density as C functions, which a sampler written in another language calls without Python.

A C function does not take NumPy arrays: it gets the address of a table with the address and the length of each.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...numba_support.compile import CFunction, c_function, exact_kernel
from ...numba_support.short_code import DATA, field
from ...numba_support.struct_by_address import ENTRY, array_at, at_address, by_address, number_at, table_of_arrays
from ...numba_support.vectors import window
from ..kernels.scale_priors import cholesky_forward, scale_priors, total_square
from .arrays import Joint, OneFactorJoint, OverdispersedJoint
from .attenuation import log_attenuation
from .log_density import affine, evaluate, evaluate_with, scratch_size
from .scale_variables import scales_forward, set_signs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Return codes for the sampler: a density that is not finite, and a position of the wrong length.
DIVERGED = 4
WRONG_SIZE = -1
#: Arrays of `Joint`, which stand before those of `Outputs` in the table.
JOINT_ARRAYS = len(Joint._fields)

#: Where in the table the address of the density stands, behind all arrays.
FUNCTION = ENTRY * (JOINT_ARRAYS + 5)

#: Signatures: of a density for the other functions, and of the functions that nutpie calls.
EVALUATE = types.double(types.voidptr, *4 * [types.CPointer(types.double)])
LOG_DENSITY = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)
EXPAND = types.int64(
    types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.voidptr
)


@by_address
class Outputs(NamedTuple):
    """Which numbers of a position are kept; for each of the design's groups, in the design's order."""

    factor: IntArray  # the group's factor in the density
    correlated: IntArray  # 1 if the correlation matrix is kept
    standardised: IntArray  # 1 if the standardised effects are kept
    order: IntArray  # (sum of J,) the number of each level in the density
    scale: IntArray  # where phi stands behind the sds; empty for binomial outcomes


_joint_at, _outputs_at = at_address(Joint), at_address(Outputs)
_one_factor_at, _overdispersed_at = at_address(OneFactorJoint), at_address(OverdispersedJoint)


@intrinsic  # type: ignore[untyped-decorator]
def call_evaluate(_typing_context: Any, address: Any, table: Any, x: Any, grad: Any, u: Any, b: Any) -> Any:
    """Call `evaluate_callback` by its address; each vector is an array or a pointer."""

    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [
            field(builder, one, DATA) if isinstance(kind, types.Array) else one
            for kind, one in zip(signature.args[1:], arguments[1:], strict=True)
        ]
        kind = ir.FunctionType(ir.DoubleType(), [one.type for one in pointers])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), pointers)

    return types.double(address, table, x, grad, u, b), generate


@exact_kernel
def position_size(joint: Joint) -> int:
    """Length of a position."""
    size: int = len(joint.gamma0) + len(joint.centre) + joint.variable_at[-1]
    return size


@exact_kernel
def _evaluate_at(joint: Joint, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate` with vectors by their addresses."""
    size, effects = position_size(joint), joint.variable_at[-1]
    scratch = np.empty(scratch_size(joint))
    return evaluate_with(
        joint, array_at(x, size), array_at(grad, size), array_at(u, effects), array_at(b, effects), scratch
    )


@c_function(EVALUATE)
def evaluate_callback(table: Any, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate` for the other functions here, each of which would otherwise contain a copy of its machine code."""
    return _evaluate_at(_joint_at(table, 0), x, grad, u, b)


@c_function(EVALUATE)
def evaluate_one_factor_callback(table: Any, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate_callback` for models with one grouping factor."""
    return _evaluate_at(_one_factor_at(table, 0), x, grad, u, b)


@c_function(EVALUATE)
def evaluate_overdispersed_callback(table: Any, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate_callback` for models with beta-binomial outcomes."""
    return _evaluate_at(_overdispersed_at(table, 0), x, grad, u, b)


@exact_kernel
def write_kept(
    joint: Joint, o: Outputs, x: FloatArray, log_scale: float, u: FloatArray, b: FloatArray, out: FloatArray
) -> None:
    """Write what is kept of a position, in the order of `hierlogit.fits.posterior.posterior_layout`.

    That is beta, sds and correlations of each group, phi, effects of each group, and their standardised effects.
    Effects stand level by level. Those of `evaluate` at x are given. `log_scale` is that of `parameters_forward`. Sds
    are kept without their signs, which go to the correlations and to the standardised effects.
    """
    p, scales = len(joint.gamma0), len(joint.centre)
    affine(joint.beta0, joint.beta_scale, x, out)
    unbounded = np.empty(scales)
    scales_forward(joint, window(x, p, scales), unbounded)
    for e in range(joint.q[0], len(joint.sd_family)):
        unbounded[e] += log_scale
    n_cholesky = total_square(joint.q)
    sd, cor_cholesky, cholesky, gradient = (
        np.empty(len(joint.sd_family)),
        np.zeros(n_cholesky),
        np.zeros(n_cholesky),
        np.empty(scales),
    )
    scale_priors(joint.sd_family, joint.sd_arguments, joint.set_size, unbounded, sd, gradient)
    set_signs(joint, window(x, p, scales), sd)
    cholesky_forward(
        joint.q,
        joint.effect_at,
        joint.set_first,
        joint.cor_start,
        joint.cor_power,
        unbounded,
        sd,
        cor_cholesky,
        cholesky,
        gradient,
    )
    k = math.exp(log_attenuation(joint, cholesky))
    for i in range(p):
        out[i] *= k
    at = p
    for g in range(len(o.factor)):
        t = o.factor[g]
        q = joint.q[t]
        own = window(sd, joint.effect_at[t], q)
        for a in range(q):
            out[at + a] = abs(own[a])
        at += q
        if o.correlated[g]:
            cholesky_at = total_square(window(joint.q, 0, t))
            for a in range(q):
                for c in range(q):
                    total = 0.0
                    for d in range(q):
                        total += cor_cholesky[cholesky_at + a * q + d] * cor_cholesky[cholesky_at + c * q + d]
                    out[at + a * q + c] = 1.0 if a == c else math.copysign(1.0, own[a] * own[c]) * total
            at += q * q
    for e in o.scale:
        out[at] = sd[e]
        at += 1
    for standardised in range(2):
        source, first = u if standardised else b, 0
        for g in range(len(o.factor)):
            t = o.factor[g]
            q, J = joint.q[t], joint.levels[t]
            if o.standardised[g] or not standardised:
                for a in range(q):
                    sign = math.copysign(1.0, sd[joint.effect_at[t] + a]) if standardised else 1.0
                    for j in range(J):
                        out[at + j * q + a] = sign * source[joint.variable_at[t] + a * J + o.order[first + j]]
                at += J * q
            first += J


@exact_kernel
def checked_density(address: int, table: Any, effects: int, x: FloatArray, grad: FloatArray, value: FloatArray) -> int:
    """Write the value and gradient of the function at `address`; `DIVERGED` if they are not finite, otherwise 0.

    `effects` is the number of random effects, standardised or not, that the function writes besides.
    """
    u, b = np.empty(effects), np.empty(effects)
    density = call_evaluate(address, table, x, grad, u, b)
    value[0] = density
    finite = np.isfinite(density)
    for derivative in grad:
        finite &= np.isfinite(derivative)
    return 0 if finite else DIVERGED


@exact_kernel
def evaluate_and_write(joint: Joint, o: Outputs, address: int, table: Any, x: FloatArray, out: FloatArray) -> None:
    """Write what is kept of a position, with the effects of the function at `address`."""
    grad, u, b = np.empty(len(x)), np.empty(joint.variable_at[-1]), np.empty(joint.variable_at[-1])
    call_evaluate(address, table, x, grad, u, b)
    write_kept(joint, o, x, 0.0, u, b, out)


@c_function(LOG_DENSITY)
def log_density_callback(n: int, x: Any, grad: Any, value: Any, table: Any) -> int:
    """Value and gradient, with the signature that nutpie expects of a compiled model."""
    joint = _joint_at(table, 0)  # arrays of the other classes stand in the same places
    size, effects = position_size(joint), joint.variable_at[-1]
    if n != size:
        return WRONG_SIZE
    function = number_at(table, FUNCTION)
    return checked_density(function, table, effects, array_at(x, size), array_at(grad, size), array_at(value, 1))


@exact_kernel
def _expand_at(joint: Joint, n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """`expand` with vectors by their addresses, and the function whose address is in the table."""
    size = position_size(joint)
    if n != size:
        return WRONG_SIZE
    outputs, function = _outputs_at(table, JOINT_ARRAYS), number_at(table, FUNCTION)
    evaluate_and_write(joint, outputs, function, table, array_at(x, size), array_at(out, n_out))
    return 0


@c_function(EXPAND)
def expand_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """What is kept of a position, with the signature that nutpie expects of a compiled model."""
    return _expand_at(_joint_at(table, 0), n, n_out, x, out, table)


@c_function(EXPAND)
def expand_one_factor_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """`expand_callback` for models with one grouping factor."""
    return _expand_at(_one_factor_at(table, 0), n, n_out, x, out, table)


@c_function(EXPAND)
def expand_overdispersed_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """`expand_callback` for models with beta-binomial outcomes."""
    return _expand_at(_overdispersed_at(table, 0), n, n_out, x, out, table)


#: The density, its form for nutpie, and what writes draws, by the class of the arrays.
CALLBACKS: dict[type[Joint], tuple[CFunction, CFunction, CFunction]] = {
    Joint: (evaluate_callback, log_density_callback, expand_callback),
    OneFactorJoint: (evaluate_one_factor_callback, log_density_callback, expand_one_factor_callback),
    OverdispersedJoint: (evaluate_overdispersed_callback, log_density_callback, expand_overdispersed_callback),
}


def table_of(arrays: Joint, outputs: Outputs) -> IntArray:
    """The table for the C functions: addresses and lengths of the arrays, which must outlive it, and a function."""
    tables = [table_of_arrays(arrays), table_of_arrays(outputs)]
    return np.concatenate([*tables, np.array([CALLBACKS[type(arrays)][0].address], dtype=np.int64)])


def expand(arrays: Joint, outputs: Outputs, x: FloatArray, out: FloatArray) -> None:
    """Write what is kept of a position."""
    effects = int(arrays.variable_at[-1])
    u, b = np.empty(effects), np.empty(effects)
    evaluate(arrays, x, np.empty(len(x)), u, b)
    write_kept(arrays, outputs, x, 0.0, u, b, out)
