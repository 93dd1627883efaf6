"""`Fit` without some rows → parameters and whatever else is asked of a fit: by another search, or by weights of draws.

Draws of a posterior with all rows become draws of one without some of them by weights ``1 / p(y_left | draw)``, where
the effects of clusters that have no other rows are integrated out (Vehtari, Gelman and Gabry 2017, Statistics and
Computing 27: 1413-1432; Merkle, Furr and Rabe-Hesketh 2019, Psychometrika 84: 802-829).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..binomial import log_likelihood
from ..density.linear_predictor import Draws, linear_predictor
from ..design.design import EncodedRows
from ..effects.numerics.given_outcomes import Seen, log_likelihoods
from ..engines.maximum.refit import Refitter, maximum_of
from ..engines.nuts.nuts import NUTS
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.posterior import assemble, parameter_draws
from ..fits.psis import psis
from ..progress import progress
from ..studies.bootstrap import numbers, parameters

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..model_spec import ModelSpec
    from ..studies.bootstrap import Statistic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: What a single number that is asked for is called.
ASKED = "estimand"


@dataclass(frozen=True)
class SearchedAgain:
    """Numbers of a likelihood engine's fit without one cluster.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        With all clusters.
    index : ndarray of int, shape (n,)
        Cluster of each row.
    estimand : callable or None
    draws, seed : int
        Of the fit that the estimand is of, as the fit with all clusters has them.
    """

    model: ModelSpec
    estimate: Estimate
    index: IntArray
    estimand: Statistic | None
    draws: int
    seed: int

    @classmethod
    def of(cls, fit: Fit, index: IntArray, estimand: Statistic | None) -> SearchedAgain:
        """For a fit and its clusters."""
        if estimand is None:  # the report, which weighs draws, is not needed
            return cls(fit.model, maximum_of(fit), index, None, 0, 0)
        draws = fit.data["posterior"].sizes["draw"]
        return cls(fit.model, maximum_of(fit), index, estimand, draws, int(fit.diagnostics.seed or 0))

    def __call__(self, number: int) -> dict[str, float]:
        """What is found without cluster `number`.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or at one at infinity.
        """
        refitter, rows = Refitter(self.model, self.estimate), self.index == number
        if self.estimand is None:
            return known_parameters(self.model, refitter.without(rows).bounded_maximum())
        # The same draws about another maximum: what differs is the maximum, not the luck of the draws.
        return asked_of(refitter.fit_without(rows, self.draws, self.seed), self.estimand)


@dataclass(frozen=True)
class Reweighted:
    """Numbers of a sampler's fit without one cluster.

    Attributes
    ----------
    fit : Fit
    index : ndarray of int, shape (n,)
        Cluster of each row.
    weights : ndarray, shape (clusters, draws)
        Of the draws without each cluster; they sum to one.
    again : frozenset of int
        Clusters without which the model is sampled again.
    estimand : callable or None
    """

    fit: Fit
    index: IntArray
    weights: FloatArray
    again: frozenset[int]
    estimand: Statistic | None

    def __call__(self, number: int) -> dict[str, float]:
        """What is found without cluster `number`.

        Raises
        ------
        FitError
            If the model is sampled again, and its chains do not converge.
        """
        rows = self.index == number
        if number in self.again:
            return asked_of_draws(sampled_again(self.fit, rows), self.estimand)
        found = _means(self.fit, self.weights[number])
        if self.estimand is None:
            return found
        return found | _named_apart(
            numbers(self.estimand(resampled(self.fit, rows, self.weights[number])), ASKED), found
        )


def weights_without(fit: Fit, index: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Weights of the draws of a sampler's fit without each cluster, and how far they can be trusted.

    Parameters
    ----------
    fit : Fit
    index : ndarray of int, shape (n,)
        Cluster of each row.
    count : int
        How many clusters there are.

    Returns
    -------
    weights : ndarray, shape (clusters, draws)
        They sum to one for each cluster.
    shapes : ndarray, shape (clusters,)
        Pareto k-hat, infinite where nearly all weight is one draw's.
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
    own = design.training_rows().at(np.flatnonzero(rows))
    groups = {}
    for block in design.groups:
        elsewhere = np.bincount(block.index[~rows], minlength=len(block.levels)) > 0
        group = own.groups[block.name]
        groups[block.name] = replace(group, index=np.where(elsewhere[group.index], group.index, -1))
    left = EncodedRows(own.X, own.offset, groups)
    y, trials = design.outcome.y[rows], design.outcome.trials[rows]
    alone = np.all([group.index >= 0 for group in groups.values()], axis=0) if groups else np.ones(len(y), dtype=bool)
    known = log_likelihood(y[alone], trials[alone], linear_predictor(draws, left.at(np.flatnonzero(alone)))).sum(axis=1)
    return known + log_likelihoods(draws, Seen(left, y, trials))


def resampled(fit: Fit, rows: npt.NDArray[np.bool_], weights: FloatArray) -> Fit:
    """A fit whose draws stand for those of the posterior without some rows.

    Draws are repeated as often as their weights say. Effects of clusters that have no other rows are drawn from their
    distribution between clusters.
    """
    random = np.random.default_rng(fit.diagnostics.seed)
    total = np.cumsum(weights)
    places = (np.arange(len(weights)) + random.uniform()) / len(weights)
    chosen = np.minimum(np.searchsorted(total / total[-1], places), len(weights) - 1)
    # Chains are no more than parts of a sample now; in turn they get what is repeated.
    chosen = random.permutation(chosen)
    draws = Draws.of(fit.model, fit.posterior)[chosen]
    posterior = fit.posterior.copy()
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    values = {}
    for name, variable in posterior.data_vars.items():
        turned = variable.transpose("chain", "draw", ...)
        flat = turned.to_numpy().reshape(-1, *turned.shape[2:])[chosen]
        values[str(name)] = (turned.dims, flat.reshape(*shape, *turned.shape[2:]))
    for block in fit.model.design.groups:
        gone = np.bincount(block.index[~rows], minlength=len(block.levels)) == 0
        noise = random.standard_normal((len(chosen), int(gone.sum()), len(block.effects)))
        effects = values[f"b_{block.result_name}"][1].reshape(len(chosen), len(block.levels), -1)
        effects[:, gone] = np.einsum("sij,skj->ski", draws.cholesky[block.name], noise)
    return Fit(fit.model, assemble(fit.model, posterior.assign(values), None), replace(fit.diagnostics, findings=()))


def sampled_again(fit: Fit, rows: npt.NDArray[np.bool_]) -> Fit:
    """The model sampled as it was, but that some rows say nothing.

    Raises
    ------
    FitError
        If the fit is not by this package's sampler, or the chains do not converge.
    """
    settings = dict(fit.diagnostics.settings)
    if settings.get("backend") != "native":
        raise FitError("only fits by hl.NUTS(backend='native') can be sampled again without some rows.")
    engine = NUTS(**{**settings, "seed": fit.diagnostics.seed, "store": None, "progress": False})
    again = engine.run(fit.model.silenced(rows))
    if again.diagnostics.status == "failed":
        raise FitError("; ".join(finding.evidence for finding in again.diagnostics.findings))
    stats = again.data["sample_stats"].to_dataset()
    return Fit(fit.model, assemble(fit.model, again.posterior, stats), again.diagnostics)


def asked_of_draws(fit: Fit, estimand: Statistic | None) -> dict[str, float]:
    """Posterior means of the parameters, and what else is asked of a fit."""
    found = _means(fit, None)
    return found if estimand is None else found | _named_apart(numbers(estimand(fit), ASKED), found)


def _means(fit: Fit, weights: FloatArray | None) -> dict[str, float]:
    draws = parameter_draws(fit.model, fit.posterior)
    values = draws.to_numpy().reshape(-1, draws.sizes["parameter"])
    means = np.average(values, axis=0, weights=weights)
    return dict(zip(draws["parameter"].to_numpy().tolist(), means.tolist(), strict=True))


def asked_of(fit: Fit, estimand: Statistic | None) -> dict[str, float]:
    """Parameters of a likelihood engine's fit, and what else is asked of it.

    Raises
    ------
    FitError
        If the estimand has the name of a parameter.
    """
    found = known_parameters(fit.model, maximum_of(fit))
    return found if estimand is None else found | _named_apart(numbers(estimand(fit), ASKED), found)


def known_parameters(model: ModelSpec, estimate: Estimate) -> dict[str, float]:
    """Parameters of an estimate; a correlation of effects one of which does not vary is none."""
    found = parameters(model, estimate)
    for block in model.design.groups:
        sd, name = estimate.sd(block.name), block.result_name
        for i, j in block.correlated_pairs:
            if sd[i] == 0 or sd[j] == 0:
                found[f"cor_{name}[{block.effects[i]}, {block.effects[j]}]"] = np.nan
    return found


def _named_apart(asked: dict[str, float], parameters: dict[str, float]) -> dict[str, float]:
    both = [name for name in asked if name in parameters]
    if both:
        raise FitError(f"the estimand has parts of the names of parameters, {both}: give them others.")
    return asked
