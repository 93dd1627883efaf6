"""Probabilities and linear predictors of rows by posterior draw, for a choice of cluster effects (``clusters=``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial import simulated_successes
from ..density.linear_predictor import Draws, add_effects, linear_predictor
from ..design.design import EncodedRows
from ..design.grouping import GroupBlock, GroupRows
from ..errors import PredictionError
from ..model_spec import ModelSpec
from ..validation import choice, mapping, number_of, quoted_list, unknown_names
from .numerics.population_average import average_probability, average_slope, predictor_sd

FloatArray = npt.NDArray[np.float64]
CLUSTERS = ("observed", "new", "average", "typical")
SCALES = ("response", "link")


def cluster_choices(model: ModelSpec, clusters: str | Mapping[str, str]) -> dict[str, str]:
    """The choice for each grouping factor, from one choice for all or a mapping with ``"observed"`` as default.

    Raises
    ------
    PredictionError
        If a factor or a choice is not allowed.
    """
    names = [group.name for group in model.design.groups]
    if not isinstance(clusters, Mapping):
        return dict.fromkeys(names, choice("clusters", clusters, CLUSTERS, PredictionError))
    given = mapping("clusters", clusters, PredictionError, f"one of {quoted_list(CLUSTERS)}, by grouping factor")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise PredictionError(unknown_names("clusters", unknown, names, "grouping factor"))
    chosen = {name: choice(f"clusters['{name}']", value, CLUSTERS, PredictionError) for name, value in given.items()}
    return {name: chosen.get(name, "observed") for name in names}


@dataclass(frozen=True)
class ClusterTreatment:
    """Which cluster effects count, and on which scale predictions are.

    Attributes
    ----------
    model : Model
    clusters : mapping of str to str
        The choice for each grouping factor: "observed", "new", "average" or "typical".
    scale : {"response", "link"}
    allow_new_levels : bool
        Whether a level that is not in the training data is treated as new where the choice is "observed".
    seed : int
        Seed for the effects of new levels, so that all rows that are compared have the same effects.
    """

    model: ModelSpec
    clusters: Mapping[str, str]
    scale: str
    allow_new_levels: bool
    seed: int

    def of_part(self, part: slice) -> ClusterTreatment:
        """The treatment for a part of the draws, with a seed derived from where the part starts."""
        return replace(self, seed=int(np.random.SeedSequence([self.seed, part.start]).generate_state(1)[0]))

    def is_random(self, rows: EncodedRows) -> bool:
        """Whether effects of new clusters are drawn for some of the rows."""
        return any(self._is_new(name, group).any() for name, group in rows.groups.items())

    def predict(self, draws: Draws, rows: EncodedRows) -> FloatArray:
        """Predictions of each draw and row, shape (draws, n).

        Raises
        ------
        PredictionError
            If a row's cluster is not in the training data and new levels are not allowed.
        """
        from scipy.special import expit

        eta = self.linear(draws, rows)
        if self._averaged:
            averaged = average_probability(eta, self._spread(draws, rows))
            return averaged if self.scale == "response" else np.log(averaged) - np.log1p(-averaged)
        if self.scale == "link":
            return eta
        probability: FloatArray = expit(eta, out=eta)
        return probability

    def simulate(self, draws: Draws, rows: EncodedRows, trials: FloatArray) -> FloatArray:
        """Successes drawn from the predicted probabilities of each draw and row, shape (draws, n).

        The predictions must be on the response scale, and no grouping factor may be averaged over.
        """
        # A separate generator: with the seed alone, outcomes would reuse the numbers behind the new clusters' effects.
        random = np.random.default_rng([self.seed, 1])
        return simulated_successes(self.predict(draws, rows), trials, random)

    def slope(self, draws: Draws, rows: EncodedRows, above: EncodedRows, below: EncodedRows, gap: float) -> FloatArray:
        """Derivative of the predictions at `rows`, for a step of `gap` from `below` to `above`; shape (draws, n).

        The derivative of the linear predictor is a central difference, exact for terms up to squares. The derivative of
        the probability follows from it exactly.
        """
        from scipy.special import expit

        change = (self.linear(draws, above) - self.linear(draws, below)) / gap
        if self._averaged:
            eta, sd = self.linear(draws, rows), self._spread(draws, rows)
            high, low = self._spread(draws, above), self._spread(draws, below)
            # d sd = d(sd^2) / (2 sd); where the sd is zero, its central difference is zero too.
            sd_change = np.divide(high**2 - low**2, 2 * gap * sd, out=np.zeros_like(sd), where=sd > 0)
            slope = average_slope(eta, sd, change, sd_change)
            if self.scale == "response":
                return slope
            probability = average_probability(eta, sd)
            return slope / (probability * (1 - probability))
        if self.scale == "link":
            return change
        probability = expit(self.linear(draws, rows))
        return change * probability * (1 - probability)

    def linear(self, draws: Draws, rows: EncodedRows) -> FloatArray:
        """Linear predictors of each draw and row, shape (draws, n), without the effects that are averaged over."""
        eta = linear_predictor(draws, self._placed(rows))
        random = np.random.default_rng(self.seed)
        for factor in self.model.design.groups:
            if factor.name not in rows.groups:  # typical clusters, whose effects are zero
                continue
            group = rows.groups[factor.name]
            new = self._is_new(factor.name, group)
            if not new.any():
                continue
            if self.clusters[factor.name] == "observed" and not self.allow_new_levels:
                _refuse_unseen(factor, group.labels[new])
            _add_new_clusters(eta, draws, factor, group, new, random)
        return eta

    @property
    def _averaged(self) -> bool:
        return "average" in self.clusters.values()

    def _spread(self, draws: Draws, rows: EncodedRows) -> FloatArray:
        return predictor_sd(draws, rows, [k for k, chosen in self.clusters.items() if chosen == "average"])

    def _is_new(self, name: str, group: GroupRows) -> npt.NDArray[np.bool_]:
        if self.clusters[name] == "observed":
            return group.index < 0
        return np.full(len(group.index), self.clusters[name] == "new")

    def _placed(self, rows: EncodedRows) -> EncodedRows:
        """The rows, with no cluster for the factors whose observed effects do not count."""
        groups = {
            name: g if self.clusters[name] == "observed" else GroupRows(g.labels, np.full_like(g.index, -1), g.Z)
            for name, g in rows.groups.items()
        }
        return EncodedRows(rows.X, rows.offset, groups)


def _refuse_unseen(group: GroupBlock, labels: npt.NDArray[Any]) -> None:
    unseen = list(dict.fromkeys(labels.tolist()))
    raise PredictionError(
        f"the new data have {number_of(len(unseen), 'cluster')} of '{group.name}' that the training data do not have: "
        f"{quoted_list(unseen)}. Pass allow_new_levels=True to draw effects of new clusters from the distribution "
        "between clusters, clusters='average' to average over it, or clusters='typical' to set cluster effects to zero."
    )


def _add_new_clusters(
    eta: FloatArray,
    draws: Draws,
    factor: GroupBlock,
    group: GroupRows,
    new: npt.NDArray[np.bool_],
    random: np.random.Generator,
) -> None:
    """Draw effects of new clusters, one for each label and posterior draw, and add them to `eta` in place."""
    codes, labels = pd.factorize(group.labels[new])
    standard = random.standard_normal((len(draws), len(labels), len(factor.effects)))
    effects = np.einsum("sij,slj->sli", draws.cholesky[factor.name], standard)
    index = np.full(len(group.index), -1, dtype=np.intp)
    index[new] = codes
    add_effects(eta, effects, index, group.Z)
