"""Rows, and which cluster effects count in them -> probabilities and linear predictors by posterior draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .density.averaging import average_probability, average_slope, spread_over_clusters
from .density.linear import Draws, add_effects, linear_predictor
from .design import EncodedRows
from .errors import PredictionError
from .fit import Fit
from .grouping import GroupBlock, GroupRows
from .model import Model
from .table import listed

FloatArray = npt.NDArray[np.float64]
CLUSTERS = ("observed", "new", "average", "typical")
SCALES = ("probability", "linear")


def check_choice(name: str, given: object, allowed: Sequence[str]) -> None:
    """Refuse an option that is not known.

    Raises
    ------
    PredictionError
    """
    if given not in allowed:
        raise PredictionError(f"{name}={given!r} is not known; choose one of {listed(allowed)}.")


def chosen_draws(fit: Fit, wanted: int | None) -> tuple[Draws, tuple[int, int]]:
    """All posterior draws, or as many as are wanted, evenly spaced; and the chains and draws they stand for.

    Raises
    ------
    PredictionError
    """
    posterior = fit.posterior
    all_draws = Draws.of(fit.model, posterior)
    if wanted is None:
        return all_draws, (posterior.sizes["chain"], posterior.sizes["draw"])
    if not (isinstance(wanted, Integral) and not isinstance(wanted, bool) and 1 <= wanted <= len(all_draws)):
        raise PredictionError(
            f"draws={wanted} must be a whole number from 1 to the {len(all_draws):,} draws of the fit."
        )
    picked = np.linspace(0, len(all_draws) - 1, int(wanted)).round().astype(np.intp)
    return all_draws[picked], (1, int(wanted))


@dataclass(frozen=True)
class Setting:
    """Which cluster effects count, and on which scale predictions are.

    Attributes
    ----------
    model : Model
    clusters : {"observed", "new", "average", "typical"}
    scale : {"probability", "linear"}
    allow_new_levels : bool
        Whether an unseen level of an observed factor is treated as new.
    seed : int
        Of the effects of new levels: the same for all rows that are compared with each other.
    """

    model: Model
    clusters: str
    scale: str
    allow_new_levels: bool
    seed: int

    def __post_init__(self) -> None:
        check_choice("clusters", self.clusters, CLUSTERS)
        check_choice("kind", self.scale, SCALES)

    def of_part(self, part: slice) -> Setting:
        """The same for a part of the draws, with random numbers of its own."""
        return replace(self, seed=int(np.random.SeedSequence([self.seed, part.start]).generate_state(1)[0]))

    def predict(self, draws: Draws, rows: EncodedRows) -> FloatArray:
        """Predictions of each draw and row, shape (draws, n).

        Raises
        ------
        PredictionError
            If a row's cluster is unknown and may not be.
        """
        if self.clusters == "average":
            averaged = average_probability(*self._normal(draws, rows))
            return averaged if self.scale == "probability" else np.log(averaged) - np.log1p(-averaged)
        eta = self.linear(draws, rows)
        if self.scale == "linear":
            return eta
        from scipy.special import expit

        found: FloatArray = expit(eta, out=eta)
        return found

    def slope(self, draws: Draws, rows: EncodedRows, above: EncodedRows, below: EncodedRows, gap: float) -> FloatArray:
        """Derivative of the predictions where rows move from `below` to `above`, a step of `gap`; shape (draws, n).

        The linear predictor's derivative is a difference, without error for terms up to squares; from there on the
        derivative is exact.
        """
        if self.clusters == "average":
            mean, sd = self._normal(draws, rows)
            (high, high_sd), (low, low_sd) = self._normal(draws, above), self._normal(draws, below)
            dmean = (high - low) / gap
            # d sd = d(sd^2) / (2 sd); of an sd of zero the derivative is zero from both sides.
            dsd = np.divide(high_sd**2 - low_sd**2, 2 * gap * sd, out=np.zeros_like(sd), where=sd > 0)
            slope = average_slope(mean, sd, dmean, dsd)
            if self.scale == "probability":
                return slope
            probability = average_probability(mean, sd)
            return slope / (probability * (1 - probability))
        change = (self.linear(draws, above) - self.linear(draws, below)) / gap
        if self.scale == "linear":
            return change
        from scipy.special import expit

        probability = expit(self.linear(draws, rows))
        return change * probability * (1 - probability)

    def _normal(self, draws: Draws, rows: EncodedRows) -> tuple[FloatArray, FloatArray]:
        """Mean and sd of the linear predictor over clusters."""
        return linear_predictor(draws, _nowhere(rows)), spread_over_clusters(draws, rows)

    def linear(self, draws: Draws, rows: EncodedRows) -> FloatArray:
        """Linear predictors of each draw and row with the clusters' effects, shape (draws, n)."""
        if self.clusters == "typical":
            return linear_predictor(draws, _nowhere(rows))
        placed = rows if self.clusters == "observed" else _nowhere(rows)
        eta = linear_predictor(draws, placed)
        random = np.random.default_rng(self.seed)
        for block in self.model.design.groups:
            group = placed.groups[block.name]
            unseen = group.index < 0
            if not unseen.any():
                continue
            if self.clusters == "observed" and not self.allow_new_levels:
                _refuse_unseen(block, group.labels[unseen])
            _add_new_clusters(eta, draws, block, group, random)
        return eta


