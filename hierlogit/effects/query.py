"""Something computed for rows and draws, part by part: the draws, what they are at the maximum, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..density.linear_predictor import Draws
from ..design.design import EncodedRows
from ..design.grouping import GroupRows
from ..design.table import read_table
from ..errors import PredictionError
from ..fits.fit import Fit
from ..progress import progress
from ..summaries.intervals import DrawTable, Interval, summarise
from ..validation import quoted_list
from .averaging_by import Averages, row_weights
from .cluster_effects import ClusterTreatment, chosen_draws, treatments
from .numerics.given_outcomes import Seen, modes_of_effects, new_labels, sampled_effects

FloatArray = npt.NDArray[np.float64]

#: Values held at once, draws times rows; more than this would fill the memory of a small machine.
MAX_CELLS = 2 * 10**8
#: Below this share of accepted proposals draws of new clusters' effects would not be what they are said to be.
FEWEST_ACCEPTED = 0.15


@dataclass(frozen=True)
class Evaluated:
    """Values of rows.

    Attributes
    ----------
    draws : ndarray, shape (draws, rows)
    estimate : ndarray, shape (rows,), or None
        Their values at the maximum, of a likelihood engine.
    chain_shape : tuple of int
        Chains, and draws of each.
    """

    draws: FloatArray
    estimate: FloatArray | None
    chain_shape: tuple[int, int]

    def mapped(self, function: Callable[[FloatArray], FloatArray]) -> Evaluated:
        """The same function of each draw and of the estimate; it is given an array (draws, rows)."""
        estimate = None if self.estimate is None else function(self.estimate[None])[0]
        return replace(self, draws=function(self.draws), estimate=estimate)

    def table(
        self, described: pd.DataFrame, interval: Interval, extra: Mapping[str, FloatArray] | None = None
    ) -> DrawTable:
        """Summaries beside what the rows are; a column of the rows with one of their names is renamed."""
        first = {} if self.estimate is None else {"estimate": self.estimate}
        columns = {**first, **summarise(self.draws, interval), **(extra or {})}
        kept = described.rename(columns={name: f"{name}_in_data" for name in columns})
        table = pd.concat([kept, pd.DataFrame(columns, index=kept.index)], axis=1)
        labels = table.index if table.index.nlevels == 1 and table.index.is_unique else pd.RangeIndex(len(table))
        array = xr.DataArray(
            self.draws.reshape(*self.chain_shape, -1),
            dims=("chain", "draw", "row"),
            coords={"row": labels.to_numpy()},
        )
        return DrawTable.of(table, array)


@dataclass(frozen=True)
class Evaluator:
    """The rows, draws and setting of one question to a fit.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows, with their labels.
    of_training : bool
        Whether they are those of training.
    setting : ClusterTreatment
    draws : Draws
    chain_shape : tuple of int
    point : Draws or None
        The maximum of a likelihood engine, as one draw.
    averages : Averages or None
        Groups of rows to average over.
    new_levels : mapping of str to ndarray
        Labels of new clusters whose effects stand behind those of training in `draws`, by grouping factor.
    """

    frame: pd.DataFrame
    of_training: bool
    setting: ClusterTreatment
    draws: Draws
    chain_shape: tuple[int, int]
    point: Draws | None
    averages: Averages | None
    new_levels: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(
        cls,
        fit: Fit,
        newdata: Any,
        *,
        clusters: str | Mapping[str, str],
        scale: str,
        by: str | Sequence[str] | bool | None,
        weights: str | Sequence[float] | None,
        given: Any,
        allow_new_levels: bool,
        draws: int | None,
        seed: int | None,
    ) -> Evaluator:
        """Check the question's options.

        Raises
        ------
        PredictionError
            If one is unknown or out of its range.
        """
        table = fit.model.design.table
        frame = table.frame.set_axis(table.rows) if newdata is None else read_table(newdata)
        if by is None or by is False:
            if weights is not None:
                raise PredictionError("weights count in averages: pass by=True, or the columns to average by.")
            averages = None
        else:
            averages = Averages.by(frame, by, row_weights(frame, weights))
        random = np.random.default_rng(seed)
        setting = ClusterTreatment(
            fit.model, treatments(fit.model, clusters), scale, allow_new_levels, int(random.integers(2**32))
        )
        chosen, chain_shape = chosen_draws(fit, draws)
        point = None if fit.estimate is None else Draws.at(fit.estimate)
        asked = cls(frame, newdata is None, setting, chosen, chain_shape, point, averages, {})
        return asked if given is None else asked._given(given, random)

    @property
    def described(self) -> pd.DataFrame:
        """The rows, or the groups of rows that are averaged over."""
        return self.frame if self.averages is None else self.averages.described

    def encode(self, frame: pd.DataFrame) -> EncodedRows:
        """Rows in the form a model computes with; clusters of `new_levels` are known."""
        return _with_levels(self.setting.model.design.encode(frame), self.new_levels, self.setting.model.design.groups)

    def rows(self) -> EncodedRows:
        """The question's own rows."""
        design = self.setting.model.design
        return design.training_rows() if self.of_training else self.encode(self.frame)

    def average(self, values: FloatArray) -> FloatArray:
        """Averages of values (draws, rows) over the groups of rows, if there are any."""
        return values if self.averages is None else self.averages.of(values)

    def evaluate(
        self, compute: Callable[[ClusterTreatment, Draws], FloatArray], per_row: int, rows: EncodedRows, what: str
    ) -> Evaluated:
        """Compute something for all draws.

        Parameters
        ----------
        compute : callable
            Of some of the draws, and the setting for them, to an array (draws, values).
        per_row : int
            Values for each row or group of rows.
        rows : EncodedRows
            One set of the rows that are computed with.
        what : str
            What is done, for a progress bar.

        Raises
        ------
        PredictionError
            If there are more values than memory.
        """
        size = len(self.described) * per_row
        if len(self.draws) * size > MAX_CELLS:
            raise PredictionError(
                f"{len(self.draws):,} draws of {size:,} values do not fit into memory. Pass "
                f"draws={max(MAX_CELLS // size, 1):,} or fewer, average with by=True, or take parts of the rows."
            )
        values = np.empty((len(self.draws), size))
        for part, some in progress(list(self.draws.chunks(len(rows))), what):
            values[part] = compute(self.setting.of_part(part), some)
        known = self.point is not None and not self.setting.is_random(rows)
        estimate = compute(self.setting, self.point)[0] if known and self.point is not None else None
        return Evaluated(values, estimate, self.chain_shape)

    def _given(self, given: Any, random: np.random.Generator) -> Evaluator:
        """With the effects of the new clusters in some rows, given their outcomes."""
        model = self.setting.model
        rows, outcome = model.design.encode(given), model.design.encode_outcome(given)
        unused = [name for name, chosen in self.setting.treatment.items() if chosen != "observed"]
        if unused:
            raise PredictionError(
                "given= tells outcomes of new clusters, whose own effects then count: leave clusters= at 'observed' "
                f"for {quoted_list(unused)}."
            )
        labels = {name: found for name, found in new_labels(rows).items() if len(found)}
        if not labels:
            raise PredictionError(
                "given= has no cluster that training did not have; the outcomes of clusters that it had are in the fit "
                "already."
            )
        seen = Seen(rows, outcome.y, outcome.trials)
        effects, accepted, size = sampled_effects(self.draws, seen, random)
        if accepted < FEWEST_ACCEPTED:
            raise PredictionError(
                f"given= has new clusters of crossed or nested factors with {size} effects that depend on each other: "
                "too many to draw together. Give fewer new clusters at once, or fit the model to these rows as well."
            )
        point = None if self.point is None else self.point.extended(modes_of_effects(self.point, seen))
        return replace(self, draws=self.draws.extended(effects), point=point, new_levels=labels)


def _with_levels(rows: EncodedRows, new_levels: Mapping[str, npt.NDArray[Any]], blocks: Sequence[Any]) -> EncodedRows:
    groups = dict(rows.groups)
    for block in blocks:
        if block.name not in new_levels:
            continue
        own = groups[block.name]
        at = pd.Index(new_levels[block.name]).get_indexer(pd.Index(own.labels))
        index = np.where((own.index < 0) & (at >= 0), at + len(block.levels), own.index)
        groups[block.name] = GroupRows(own.labels, index.astype(np.intp), own.Z)
    return EncodedRows(rows.X, rows.offset, groups)
