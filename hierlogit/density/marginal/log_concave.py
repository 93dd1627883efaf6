"""Exact draws from log-concave densities of one variable by adaptive rejection sampling, compiled.

The tangents of the log density at a few points lie above it. Where they are lowest they form a hull, whose exponential
is drawn from piece by piece. A draw that is rejected gives another tangent (Gilks and Wild 1992, Applied Statistics 41:
337-348).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel

FloatArray = npt.NDArray[np.float64]
UintArray = npt.NDArray[np.uint64]

#: Tangents that there is room for: nearly all draws are accepted with far fewer.
MOST_TANGENTS = 64
#: Below this, a tangent counts as flat, and two as parallel.
FLAT = 1e-10
#: Increment and multipliers of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA: 453-472, with Stafford's variant 13).
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@exact_kernel
def mixed(z: np.uint64) -> np.uint64:
    """Bits each of which depends on all bits of z, as a SplitMix64 generator makes them from its state."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@exact_kernel
def uniform(state: UintArray) -> float:
    """The next number between 0 and 1 of a SplitMix64 generator, whose state has one entry."""
    state[0] += INCREMENT
    bits: np.uint64 = mixed(state[0]) >> _11
    return (float(bits) + 0.5) * 2.0**-53


@exact_kernel
def normal(state: UintArray) -> float:
    """A standard normal number, by the method of Box and Muller."""
    length = math.sqrt(-2.0 * math.log(uniform(state)))
    return length * math.cos(2.0 * math.pi * uniform(state))


@exact_kernel
def insert_tangent(
    points: FloatArray, values: FloatArray, slopes: FloatArray, count: int, x: float, value: float, slope: float
) -> int:
    """Insert a tangent, in the order of the points, and return the new number of them."""
    if count == len(points):
        return count
    at = count
    while at > 0 and points[at - 1] > x:
        points[at], values[at], slopes[at] = points[at - 1], values[at - 1], slopes[at - 1]
        at -= 1
    points[at], values[at], slopes[at] = x, value, slope
    return count + 1


@exact_kernel
def _crossing(points: FloatArray, values: FloatArray, slopes: FloatArray, k: int) -> float:
    """Where the tangents k and k + 1 cross."""
    fall = slopes[k] - slopes[k + 1]
    if fall < FLAT:
        middle: float = 0.5 * (points[k] + points[k + 1])
        return middle
    height = values[k + 1] - values[k] + slopes[k] * points[k] - slopes[k + 1] * points[k + 1]
    crossing: float = min(max(height / fall, points[k]), points[k + 1])
    return crossing


@exact_kernel
def draw_below_hull(
    points: FloatArray, values: FloatArray, slopes: FloatArray, count: int, masses: FloatArray, state: UintArray
) -> tuple[float, float]:
    """A draw from the exponential of the hull, and the hull there.

    Parameters
    ----------
    points, values, slopes : ndarray
        Tangents; the first `count` are used. The first slope is positive, the last one negative.
    count : int
    masses : ndarray
        Scratch.
    state : ndarray of uint64, shape (1,)
    """
    top = values[0]
    for k in range(count):
        top = max(top, values[k])
    total, left = 0.0, -math.inf
    for k in range(count):
        right = _crossing(points, values, slopes, k) if k + 1 < count else math.inf
        masses[k] = _mass(points[k], values[k] - top, slopes[k], left, right)
        total += masses[k]
        left = right
    rest, k = uniform(state) * total, 0
    while k + 1 < count and rest >= masses[k]:
        rest -= masses[k]
        k += 1
    left = _crossing(points, values, slopes, k - 1) if k > 0 else -math.inf
    right = _crossing(points, values, slopes, k) if k + 1 < count else math.inf
    slope, share = slopes[k], uniform(state)
    if abs(slope) < FLAT:
        x = left + share * (right - left)
    else:
        # Distance from the higher end, which is exponential but for the length of the piece.
        fall = 1.0 - math.exp(-abs(slope) * (right - left))
        distance = -math.log1p(-share * fall) / abs(slope)
        x = right - distance if slope > 0.0 else left + distance
    return x, values[k] + slope * (x - points[k])


@exact_kernel
def _mass(point: float, value: float, slope: float, left: float, right: float) -> float:
    """Integral of the exponential of a tangent between two ends."""
    if abs(slope) < FLAT:
        return (right - left) * math.exp(value)
    high = value + slope * ((right if slope > 0.0 else left) - point)
    return math.exp(high) * (1.0 - math.exp(-abs(slope) * (right - left))) / abs(slope)
