"""The value and gradient of a marginal log-likelihood at one point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