def _nowhere(rows: EncodedRows) -> EncodedRows:
    """The rows in no cluster that has effects."""
    groups = {name: GroupRows(g.labels, np.full(len(rows), -1, dtype=np.intp), g.Z) for name, g in rows.groups.items()}
    return EncodedRows(rows.X, rows.offset, groups)


def _refuse_unseen(block: GroupBlock, labels: npt.NDArray[Any]) -> None:
    unseen = list(dict.fromkeys(labels.tolist()))
    raise PredictionError(
        f"the new data have {len(unseen)} clusters of '{block.name}' that training did not have: {listed(unseen)}. "
        "Pass allow_new_levels=True to draw their effects from the distribution between clusters, "
        "clusters='average' to average over it, or clusters='typical' to leave cluster effects out."
    )


def _add_new_clusters(
    eta: FloatArray, draws: Draws, block: GroupBlock, group: GroupRows, random: np.random.Generator
) -> None:
    """Draw effects of clusters not seen before, one for each label and posterior draw, and add them in place."""
    unseen = group.index < 0
    codes, labels = pd.factorize(group.labels[unseen])
    standard = random.standard_normal((len(draws), len(labels), len(block.effects)))
    effects = np.einsum("sij,slj->sli", draws.roots[block.name], standard)
    index = np.full(len(group.index), -1, dtype=np.intp)
    index[unseen] = codes
    add_effects(eta, effects, index, group.Z)


@dataclass(frozen=True)
class Averages:
    """Groups of rows whose predictions are averaged, within each draw.

    Attributes
    ----------
    described : pandas.DataFrame
        The groups' values, and how many rows each has.
    order, starts : ndarray of int
        Rows group by group, and where each group starts in them.
    share : ndarray, shape (n,)
        Weights of the rows, in that order; they sum to one in each group.
    """

    described: pd.DataFrame
    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    share: FloatArray

    @classmethod
    def by(cls, frame: pd.DataFrame, by: str | Sequence[str] | bool, weights: FloatArray | None = None) -> Averages:
        """Groups of rows with the same values in some columns; True takes all rows together.

        Raises
        ------
        PredictionError
            If a column is not there.
        """
        weights = np.ones(len(frame)) if weights is None else weights
        if by is True:
            everything = pd.DataFrame(index=pd.RangeIndex(1))
            return cls._of(everything, np.zeros(len(frame), dtype=np.intp), weights)
        columns = [by] if isinstance(by, str) else list(by) if not isinstance(by, bool) else []
        absent = [name for name in columns if name not in frame.columns]
        if absent:
            raise PredictionError(f"cannot average by {listed(absent)}; the rows have {listed(list(frame.columns))}.")
        if not columns:
            raise PredictionError("by=[] names no column; pass by=True to average over all rows.")
        codes = frame.groupby(columns, observed=True, sort=True, dropna=False).ngroup().to_numpy().astype(np.intp)
        firsts = np.unique(codes, return_index=True)[1]
        described = frame.iloc[firsts][columns].reset_index(drop=True)
        described = described.rename(columns={"rows": "rows_in_data"}).assign(rows=np.bincount(codes))
        return cls._of(described, codes, weights)

    @classmethod
    def _of(cls, described: pd.DataFrame, codes: npt.NDArray[np.intp], weights: FloatArray) -> Averages:
        totals = np.bincount(codes, weights=weights)
        if not np.all(totals > 0):
            raise PredictionError("the weights of a group of rows sum to zero: nothing can be averaged there.")
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        return cls(described, order, starts, (weights / totals[codes])[order])

    def of(self, values: FloatArray) -> FloatArray:
        """Averages over the rows of each group, shape (draws, groups)."""
        found: FloatArray = np.add.reduceat(values[:, self.order] * self.share, self.starts, axis=1)
        return found


def row_weights(frame: pd.DataFrame, weights: str | Sequence[float] | None) -> FloatArray | None:
    """Weights of rows, from a column or as they are given.

    Raises
    ------
    PredictionError
        If there is no such column, their number is wrong, or one is negative or no number.
    """
    if weights is None:
        return None
    if isinstance(weights, str) and weights not in frame.columns:
        raise PredictionError(
            f"weights={weights!r} is no column of the rows, which have {listed(list(frame.columns))}."
        )
    given = frame[weights] if isinstance(weights, str) else weights
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictionError(f"weights={weights!r} must be numbers, one for each row.") from None
    if found.shape != (len(frame),):
        raise PredictionError(f"weights have shape {found.shape}; one is needed for each of the {len(frame)} rows.")
    if not np.all(np.isfinite(found)) or np.any(found < 0):
        raise PredictionError("weights must be finite and not negative.")
    return found
