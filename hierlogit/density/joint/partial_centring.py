"""Partially centred random effects: from the sampler's variables to the effects of one grouping factor, and back.

For each level j the log-likelihood as a function of its effects b is approximated by ``kappa_j' b - b' I_j b / 2`` at a
fixed point: kappa_j is the score at b = 0, I_j the information. Given the Cholesky factor L of the effects' covariance
matrix, ``b = L u`` is then normal, and the sampler moves in v, which is standard normal under this approximation:

    A_j = 1 + L' I_j L = C_j C_j'        u_j = C_j'^-1 (C_j^-1 L' kappa_j + v_j)        b_j = L u_j

For a level with little information this is the non-centred form (u = v), for one with much information the centred
form: a partial centring by the information in each cluster (Papaspiliopoulos, Roberts and Skoeld 2007, Statistical
Science 22: 59-73). The change of variables is exact for any I and kappa.

Arrays hold one entry of a vector or matrix after the other, each for all levels: the innermost loops run over levels
and become vector instructions.
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
    """Effects of n levels from v; returns the log density of u plus that of the change of variables.

    Parameters
    ----------
    L, kappa : ndarray, shapes (q * q,), (q * n,)
    information : ndarray
        Entry (a, c) of level j stands at ``(a * q + c) * stride + j``.
    v : ndarray
        Entry a of level j stands at ``a * v_stride + v_first + j``.
    C, inverse, IL, centre, u, b : ndarray
        Written: C (q q n), one over its diagonal (q n), ``I L`` (q q n), ``C^-1 L' kappa`` (q n), u (q n), b (q n).
    """
    for a in range(q):
        for c in range(q):
            out = window(IL, (a * q + c) * n, n)
            for j in range(n):
                out[j] = 0.0
            for e in range(c, q):
                factor, term = L[e * q + c], window(information, (a * q + e) * stride, n)
                for j in range(n):
                    out[j] += factor * term[j]
    for c in range(q):
        reciprocal = window(inverse, c * n, n)
        for a in range(c, q):
            out = window(C, (a * q + c) * n, n)
            start = 1.0 if a == c else 0.0
            for j in range(n):
                out[j] = start
            for d in range(a, q):
                factor, term = L[d * q + a], window(IL, (d * q + c) * n, n)
                for j in range(n):
                    out[j] += factor * term[j]
            for d in range(c):
                left, right = window(C, (a * q + d) * n, n), window(C, (c * q + d) * n, n)
                for j in range(n):
                    out[j] -= left[j] * right[j]
            if a == c:
                for j in range(n):
                    out[j] = math.sqrt(out[j])
                    reciprocal[j] = 1.0 / out[j]
            else:
                for j in range(n):
                    out[j] *= reciprocal[j]
    # centre = C^-1 L' kappa, and t = centre + v into u.
    for a in range(q):
        out, reciprocal = window(centre, a * n, n), window(inverse, a * n, n)
        for j in range(n):
            out[j] = 0.0
        for c in range(a, q):
            factor, term = L[c * q + a], window(kappa, c * n, n)
            for j in range(n):
                out[j] += factor * term[j]
        for d in range(a):
            left, right = window(C, (a * q + d) * n, n), window(centre, d * n, n)
            for j in range(n):
                out[j] -= left[j] * right[j]
        v_a, t = window(v, a * v_stride + v_first, n), window(u, a * n, n)
        for j in range(n):
            out[j] *= reciprocal[j]
            t[j] = out[j] + v_a[j]
    squared_length = 0.0
    for a in range(q - 1, -1, -1):
        out, reciprocal = window(u, a * n, n), window(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = window(C, (c * q + a) * n, n), window(u, c * n, n)
            for j in range(n):
                out[j] -= left[j] * right[j]
        for j in range(n):
            out[j] *= reciprocal[j]
            squared_length += out[j] * out[j]
    for a in range(q):
        out = window(b, a * n, n)
        for j in range(n):
            out[j] = 0.0
        for c in range(a + 1):
            factor, term = L[a * q + c], window(u, c * n, n)
            for j in range(n):
                out[j] += factor * term[j]
    log_det = 0.0
    for a in range(q):
        log_det += sum_of_logarithms(window(C, (a * q + a) * n, n))
    return -0.5 * squared_length - log_det


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
    dt: FloatArray,
    dC: FloatArray,
    dkappa: FloatArray,
    dv: FloatArray,
    v_stride: int,
    v_first: int,
    dL: FloatArray,
) -> None:
    """The gradient through `forward`: from the derivative in b to those in v, kappa and L.

    Parameters
    ----------
    db : ndarray, shape (q * n,)
        Derivative of the log-likelihood in b.
    dt, dC : ndarray, shapes (q * n,), (q * q * n,)
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
        out, reciprocal, term = window(dt, a * n, n), window(inverse, a * n, n), window(u, a * n, n)
        for j in range(n):
            out[j] = -term[j]
        for c in range(a, q):
            factor, right = L[c * q + a], window(db, c * n, n)
            for j in range(n):
                out[j] += factor * right[j]
        for d in range(a):
            left, right = window(C, (a * q + d) * n, n), window(dt, d * n, n)
            for j in range(n):
                out[j] -= left[j] * right[j]
        dv_a = window(dv, a * v_stride + v_first, n)
        for j in range(n):
            out[j] *= reciprocal[j]
            dv_a[j] = out[j]
    for a in range(q):
        left = window(u, a * n, n)
        for c in range(a + 1):
            out, right = window(dC, (a * q + c) * n, n), window(dt, c * n, n)
            for j in range(n):
                out[j] = -left[j] * right[j]
    # C centre = L' kappa = g: dg = C'^-1 dt, in place.
    for a in range(q - 1, -1, -1):
        out, reciprocal = window(dt, a * n, n), window(inverse, a * n, n)
        for c in range(a + 1, q):
            left, right = window(C, (c * q + a) * n, n), window(dt, c * n, n)
            for j in range(n):
                out[j] -= left[j] * right[j]
        for j in range(n):
            out[j] *= reciprocal[j]
    for a in range(q):
        left = window(dt, a * n, n)
        for c in range(a + 1):
            out, right = window(dC, (a * q + c) * n, n), window(centre, c * n, n)
            for j in range(n):
                out[j] -= left[j] * right[j]
        out, reciprocal = window(dC, (a * q + a) * n, n), window(inverse, a * n, n)
        for j in range(n):
            out[j] -= reciprocal[j]
    for c in range(q):
        out = window(dkappa, c * n, n)
        for j in range(n):
            out[j] = 0.0
        for a in range(c + 1):
            factor, term = L[c * q + a], window(dt, a * n, n)
            for j in range(n):
                out[j] += factor * term[j]
            dL[c * q + a] += dot(window(kappa, c * n, n), term)
    _cholesky_backward(q, n, C, inverse, dC)
    # A = 1 + L' I L: dL = 2 (I L) dA, with dA symmetric.
    for d in range(q):
        for c in range(d + 1):
            for a in range(q):
                term = window(dC, (max(a, c) * q + min(a, c)) * n, n)
                factor = 2.0 if a == c else 1.0
                dL[d * q + c] += factor * dot(window(IL, (d * q + a) * n, n), term)


