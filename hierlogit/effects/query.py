"""The rows, posterior draws and point estimate that a function of a fit computes with, in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import CHUNK_SIZE, Draws
from ..design.design import Design, EncodedRows
from ..design.grouping import GroupBlock, GroupRows
from ..design.table import with_columns
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..progress import progress
from ..summaries.intervals import set_aside
from ..validation import flag, quoted_list, seed_or_new, seed_or_none, whole_number
from .averaging_by import Averages, row_weights
from .cluster_choice import ClusterChoice, Clusters, ClusterSet, cluster_choices
from .cluster_effects import ClusterTreatment, PlacedRows
from .evaluated import Evaluated
from .new_rows import Rows
from .numerics.given_outcomes import Seen, modes_of_effects, new_labels, sampled_effects
from .row_by_row import RowByRow

FloatArray = npt.NDArray[np.float64]
#: Function of the cluster treatment, draws and a run of rows, which returns the values of each term.
Predicted = Callable[[ClusterTreatment, Draws, slice], list[FloatArray]]

#: Most values held at once (draws times rows), 1.5 GiB; more would fill the memory of a small machine.
MAX_CELLS = 2 * 10**8
#: Why estimates of likelihood fits can lie outside their intervals.
AT_MODES = (
    "An estimate lies outside its interval: it is at the conditional modes of the clusters' effects, which differ less "
    "than the effects do where clusters are small. Mean and interval are over draws of the effects: report these."
)
#: With a smaller share of accepted proposals, draws of new clusters' effects are too inaccurate.
FEWEST_ACCEPTED = 0.15


@dataclass(frozen=True)
class Query:
    """Rows, posterior draws and point estimate that a function of a fit computes with.

    Attributes
    ----------
    model : ModelSpec
    data : Rows
        The rows, of which those that are complete are computed with.
    draws : Draws
    chain_shape : tuple of int
        Number of chains, and of draws in each.
    point : Draws or None
        For likelihood fits, the maximum as a single draw.
    around : Draws or None
        For likelihood fits, points on either side of the maximum, if the covariance matrix is known.
    """

    model: ModelSpec
    data: Rows
    draws: Draws
    chain_shape: tuple[int, int]
    point: Draws | None
    around: Draws | None

    @classmethod
    def of(cls, fit: Fit, newdata: Any = None, num_draws: int | None = None, *, fixed: bool = True) -> Query:
        """The query for these rows and this number of draws, for what needs no clusters of the rows.

        Parameters
        ----------
        fit : Fit
        newdata : table, optional
        num_draws : int, optional
        fixed : bool
            Whether the fixed part is needed.

        Raises
        ------
        PredictionError
            If the rows cannot be read, or the fit has fewer draws.
        """
        require_fit(fit)
        data = Rows.of(fit.model.design, newdata, cluster_choices(fit.model, "average"), fixed=fixed)
        return cls(fit.model, data, *_draws_and_point(fit, num_draws))

    @property
    def design(self) -> Design:
        """The design of the model."""
        return self.model.design

    @cached_property
    def rows(self) -> EncodedRows:
        """The complete rows encoded for the model."""
        return self.design.training_rows() if self.data.of_training else self.encode(self.data.complete_frame)

    def encode(self, frame: pd.DataFrame) -> EncodedRows:
        """Other rows encoded for the model."""
        return self.data.encode(frame)

    def of_all_rows(self, values: Evaluated) -> Evaluated:
        """Values of the complete rows, once or several times over, as values of all rows: NaN for the others."""
        complete = self.data.complete
        if complete.all():
            return values
        wanted = np.tile(complete, values.draws.shape[1] // int(complete.sum()))

        def spread(some: FloatArray) -> FloatArray:
            every = np.full((len(some), len(wanted)), np.nan)
            every[:, wanted] = some
            return every

        return values.mapped(spread)

    def evaluate(
        self, compute: Callable[[Draws], FloatArray], size: int, rows: int = 1, what: str = "Computing"
    ) -> Evaluated:
        """The values of a function for all draws and at the maximum.

        Parameters
        ----------
        compute : callable
            Function of draws that returns an array (draws, size).
        size : int
            Number of values for each draw.
        rows : int
            Number of rows that are computed at once for each draw, which limits the draws in a chunk.
        what : str
            Text of the progress bar.

        Raises
        ------
        PredictionError
            If the values do not fit into memory.
        """
        values = self._room_for(size)
        for part, draws in self.chunks(rows, what):
            values[part] = compute(draws)
        return Evaluated(values, None if self.point is None else compute(self.point)[0], self.chain_shape)

    def chunks(self, rows: int, what: str) -> Iterator[tuple[slice, Draws]]:
        """Chunks of the draws, each with its slice, under a progress bar."""
        return progress(list(self.draws.chunks(rows)), what)

    def _room_for(self, size: int) -> FloatArray:
        if len(self.draws) * size > MAX_CELLS:
            raise PredictionError(
                f"{len(self.draws):,} draws of {size:,} values do not fit into memory. Pass "
                f"num_draws={max(MAX_CELLS // size, 1):,} or fewer, average with by=True, or predict for fewer rows."
            )
        return np.empty((len(self.draws), size))


@dataclass(frozen=True)
class PredictionQuery(Query):
    """A query for predictions, with the treatment of cluster effects and the rows to average over.

    Attributes
    ----------
    treatment : ClusterTreatment
    averages : Averages or None
        Groups of rows to average over.
    new_levels : mapping of str to ndarray
        By grouping factor, labels of new clusters whose effects stand after those of the training clusters in `draws`.
    sets : tuple of ClusterSet
        The representative clusters, for each of which the rows are predicted; a single empty set if there are none.
    """

    treatment: ClusterTreatment
    averages: Averages | None
    new_levels: Mapping[str, npt.NDArray[Any]]
    sets: tuple[ClusterSet, ...]

    @classmethod
    def for_predictions(
        cls,
        fit: Fit,
        newdata: Any = None,
        *,
        clusters: Clusters = "observed",
        scale: str = "response",
        by: str | Sequence[str] | bool | None = None,
        weights: str | Sequence[float] | None = None,
        given: Any = None,
        allow_new_levels: bool = False,
        num_draws: int | None = None,
        seed: int | None = None,
        others: Sequence[str] = (),
    ) -> PredictionQuery:
        """The query for the options that `predictions`, `comparisons` and `slopes` share.

        Rows are complete if they have no missing values in the columns that predictions need, and in `others`.

        Raises
        ------
        PredictionError
            If an option is not allowed.
        """
        require_fit(fit)
        choice = ClusterChoice.of(fit.model, clusters)
        data = Rows.of(fit.model.design, newdata, choice.treatments, others=others)
        allow_new_levels = flag("allow_new_levels", allow_new_levels, PredictionError)
        by = bool(by) if isinstance(by, np.bool_) else by
        if by is None or by is False:
            if weights is not None:
                raise PredictionError("weights= is used in averages only: pass by=True, or the columns to average by.")
            averages = None
        else:
            averages = Averages.by(data, by, row_weights(data, weights, fit.model.design))
            if weights is None and data.of_training and fit.model.design.sampling is not None:
                averages = replace(averages, of_sample=True)
        random = np.random.default_rng(_seed_of(fit, seed))
        seed = int(random.integers(2**32))
        treatment = ClusterTreatment(fit.model, choice.treatments, scale, allow_new_levels, seed)
        prepared = cls(fit.model, data, *_draws_and_point(fit, num_draws), treatment, averages, {}, choice.sets)
        return prepared if given is None else prepared._given(given, random)

    @property
    def predicted_quantity(self) -> str:
        """What is predicted, as text: ``probability of use = 1``."""
        what = "probability" if self.treatment.scale == "response" else "log-odds"
        weighted = ", weighted to the population" if self.averages is not None and self.averages.of_sample else ""
        by_row = self.averages is None and self.data.of_training and self.design.table.counts is not None
        each = f", of {self.design.table.unit}" if by_row else ""
        return f"{what} of {self.design.outcome.event}{weighted}{each}"

    @property
    def at_modes(self) -> str:
        """What to know of an estimate outside its interval; empty unless it is at modes of the clusters' effects."""
        return AT_MODES if "observed" in self.treatment.clusters.values() else ""

    @property
    def described(self) -> pd.DataFrame:
        """The rows, or the groups of rows that are averaged over."""
        return self.data.shown if self.averages is None else self.averages.described

    def for_each_set(self, described: pd.DataFrame) -> pd.DataFrame:
        """What describes the values of one set of representative clusters, repeated for all sets.

        The first column, ``clusters``, names them; without representative clusters the table is as it was. Rows that
        are numbered stay so, and labels of rows are repeated.
        """
        if not any(self.sets):
            return described
        kept = set_aside(described, ["clusters"])
        labels = [", ".join(cluster.label for cluster in chosen) for chosen in self.sets]
        parts = [with_columns(kept, {"clusters": label}) for label in labels]
        repeated = pd.concat(parts, ignore_index=isinstance(kept.index, pd.RangeIndex))
        return repeated[["clusters", *kept.columns]]

    def encode(self, frame: pd.DataFrame) -> EncodedRows:
        """Rows encoded for the model, with the clusters of `new_levels` among the known ones."""
        return _with_levels(self.data.encode(frame), self.new_levels, self.design.groups)

    def place(self, rows: EncodedRows) -> PlacedRows:
        """Encoded rows with the clusters whose effects count.

        Raises
        ------
        PredictionError
            If a row's cluster is not in the training data and new levels are not allowed.
        """
        return self.treatment.place(rows)

    def predicted(self, compute: Predicted, terms: int, rows: PlacedRows, what: str) -> Evaluated | RowByRow:
        """A function of predictions for all draws, and at the maximum unless effects are drawn at random.

        Parameters
        ----------
        compute : callable
            Function of the cluster treatment, draws and a run of the complete rows that returns values for each term,
            shape (draws, rows) or (draws, groups of rows). It is kept where values are computed when they are read.
        terms : int
            Number of terms, for each set of representative clusters.
        rows : PlacedRows
            One of the sets of rows that are computed with.
        what : str
            Text of the progress bar.

        Returns
        -------
        Evaluated or RowByRow
            The values if they fit into memory; otherwise, for rows that are not averaged over, computed when read.

        Raises
        ------
        PredictionError
            If averages do not fit into memory.
        """
        every, compute, terms = slice(0, len(rows)), partial(_of_each_set, compute, self.sets), terms * len(self.sets)
        estimate = None
        if self.point is not None and not rows.new:
            estimate = np.concatenate(compute(self.treatment, self.point, every), axis=1)[0]
        if self.averages is None and len(self.draws) * len(rows) * terms > MAX_CELLS:
            return self._row_by_row(compute, terms, estimate, what)
        count = len(rows) if self.averages is None else len(self.averages.described)
        values = self._room_for(count * terms)
        for part, draws in self.chunks(len(rows), what):
            values[part] = np.concatenate(compute(self.treatment.of_part(part), draws, every), axis=1)
        evaluated = Evaluated(values, estimate, self.chain_shape, self._values_around(compute, rows, terms))
        return self.of_all_rows(evaluated) if self.averages is None else evaluated

    def _values_around(self, compute: Predicted, rows: PlacedRows, terms: int) -> FloatArray | None:
        """The values at the points around the maximum, if they depend on nothing but the parameters."""
        if (
            self.point is None
            or self.around is None
            or not {*self.treatment.clusters.values()} <= {"average", "typical", "quantile"}
        ):
            return None
        if self.averages is None and len(self.around) * len(rows) * terms > CHUNK_SIZE:
            return None
        every = slice(0, len(rows))
        parts = [
            np.concatenate(compute(self.treatment, some, every), axis=1) for _, some in self.around.chunks(len(rows))
        ]
        return np.concatenate(parts)

    def _row_by_row(self, compute: Predicted, terms: int, estimate: FloatArray | None, what: str) -> RowByRow:
        complete = self.data.complete
        if estimate is not None:
            every = np.full((terms, len(complete)), np.nan)
            every[:, complete] = estimate.reshape(terms, -1)
            estimate = every.ravel()
        return RowByRow(partial(compute, self.treatment, self.draws), terms, complete, estimate, self.chain_shape, what)

    def _given(self, given: Any, random: np.random.Generator) -> PredictionQuery:
        """The query with effects of new clusters drawn given their outcomes in the rows `given`."""
        unused = [name for name, choice in self.treatment.clusters.items() if choice != "observed"]
        if unused:
            raise PredictionError(
                "given= estimates the effects of new clusters, which are used with clusters='observed' only: leave "
                f"clusters= at 'observed' for {quoted_list(unused)}."
            )
        others = self.design.response_columns
        seen_rows = Rows.of(self.design, given, self.treatment.clusters, others=others).complete_frame
        rows, outcome = self.data.encode(seen_rows), self.design.encode_outcome(seen_rows)
        labels = {name: new for name, new in new_labels(rows).items() if len(new)}
        if not labels:
            raise PredictionError(
                "every cluster in given= is in the training data, whose outcomes the fit has used already. Pass "
                "outcomes of new clusters."
            )
        seen = Seen(rows, outcome.y, outcome.trials)
        effects, accepted, size = sampled_effects(self.draws, seen, random)
        if accepted < FEWEST_ACCEPTED:
            raise PredictionError(
                f"the new clusters in given= have {size:,} effects of crossed or nested factors that depend on each "
                "other, too many to draw together. Pass fewer new clusters at once, or fit the model to these rows too."
            )
        point = None if self.point is None else self.point.extended(modes_of_effects(self.point, seen))
        return replace(self, draws=self.draws.extended(effects), point=point, new_levels=labels)


