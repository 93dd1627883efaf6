"""Draws of the integrated effects from their exact conditional distribution given everything else, compiled.

Given the fixed effects, the standard deviations and the other factors' effects, the standardised effect u of a level
has a density exp(f(u)) that is log-concave, with ``f'' <= -1``: the prior alone has a curvature of one. So f lies below
its tangents left and right of its mode, and nowhere more than ``f'(m)^2 / 2`` above its value at a point m near it.
Under these three lines lies a density that is drawn from directly, and a draw is accepted with the ratio of the two
(Devroye 1986, Non-Uniform Random Variate Generation, section VII.2): no grid, no approximation, and more than four of
five are accepted.

The random numbers are a function of the position: the same position has the same effects, in any process and thread,
and a run repeats exactly.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import allocate, copy, window
from ..joint.arrays import Joint
from ..kernels.binomial import bernoulli_variance, bits_of, log1p_of_unit, logistic
from ..marginal.log_concave import INCREMENT, mixed, uniform
from .arrays import Blocks
from .blocks import centre_block

FloatArray = npt.NDArray[np.float64]
UintArray = npt.NDArray[np.uint64]

SQRT2 = math.sqrt(2.0)
#: Newton's method ends when the square of f' over the curvature, twice what f may still gain, is below this.
CLOSE = 1e-12
#: Newton's steps, with bisection where they would leave what is known to contain the mode.
MOST_STEPS = 100
#: Proposals for a draw: more than four of five are accepted, so that none is left but where f is no number.
MOST_PROPOSALS = 1000


@exact_kernel
def key_of(x: FloatArray) -> np.uint64:
    """Bits that all numbers of a position determine, and that differ wildly between positions."""
    key = INCREMENT
    for value in x:
        key = mixed((key ^ np.uint64(bits_of(value))) + INCREMENT)
    return key


@kernel
def _begin_terms(u: FloatArray, f: FloatArray, slope: FloatArray, curvature: FloatArray) -> None:
    for j in range(len(u)):
        f[j] = -0.5 * u[j] * u[j]
        slope[j] = -u[j]
        curvature[j] = 1.0


@kernel
def _add_terms(
    y: FloatArray,
    trials: FloatArray,
    z: FloatArray,
    eta: FloatArray,
    sd: float,
    u: FloatArray,
    f: FloatArray,
    slope: FloatArray,
    curvature: FloatArray,
) -> None:
    """Add one row of every level."""
    for j in range(len(u)):
        factor = sd * z[j]
        x = eta[j] + factor * u[j]
        e, d, p = logistic(x)
        f[j] += y[j] * x - trials[j] * (max(x, 0.0) + log1p_of_unit(e))
        slope[j] += factor * (y[j] - trials[j] * p)
        curvature[j] += factor * factor * trials[j] * bernoulli_variance(e, d)


@exact_kernel
def _terms(
    joint: Joint,
    r0: int,
    sd: float,
    eta: FloatArray,
    u: FloatArray,
    f: FloatArray,
    slope: FloatArray,
    curvature: FloatArray,
) -> None:
    """Value f at u, its derivative and minus its second derivative, for every level of a block from row r0 on."""
    m = len(u)
    _begin_terms(u, f, slope, curvature)
    for r in range(0, len(eta), m):
        y, trials, z = window(joint.y, r0 + r, m), window(joint.trials, r0 + r, m), window(joint.Z, r0 + r, m)
        _add_terms(y, trials, z, window(eta, r, m), sd, u, f, slope, curvature)


@kernel
def _bracket(u: FloatArray, slope: FloatArray, low: FloatArray, high: FloatArray) -> None:
    """Bounds of the mode: it is where the slope points to, and no farther than the slope, as ``f'' <= -1``."""
    for j in range(len(u)):
        low[j] = u[j] + min(slope[j], 0.0)
        high[j] = u[j] + max(slope[j], 0.0)


@kernel
def _newton(
    u: FloatArray, slope: FloatArray, curvature: FloatArray, low: FloatArray, high: FloatArray, out: FloatArray
) -> None:
    """The next points, from slopes at u; the bounds of the mode are drawn closer."""
    for j in range(len(u)):
        low[j] = u[j] if slope[j] > 0.0 else low[j]
        high[j] = u[j] if slope[j] < 0.0 else high[j]
        step = u[j] + slope[j] / curvature[j]
        out[j] = step if low[j] <= step <= high[j] else 0.5 * (low[j] + high[j])


@kernel
def _farthest(slope: FloatArray, curvature: FloatArray) -> float:
    most = 0.0
    for j in range(len(slope)):
        most = max(most, slope[j] * slope[j] / curvature[j])
    return most


@kernel
def _beside(sign: float, u: FloatArray, slope: FloatArray, curvature: FloatArray, out: FloatArray) -> None:
    """Points left or right of the mode, at which a normal density's tangents give the best acceptance rate."""
    for j in range(len(u)):
        out[j] = u[j] + sign * (SQRT2 / math.sqrt(curvature[j]) + abs(slope[j]))


