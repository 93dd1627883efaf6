"""Means, sds and intervals of draws, with ArviZ's defaults and column names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import ShownAsCall
from ..errors import PredictionError
from ..result_table import ResultTable, is_end, last_level
from ..validation import choice, interval_probability

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]
CI_NAMES = {"eti": "equal-tailed", "hdi": "highest-density"}
CI_KINDS = tuple(CI_NAMES)


@dataclass(frozen=True, repr=False)
class Interval(ShownAsCall):
    """Probability and kind of an interval.

    Attributes
    ----------
    prob : float
    kind : {"eti", "hdi"}
        Equal-tailed or highest-density.
    """

    prob: float
    kind: str

    @classmethod
    def of(cls, ci_prob: float | None, ci_kind: str | None) -> Interval:
        """The interval of the given options, with ArviZ's defaults (``arviz.rcParams``) for those not given."""
        from arviz_base import rcParams

        prob = rcParams["stats.ci_prob"] if ci_prob is None else ci_prob
        kind = rcParams["stats.ci_kind"] if ci_kind is None else ci_kind
        prob = interval_probability("ci_prob", prob, PredictionError)
        return cls(prob, choice("ci_kind", kind, CI_KINDS, PredictionError))

    @property
    def columns(self) -> tuple[str, str]:
        """Names of the two ends, as in ArviZ: ``eti89_lb`` and ``eti89_ub``."""
        return end_names(self.kind, self.prob)

    @property
    def quantile(self) -> float:
        """Standard normal quantile at the upper end of an equal-tailed interval."""
        from scipy.special import ndtri

        return float(ndtri(0.5 + self.prob / 2))

    def ends(self, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the interval over the first axis of `draws`."""
        if self.kind == "eti":
            tail = (1 - self.prob) / 2
            low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
            return low, high
        return _highest_density(draws, self.prob)


def end_names(kind: str, prob: float) -> tuple[str, str]:
    """Names of the two ends of an interval, as in ArviZ: ``eti89_lb`` and ``eti89_ub``."""
    percent = f"{100 * prob:g}".replace(".", "_")
    return f"{kind}{percent}_lb", f"{kind}{percent}_ub"


def columns_of_ends(table: pd.DataFrame) -> tuple[str, str]:
    """Names of the columns of a table with the two ends of its intervals, whatever their kind."""
    (low,) = [str(name) for name in table if str(name).endswith("_lb")]
    return low, f"{low.removesuffix('_lb')}_ub"


def _highest_density(draws: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the narrowest interval that contains the share `prob` of the draws, for each column."""
    ordered = np.sort(draws, axis=0)
    inside = int(np.floor(prob * len(ordered)))
    widths = ordered[inside:] - ordered[: len(ordered) - inside]
    start = np.argmin(widths, axis=0)[None]
    return np.take_along_axis(ordered, start, 0)[0], np.take_along_axis(ordered, start + inside, 0)[0]


#: How many numbers are sorted at once for interval ends; sorting copies them.
CHUNK_SIZE = 2**23


def summarise(draws: FloatArray, interval: Interval) -> dict[str, FloatArray]:
    """Mean, sd and interval ends over the first axis of `draws`, shape (draws, ...), by column name."""
    flat = draws.reshape(len(draws), -1)
    step = max(1, CHUNK_SIZE // len(draws))
    with np.errstate(invalid="ignore", over="ignore"):  # some draws of a ratio may be infinite
        parts = [interval.ends(flat[:, start : start + step]) for start in range(0, flat.shape[1], step)]
        mean = draws.mean(axis=0)
        sd = draws.std(axis=0, ddof=1) if len(draws) > 1 else np.full(draws.shape[1:], np.nan)
    low, high = (np.concatenate(ends).reshape(draws.shape[1:]) for ends in zip(*parts, strict=True))
    names = interval.columns
    return {"mean": mean, "sd": sd, names[0]: low, names[1]: high}


#: Columns of summaries besides the ends of intervals; columns of the user's data with one of these names are renamed.
SUMMARIES = ("rows", "estimate", "mean", "sd", "median", "p_direction", "p_rope")


def is_summary(column: object) -> bool:
    """Whether a column of a result holds a summary, and not values of the user's data.

    Examples
    --------
    >>> is_summary("eti89_lb"), is_summary("age")
    (True, False)
    """
    return column in SUMMARIES or is_end(column)


def set_aside(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The rows with the columns that have names of results renamed: ``mean`` becomes ``mean_in_data``.

    Examples
    --------
    >>> list(set_aside(pd.DataFrame(columns=["mean", "mean_in_data", "x"]), ["mean", "sd"]))
    ['mean_in_data_in_data', 'mean_in_data', 'x']
    """
    taken, renamed = {*frame.columns, *names}, {}
    for name in frame.columns.intersection(list(names)):
        renamed[name] = f"{name}_in_data"
        while renamed[name] in taken:
            renamed[name] += "_in_data"
        taken.add(renamed[name])
    return frame.rename(columns=renamed)


class DrawTable(ResultTable):
    """A table of results together with the draws that it summarises.

    Attributes
    ----------
    draws : xarray.DataArray
        Dims (chain, draw, row), one row for each row of the table. Tables made from it by selecting, copying or merging
        have no draws.
    quantity : str
        What is summarised, and on which scale: the title of the table where it is shown.
    """

    draws: xr.DataArray

    _metadata = [*ResultTable._metadata, "draws"]  # noqa: RUF012  pandas reads this name

    @classmethod
    def with_draws(
        cls, table: pd.DataFrame, draws: Any, quantity: str = "", spare: Sequence[str] = ("sd",)
    ) -> DrawTable:
        """A table of summaries with draws attached, what is summarised, and columns that are left out first."""
        data = [name for name in map(last_level, table.columns) if not is_summary(name)]
        result = cls.of(table, quantity, data=data, spare=[*spare, *reversed(data)])
        object.__setattr__(result, "draws", draws)
        return result