def _of_each_set(
    compute: Predicted, sets: Sequence[ClusterSet], treatment: ClusterTreatment, draws: Draws, run: slice
) -> list[FloatArray]:
    """The values of all terms for each set of representative clusters, one set after the other."""
    return [values for k, chosen in enumerate(sets) for values in compute(treatment.at(chosen, k), draws, run)]


def _seed_of(fit: Fit, seed: int | None) -> int:
    """The seed of the user, else that of a likelihood fit, whose results are the same each time, else a new one."""
    given = seed_or_none("seed", seed, PredictionError)
    if given is None and fit.estimate is not None:
        given = fit.diagnostics.seed
    return seed_or_new(given, PredictionError)


def _draws_and_point(fit: Fit, num_draws: int | None) -> tuple[Draws, tuple[int, int], Draws | None, Draws | None]:
    """The posterior draws, with their numbers of chains and draws, and the maximum of a likelihood fit, with others.

    The others are the points on either side of it.
    """
    chosen = _chosen_draws(fit, num_draws)
    if fit.estimate is None:
        return *chosen, None, None
    known = bool(np.isfinite(fit.estimate.covariance).all())
    return *chosen, Draws.at(fit.estimate), Draws.around(fit.estimate) if known else None


def _chosen_draws(fit: Fit, num_draws: int | None) -> tuple[Draws, tuple[int, int]]:
    """The posterior draws, all or `num_draws` evenly spaced, with the number of chains and of draws in each."""
    posterior = fit.posterior
    draws = Draws.of(fit.model, posterior)
    if num_draws is None:
        return draws, (posterior.sizes["chain"], posterior.sizes["draw"])
    count = whole_number("num_draws", num_draws, PredictionError, least=1, most=len(draws))
    picked = np.linspace(0, len(draws) - 1, count).round().astype(np.intp)
    return draws[picked], (1, count)


def _with_levels(
    rows: EncodedRows, new_levels: Mapping[str, npt.NDArray[Any]], factors: Sequence[GroupBlock]
) -> EncodedRows:
    groups = dict(rows.groups)
    for factor in factors:
        if factor.name not in new_levels:
            continue
        group = groups[factor.name]
        at = pd.Index(new_levels[factor.name]).get_indexer(pd.Index(group.labels))
        index = np.where((group.index < 0) & (at >= 0), at + len(factor.levels), group.index)
        groups[factor.name] = GroupRows(group.labels, index.astype(np.intp), group.Z)
    return EncodedRows(rows.X, rows.offset, groups)
