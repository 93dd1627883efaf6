"""The log-likelihood of an objective at many vectors, without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.gauss_hermite import grid
from ...density.marginal.laplace import LaplaceLikelihood
from ...density.marginal.many_values import laplace_values, nested_values, quadrature_values

if TYPE_CHECKING:
    from .objective import Objective

FloatArray = npt.NDArray[np.float64]


def log_likelihoods(
    objective: Objective, nodes: int, psi: FloatArray, stop: npt.NDArray[np.uint64] | None = None
) -> FloatArray:
    """Log-likelihoods, with binomial coefficients, at vectors of the objective; shape (m,).

    Parameters
    ----------
    objective : Objective
        Its likelihood's work arrays are used, and searches for modes start from those that are in them.
    nodes : int
        Quadrature nodes of the objective's likelihood; 1 for Laplace's method.
    psi : ndarray, shape (m, parameters)
    stop : ndarray of uint64, shape (1,), optional
        The work ends, with values that are not numbers, once another thread has set it to 1.
    """
    likelihood = objective.likelihood
    r, work, values = likelihood.arrangement.row_index, likelihood.work, np.full(len(psi), np.nan)
    gammas = np.ascontiguousarray(psi[:, : objective.p] @ likelihood.arrangement.triangular.T)
    cholesky = objective.flat_cholesky(psi)
    stop = np.zeros(1, dtype=np.uint64) if stop is None else stop
    if isinstance(likelihood, LaplaceLikelihood) and (likelihood.has_large_parts or objective.overdispersed):
        for k, (gamma, flat) in enumerate(zip(gammas, cholesky, strict=True)):
            values[k] = np.nan if stop[0] else likelihood.evaluate(gamma, flat).value
        return values
    if isinstance(likelihood, LaplaceLikelihood):
        laplace_values(r, work, gammas, cholesky, values, stop)
    elif len(r.q) == 1:
        quadrature_values(r, work, gammas, cholesky, *grid(nodes, int(r.q[0])), values, stop)
    else:
        points, log_weights = grid(nodes, 1)
        nested_values(r, work, gammas, cholesky, np.ascontiguousarray(points[0]), log_weights, values, stop)
    return values + likelihood.arrangement.log_coefficients