@exact_kernel
def _log_density(joint: Joint, r0: int, m: int, j: int, sd: float, eta: FloatArray, u: float) -> float:
    """Value of f for one level of a block."""
    value = -0.5 * u * u
    for r in range(j, len(eta), m):
        x = eta[r] + sd * joint.Z[r0 + r] * u
        e, _, _ = logistic(x)
        value += joint.y[r0 + r] * x - joint.trials[r0 + r] * (max(x, 0.0) + log1p_of_unit(e))
    return value


@exact_kernel
def _accepted(
    joint: Joint,
    r0: int,
    m: int,
    j: int,
    sd: float,
    eta: FloatArray,
    peak: float,
    top: float,
    left: float,
    left_slope: float,
    right: float,
    right_slope: float,
    state: UintArray,
) -> float:
    """A draw for level j of a block.

    Parameters
    ----------
    peak, top : float
        f near its mode, and how far above it f may be anywhere.
    left, left_slope, right, right_slope : float
        Where the tangents have fallen to `top`, and their slopes.
    state : ndarray of uint64, shape (1,)
        That of the generator of random numbers.
    """
    below, above = 1.0 / left_slope, -1.0 / right_slope
    between, u = right - left, left
    for _proposal in range(MOST_PROPOSALS):
        place = uniform(state) * (below + between + above)
        if place < below:
            fall = math.log(place / below)
            u = left + fall * below
        elif place > below + between:
            fall = math.log((place - below - between) / above)
            u = right - fall * above
        else:
            fall = 0.0
            u = left + (place - below)
        # A value that is no number is accepted, so that it does not go on for ever.
        if not math.log(uniform(state)) > _log_density(joint, r0, m, j, sd, eta, u) - peak - top - fall:
            break
    return u


@exact_kernel
def draw_size(blocks: Blocks) -> int:
    """How many numbers `draw_effects` writes to its scratch."""
    size: int = blocks.most[1] + 12 * blocks.most[0]
    return size


@exact_kernel
def draw_effects(
    joint: Joint,
    blocks: Blocks,
    gamma: FloatArray,
    sd: float,
    key: np.uint64,
    scratch: FloatArray,
    u: FloatArray,
    b: FloatArray,
) -> None:
    """Draw the effects of the first factor's levels, which go into u and b, given those of the other factors in b."""
    state = np.empty(1, dtype=np.uint64)
    for k in range(len(blocks.kind)):
        j0, r0 = blocks.level_start[k], blocks.row_start[k]
        m, rows = blocks.level_start[k + 1] - j0, blocks.row_start[k + 1] - r0
        eta, used = allocate(scratch, 0, rows)
        mode, used = allocate(scratch, used, m)
        next_one, used = allocate(scratch, used, m)
        f, used = allocate(scratch, used, m)
        slope, used = allocate(scratch, used, m)
        curvature, used = allocate(scratch, used, m)
        low, used = allocate(scratch, used, m)
        high, used = allocate(scratch, used, m)
        left, used = allocate(scratch, used, m)
        left_f, used = allocate(scratch, used, m)
        left_slope, used = allocate(scratch, used, m)
        right_f, used = allocate(scratch, used, m)
        right_slope, used = allocate(scratch, used, m)
        centre_block(joint, blocks, k, gamma, sd, b, eta, mode, next_one)
        _terms(joint, r0, sd, eta, mode, f, slope, curvature)
        _bracket(mode, slope, low, high)
        for _step in range(MOST_STEPS):
            if _farthest(slope, curvature) <= CLOSE:
                break
            _newton(mode, slope, curvature, low, high, next_one)
            copy(next_one, mode)
            _terms(joint, r0, sd, eta, mode, f, slope, curvature)
        # `low` and `high` are free: curvatures that are not needed, and the right points.
        _beside(-1.0, mode, slope, curvature, left)
        _terms(joint, r0, sd, eta, left, left_f, left_slope, low)
        right = next_one
        _beside(1.0, mode, slope, curvature, right)
        _terms(joint, r0, sd, eta, right, right_f, right_slope, low)
        for j in range(m):
            top = 0.5 * slope[j] * slope[j]
            from_left = left[j] + (f[j] + top - left_f[j]) / left_slope[j]
            from_right = right[j] + (f[j] + top - right_f[j]) / right_slope[j]
            state[0] = mixed(key + np.uint64(j0 + j + 1) * INCREMENT)
            drawn = _accepted(
                joint,
                r0,
                m,
                j,
                sd,
                eta,
                f[j],
                top,
                from_left,
                left_slope[j],
                max(from_left, from_right),
                right_slope[j],
                state,
            )
            u[j0 + j] = drawn
            b[j0 + j] = sd * drawn
