"""The marginal likelihood of beta-binomial outcomes by Laplace's method, and its exact gradient.

With ``tau = 1 / phi``, the derivatives ``l'``, r' and w' in tau of a row's log-likelihood, residual and weight, and
``h_i`` and k as in `laplace_gradient`,

    d log L / d tau = sum_i (l'_i - h_i w'_i / 2 + r'_i a_i'k)

The parameter is ``1 / sqrt(phi)``, in which a binomial model is an interior point, as one without variance is in an sd.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from .evaluation import MODE_TOLERANCE, Evaluation
from .fixed_effects import columns_times, fixed_predictor
from .laplace import LaplaceLikelihood
from .laplace_gradient import differentiate, predictor_variance
from .large_part_choice import refuse_beyond_memory
from .overdispersed_mode import find_modes, raise_weights, row_slopes
from .work import make_work

FloatArray = npt.NDArray[np.float64]


class OverdispersedLaplace(LaplaceLikelihood):
    """Marginal log-likelihood of beta-binomial outcomes by the Laplace approximation, with its gradient.

    As `LaplaceLikelihood`, with ``1 / sqrt(phi)`` after the flat Cholesky factors. All parts are factorised by compiled
    code, however large.

    Parameters
    ----------
    arrangement : Arrangement
    """

    def __init__(self, arrangement: Arrangement) -> None:
        row_index = arrangement.row_index
        refuse_beyond_memory(row_index)
        self.arrangement, self.work = arrangement, make_work(row_index)
        n, parts = len(row_index.y), len(row_index.part_start) - 1
        entries = int(row_index.cholesky_at[-1])
        self.cholesky, self.dcholesky = np.zeros(entries + 1), np.zeros((parts, entries + 1))
        self._of_factors = np.zeros((parts, entries))
        self._first_rows = row_index.row_start[row_index.part_start[:-1]]
        self._eta, self._predictor = np.empty(n), np.empty(n)
        self._score, self._residual, self._weight, self._variance = (np.empty(n) for _ in range(4))
        self._small, self._large = np.arange(parts), []

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis, flat Cholesky factors and ``1 / sqrt(phi)``."""
        row_index, work, parts = self.arrangement.row_index, self.work, self._small
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        find_modes(row_index, work, cholesky, self._eta, parts)
        self._predictor[:] = work.eta
        self._of_factors[:] = 0.0
        differentiate(row_index, work, cholesky, parts, self._of_factors.ravel())
        self.dcholesky[:, :-1] = self._of_factors
        self.dcholesky[:, -1] = 2.0 * cholesky[-1] * self._slopes_in_inverse_phi(cholesky)
        dgamma = np.empty(len(gamma))
        columns_times(row_index, work.deta, dgamma)
        value = float(self.values.sum()) + self.arrangement.log_coefficients
        return Evaluation(value, dgamma, self.dcholesky.sum(axis=0), bool(work.decrement.max() <= MODE_TOLERANCE))

    def raise_weights(self) -> None:
        """Factorise H at the last evaluation with weights that are not below those of the variance function.

        They are positive, as the information by which a sampler centres effects must be.
        """
        row_index, work, parts = self.arrangement.row_index, self.work, self._small
        raise_weights(row_index, work, self.cholesky[-1] ** 2, self._predictor)
        self.factorise()
        differentiate(row_index, work, self.cholesky, parts, np.zeros(self._of_factors.size))

    def _slopes_in_inverse_phi(self, cholesky: FloatArray) -> FloatArray:
        """Derivative of each part's log-likelihood, after `differentiate`, which leaves ``a_i'k`` for the predictor."""
        row_index, work = self.arrangement.row_index, self.work
        row_slopes(row_index, cholesky[-1] ** 2, self._predictor, self._score, self._residual, self._weight)
        predictor_variance(row_index, work, self._small, self._variance)
        by_row = self._score - 0.5 * self._variance * self._weight + self._residual * work.eta
        return np.add.reduceat(by_row, self._first_rows)


def laplace_likelihood(arrangement: Arrangement) -> LaplaceLikelihood:
    """The likelihood of an arrangement's outcomes by Laplace's method."""
    return OverdispersedLaplace(arrangement) if arrangement.overdispersed else LaplaceLikelihood(arrangement)
