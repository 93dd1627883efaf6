"""Means, sds and intervals of draws, with ArviZ's defaults and column names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import ShownAsCall
from ..errors import PredictionError
from ..pictures import Picture
from ..result_table import ResultTable, is_end, last_level
from ..student_t import t_quantile
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
        prob = _default("stats.ci_prob") if ci_prob is None else ci_prob
        kind = _default("stats.ci_kind") if ci_kind is None else ci_kind
        prob = interval_probability("ci_prob", prob, PredictionError)
        return cls(prob, choice("ci_kind", kind, CI_KINDS, PredictionError))

    @property
    def columns(self) -> tuple[str, str]:
        """Names of the two ends, as in ArviZ: ``eti89_lb`` and ``eti89_ub``."""
        return end_names(self.kind, self.prob)

    @property
    def certain(self) -> float:
        """Probability of one direction at which an equal-tailed interval excludes no difference."""
        return (1 + self.prob) / 2

    @property
    def quantile(self) -> float:
        """Standard normal quantile at the upper end of an equal-tailed interval."""
        return float(t_quantile(np.inf, self.prob))

    def ends(self, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the interval over the first axis of `draws`."""
        if self.kind == "eti":
            return _equal_tailed(draws, self.prob)
        return _highest_density(draws, self.prob)


def _default(setting: str) -> Any:
    """What ArviZ is set to, which takes long to import where nothing else does."""
    from ..arviz_settings import rcParams

    return rcParams[setting]


def end_names(kind: str, prob: float) -> tuple[str, str]:
    """Names of the two ends of an interval, as in ArviZ: ``eti89_lb`` and ``eti89_ub``."""
    percent = f"{100 * prob:g}".replace(".", "_")
    return f"{kind}{percent}_lb", f"{kind}{percent}_ub"


def columns_of_ends(table: pd.DataFrame) -> tuple[str, str]:
    """Names of the columns of a table with the two ends of its intervals, whatever their kind."""
    (low,) = [str(name) for name in table if str(name).endswith("_lb")]
    return low, f"{low.removesuffix('_lb')}_ub"


def _equal_tailed(draws: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Quantiles of each column, as those of `numpy.quantile`, with the draws of a column side by side in memory."""
    columns = np.array(draws.reshape(len(draws), -1).T, order="C")  # a copy, which is then sorted in part
    at = (len(draws) - 1) * np.array([(1 - prob) / 2, (1 + prob) / 2])
    below = np.floor(at).astype(np.intp)
    above = np.minimum(below + 1, len(draws) - 1)
    missing = np.isnan(columns).any(axis=1)
    columns.partition(np.unique([below, above]), axis=1)
    ends = []
    for k in range(2):
        first, second = columns[:, below[k]], columns[:, above[k]]
        with np.errstate(invalid="ignore"):  # infinite draws
            end = np.where(first == second, first, first + (second - first) * (at[k] - below[k]))
        ends.append(np.where(missing, np.nan, end).reshape(draws.shape[1:]))
    return ends[0], ends[1]


def _highest_density(draws: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the narrowest interval that contains the share `prob` of the draws, for each column."""
    ordered = np.sort(np.ascontiguousarray(draws.T), axis=-1).T
    inside = int(np.floor(prob * len(ordered)))
    widths = ordered[inside:] - ordered[: len(ordered) - inside]
    start = np.argmin(widths, axis=0)[None]
    return np.take_along_axis(ordered, start, 0)[0], np.take_along_axis(ordered, start + inside, 0)[0]


#: How many numbers are summarised at once, since that copies them.
CHUNK_SIZE = 2**21


def summarise(draws: FloatArray, interval: Interval) -> dict[str, FloatArray]:
    """Mean, sd and interval ends over the first axis of `draws`, shape (draws, ...), by column name."""
    flat = draws.reshape(len(draws), -1)
    step = max(1, CHUNK_SIZE // len(draws))
    columns = {name: np.full(flat.shape[1], np.nan) for name in ("mean", "sd", *interval.columns)}
    for start in range(0, flat.shape[1], step):
        part, some = slice(start, start + step), flat[:, start : start + step]
        with np.errstate(invalid="ignore", over="ignore"):  # some draws of a ratio may be infinite
            columns["mean"][part] = some.mean(axis=0)
            if len(draws) > 1:
                columns["sd"][part] = some.std(axis=0, ddof=1)
            for name, ends in zip(interval.columns, interval.ends(some), strict=True):
                columns[name][part] = ends
    return {name: values.reshape(draws.shape[1:]) for name, values in columns.items()}


def put_block(columns: dict[str, FloatArray], found: Mapping[str, FloatArray], at: Any, size: int) -> None:
    """Write values of a block of rows into columns of `size` rows, which are made when they are first found.

    Examples
    --------
    >>> columns = {}
    >>> put_block(columns, {"mean": np.array([0.5, 0.7])}, slice(1, 3), 4)
    >>> columns["mean"]
    array([nan, 0.5, 0.7, nan])
    """
    for name, values in found.items():
        columns.setdefault(name, np.full(size, np.nan))[at] = values


#: Columns of summaries besides the ends of intervals; columns of the user's data with one of these names are renamed.
SUMMARIES = (
    *("rows", "total_weight", "estimate", "mean", "sd", "median", "null", "z", "t", "df", "p_value"),
    *("p_direction", "p_rope", "p_hypothesis", "p_equivalence"),
)


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
        cls,
        table: pd.DataFrame,
        draws: Any,
        quantity: str = "",
        spare: Sequence[str] = ("sd",),
        picture: Picture | None = None,
        note: str = "",
    ) -> DrawTable:
        """A table of summaries with draws, what is summarised, columns that are left out first, picture and note."""
        data = [name for name in map(last_level, table.columns) if not is_summary(name)]
        result = cls.of(table, quantity, data=data, spare=[*spare, *reversed(data)], picture=picture, note=note)
        object.__setattr__(result, "draws", draws)
        return result
