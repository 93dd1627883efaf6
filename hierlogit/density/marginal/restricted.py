"""The restricted likelihood: the fixed effects integrated out of the likelihood by Laplace's method, at given sds.

Where the random effects are integrated out by Laplace's method, the fixed effects join them: the mode and the curvature
are those of the joint log density of both, as in glmmTMB. Where quadrature integrates out the random effects, they are
those of the likelihood by quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from .evaluation import Evaluation
from .fixed_effects import Solver, fixed_information
from .laplace import LaplaceLikelihood
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]

#: Newton's method ends where a step is shorter than this, in standard errors, and has failed if it ends above `NEAR`.
SHORTEST_STEP, NEAR = 1e-9, 1e-4
MOST_STEPS = 50
#: No step is longer, in standard errors; a step that lowers the value is halved so many times.
LONGEST_STEP, MOST_HALVINGS = 20.0, 20
#: Step of the central differences that give the curvature of a likelihood by quadrature, in standard errors.
DIFFERENCE = 1e-2


class Likelihood(Protocol):
    """A marginal likelihood with its work arrays."""

    arrangement: Arrangement
    work: Work
    cholesky: FloatArray

    @property
    def parts_without_schur(self) -> Sequence[Solver]:
        """The parts that have no dense Schur complement in the work arrays."""
        ...

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Value and gradient."""
        ...


@dataclass(frozen=True)
class FixedEffectsIntegral:
    """The likelihood at given covariances with the fixed effects integrated out.

    Attributes
    ----------
    gamma : ndarray, shape (p,)
        The mode: coefficients of the orthogonal basis.
    information : ndarray, shape (p, p)
        Minus the second derivatives there.
    evaluation : Evaluation
        The likelihood at the mode.
    converged : bool
        Whether the mode was found.
    """

    gamma: FloatArray
    information: FloatArray
    evaluation: Evaluation
    converged: bool

    @property
    def log_det(self) -> float:
        """Logarithm of the determinant of the information; not a number if it is not positive definite."""
        sign, value = np.linalg.slogdet(self.information)
        return float(value) if sign > 0 else np.nan

    def log_integral(self, triangular: FloatArray) -> float:
        """Logarithm of the integral over the fixed effects beta, where gamma is `triangular` times beta."""
        scale = float(np.log(np.abs(np.diag(triangular))).sum())
        return self.evaluation.value - 0.5 * self.log_det - scale + 0.5 * len(self.gamma) * float(np.log(2 * np.pi))


def integrate_fixed_effects(likelihood: Likelihood, cholesky: FloatArray, gamma: FloatArray) -> FixedEffectsIntegral:
    """Integrate out the fixed effects at flat Cholesky factors, with a search for the mode that starts at `gamma`."""
    if isinstance(likelihood, LaplaceLikelihood):
        return _mode(likelihood, cholesky, gamma, _joint_density)
    found = _mode(likelihood, cholesky, gamma, _marginal_likelihood)
    information = _curvature(likelihood, cholesky, found)
    return replace(found, information=information, evaluation=likelihood.evaluate(found.gamma, cholesky))


class _Height(Protocol):
    def __call__(self, likelihood: Likelihood, evaluation: Evaluation) -> tuple[float, FloatArray]: ...


def _joint_density(likelihood: Likelihood, evaluation: Evaluation) -> tuple[float, FloatArray]:  # noqa: ARG001
    """Joint log density of outcomes and effects at the modes of the latter, and its gradient in gamma."""
    work = likelihood.work
    return float(work.log_joint.sum()), likelihood.arrangement.row_index.X.T @ work.residual


def _marginal_likelihood(likelihood: Likelihood, evaluation: Evaluation) -> tuple[float, FloatArray]:  # noqa: ARG001
    return evaluation.value, evaluation.dgamma


def _mode(likelihood: Likelihood, cholesky: FloatArray, gamma: FloatArray, height: _Height) -> FixedEffectsIntegral:
    """The coefficients that maximise a height, by Newton's method with the information of Laplace's method."""
    evaluation = likelihood.evaluate(gamma, cholesky)
    value, gradient = height(likelihood, evaluation)
    length = np.inf
    for _ in range(MOST_STEPS):
        information = fixed_information(likelihood)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        with np.errstate(over="ignore", invalid="ignore"):  # of coefficients on the way to infinity
            length = float(np.sqrt(np.maximum(gradient @ step, 0.0)))
        if not SHORTEST_STEP < length < np.inf:  # not a number, or short enough
            break
        step *= min(1.0, LONGEST_STEP / length)
        for _ in range(MOST_HALVINGS):
            trial = likelihood.evaluate(gamma + step, cholesky)
            higher, steeper = height(likelihood, trial)
            if higher >= value - 1e-12 * abs(value):
                break
            step = 0.5 * step
        else:
            likelihood.evaluate(gamma, cholesky)
            break
        if length < NEAR and float(np.abs(steeper).max()) >= float(np.abs(gradient).max()):
            likelihood.evaluate(gamma, cholesky)  # rounding: no step leads nearer
            break
        gamma, value, gradient, evaluation = gamma + step, higher, steeper, trial
    converged = evaluation.converged and length < NEAR
    return FixedEffectsIntegral(gamma, fixed_information(likelihood), evaluation, converged)


def _curvature(likelihood: Likelihood, cholesky: FloatArray, found: FixedEffectsIntegral) -> FloatArray:
    """Minus the second derivatives of the likelihood in gamma, by central differences of its exact gradient."""
    try:
        steps = np.linalg.inv(np.linalg.cholesky(found.information)).T * DIFFERENCE
    except np.linalg.LinAlgError:
        return np.full_like(found.information, np.nan)
    changes = np.array(
        [
            likelihood.evaluate(found.gamma - step, cholesky).dgamma
            - likelihood.evaluate(found.gamma + step, cholesky).dgamma
            for step in steps.T
        ]
    )
    information = np.linalg.solve(steps.T, changes) / 2
    return 0.5 * (information + information.T)
