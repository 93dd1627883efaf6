"""Effects of a grouping factor from variables that are nearly independent of all else in the posterior, compiled.

With information ``I_j`` of the data about the effects of level j and pull ``kappa_j`` towards their estimate, both
taken at a fixed point, the effects given a root L are nearly normal, and the sampler moves in the standardised v:

    A_j = 1 + L' I_j L = C_j C_j'        u_j = C_j'^-1 (C_j^-1 L' kappa_j + v_j)        b_j = L u_j

Where the data say little this is the non-centred form (u = v), where they say much it is the centred one: a partial
centring by the information in each cluster (Papaspiliopoulos, Roberts and Skoeld 2007, Statistical Science 22: 59-73),
whose change of variables is exact whatever the constants are.

Arrays hold one entry of a vector or matrix after the other, each for all levels: loops over levels are innermost and
become vector instructions.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import kernel
from ...numba_support.vectors import dot, window
from ..kernels.binomial import sum_of_logarithms

FloatArray = npt.NDArray[np.float64]


@kernel
def forward(
    q: int,
    L: FloatArray,
    information: FloatArray,
    stride: int,
    kappa: FloatArray,
    v: FloatArray,
    v_stride: int,
    v_first: int,
    n: int,
    C: FloatArray,
    inverse: FloatArray,
    IL: FloatArray,
    centre: FloatArray,
    u: FloatArray,
    b: FloatArray,
) -> float:
    """Effects of n levels; returns the log density of u plus the log of the change of variables from v.

    Parameters
    ----------
    L : ndarray, shape (q * q,)
    information : ndarray
        Entry (a, c) of level j stands at ``(a * q + c) * stride + j``.
    kappa : ndarray, shape (q * n,)
    v : ndarray
        Entry a of level j stands at ``a * v_stride + v_first + j``.
    C, inverse, IL, centre, u, b : ndarray
        Written: C (q q n), one over its diagonal (q n), ``I L`` (q q n), ``C^-1 L' kappa`` (q n), u (q n), b (q n).
    """
    for a in range(q):
        for c in range(q):
            to = window(IL, (a * q + c) * n, n)
            for j in range(n):
                to[j] = 0.0
            for e in range(c, q):
                factor, own = L[e * q + c], window(information, (a * q + e) * stride, n)
                for j in range(n):
                    to[j] += factor * own[j]
    for c in range(q):
        over = window(inverse, c * n, n)
        for a in range(c, q):
            to = window(C, (a * q + c) * n, n)
            start = 1.0 if a == c else 0.0
            for j in range(n):
                to[j] = start
            for d in range(a, q):
                factor, own = L[d * q + a], window(IL, (d * q + c) * n, n)
                for j in range(n):
                    to[j] += factor * own[j]
            for d in range(c):
                left, right = window(C, (a * q + d) * n, n), window(C, (c * q + d) * n, n)
                for j in range(n):
                    to[j] -= left[j] * right[j]
            if a == c:
                for j in range(n):
                    to[j] = math.sqrt(to[j])
                    over[j] = 1.0 / to[j]
            else:
                for j in range(n):
                    to[j] *= over[j]
    # centre = C^-1 L' kappa, and t = centre + v into u.
    for a in range(q):
        to, over = window(centre, a * n, n), window(inverse, a * n, n)
        for j in range(n):
            to[j] = 0.0
        for c in range(a, q):
            factor, own = L[c * q + a], window(kappa, c * n, n)
            for j in range(n):
                to[j] += factor * own[j]
        for d in range(a):
            left, right = window(C, (a * q + d) * n, n), window(centre, d * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        moved, t = window(v, a * v_stride + v_first, n), window(u, a * n, n)
        for j in range(n):
            to[j] *= over[j]
            t[j] = to[j] + moved[j]
    squares = 0.0
    for back in range(q):
        a = q - 1 - back
        to, over = window(u, a * n, n), window(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = window(C, (c * q + a) * n, n), window(u, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        for j in range(n):
            to[j] *= over[j]
            squares += to[j] * to[j]
    for a in range(q):
        to = window(b, a * n, n)
        for j in range(n):
            to[j] = 0.0
        for c in range(a + 1):
            factor, own = L[a * q + c], window(u, c * n, n)
            for j in range(n):
                to[j] += factor * own[j]
    logarithm = 0.0
    for a in range(q):
        logarithm += sum_of_logarithms(window(C, (a * q + a) * n, n))
    return -0.5 * squares - logarithm


@kernel
def backward(
    q: int,
    L: FloatArray,
    kappa: FloatArray,
    n: int,
    C: FloatArray,
    inverse: FloatArray,
    IL: FloatArray,
    centre: FloatArray,
    u: FloatArray,
    db: FloatArray,
    slope: FloatArray,
    dC: FloatArray,
    dkappa: FloatArray,
    dv: FloatArray,
    v_stride: int,
    v_first: int,
    dL: FloatArray,
) -> None:
    """The gradient through `forward`: from ``db`` to v, kappa and the root.

    Parameters
    ----------
    db : ndarray, shape (q * n,)
        Derivative of the log-likelihood in b.
    slope, dC : ndarray, shapes (q * n,), (q * q * n,)
        Scratch.
    dkappa : ndarray, shape (q * n,)
        Written.
    dv : ndarray
        Written where `forward` read v.
    dL : ndarray, shape (q * q,)
        Added to, in the lower triangle.
    """
    for a in range(q):
        for c in range(a + 1):
            dL[a * q + c] += dot(window(db, a * n, n), window(u, c * n, n))
    # t = C' u: dt = C^-1 du, with du = L' db - u.
    for a in range(q):
        to, over, own = window(slope, a * n, n), window(inverse, a * n, n), window(u, a * n, n)
        for j in range(n):
            to[j] = -own[j]
        for c in range(a, q):
            factor, right = L[c * q + a], window(db, c * n, n)
            for j in range(n):
                to[j] += factor * right[j]
        for d in range(a):
            left, right = window(C, (a * q + d) * n, n), window(slope, d * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        moved = window(dv, a * v_stride + v_first, n)
        for j in range(n):
            to[j] *= over[j]
            moved[j] = to[j]
    for a in range(q):
        left = window(u, a * n, n)
        for c in range(a + 1):
            to, right = window(dC, (a * q + c) * n, n), window(slope, c * n, n)
            for j in range(n):
                to[j] = -left[j] * right[j]
    # C centre = L' kappa = g: dg = C'^-1 dt, in place.
    for back in range(q):
        a = q - 1 - back
        to, over = window(slope, a * n, n), window(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = window(C, (c * q + a) * n, n), window(slope, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        for j in range(n):
            to[j] *= over[j]
    for a in range(q):
        left = window(slope, a * n, n)
        for c in range(a + 1):
            to, right = window(dC, (a * q + c) * n, n), window(centre, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        to, over = window(dC, (a * q + a) * n, n), window(inverse, a * n, n)
        for j in range(n):
            to[j] -= over[j]
    for c in range(q):
        to = window(dkappa, c * n, n)
        for j in range(n):
            to[j] = 0.0
        for a in range(c + 1):
            factor, own = L[c * q + a], window(slope, a * n, n)
            for j in range(n):
                to[j] += factor * own[j]
            dL[c * q + a] += dot(window(kappa, c * n, n), own)
    _cholesky_backward(q, n, C, inverse, dC)
    # A = 1 + L' I L: dL = 2 (I L) dA, with dA symmetric.
    for d in range(q):
        for c in range(d + 1):
            for a in range(q):
                own = window(dC, (max(a, c) * q + min(a, c)) * n, n)
                factor = 2.0 if a == c else 1.0
                dL[d * q + c] += factor * dot(window(IL, (d * q + a) * n, n), own)


@kernel
def _cholesky_backward(q: int, n: int, C: FloatArray, inverse: FloatArray, slope: FloatArray) -> None:
    """Turn a derivative in C into one in the lower triangle of ``A = C C'``, in place.

    Reverse-mode differentiation of the factorisation (Smith 1995, Journal of Computational and Graphical Statistics 4:
    134-147).
    """
    for back in range(q):
        k = q - 1 - back
        over = window(inverse, k * n, n)
        for c in range(k + 1, q):
            for a in range(c, q):
                left, right = window(C, (c * q + k) * n, n), window(C, (a * q + k) * n, n)
                dleft, dright = window(slope, (c * q + k) * n, n), window(slope, (a * q + k) * n, n)
                own = window(slope, (a * q + c) * n, n)
                for j in range(n):
                    dright[j] -= own[j] * left[j]
                for j in range(n):
                    dleft[j] -= own[j] * right[j]
        diagonal = window(slope, (k * q + k) * n, n)
        for c in range(k + 1, q):
            own, left = window(slope, (c * q + k) * n, n), window(C, (c * q + k) * n, n)
            for j in range(n):
                own[j] *= over[j]
                diagonal[j] -= left[j] * own[j]
        for j in range(n):
            diagonal[j] *= 0.5 * over[j]
