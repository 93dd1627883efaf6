"""Parameters and other estimands of a fit without some rows: by refitting, or by importance weights of draws.

Draws of the posterior with all rows become draws of the posterior without some rows with the weights
``1 / p(y_left_out | draw)``, where the effects of clusters that have no other rows are integrated out (Vehtari, Gelman
and Gabry 2017, Statistics and Computing 27: 1413-1432; Merkle, Furr and Rabe-Hesketh 2019, Psychometrika 84: 802-829).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws, linear_predictor
from ..density.outcome_likelihood import log_likelihood
from ..design.design import EncodedRows
from ..effects.numerics.given_outcomes import Seen, log_likelihoods
from ..engines.importance.importance_sampling import ImportanceSampling
from ..engines.maximum.refit import Refitter, maximum_of
from ..engines.nuts.nuts import NUTS
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.posterior import assemble, parameter_draws
from ..fits.psis import psis
from ..progress import progress
from ..studies.bootstrap import numbers, parameters
from ..validation import quoted_list

if TYPE_CHECKING:
    from ..engines.engine import Engine
    from ..estimate import Estimate
    from ..model_spec import ModelSpec
    from ..studies.bootstrap import Statistic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Name of an estimand that is a single number.
ESTIMAND = "estimand"


@dataclass(frozen=True)
class RefitWithoutCluster:
    """Estimates of a likelihood fit without one cluster, by refitting.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        With all clusters.
    index : ndarray of int, shape (n,)
        Cluster of each row.
    estimand : callable or None
    draws, seed : int
        Draws of the refits from which the estimand is computed: as many as those of the fit, with its seed.
    """

    model: ModelSpec
    estimate: Estimate
    index: IntArray
    estimand: Statistic | None
    draws: int
    seed: int

    @classmethod
    def of(cls, fit: Fit, index: IntArray, estimand: Statistic | None) -> RefitWithoutCluster:
        """Refits of a fit without its clusters."""
        if estimand is None:  # no draws are needed, and none are made
            return cls(fit.model, maximum_of(fit), index, None, 0, 0)
        draws = fit.data["posterior"].sizes["draw"]
        return cls(fit.model, maximum_of(fit), index, estimand, draws, int(fit.diagnostics.seed or 0))

    def __call__(self, number: int) -> dict[str, float]:
        """Parameters, and the estimand if there is one, without cluster `number`.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or an estimate is infinite.
        """
        refitter, rows = Refitter(self.model, self.estimate), self.index == number
        if self.estimand is None:
            return identified_parameters(self.model, refitter.without(rows).bounded_maximum())
        # The same random numbers about another maximum: the difference is not due to the draws.
        return estimates(refitter.fit_without(rows, self.draws, self.seed), self.estimand)


@dataclass(frozen=True)
class ReweightedWithoutCluster:
    """Posterior means of a sampled fit without one cluster, by importance weights or by sampling again.

    Attributes
    ----------
    fit : Fit
    index : ndarray of int, shape (n,)
        Cluster of each row.
    weights : ndarray, shape (clusters, draws)
        Importance weights for leaving out each cluster; they sum to one.
    again : frozenset of int
        Clusters without which the model is sampled again.
    estimand : callable or None
    """

    fit: Fit
    index: IntArray
    weights: FloatArray
    again: frozenset[int]
    estimand: Statistic | None

    @cached_property
    def _parameters(self) -> tuple[list[str], FloatArray]:
        return _values_of_parameters(self.fit)

    def __call__(self, number: int) -> dict[str, float]:
        """Posterior means, and the estimand if there is one, without cluster `number`.

        Raises
        ------
        FitError
            If the model is sampled again and its chains do not converge.
        """
        rows = self.index == number
        if number in self.again:
            return posterior_means(sampled_again(self.fit, rows), self.estimand)
        means = _means(*self._parameters, self.weights[number])
        if self.estimand is None:
            return means
        value = self.estimand(resampled(self.fit, rows, self.weights[number]))
        return means | _with_other_names(numbers(value, ESTIMAND), means)


def weights_without(fit: Fit, index: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Importance weights of the draws for leaving out each cluster, with their Pareto k-hat.

    Parameters
    ----------
    fit : Fit
    index : ndarray of int, shape (n,)
        Cluster of each row.
    count : int
        Number of clusters.

    Returns
    -------
    weights : ndarray, shape (clusters, draws)
        They sum to one for each cluster.
    shapes : ndarray, shape (clusters,)
        Pareto k-hat, infinite where nearly all weight is on one draw.
    """
    draws = Draws.of(fit.model, fit.posterior)
    weights, shapes = np.empty((count, len(draws))), np.empty(count)
    for number in progress(range(count), "Weighing draws"):
        log_weights, shapes[number] = psis(-integrated_log_likelihood(fit.model, draws, index == number))
        weights[number] = np.exp(log_weights)
    return weights, shapes


