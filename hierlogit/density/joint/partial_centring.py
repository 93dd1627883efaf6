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
from ...numba_support.vectors import dot, part
from ..kernels.binomial import sum_of_logarithms

FloatArray = npt.NDArray[np.float64]


@kernel
def spread(
    q: int,
    root: FloatArray,
    information: FloatArray,
    stride: int,
    kappa: FloatArray,
    v: FloatArray,
    v_stride: int,
    v_first: int,
    n: int,
    cholesky: FloatArray,
    inverse: FloatArray,
    product: FloatArray,
    centre: FloatArray,
    u: FloatArray,
    b: FloatArray,
) -> float:
    """Effects of n levels; returns the log density of u plus the log of the change of variables from v.

    Parameters
    ----------
    root : ndarray, shape (q * q,)
    information : ndarray
        Entry (a, c) of level j stands at ``(a * q + c) * stride + j``.
    kappa : ndarray, shape (q * n,)
    v : ndarray
        Entry a of level j stands at ``a * v_stride + v_first + j``.
    cholesky, inverse, product, centre, u, b : ndarray
        Written: C (q q n), one over its diagonal (q n), ``I L`` (q q n), ``C^-1 L' kappa`` (q n), u (q n), b (q n).
    """
    for a in range(q):
        for c in range(q):
            to = part(product, (a * q + c) * n, n)
            for j in range(n):
                to[j] = 0.0
            for e in range(c, q):
                factor, own = root[e * q + c], part(information, (a * q + e) * stride, n)
                for j in range(n):
                    to[j] += factor * own[j]
    for c in range(q):
        over = part(inverse, c * n, n)
        for a in range(c, q):
            to = part(cholesky, (a * q + c) * n, n)
            start = 1.0 if a == c else 0.0
            for j in range(n):
                to[j] = start
            for d in range(a, q):
                factor, own = root[d * q + a], part(product, (d * q + c) * n, n)
                for j in range(n):
                    to[j] += factor * own[j]
            for d in range(c):
                left, right = part(cholesky, (a * q + d) * n, n), part(cholesky, (c * q + d) * n, n)
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
        to, over = part(centre, a * n, n), part(inverse, a * n, n)
        for j in range(n):
            to[j] = 0.0
        for c in range(a, q):
            factor, own = root[c * q + a], part(kappa, c * n, n)
            for j in range(n):
                to[j] += factor * own[j]
        for d in range(a):
            left, right = part(cholesky, (a * q + d) * n, n), part(centre, d * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        moved, t = part(v, a * v_stride + v_first, n), part(u, a * n, n)
        for j in range(n):
            to[j] *= over[j]
            t[j] = to[j] + moved[j]
    squares = 0.0
    for back in range(q):
        a = q - 1 - back
        to, over = part(u, a * n, n), part(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = part(cholesky, (c * q + a) * n, n), part(u, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        for j in range(n):
            to[j] *= over[j]
            squares += to[j] * to[j]
    for a in range(q):
        to = part(b, a * n, n)
        for j in range(n):
            to[j] = 0.0
        for c in range(a + 1):
            factor, own = root[a * q + c], part(u, c * n, n)
            for j in range(n):
                to[j] += factor * own[j]
    logarithm = 0.0
    for a in range(q):
        logarithm += sum_of_logarithms(part(cholesky, (a * q + a) * n, n))
    return -0.5 * squares - logarithm


@kernel
def gather(
    q: int,
    root: FloatArray,
    kappa: FloatArray,
    n: int,
    cholesky: FloatArray,
    inverse: FloatArray,
    product: FloatArray,
    centre: FloatArray,
    u: FloatArray,
    db: FloatArray,
    slope: FloatArray,
    dcholesky: FloatArray,
    dkappa: FloatArray,
    dv: FloatArray,
    v_stride: int,
    v_first: int,
    droot: FloatArray,
) -> None:
    """The gradient through `spread`: from ``db`` to v, kappa and the root.

    Parameters
    ----------
    db : ndarray, shape (q * n,)
        Derivative of the log-likelihood in b.
    slope, dcholesky : ndarray, shapes (q * n,), (q * q * n,)
        Scratch.
    dkappa : ndarray, shape (q * n,)
        Written.
    dv : ndarray
        Written where `spread` read v.
    droot : ndarray, shape (q * q,)
        Added to, in the lower triangle.
    """
    for a in range(q):
        for c in range(a + 1):
            droot[a * q + c] += dot(part(db, a * n, n), part(u, c * n, n))
    # t = C' u: dt = C^-1 du, with du = L' db - u.
    for a in range(q):
        to, over, own = part(slope, a * n, n), part(inverse, a * n, n), part(u, a * n, n)
        for j in range(n):
            to[j] = -own[j]
        for c in range(a, q):
            factor, right = root[c * q + a], part(db, c * n, n)
            for j in range(n):
                to[j] += factor * right[j]
        for d in range(a):
            left, right = part(cholesky, (a * q + d) * n, n), part(slope, d * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        moved = part(dv, a * v_stride + v_first, n)
        for j in range(n):
            to[j] *= over[j]
            moved[j] = to[j]
    for a in range(q):
        left = part(u, a * n, n)
        for c in range(a + 1):
            to, right = part(dcholesky, (a * q + c) * n, n), part(slope, c * n, n)
            for j in range(n):
                to[j] = -left[j] * right[j]
    # C centre = L' kappa = g: dg = C'^-1 dt, in place.
    for back in range(q):
        a = q - 1 - back
        to, over = part(slope, a * n, n), part(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = part(cholesky, (c * q + a) * n, n), part(slope, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        for j in range(n):
            to[j] *= over[j]
    for a in range(q):
        left = part(slope, a * n, n)
        for c in range(a + 1):
            to, right = part(dcholesky, (a * q + c) * n, n), part(centre, c * n, n)
            for j in range(n):
                to[j] -= left[j] * right[j]
        to, over = part(dcholesky, (a * q + a) * n, n), part(inverse, a * n, n)
        for j in range(n):
            to[j] -= over[j]
    for c in range(q):
        to = part(dkappa, c * n, n)
        for j in range(n):
            to[j] = 0.0
        for a in range(c + 1):
            factor, own = root[c * q + a], part(slope, a * n, n)
            for j in range(n):
                to[j] += factor * own[j]
            droot[c * q + a] += dot(part(kappa, c * n, n), own)
    _through_cholesky(q, n, cholesky, inverse, dcholesky)
    # A = 1 + L' I L: dL = 2 (I L) dA, with dA symmetric.
    for d in range(q):
        for c in range(d + 1):
            for a in range(q):
                own = part(dcholesky, (max(a, c) * q + min(a, c)) * n, n)
                factor = 2.0 if a == c else 1.0
                droot[d * q + c] += factor * dot(part(product, (d * q + a) * n, n), own)


@kernel
def _through_cholesky(q: int, n: int, cholesky: FloatArray, inverse: FloatArray, slope: FloatArray) -> None:
    """Turn a derivative in C into one in the lower triangle of ``A = C C'``, in place.

    Reverse-mode differentiation of the factorisation (Smith 1995, Journal of Computational and Graphical Statistics 4:
    134-147).
    """
    for back in range(q):
        k = q - 1 - back
        over = part(inverse, k * n, n)
        for c in range(k + 1, q):
            for a in range(c, q):
                left, right = part(cholesky, (c * q + k) * n, n), part(cholesky, (a * q + k) * n, n)
                dleft, dright = part(slope, (c * q + k) * n, n), part(slope, (a * q + k) * n, n)
                own = part(slope, (a * q + c) * n, n)
                for j in range(n):
                    dright[j] -= own[j] * left[j]
                for j in range(n):
                    dleft[j] -= own[j] * right[j]
        diagonal = part(slope, (k * q + k) * n, n)
        for c in range(k + 1, q):
            own, left = part(slope, (c * q + k) * n, n), part(cholesky, (c * q + k) * n, n)
            for j in range(n):
                own[j] *= over[j]
                diagonal[j] -= left[j] * own[j]
        for j in range(n):
            diagonal[j] *= 0.5 * over[j]
