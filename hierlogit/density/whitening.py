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

from .compiled import kernel

FloatArray = npt.NDArray[np.float64]

#: Levels whose diagonal entries are multiplied before one logarithm is taken of all: 8 of up to 1e38.
TOGETHER = 8


@kernel
def spread(
    q: int,
    root: FloatArray,
    information: FloatArray,
    stride: int,
    first: int,
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
        Entry (a, c) of level j stands at ``(a * q + c) * stride + first + j``.
    kappa : ndarray, shape (q * n,)
    v : ndarray
        Entry a of level j stands at ``a * v_stride + v_first + j``.
    cholesky, inverse, product, centre, u, b : ndarray
        Written: C (q q n), one over its diagonal (q n), ``I L`` (q q n), ``C^-1 L' kappa`` (q n), u (q n), b (q n).
    """
    for a in range(q):
        for c in range(q):
            at = (a * q + c) * n
            for j in range(n):
                product[at + j] = 0.0
            for e in range(c, q):
                factor, source = root[e * q + c], (a * q + e) * stride + first
                for j in range(n):
                    product[at + j] += factor * information[source + j]
    for c in range(q):
        for a in range(c, q):
            at = (a * q + c) * n
            start = 1.0 if a == c else 0.0
            for j in range(n):
                cholesky[at + j] = start
            for d in range(a, q):
                factor, source = root[d * q + a], (d * q + c) * n
                for j in range(n):
                    cholesky[at + j] += factor * product[source + j]
            for d in range(c):
                left, right = (a * q + d) * n, (c * q + d) * n
                for j in range(n):
                    cholesky[at + j] -= cholesky[left + j] * cholesky[right + j]
            if a == c:
                for j in range(n):
                    cholesky[at + j] = math.sqrt(cholesky[at + j])
                    inverse[c * n + j] = 1.0 / cholesky[at + j]
            else:
                for j in range(n):
                    cholesky[at + j] *= inverse[c * n + j]
    # centre = C^-1 L' kappa, and t = centre + v into u.
    for a in range(q):
        for j in range(n):
            centre[a * n + j] = 0.0
        for c in range(a, q):
            factor = root[c * q + a]
            for j in range(n):
                centre[a * n + j] += factor * kappa[c * n + j]
        for d in range(a):
            at = (a * q + d) * n
            for j in range(n):
                centre[a * n + j] -= cholesky[at + j] * centre[d * n + j]
        for j in range(n):
            centre[a * n + j] *= inverse[a * n + j]
            u[a * n + j] = centre[a * n + j] + v[a * v_stride + v_first + j]
    squares = 0.0
    for back in range(q):
        a = q - 1 - back
        for c in range(a + 1, q):
            at = (c * q + a) * n
            for j in range(n):
                u[a * n + j] -= cholesky[at + j] * u[c * n + j]
        for j in range(n):
            u[a * n + j] *= inverse[a * n + j]
            squares += u[a * n + j] * u[a * n + j]
    for a in range(q):
        for j in range(n):
            b[a * n + j] = 0.0
        for c in range(a + 1):
            factor = root[a * q + c]
            for j in range(n):
                b[a * n + j] += factor * u[c * n + j]
    logarithm = 0.0
    for a in range(q):
        at = (a * q + a) * n
        for begin in range(0, n, TOGETHER):
            together = 1.0
            for j in range(begin, min(begin + TOGETHER, n)):
                together *= cholesky[at + j]
            logarithm += math.log(together)
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
            total = 0.0
            for j in range(n):
                total += db[a * n + j] * u[c * n + j]
            droot[a * q + c] += total
    # t = C' u: dt = C^-1 du, with du = L' db - u.
    for a in range(q):
        for j in range(n):
            slope[a * n + j] = -u[a * n + j]
        for c in range(a, q):
            factor = root[c * q + a]
            for j in range(n):
                slope[a * n + j] += factor * db[c * n + j]
        for d in range(a):
            at = (a * q + d) * n
            for j in range(n):
                slope[a * n + j] -= cholesky[at + j] * slope[d * n + j]
        for j in range(n):
            slope[a * n + j] *= inverse[a * n + j]
            dv[a * v_stride + v_first + j] = slope[a * n + j]
    for a in range(q):
        for c in range(a + 1):
            at = (a * q + c) * n
            for j in range(n):
                dcholesky[at + j] = -u[a * n + j] * slope[c * n + j]
    # C centre = L' kappa = g: dg = C'^-1 dt, in place.
    for back in range(q):
        a = q - 1 - back
        for c in range(a + 1, q):
            at = (c * q + a) * n
            for j in range(n):
                slope[a * n + j] -= cholesky[at + j] * slope[c * n + j]
        for j in range(n):
            slope[a * n + j] *= inverse[a * n + j]
    for a in range(q):
        for c in range(a + 1):
            at = (a * q + c) * n
            for j in range(n):
                dcholesky[at + j] -= slope[a * n + j] * centre[c * n + j]
        at = (a * q + a) * n
        for j in range(n):
            dcholesky[at + j] -= inverse[a * n + j]
    for c in range(q):
        for j in range(n):
            dkappa[c * n + j] = 0.0
        for a in range(c + 1):
            factor, total = root[c * q + a], 0.0
            for j in range(n):
                dkappa[c * n + j] += factor * slope[a * n + j]
                total += kappa[c * n + j] * slope[a * n + j]
            droot[c * q + a] += total
    _through_cholesky(q, n, cholesky, inverse, dcholesky)
    # A = 1 + L' I L: dL = 2 (I L) dA, with dA symmetric.
    for d in range(q):
        for c in range(d + 1):
            total = 0.0
            for a in range(q):
                at = (max(a, c) * q + min(a, c)) * n
                source = (d * q + a) * n
                factor = 2.0 if a == c else 1.0
                for j in range(n):
                    total += factor * product[source + j] * dcholesky[at + j]
            droot[d * q + c] += total


@kernel
def _through_cholesky(q: int, n: int, cholesky: FloatArray, inverse: FloatArray, slope: FloatArray) -> None:
    """Turn a derivative in C into one in the lower triangle of ``A = C C'``, in place.

    Reverse-mode differentiation of the factorisation (Smith 1995, Journal of Computational and Graphical Statistics 4:
    134-147).
    """
    for back in range(q):
        k = q - 1 - back
        for c in range(k + 1, q):
            for a in range(c, q):
                source, left, right = (a * q + c) * n, (c * q + k) * n, (a * q + k) * n
                for j in range(n):
                    slope[right + j] -= slope[source + j] * cholesky[left + j]
                    slope[left + j] -= slope[source + j] * cholesky[right + j]
        diagonal = (k * q + k) * n
        for c in range(k + 1, q):
            at = (c * q + k) * n
            for j in range(n):
                slope[at + j] *= inverse[k * n + j]
                slope[diagonal + j] -= cholesky[at + j] * slope[at + j]
        for j in range(n):
            slope[diagonal + j] *= 0.5 * inverse[k * n + j]
