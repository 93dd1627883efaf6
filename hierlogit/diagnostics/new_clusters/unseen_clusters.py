"""Probabilities of rows by fits without their clusters: by refitting, or by importance weights of draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...density.linear_predictor import Draws
from ...effects.cluster_choice import Clusters as ClusterOption
from ...effects.cluster_choice import cluster_choices
from ...effects.cluster_effects import ClusterTreatment
from ...engines.maximum.refit import Refitter, finite_maximum_of, likelihood_engine
from ...errors import FitError, PredictionError
from ...estimate import Estimate
from ...fits.fit import Fit
from ...fits.psis import khat_threshold
from ...fits.row_clusters import Clusters
from ...model_comparison.leave_out import sampled_again, weights_without
from ...model_spec import ModelSpec
from ...parallel.tasks import collect_tasks
from ...parallel.workers import AnyExecutor
from ...validation import quoted_list, shortened
from .folds import Folds

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def left_out_clusters(fit: Fit, group: Any) -> Clusters:
    """The clusters of a grouping factor or column, by name or by values."""
    if group is None or isinstance(group, str):
        return Clusters.of(fit.model, group)
    return Clusters.of_rows(fit.model, group, "group")


def unseen_treatments(model: ModelSpec, clusters: ClusterOption) -> dict[str, str]:
    """The choice of cluster effects for rows whose clusters are left out; ``"average"`` for factors not named.

    Raises
    ------
    PredictionError
        If a factor or a choice is not allowed.
    """
    if isinstance(clusters, Mapping):
        clusters = {**dict.fromkeys((group.name for group in model.design.groups), "average"), **clusters}
    treatments = cluster_choices(model, clusters)
    if "new" in treatments.values():
        raise PredictionError(
            f"clusters={shortened(clusters)}: effects drawn at random cannot be validated. Choose 'average' for "
            "the average over the population of clusters, or 'typical' for a cluster with effects of zero."
        )
    return treatments


@dataclass(frozen=True)
class _Prediction:
    """Probabilities of the rows of a fold for draws of a fit without them.

    Attributes
    ----------
    model : ModelSpec
    folds : ndarray of int, shape (n,)
        Fold of each row.
    treatments : mapping of str to str
        By grouping factor.
    """

    model: ModelSpec
    folds: IntArray
    treatments: Mapping[str, str]

    def of(self, number: int, draws: Draws, weights: FloatArray) -> FloatArray:
        """Weighted average over the draws, shape (rows of the fold,)."""
        treatment = ClusterTreatment(self.model, self.treatments, "response", allow_new_levels=False, seed=0)
        rows = treatment.place(self.model.design.training_rows().at(np.flatnonzero(self.folds == number)))
        total = np.zeros(len(rows))
        for part, some in draws.chunks(len(rows)):
            total += weights[part] @ treatment.predict(some, rows)
        return total


@dataclass(frozen=True)
class _ByRefit:
    """Probabilities of the rows of a fold by a likelihood fit without them."""

    prediction: _Prediction
    estimate: Estimate

    def __call__(self, number: int) -> FloatArray:
        refitter = Refitter(self.prediction.model, self.estimate)
        maximum = refitter.without(self.prediction.folds == number).bounded_maximum()
        return self.prediction.of(number, Draws.at(maximum), np.ones(1))


@dataclass(frozen=True)
class _ByWeights:
    """Probabilities of the rows of a fold by draws of a posterior without them.

    Attributes
    ----------
    prediction : _Prediction
    fit : Fit
    weights : ndarray, shape (folds, draws)
    again : frozenset of int
        Folds without which the model is sampled again.
    """

    prediction: _Prediction
    fit: Fit
    weights: FloatArray
    again: frozenset[int]

    def __call__(self, number: int) -> FloatArray:
        if number not in self.again:
            return self.prediction.of(number, Draws.of(self.fit.model, self.fit.posterior), self.weights[number])
        sampled = sampled_again(self.fit, self.prediction.folds == number)
        draws = Draws.of(sampled.model, sampled.posterior)
        return self.prediction.of(number, draws, np.full(len(draws), 1 / len(draws)))


@dataclass(frozen=True)
class UnseenClusters:
    """Rows predicted by fits without their clusters.

    Attributes
    ----------
    probability : ndarray, shape (n,)
        Probability of the event in one trial; NaN for rows that were not left out, or without a fit.
    status : tuple of str
        For each fold ``"converged"``, ``"check"`` if the weights of the draws are unreliable, ``"failed"`` if there is
        no fit without it, or ``"interrupted"``.
    pareto_k : ndarray, shape (folds,), or None
        Pareto k-hat of the weights, NaN for folds without which the model was sampled again; None for refits.
    failures : dict of int to str
        Why there is no fit without a fold.
    method : str
        How the fits were made, in words.
    """

    probability: FloatArray
    status: tuple[str, ...]
    pareto_k: FloatArray | None
    failures: dict[int, str]
    method: str

    @classmethod
    def of(
        cls,
        fit: Fit,
        folds: Folds,
        treatments: Mapping[str, str],
        *,
        refit: bool = True,
        executor: AnyExecutor | None = None,
    ) -> UnseenClusters:
        """Each fold predicted by a fit without it.

        Raises
        ------
        FitError
            If a likelihood fit is not at a maximum.
        PredictionError
            If the effects of left-out clusters are wanted, which no other rows tell.
        """
        _refuse_unknown_effects(fit.model, folds, treatments)
        prediction = _Prediction(fit.model, folds.of_rows, treatments)
        if fit.estimate is not None:
            task = _ByRefit(prediction, finite_maximum_of(fit))
            engine = type(likelihood_engine(fit.estimate, 0)).__name__
            return cls._run(task, folds, executor, None, frozenset(), f"fitted again by {engine}")
        weights, shapes = weights_without(fit, folds.of_rows, folds.count)
        unreliable = frozenset(np.flatnonzero(~(shapes <= khat_threshold(weights.shape[1]))).tolist())
        again = unreliable if refit else frozenset()
        of_weights = np.where(np.isin(np.arange(folds.count), list(again)), np.nan, shapes)
        method = "draws weighted" if not again else "draws weighted, or sampled again where weights are unreliable"
        task_of_draws = _ByWeights(prediction, fit, weights, again)
        return cls._run(task_of_draws, folds, executor, of_weights, unreliable - again, method)

    @classmethod
    def _run(
        cls,
        task: Callable[[int], FloatArray],
        folds: Folds,
        executor: AnyExecutor | None,
        pareto_k: FloatArray | None,
        unreliable: frozenset[int],
        method: str,
    ) -> UnseenClusters:
        done, _ = collect_tasks(task, range(folds.count), executor, "Leaving out clusters")
        if not done.results and not done.failures:
            raise KeyboardInterrupt
        of_rows = folds.of_rows
        probability = np.full(len(of_rows), np.nan)
        for number, values in done.results.items():
            probability[of_rows == number] = values

        def status(number: int) -> str:
            if number in done.results:
                return "check" if number in unreliable else "converged"
            return "failed" if number in done.failures else "interrupted"

        return cls(probability, tuple(map(status, range(folds.count))), pareto_k, done.failures, method)

    def complete(self, folds: Folds) -> FloatArray:
        """The probabilities, if every row has one.

        Raises
        ------
        FitError
            If there is no fit without some cluster.
        """
        if self.failures:
            number, reason = next(iter(self.failures.items()))
            raise FitError(
                f"there is no fit without {quoted_list([folds.described(k) for k in self.failures])}: "
                f"{folds.described(number)}: {reason} hl.validate has the scores of the other clusters."
            )
        if "interrupted" in self.status:
            raise KeyboardInterrupt
        return self.probability


def _refuse_unknown_effects(model: ModelSpec, folds: Folds, treatments: Mapping[str, str]) -> None:
    """Refuse effects of clusters all of whose rows are left out together."""
    of_rows = folds.of_rows
    for group in model.design.groups:
        if treatments[group.name] != "observed":
            continue
        pairs: Any = np.unique(np.column_stack([group.index, of_rows]), axis=0)
        alone = np.bincount(pairs[:, 0]) == 1
        unseen = [group.levels[level] for level, fold in pairs if alone[level] and fold >= 0]
        if unseen:
            raise PredictionError(
                f"clusters: '{group.name}' is 'observed', but no rows of {quoted_list(unseen)} remain when "
                f"{folds.clusters.group} is left out, so that their effects are unknown. Choose 'average' or 'typical' "
                f"for '{group.name}'."
            )
