"""The value and gradient of a marginal log-likelihood at one point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from .fixed_effects import columns_times

FloatArray = npt.NDArray[np.float64]

#: The largest Newton decrement at a mode that counts as converged, in units of log-likelihood.
MODE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Evaluation:
    """Value and gradient of a marginal log-likelihood at one point.

    Attributes
    ----------
    value : float
        Log-likelihood, with the binomial coefficients.
    dgamma : ndarray, shape (p,)
        Gradient in the coefficients of the basis of the fixed effects.
    dcholesky : ndarray
        Gradient in the flat Cholesky factors: the whole square matrices, of which the lower triangles count.
    converged : bool
        Whether the search for the mode of the random effects converged.
    """

    value: float
    dgamma: FloatArray
    dcholesky: FloatArray
    converged: bool


def sum_of_parts(
    arrangement: Arrangement, values: FloatArray, deta: FloatArray, dcholesky: FloatArray, *, converged: bool
) -> Evaluation:
    """The value and gradient of all parts together, each with its sampling weight if there are any.

    Parameters
    ----------
    arrangement : Arrangement
    values : ndarray, shape (parts,)
        Log-likelihood of each part, without weights and binomial coefficients.
    deta : ndarray, shape (rows,)
        Derivative in the linear predictor of each row of the row index. It is multiplied in place by the weights.
    dcholesky : ndarray, shape (parts, entries)
        Derivative in the flat Cholesky factors. It is multiplied in place by the weights.
    converged : bool
    """
    row_index, weights = arrangement.row_index, arrangement.weights
    if weights is not None:
        values = values * weights.parts
        deta *= weights.of_rows
        dcholesky *= weights.parts[:, None]
    dgamma = np.empty(len(arrangement.triangular))
    columns_times(row_index, deta, dgamma)
    return Evaluation(float(values.sum()) + arrangement.log_coefficients, dgamma, dcholesky.sum(axis=0), converged)