@kernel
def _cholesky_backward(q: int, n: int, C: FloatArray, inverse: FloatArray, dC: FloatArray) -> None:
    """Turn a derivative in C into one in the lower triangle of ``A = C C'``, in place.

    Reverse-mode differentiation of the factorisation (Smith 1995, Journal of Computational and Graphical Statistics 4:
    134-147).
    """
    for k in range(q - 1, -1, -1):
        reciprocal = window(inverse, k * n, n)
        for c in range(k + 1, q):
            for a in range(c, q):
                left, right = window(C, (c * q + k) * n, n), window(C, (a * q + k) * n, n)
                dleft, dright = window(dC, (c * q + k) * n, n), window(dC, (a * q + k) * n, n)
                term = window(dC, (a * q + c) * n, n)
                for j in range(n):
                    dright[j] -= term[j] * left[j]
                for j in range(n):
                    dleft[j] -= term[j] * right[j]
        diagonal = window(dC, (k * q + k) * n, n)
        for c in range(k + 1, q):
            term, left = window(dC, (c * q + k) * n, n), window(C, (c * q + k) * n, n)
            for j in range(n):
                term[j] *= reciprocal[j]
                diagonal[j] -= left[j] * term[j]
        for j in range(n):
            diagonal[j] *= 0.5 * reciprocal[j]