def integrated_log_likelihood(model: ModelSpec, draws: Draws, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """Log-likelihood of some rows for each draw, shape (draws,).

    The effects of clusters that have no other rows are integrated out.
    """
    design = model.design
    encoded = design.training_rows().at(np.flatnonzero(rows))
    indices = {}
    for group in design.groups:
        has_other_rows = np.bincount(group.index[~rows], minlength=len(group.levels)) > 0
        index = encoded.groups[group.name].index
        indices[group.name] = np.where(has_other_rows[index], index, -1)
    groups = {name: replace(encoded.groups[name], index=index) for name, index in indices.items()}
    left_out = EncodedRows(encoded.X, encoded.offset, groups)
    y, trials = design.outcome.y[rows], design.outcome.trials[rows]
    # Rows all of whose clusters have other rows are independent given the draws.
    known = np.all([np.ones(len(y), dtype=bool), *(index >= 0 for index in indices.values())], axis=0)
    eta = linear_predictor(draws, left_out.at(np.flatnonzero(known)))
    given_effects = log_likelihood(y[known], trials[known], eta, draws.phi).sum(axis=1)
    beyond = np.broadcast_to(design.outcome.beyond_binomial, len(rows))[rows].sum()
    return given_effects + log_likelihoods(draws, Seen(left_out, y, trials)) + beyond


def resampled(fit: Fit, rows: npt.NDArray[np.bool_], weights: FloatArray) -> Fit:
    """A fit whose draws are resampled to represent the posterior without some rows.

    Draws are repeated in proportion to their weights. Effects of clusters that have no other rows are drawn from the
    distribution of the effects.
    """
    random = np.random.default_rng(fit.diagnostics.seed)
    total = np.cumsum(weights)
    places = (np.arange(len(weights)) + random.uniform()) / len(weights)
    chosen = np.minimum(np.searchsorted(total / total[-1], places), len(weights) - 1)
    chosen = random.permutation(chosen)  # so that repeated draws are spread over the chains
    draws = Draws.of(fit.model, fit.posterior)[chosen]
    posterior = fit.posterior.copy()
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    values = {}
    for name, variable in posterior.data_vars.items():
        turned = variable.transpose("chain", "draw", ...)
        flat = turned.to_numpy().reshape(-1, *turned.shape[2:])[chosen]
        values[str(name)] = (turned.dims, flat.reshape(*shape, *turned.shape[2:]))
    for group in fit.model.design.groups:
        gone = np.bincount(group.index[~rows], minlength=len(group.levels)) == 0
        noise = random.standard_normal((len(chosen), int(gone.sum()), len(group.effects)))
        effects = values[f"b_{group.result_name}"][1].reshape(len(chosen), len(group.levels), -1)
        effects[:, gone] = np.einsum("sij,skj->ski", draws.cholesky[group.name], noise)
    return Fit(fit.model, assemble(fit.model, posterior.assign(values), None), replace(fit.diagnostics, findings=()))


def sampled_again(fit: Fit, rows: npt.NDArray[np.bool_]) -> Fit:
    """The model sampled again with the same settings, with no trials in some rows.

    Raises
    ------
    FitError
        If the fit is not by this package's sampler, or the chains do not converge.
    """
    return sampled_without(fit.model, same_sampler(fit), rows)


def sampled_without(model: ModelSpec, sampler: Engine, rows: npt.NDArray[np.bool_]) -> Fit:
    """A model sampled by `same_sampler` of its fit, with no trials in some rows.

    Raises
    ------
    FitError
        If the chains do not converge.
    """
    again = sampler.run(model.silenced(rows))
    if again.diagnostics.status == "failed":
        reasons = " ".join(finding.evidence for finding in again.diagnostics.findings)
        raise FitError(f"sampling without these rows failed: {reasons}")
    stats = again.data["sample_stats"].to_dataset() if "sample_stats" in again.data.children else None
    return Fit(model, assemble(model, again.posterior, stats), again.diagnostics)


def same_sampler(fit: Fit) -> Engine:
    """The engine of a sampled fit with the same settings and seed, which shows and stores nothing."""
    settings = {**fit.diagnostics.settings, "seed": fit.diagnostics.seed, "progress": False}
    if fit.diagnostics.engine == "ImportanceSampling":
        return ImportanceSampling(**settings)
    if settings.get("backend") != "native":
        raise FitError(
            "only fits by hl.NUTS(backend='native') and hl.ImportanceSampling() can be sampled again without some "
            "rows: pass refit=False, or fit the model again."
        )
    # Of an integrated fit; they are no option, but chosen for the model.
    settings.pop("nodes", None)
    return NUTS(**{**settings, "store": None})


def posterior_means(fit: Fit, estimand: Statistic | None) -> dict[str, float]:
    """Posterior means of the parameters, and the estimand if there is one."""
    means = _means(*_values_of_parameters(fit), None)
    return means if estimand is None else means | _with_other_names(numbers(estimand(fit), ESTIMAND), means)


def _values_of_parameters(fit: Fit) -> tuple[list[str], FloatArray]:
    """Labels of the parameters, and their draws, shape (draws, parameters)."""
    draws = parameter_draws(fit.model, fit.posterior)
    return draws["parameter"].to_numpy().tolist(), draws.to_numpy().reshape(-1, draws.sizes["parameter"])


def _means(labels: list[str], values: FloatArray, weights: FloatArray | None) -> dict[str, float]:
    return dict(zip(labels, np.average(values, axis=0, weights=weights).tolist(), strict=True))


def estimates(fit: Fit, estimand: Statistic | None) -> dict[str, float]:
    """Parameters of a likelihood fit, and the estimand if there is one.

    Raises
    ------
    FitError
        If a part of the estimand has the name of a parameter.
    """
    at_maximum = identified_parameters(fit.model, maximum_of(fit))
    if estimand is None:
        return at_maximum
    return at_maximum | _with_other_names(numbers(estimand(fit), ESTIMAND), at_maximum)


def identified_parameters(model: ModelSpec, estimate: Estimate) -> dict[str, float]:
    """Parameters of an estimate; a correlation is not a number if one of its effects has an sd of zero."""
    values = parameters(model, estimate)
    for group in model.design.groups:
        sd, name = estimate.sd(group.name), group.result_name
        for i, j in group.correlated_pairs:
            if sd[i] == 0 or sd[j] == 0:
                values[f"cor_{name}[{group.effects[i]}, {group.effects[j]}]"] = np.nan
    return values


def _with_other_names(values: dict[str, float], parameters: dict[str, float]) -> dict[str, float]:
    """Values of the estimand, refused if their names are those of parameters."""
    both = [name for name in values if name in parameters]
    if both:
        raise FitError(f"parts of the estimand have the names of parameters, {quoted_list(both)}: rename them.")
    return values
