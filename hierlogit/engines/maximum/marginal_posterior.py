"""Model -> the posterior density of fixed effects, sds and correlations, with the random effects integrated out.

It is a density of a few unbounded variables, however many clusters there are, with all constants: the integral of its
exponential is the marginal likelihood of the model under its priors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.unbounded_variables import UnboundedVariables
from .integrator import integrator
from .many_likelihoods import log_likelihoods
from .objective import Objective
from .optimizer import climb
from .starting_values import starting_point

if TYPE_CHECKING:
    from ...model_spec import ModelSpec
    from .objective import Point

FloatArray = npt.NDArray[np.float64]


class MarginalPosterior:
    """The log posterior density of fixed effects, sds and correlations, not divided by the marginal likelihood.

    It is the sum of the log prior density, normalised in the unbounded variables, and of the log-likelihood with its
    binomial coefficients. Not to be used by two threads at a time: each evaluation starts from the modes of the random
    effects at the one before it.

    Parameters
    ----------
    model : Model
    nodes : int
        Quadrature nodes in each dimension; 1 is Laplace's method, for any random effects.

    Attributes
    ----------
    model : Model
    nodes : int
    variables : UnboundedVariables
        The vector x: its parts, and how they give the parameters.
    objective : Objective
        The log-likelihood.

    Raises
    ------
    EngineError
        If quadrature with more than one node cannot integrate out the model's random effects.
    """

    def __init__(self, model: ModelSpec, nodes: int) -> None:
        self.model, self.nodes = model, nodes
        self.variables = UnboundedVariables(model)
        self.objective = Objective(model, integrator(model.design, nodes)(model.arrangement), penalised=False)

    @property
    def n_dim(self) -> int:
        """Length of the vector."""
        return self.variables.n_dim

    def beta(self, x: FloatArray) -> FloatArray:
        """Fixed effects of vectors of shape (..., n_dim), shape (..., p)."""
        return self.variables.beta(x)

    def cholesky(self, x: FloatArray) -> list[FloatArray]:
        """Cholesky factor of each grouping factor's covariance matrix, shape (..., q, q)."""
        return self.variables.cholesky(x)

    def psi(self, x: FloatArray) -> FloatArray:
        """The vector of the objective, shape (..., parameters): fixed effects and entries of the Cholesky factors."""
        factors = self.cholesky(x)
        entries = [factors[g][..., a, b] for g, a, b in self.objective.entries]
        parts = [self.beta(x), np.stack(entries, axis=-1)] if entries else [self.beta(x)]
        return np.concatenate(parts, axis=-1)

    def start(self) -> Point:
        """The mode in the scale of the Cholesky factors, where a search for the one in the vector x starts."""
        objective = Objective(self.model, self.objective.likelihood, penalised=True)
        return climb(objective, *starting_point(objective))

    def log_density(self, x: FloatArray) -> float:
        """Log density at one vector; minus infinity where it is beyond the range of floats."""
        return self.log_density_and_gradient(x)[0]

    def log_density_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log density at one vector, and its gradient; minus infinity and zeros beyond the range of floats."""
        with np.errstate(all="ignore"):
            psi, prior = self.psi(x), float(self.variables.log_prior(x))
            if not (np.all(np.isfinite(psi)) and np.isfinite(prior)):
                return -np.inf, np.zeros(self.n_dim)
            return self._with_prior(x, prior, self.objective.evaluate(psi))

    def gradients(self, x: FloatArray) -> FloatArray:
        """Gradients of the log density at vectors of shape (m, n_dim), of the same shape."""
        return np.array([self.log_density_and_gradient(one)[1] for one in x]).reshape(x.shape)

    def _with_prior(self, x: FloatArray, prior: float, point: Point) -> tuple[float, FloatArray]:
        """Log density at one vector and its gradient, from the log prior density and the log-likelihood."""
        with np.errstate(all="ignore"):
            p, groups = self.objective.p, self.model.design.groups
            dcholesky = [np.zeros((len(group.effects),) * 2) for group in groups]
            for (g, a, b), slope in zip(self.objective.entries, point.gradient[p:], strict=True):
                dcholesky[g][a, b] = slope
            gradient = self.variables.pull_back(x, point.gradient[:p], dcholesky)
            gradient += self.variables.log_prior_gradient(x)
        value = prior + point.value
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return -np.inf, np.zeros(self.n_dim)
        return value, gradient

    def log_densities(self, x: FloatArray, stop: npt.NDArray[np.uint64] | None = None) -> FloatArray:
        """Log densities at vectors of shape (m, n_dim), shape (m,), in less time than one by one.

        Minus infinity beyond the range of floats.

        Parameters
        ----------
        x : ndarray, shape (m, n_dim)
        stop : ndarray of uint64, shape (1,), optional
            The work ends, without values for the vectors that are left, once another thread has set it to 1.
        """
        with np.errstate(all="ignore"):
            psi, prior = self.psi(x), self.variables.log_prior(x)
        inside = np.isfinite(prior) & np.all(np.isfinite(psi), axis=1)
        values = np.full(len(x), -np.inf)
        values[inside] = prior[inside] + self._log_likelihoods(psi[inside], stop)
        values[~np.isfinite(values)] = -np.inf
        return values

    def _log_likelihoods(self, psi: FloatArray, stop: npt.NDArray[np.uint64] | None) -> FloatArray:
        return log_likelihoods(self.objective, self.nodes, psi, stop)
