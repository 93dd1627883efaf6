"""The maximum of a fit as a reference, and its model refitted to other outcomes, with residuals and modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...binomial import variance_factor
from ...density.marginal.selected_inverse import effect_variances
from ...errors import ConvergenceWarning, unsaid
from .integrator import integrator
from .map import MAP
from .objective import Likelihood, Objective
from .optimizer import climb

if TYPE_CHECKING:
    from ...design.arrangement import Arrangement
    from ...design.design import Design
    from ...estimate import Estimate
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RefittedModel:
    """A set of outcomes with the model refitted to them.

    Attributes
    ----------
    design : Design
    y : ndarray, shape (n,)
        Successes, observed or simulated.
    psi : ndarray
        Fixed effects, then the entries of the Cholesky factors.
    flat_cholesky : ndarray
        The Cholesky factors, flattened for compiled code.
    standardised_modes : ndarray
        Modes of the standardised effects, in the order of the arrangement.
    eta : ndarray, shape (n,)
        Linear predictor with the modes of the cluster effects.
    gradient : ndarray, shape (n,)
        Derivative of the marginal log-likelihood in each row's linear predictor: the row's residual, averaged over the
        conditional distribution of the effects.
    cholesky : mapping of str to ndarray, shape (q, q)
        Cholesky factor of the covariance matrix of the effects, by grouping factor.
    modes, variances : mapping of str to ndarray, shape (J, q)
        Conditional modes of the effects, and conditional variances about them.
    phi : float or None
        Precision of beta-binomial outcomes; None for binomial ones.
    """

    design: Design
    y: FloatArray
    psi: FloatArray
    flat_cholesky: FloatArray
    standardised_modes: FloatArray
    eta: FloatArray
    gradient: FloatArray
    cholesky: Mapping[str, FloatArray]
    modes: Mapping[str, FloatArray]
    variances: Mapping[str, FloatArray]
    phi: float | None

    @property
    def sds(self) -> dict[str, FloatArray]:
        """Standard deviations of the effects, shape (q,), by grouping factor."""
        return {name: np.sqrt((L**2).sum(axis=1)) for name, L in self.cholesky.items()}

    @property
    def trials(self) -> FloatArray:
        """Trials of each row."""
        return self.design.outcome.trials

    @cached_property
    def probability(self) -> FloatArray:
        """Probability of the event in each row."""
        from scipy.special import expit

        probability: FloatArray = expit(self.eta)
        return probability

    @cached_property
    def residual(self) -> FloatArray:
        """Quasi-score of each row in its log-odds: successes minus their expected number, over the variance factor."""
        return (self.y - self.trials * self.probability) / variance_factor(self.trials, self.phi)

    @cached_property
    def weight(self) -> FloatArray:
        """Variance of the residual, which is the quasi-information of each row about its log-odds."""
        return self.trials * self.probability * (1 - self.probability) / variance_factor(self.trials, self.phi)


@dataclass(frozen=True)
class ReferenceFit:
    """The maximum of a likelihood fit, or the mode of the marginal posterior for a fit by a sampler.

    Attributes
    ----------
    model : Model
    estimate : Estimate
    """

    model: ModelSpec
    estimate: Estimate

    @classmethod
    def of(cls, fit: Fit) -> ReferenceFit:
        """The estimate of a likelihood fit, or MAP of the model of a fit by a sampler."""
        if fit.estimate is not None:
            return cls(fit.model, fit.estimate)
        with unsaid(ConvergenceWarning):  # the mode is a reference for comparisons, not a result
            mode = MAP().run(fit.model).estimate
        assert mode is not None
        return cls(fit.model, mode)

    @property
    def usable(self) -> bool:
        """Whether it is a maximum with a finite covariance matrix, from which refits can start."""
        return bool(np.all(np.isfinite(self.estimate.model_covariance)))

    @cached_property
    def observed(self) -> RefittedModel:
        """The refit to the observed outcomes."""
        return self.fitted_to(self.model.design.outcome.y)

    @cached_property
    def point(self) -> FloatArray:
        """The maximum as one vector: fixed effects, then the entries of the Cholesky factors."""
        return self.objective(self.model.arrangement).at(self.estimate)

    def likelihood(self, arrangement: Arrangement) -> Likelihood:
        """The likelihood, integrated as in the fit."""
        return integrator(self.model.design, self.estimate.nodes)(arrangement)

    def objective(self, arrangement: Arrangement) -> Objective:
        """The objective that the fit maximised, with the outcomes of an arrangement."""
        return Objective(self.model, self.likelihood(arrangement), penalised=self.estimate.penalised)

    def fitted_to(self, y: FloatArray) -> RefittedModel:
        """The model refitted to other numbers of successes, shape (n,).

        Parameters at a boundary are held there, since the curvature carries no information about them.
        """
        design = self.model.design
        arrangement = self.model.arrangement.with_outcome(replace(design.outcome, y=y))
        objective = self.objective(arrangement)
        psi = climb(objective, objective.evaluate(self.point), self._scale).psi
        objective.evaluate(psi)  # so that the work arrays hold the maximum
        standardised_modes = objective.modes()
        gradient = _gradient(arrangement, objective.likelihood.work.deta, y, design.outcome.trials)
        laplace = objective.laplace_at(psi, standardised_modes)
        conditional_variances = effect_variances(arrangement.row_index, laplace.work)
        eta = design.X @ psi[: objective.p] + design.offset
        cholesky, modes, variances = {}, {}, {}
        for group, at, L in zip(design.groups, arrangement.positions, objective.cholesky(psi), strict=True):
            name = group.name
            cholesky[name], modes[name] = L, laplace.work.b[at].copy()
            variances[name] = conditional_variances[at]
            eta += np.einsum("nq,nq->n", group.Z, modes[name].take(group.index, axis=0))
        flat = objective.flat_cholesky(psi)
        phi = objective.phi(psi)
        return RefittedModel(
            design,
            y,
            psi,
            flat,
            standardised_modes,
            eta,
            gradient,
            cholesky,
            modes,
            variances,
            None if phi is None else float(phi),
        )

    @cached_property
    def _scale(self) -> FloatArray:
        """Directions of one standard error each: a factor of the covariance."""
        covariance = self.estimate.model_covariance
        free = np.diag(covariance) > 0
        scale = np.zeros((len(covariance), int(free.sum())))
        values, vectors = np.linalg.eigh(covariance[np.ix_(free, free)])
        scale[free] = vectors * np.sqrt(np.maximum(values, 0.0))
        return scale


def _gradient(arrangement: Arrangement, collapsed: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Derivative of the log-likelihood in the linear predictor of each row of the design, from that of collapsed rows.

    Rows that are collapsed have the same expected proportion of successes; those of beta-binomial outcomes are not.
    """
    if arrangement.overdispersed:
        return collapsed[arrangement.row_of]
    row_index = arrangement.row_index
    expected = np.divide(
        row_index.y - collapsed, row_index.trials, out=np.zeros(len(collapsed)), where=row_index.trials > 0
    )
    return y - trials * expected[arrangement.row_of]
