"""Model + likelihood -> a function of one vector: the fixed effects, then the free entries of the Cholesky factors.

For beta-binomial outcomes, the last entry of the vector, and of the flattened Cholesky factors, is ``1 / sqrt(phi)``.
Its sign is free, as that of a diagonal entry of a Cholesky factor is, and at zero the outcomes are binomial.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...density.log_prior import point_log_prior
from ...density.marginal.evaluation import Evaluation
from ...density.marginal.fixed_effects import Solver, fixed_information
from ...density.marginal.laplace import LaplaceLikelihood
from ...density.marginal.overdispersed_laplace import laplace_likelihood
from ...density.marginal.work import Work
from ...design.arrangement import Arrangement
from ...fits.identification import single_trials
from ...priors.families import Laplace
from .effect_units import EffectUnits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...design.grouping import GroupBlock
    from ...estimate import Estimate
    from ...model_spec import ModelSpec
    from ...priors.families import ScalePrior

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: How near to the kink of a prior a search may stop, on the logit scale for one sd of the column.
KINK_REACH = 0.05
#: Quantiles of the prior of an sd between which a search starts.
LIKELY = (0.05, 0.95)
#: Times the usual start that a prior can raise it.
LARGEST_START = 1e3
#: Where a search starts in any case: the squares of such sds are within the range of floats.
POSSIBLE_SDS = (1e-100, 1e100)


class Likelihood(Protocol):
    """A marginal log-likelihood: by Laplace's method, by quadrature, or of a model without random effects."""

    arrangement: Arrangement
    work: Work
    cholesky: FloatArray

    @property
    def values(self) -> FloatArray:
        """Log-likelihood of each independent part of the data at the last evaluation, without binomial coefficients."""
        ...

    @property
    def dcholesky(self) -> FloatArray:
        """Derivative of each of these in the flattened Cholesky factors, shape (parts, entries)."""
        ...

    @property
    def parts_without_schur(self) -> Sequence[Solver]:
        """The parts that have no dense Schur complement in the work arrays."""
        ...

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Value and gradient at coefficients of the orthogonal basis and flattened Cholesky factors."""
        ...


@dataclass(frozen=True)
class Point:
    """The objective at one vector.

    Attributes
    ----------
    psi : ndarray
    value : float
        Log-likelihood, plus the log prior density where there is one.
    log_likelihood : float
    gradient : ndarray
        Of the value; not a number if an entry is not finite.
    converged : bool
        Whether the modes of the random effects were found.
    """

    psi: FloatArray
    value: float
    log_likelihood: float
    gradient: FloatArray
    converged: bool


class Objective:
    """What a search maximises.

    Parameters
    ----------
    model : Model
    likelihood : Likelihood
    penalised : bool
        Whether the log prior density is added.

    Attributes
    ----------
    entries : list of (int, int, int)
        Position of the grouping factor, row and column of each free entry of the Cholesky factors: the lower triangles
        of the sets.
    effect_sds : list of ndarray, shape (q,)
        Standard deviations of the columns of each factor's effects.
    effect_units : list of EffectUnits
        Units of each factor's effects in which the search is well scaled.
    overdispersed : bool
        Whether the last entry of a vector is ``1 / sqrt(phi)``.
    single_trials : list of GroupBlock
        Factors with a single trial in each cluster: the likelihood does not depend on their sds.
    sampler : str
        What samples the posterior of this model, as messages call it; empty if nothing does.
    profile : str
        The call of profile intervals, for messages.
    """

    sampler = "NUTS"
    profile = "hl.summary(fit, interval='profile')"

    def __init__(self, model: ModelSpec, likelihood: Likelihood, *, penalised: bool) -> None:
        self.model, self.likelihood, self.penalised = model, likelihood, penalised
        design = model.design
        self.p = len(design.fixed_effects)
        self.entries = [
            (g, a, b)
            for g, group in enumerate(design.groups)
            for members in group.sets
            for a in members
            for b in members
            if b <= a
        ]
        arrangement = likelihood.arrangement
        starts = dict(zip(arrangement.factors, arrangement.row_index.cholesky_at, strict=False))
        widths = [len(group.effects) for group in design.groups]
        self._flat: IntArray = np.array([starts[g] + a * widths[g] + b for g, a, b in self.entries], dtype=np.intp)
        self._n_flat = int(arrangement.row_index.cholesky_at[-1])
        self.overdispersed = model.overdispersed
        if self.overdispersed:
            self._flat = np.append(self._flat, self._n_flat)
            self._n_flat += 1
        self.scale_effects()
        self.single_trials = [one for one in design.groups if single_trials(design, one)]
        self.evaluations = 0
        self._last: Point | None = None

    @property
    def with_priors(self) -> str:
        """The engines that use priors, as messages call them."""
        return " or ".join(filter(None, ("hl.MAP()", self.sampler)))

    def scale_effects(self) -> None:
        """Choose the units of the effects by the columns of the model's design."""
        groups = self.model.design.groups
        self.effect_sds = [group.column_sds for group in groups]
        self.effect_units = [
            EffectUnits.of(group, np.clip(self._likely_sds(group, 0.5), *POSSIBLE_SDS) if self.penalised else None)
            for group in groups
        ]

    def __len__(self) -> int:
        return self.p + len(self._flat)

    @property
    def held_factors(self) -> list[GroupBlock]:
        """Factors whose sds are held at zero, as the likelihood does not depend on them. With priors, none is held."""
        return [] if self.penalised else self.single_trials

    @property
    def triangular(self) -> FloatArray:
        """``R`` of the orthogonal basis of the fixed effects' columns, shape (p, p)."""
        return self.likelihood.arrangement.triangular

    def fixed_information(self) -> FloatArray:
        """Information about the coefficients of the orthogonal basis at the last evaluation, shape (p, p)."""
        return fixed_information(self.likelihood)

    @property
    def scales(self) -> IntArray:
        """Positions in the vector of the diagonal entries of Cholesky factors, and of ``1 / sqrt(phi)``."""
        diagonal = [self.p + k for k, (_, a, b) in enumerate(self.entries) if a == b]
        return np.array([*diagonal, *([len(self) - 1] if self.overdispersed else [])], dtype=np.intp)

    @property
    def of_entries(self) -> slice:
        """Positions in the vector of the entries of the Cholesky factors."""
        return slice(self.p, self.p + len(self.entries))

    def phi(self, psi: FloatArray) -> FloatArray | None:
        """Precision of beta-binomial outcomes at vectors of shape (..., parameters), infinite for binomial ones."""
        if not self.overdispersed:
            return None
        with np.errstate(divide="ignore"):
            precision: FloatArray = psi[..., -1] ** -2.0
        return precision

    @cached_property
    def entry_directions(self) -> FloatArray:
        """Moves of the entries of the Cholesky factors, in columns, for a unit of each entry of the scaled factors."""
        if not any(units.rescaled.any() for units in self.effect_units):
            return np.eye(len(self.entries))
        place = {entry: k for k, entry in enumerate(self.entries)}
        moves = np.zeros((len(place), len(place)))
        inverses = [units.unscaled(np.eye(len(units.sds))) for units in self.effect_units]
        for (g, a, b), k in place.items():
            for (other, row, column), at in place.items():
                if other == g and column == b and row >= a:
                    moves[at, k] = inverses[g][row, a]
        return moves

    def scaled_sds(self, psi: FloatArray) -> list[FloatArray]:
        """Sds of each factor's effects in their `effect_units`, each of shape (q,)."""
        scaled = [units.scaled(L) for units, L in zip(self.effect_units, self.cholesky(psi), strict=True)]
        return [np.sqrt((L**2).sum(axis=1)) for L in scaled]

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector; the likelihood's work arrays then hold it."""
        if self._last is not None and np.array_equal(psi, self._last.psi):
            return self._last
        self.evaluations += 1
        R = self.likelihood.arrangement.triangular
        evaluation = self.likelihood.evaluate(R @ psi[: self.p], self.flat_cholesky(psi))
        gradient = self.gradient_of(evaluation)
        self._last = self.point(psi, evaluation.value, gradient, evaluation.converged)
        return self._last

    def point(self, psi: FloatArray, log_likelihood: float, gradient: FloatArray, converged: bool) -> Point:
        """The objective at a vector, with the log prior density if there is one.

        Parameters
        ----------
        psi : ndarray
        log_likelihood : float
        gradient : ndarray
            Of the log-likelihood; that of the log prior density is added to it.
        converged : bool
            Whether the modes of the random effects were found.
        """
        value = log_likelihood
        if self.penalised:
            cholesky = self.cholesky(psi)
            prior, dbeta, dcholesky = point_log_prior(self.model, psi[: self.p], cholesky)
            value += prior
            gradient[: self.p] += dbeta
            gradient[self.of_entries] += [dcholesky[g][a, b] for g, a, b in self.entries]
            if self.model.priors.phi is not None:
                root = float(psi[-1])
                log_density, score = _of_root(self.model.priors.phi, root)
                value, gradient[-1] = value + log_density, gradient[-1] + score
        if not np.all(np.isfinite(gradient)):  # infinite entries would make warnings of every product
            gradient = np.full_like(gradient, np.nan)
        return Point(psi.copy(), value, log_likelihood, gradient, converged)

    def forget(self) -> None:
        """Evaluate anew also at the vector that was evaluated last, after the modes have been changed."""
        self._last = None

    def gradient_of(self, evaluation: Evaluation) -> FloatArray:
        """Gradient of an evaluated log-likelihood in the entries of the vector."""
        R = self.likelihood.arrangement.triangular
        return np.concatenate([R.T @ evaluation.dgamma, evaluation.dcholesky[self._flat]])

    def scores(self) -> FloatArray:
        """Gradient of each independent part's log-likelihood at the last evaluation, shape (parts, parameters).

        They add up to the gradient of the log-likelihood, without that of the log prior density.
        """
        likelihood, row_index = self.likelihood, self.likelihood.arrangement.row_index
        starts, deta = row_index.row_start[row_index.part_start[:-1]], likelihood.work.deta
        dgamma = np.empty((len(starts), self.p))
        for k in range(self.p):
            dgamma[:, k] = np.add.reduceat(row_index.X[:, k] * deta, starts)
        return np.column_stack([dgamma @ likelihood.arrangement.triangular, likelihood.dcholesky[:, self._flat]])

    def first_cholesky(self, usual: float) -> list[FloatArray]:
        """Cholesky factors from which a search starts, without correlations.

        The sds are `usual` for one sd of each column, or what the priors leave most of their probability to.
        """
        factors = []
        for group, units in zip(self.model.design.groups, self.effect_units, strict=True):
            sds = np.where(units.rescaled, usual, usual / units.sds)
            if self.penalised:
                low, high = (self._likely_sds(group, prob) for prob in LIKELY)
                # Not far above all plausible sds, where no probability lies between 0 and 1.
                likely = np.clip(np.clip(sds, np.minimum(low, LARGEST_START * sds), high), *POSSIBLE_SDS)
                sds = np.where(units.rescaled, sds, likely)
            elif any(group is held for held in self.held_factors):
                sds = np.zeros_like(sds)
            factors.append(units.unscaled(np.diag(sds)))
        return factors

    def _likely_sds(self, group: GroupBlock, prob: float) -> FloatArray:
        """Quantiles of the priors of a factor's sds at a probability, shape (q,)."""
        return np.array([prior.quantile(prob) for prior in self.model.priors.sd[group.name]])

    def flat_cholesky(self, psi: FloatArray) -> FloatArray:
        """Cholesky factors flattened for compiled code, in the order of the arrangement's grouping factors.

        Of one vector, or of vectors of shape (..., parameters).
        """
        flat = np.zeros((*psi.shape[:-1], self._n_flat))
        flat[..., self._flat] = psi[..., self.p :]
        return flat

    def cholesky(self, psi: FloatArray) -> list[FloatArray]:
        """Cholesky factor of each grouping factor's covariance matrix, shape (q, q)."""
        cholesky = [np.zeros((len(group.effects),) * 2) for group in self.model.design.groups]
        for value, (g, a, b) in zip(psi[self.of_entries], self.entries, strict=True):
            cholesky[g][a, b] = value
        return cholesky

    def with_cholesky(self, psi: FloatArray, cholesky: list[FloatArray]) -> FloatArray:
        """The vector with other Cholesky factors."""
        changed = psi.copy()
        changed[self.of_entries] = [cholesky[g][a, b] for g, a, b in self.entries]
        return changed

    def at(self, estimate: Estimate) -> FloatArray:
        """The vector of an estimate of the same model."""
        cholesky = [estimate.cholesky[group.name] for group in self.model.design.groups]
        return self.vector(estimate.beta, cholesky, estimate.phi)

    def vector(self, beta: FloatArray, cholesky: list[FloatArray], phi: float | None) -> FloatArray:
        """The vector of fixed effects, Cholesky factors and, for beta-binomial outcomes, phi."""
        psi = np.zeros(len(self))
        psi[: self.p] = beta
        if self.overdispersed and phi is not None:
            psi[-1] = phi**-0.5
        return self.with_cholesky(psi, cholesky)

    def modes(self) -> FloatArray:
        """Standardised effects at the last evaluation."""
        return self.likelihood.work.u.copy()

    def laplace_at(self, psi: FloatArray, modes: FloatArray) -> LaplaceLikelihood:
        """Laplace's method evaluated at a vector, for modes, their variances and draws.

        Parameters
        ----------
        psi : ndarray
            The vector that was evaluated last.
        modes : ndarray
            Standardised effects to start from, if the objective is not Laplace's approximation itself.
        """
        if isinstance(self.likelihood, LaplaceLikelihood):
            return self.likelihood
        laplace = laplace_likelihood(self.likelihood.arrangement)
        laplace.work.u[:] = modes
        laplace.evaluate(self.likelihood.arrangement.triangular @ psi[: self.p], self.flat_cholesky(psi))
        return laplace

    def kinks(self) -> list[tuple[int, float, float]]:
        """Coefficients whose prior has a kink: position, the kink, and how far from it a search may stop."""
        if not self.penalised:
            return []
        fixed = self.model.priors.fixed
        kinks = []
        for k, label in enumerate(self.model.design.fixed_effects):
            prior = fixed[label]
            if isinstance(prior, Laplace) and label != "Intercept":
                kinks.append((k, prior.mu, KINK_REACH / float(self.model.design.column_sds[k])))
        return kinks


def _of_root(prior: ScalePrior, root: float) -> tuple[float, float]:
    """Log prior density of phi at ``root = 1 / sqrt(phi)``, and its derivative in the root."""
    if root == 0.0:
        return -np.inf, 0.0
    phi = root**-2.0
    return float(prior.logpdf(phi)), float(prior.score(phi)) * -2.0 * phi / root
