"""Probabilities and linear predictors of rows by posterior draw, for a choice of cluster effects (``clusters=``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws, add_effects, linear_predictor
from ..design.design import EncodedRows
from ..design.grouping import GroupBlock, GroupRows
from ..errors import PredictionError
from ..model_spec import ModelSpec
from ..validation import number_of, quoted_list
from .cluster_choice import ClusterSet
from .numerics.population_average import (
    average_over_clusters,
    average_probability,
    average_slope,
    predictor_sd,
    predictor_sd_slope,
)
from .random_streams import simulated_outcomes, standard_normals

FloatArray = npt.NDArray[np.float64]
SCALES = ("response", "link")


@dataclass(frozen=True)
class NewClusters:
    """Clusters of rows that get effects drawn from their distribution, for one grouping factor.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Number of each row's new cluster; -1 for rows of known clusters.
    count : int
        Number of new clusters.
    """

    codes: npt.NDArray[np.intp]
    count: int


@dataclass(frozen=True)
class PlacedRows:
    """Rows with the clusters whose effects count.

    Attributes
    ----------
    encoded : EncodedRows
        With no cluster for the factors whose known effects do not count.
    new : mapping of str to NewClusters
        By grouping factor, where there are new clusters.
    first : int
        Number of the first row in the table that they are a part of.
    """

    encoded: EncodedRows
    new: Mapping[str, NewClusters]
    first: int = 0

    def __len__(self) -> int:
        return len(self.encoded)

    def at(self, chosen: npt.NDArray[np.intp] | slice) -> PlacedRows:
        """The rows at the given positions, as a table of their own; views of them for a slice."""
        new = {name: NewClusters(some.codes[chosen], some.count) for name, some in self.new.items()}
        return PlacedRows(self.encoded.at(chosen), new)

    def part(self, rows: slice) -> PlacedRows:
        """A run of the rows, as views of them."""
        return replace(self.at(rows), first=self.first + rows.start)


@dataclass(frozen=True)
class ClusterTreatment:
    """Which cluster effects count, and on which scale predictions are.

    Attributes
    ----------
    model : Model
    clusters : mapping of str to str
        The choice for each grouping factor: "observed", "new", "average", "typical" or "quantile".
    scale : {"response", "link"}
    allow_new_levels : bool
        Whether a level that is not in the training data is treated as new where the choice is "observed".
    seed : int
        Seed for the effects of new levels, so that all rows that are compared have the same effects.
    first_draw : int
        Number of the first of the posterior draws that are computed with. Effects and outcomes that are drawn at random
        depend on the number of the draw, but not on which draws and rows are computed together.
    representatives : tuple of ClusterQuantile
        The representative clusters of the factors with the choice "quantile".
    set_number : int
        Number of this set of representative clusters. Outcomes that are drawn for different sets are independent.
    """

    model: ModelSpec
    clusters: Mapping[str, str]
    scale: str
    allow_new_levels: bool
    seed: int
    first_draw: int = 0
    representatives: ClusterSet = ()
    set_number: int = 0

    def of_part(self, part: slice) -> ClusterTreatment:
        """The treatment for a part of the draws."""
        return replace(self, first_draw=part.start)

    def at(self, representatives: ClusterSet, set_number: int) -> ClusterTreatment:
        """The treatment with other representative clusters."""
        return replace(self, representatives=representatives, set_number=set_number)

    def place(self, rows: EncodedRows) -> PlacedRows:
        """The rows with the clusters whose effects count.

        Raises
        ------
        PredictionError
            If a row's cluster is not in the training data and new levels are not allowed.
        """
        groups, new = {}, {}
        for factor in self.model.design.groups:
            if factor.name not in rows.groups:  # typical clusters, whose effects are zero
                continue
            name, group = factor.name, rows.groups[factor.name]
            observed = self.clusters[name] == "observed"
            index = group.index if observed else np.full_like(group.index, -1)
            groups[name] = GroupRows(group.labels, index, group.Z)
            unknown = index < 0 if observed else np.full(len(index), self.clusters[name] == "new")
            if not unknown.any():
                continue
            if observed and not self.allow_new_levels:
                _refuse_unseen(factor, group.labels[unknown])
            found, labels = pd.factorize(group.labels[unknown])
            codes = np.full(len(index), -1, dtype=np.intp)
            codes[unknown] = found
            new[name] = NewClusters(codes, len(labels))
        return PlacedRows(EncodedRows(rows.X, rows.offset, groups), new)

    def predict(self, draws: Draws, rows: PlacedRows) -> FloatArray:
        """Predictions of each draw and row, shape (draws, n)."""
        from scipy.special import expit

        eta = self.linear(draws, rows)
        if self._averaged:
            averaged = average_over_clusters(eta, draws, rows.encoded, self._averaged)
            return averaged if self.scale == "response" else np.log(averaged) - np.log1p(-averaged)
        if self.scale == "link":
            return eta
        probability: FloatArray = expit(eta, out=eta)
        return probability

    def simulate(self, draws: Draws, rows: PlacedRows, trials: FloatArray) -> FloatArray:
        """Successes drawn from the predicted probabilities of each draw and row, shape (draws, n).

        The predictions must be on the response scale, and no grouping factor may be averaged over.
        """
        probability = self.predict(draws, rows)
        return simulated_outcomes(
            self.seed, self.set_number, self.first_draw, rows.first, probability, trials, draws.phi
        )

    def slope(self, draws: Draws, rows: PlacedRows, above: PlacedRows, below: PlacedRows, gap: float) -> FloatArray:
        """Derivative of the predictions at `rows`, for a step of `gap` from `below` to `above`; shape (draws, n).

        The derivative of the linear predictor is a central difference, exact for terms up to squares of the fixed part
        and of observed clusters. The derivative of the probability follows from it exactly.
        """
        from scipy.special import expit

        change = (self.linear(draws, above) - self.linear(draws, below)) / gap
        if self._averaged:
            eta, sd = self.linear(draws, rows), predictor_sd(draws, rows.encoded, self._averaged)
            sd_change = predictor_sd_slope(sd, draws, above.encoded, below.encoded, gap, self._averaged)
            slope = average_slope(eta, sd, change, sd_change)
            if self.scale == "response":
                return slope
            probability = average_probability(eta, sd)
            return slope / (probability * (1 - probability))
        if self.scale == "link":
            return change
        probability = expit(self.linear(draws, rows))
        return change * probability * (1 - probability)

    def linear(self, draws: Draws, rows: PlacedRows) -> FloatArray:
        """Linear predictors of each draw and row, shape (draws, n), without the effects that are averaged over."""
        from scipy.special import ndtri

        eta = linear_predictor(draws, rows.encoded)
        for number, factor in enumerate(self.model.design.groups):
            if factor.name in rows.new:
                self._add_new_clusters(eta, draws, factor, number, rows)
        for cluster in self.representatives:
            eta += ndtri(cluster.prob) * predictor_sd(draws, rows.encoded, cluster.factors)
        return eta

    @property
    def _averaged(self) -> list[str]:
        """The factors over whose clusters predictions are averaged."""
        return [name for name, chosen in self.clusters.items() if chosen == "average"]

    def _add_new_clusters(
        self, eta: FloatArray, draws: Draws, factor: GroupBlock, number: int, rows: PlacedRows
    ) -> None:
        """Draw effects of new clusters, one for each label and posterior draw, and add them to `eta` in place."""
        new = rows.new[factor.name]
        present, index = np.unique(new.codes, return_inverse=True)
        if present[0] < 0:
            present, index = present[1:], index - 1
        shape = (new.count, len(factor.effects))
        standard = standard_normals(self.seed, number, self.first_draw, len(draws), present, shape)
        effects = np.einsum("sij,slj->sli", draws.cholesky[factor.name], standard)
        add_effects(eta, effects, index.astype(np.intp), rows.encoded.groups[factor.name].Z)


def _refuse_unseen(group: GroupBlock, labels: npt.NDArray[Any]) -> None:
    unseen = list(dict.fromkeys(labels.tolist()))
    raise PredictionError(
        f"the new data have {number_of(len(unseen), 'cluster')} of '{group.name}' that the training data do not have: "
        f"{quoted_list(unseen)}. Pass allow_new_levels=True to draw effects of new clusters from the distribution "
        "between clusters, clusters='average' to average over it, or clusters='typical' to set cluster effects to zero."
    )
