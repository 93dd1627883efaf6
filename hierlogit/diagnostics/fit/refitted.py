"""A maximum from which checks look around: at other outcomes fitted anew, and at columns the model does not have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.block_cholesky import effect_variances
from ...engines.maximum.integrator import integrator
from ...engines.maximum.map import MAP
from ...engines.maximum.objective import Likelihood, Objective
from ...engines.maximum.optimizer import climb
from ...errors import ConvergenceWarning

if TYPE_CHECKING:
    from ...design.arrangement import Arrangement
    from ...design.design import Design
    from ...estimate import Estimate
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RefittedModel:
    """Outcomes and the model fitted to them.

    Attributes
    ----------
    design : Design
    y : ndarray, shape (n,)
        Successes, the design's own or other ones.
    psi : ndarray
        Fixed effects, then the entries of the Cholesky factors.
    flat_cholesky : ndarray
        The Cholesky factors as compiled code takes them.
    standardised_modes : ndarray
        Modes of the standardised effects, in the order of the arrangement.
    eta : ndarray, shape (n,)
        Linear predictor with the modes of the cluster effects.
    sds : mapping of str to ndarray, shape (q,)
        Standard deviations of the effects, by grouping factor.
    modes, variances : mapping of str to ndarray, shape (J, q)
        Modes of the effects given the outcomes, and variances about them.
    """

    design: Design
    y: FloatArray
    psi: FloatArray
    flat_cholesky: FloatArray
    standardised_modes: FloatArray
    eta: FloatArray
    sds: Mapping[str, FloatArray]
    modes: Mapping[str, FloatArray]
    variances: Mapping[str, FloatArray]

    @property
    def trials(self) -> FloatArray:
        """Trials of each row."""
        return self.design.outcome.trials

    @cached_property
    def probability(self) -> FloatArray:
        """Probability of the event in each row."""
        from scipy.special import expit

        found: FloatArray = expit(self.eta)
        return found

    @property
    def residual(self) -> FloatArray:
        """Successes beyond those expected."""
        return self.y - self.trials * self.probability

    @property
    def weight(self) -> FloatArray:
        """Variance of the successes."""
        return self.trials * self.probability * (1 - self.probability)


@dataclass(frozen=True)
class ReferenceFit:
    """The maximum of a likelihood fit; of a fit by a sampler, the mode of its marginal posterior.

    Attributes
    ----------
    model : Model
    estimate : Estimate
    """

    model: ModelSpec
    estimate: Estimate

    @classmethod
    def of(cls, fit: Fit) -> ReferenceFit:
        """The maximum that a fit has, or that the model's priors and rows have."""
        if fit.estimate is not None:
            return cls(fit.model, fit.estimate)
        with warnings.catch_warnings():  # it is a place to start from, not a result
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = MAP().run(fit.model).estimate
        assert found is not None
        return cls(fit.model, found)

    @property
    def usable(self) -> bool:
        """Whether it is a maximum, with a curvature that says how far other outcomes move it."""
        return bool(np.all(np.isfinite(self.estimate.covariance)))

    @cached_property
    def observed(self) -> RefittedModel:
        """The outcomes of the data with their own fit."""
        return self.fitted_to(self.model.design.outcome.y)

    @cached_property
    def point(self) -> FloatArray:
        """The maximum as one vector: fixed effects, then the entries of the Cholesky factors."""
        problem = self.problem(self.model.arrangement)
        return problem.at(self.estimate)

    def likelihood(self, arrangement: Arrangement) -> Likelihood:
        """The random effects integrated out as in the fit."""
        return integrator(self.model.design, self.estimate.nodes)(arrangement)

    def problem(self, arrangement: Arrangement) -> Objective:
        """What the fit maximised, of other counts."""
        return Objective(self.model, self.likelihood(arrangement), penalised=self.estimate.penalised)

    def fitted_to(self, y: FloatArray) -> RefittedModel:
        """Other successes, shape (n,), with the model fitted to them.

        Parameters at a boundary stay there: the curvature says nothing of them.
        """
        design = self.model.design
        arrangement = self.model.arrangement.with_counts(y, design.outcome.trials)
        problem = self.problem(arrangement)
        psi = climb(problem, problem.evaluate(self.point), self._scale).psi
        problem.evaluate(psi)  # so that the work arrays hold the maximum
        standardised, flat = problem.modes(), problem.flat_cholesky(psi)
        laplace = problem.laplace_at(psi, standardised)
        variances = effect_variances(arrangement.row_index, laplace.work)
        eta = design.X @ psi[: problem.p] + design.offset
        sds, modes, spread = {}, {}, {}
        for block, at, L in zip(design.groups, arrangement.positions, problem.cholesky(psi), strict=True):
            name = block.name
            sds[name], modes[name] = np.sqrt((L**2).sum(axis=1)), laplace.work.b[at].copy()
            spread[name] = variances[at]
            eta += np.einsum("nq,nq->n", block.Z, modes[name][block.index])
        return RefittedModel(design, y, psi, flat, standardised, eta, sds, modes, spread)

    @cached_property
    def _scale(self) -> FloatArray:
        """Directions of one standard error each: a root of the covariance."""
        covariance = self.estimate.covariance
        free = np.diag(covariance) > 0
        scale = np.zeros((len(covariance), int(free.sum())))
        values, vectors = np.linalg.eigh(covariance[np.ix_(free, free)])
        scale[free] = vectors * np.sqrt(np.maximum(values, 0.0))
        return scale
