"""Tests of the rows of a result or of hypotheses about them, the same for sampled and likelihood fits."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..pictures import Picture
from ..student_t import t_quantile
from ..summaries.intervals import DrawTable, Interval, end_names
from ..summaries.multiplicity import LargestDeviation
from ..validation import as_float, choice, flag, listed, shortened
from .averaging_by import SIZES
from .evaluated import Evaluated, described_table, summary_columns
from .expressions import Labels
from .families import Family, check_hypothesis
from .row_by_row import RowByRow
from .wald_tests import WaldTests

if TYPE_CHECKING:
    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Ways to adjust for the number of rows that are tested.
ADJUSTMENTS = ("holm", "single-step")
#: The largest family with simultaneous intervals.
LARGEST_FAMILY = 2000
#: How tables of hypotheses are drawn.
PICTURE_OF_HYPOTHESES = Picture("hypotheses")
#: Probability of the interval of draws that a t distribution is given.
MATCHED = 0.95


class Scale(NamedTuple):
    """A scale on which values are more nearly normal, with the way back."""

    of: Callable[[FloatArray], FloatArray]
    back: Callable[[FloatArray], FloatArray]

    def bounds(self, rope: tuple[float, float]) -> FloatArray:
        """The ends of a region on this scale."""
        return self.of(np.array(rope))


def _as_given(values: FloatArray) -> FloatArray:
    return values


# Probabilities of 0 and 1 and infinite ratios, as the draws of extreme values can be, are taken for those nearest.


def _log(values: FloatArray) -> FloatArray:
    return np.log(np.clip(values, 1e-300, 1e300))


def _logit(values: FloatArray) -> FloatArray:
    inside = np.clip(values, 1e-300, 1 - 1e-16)
    return np.log(inside) - np.log1p(-inside)


def _expit(values: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(values))


IDENTITY, LOG, LOGIT = Scale(_as_given, _as_given), Scale(_log, np.exp), Scale(_logit, _expit)


def adjusted_title(quantity: str, adjust: str | None) -> str:
    """The title of a table: the name of a column of p-values does not show that they are adjusted."""
    return f"{quantity}; p-values adjusted by Holm's method" if adjust == "holm" else quantity


@dataclass(frozen=True)
class Question:
    """Values with what is asked about each of them.

    Attributes
    ----------
    values : Evaluated or RowByRow
    null : ndarray, shape (k,)
        The number with which each value is compared.
    side : ndarray of int, shape (k,)
        1 for the hypothesis that a value is above its number, -1 for below, 0 for equal.
    scale : Scale
        Where the values are nearly normal.
    """

    values: Evaluated | RowByRow
    null: FloatArray
    side: IntArray
    scale: Scale

    def shares(
        self, at: Any, draws: FloatArray, *, direction: bool, rope: Any, one_sided: bool
    ) -> dict[str, FloatArray]:
        """Shares of the draws of some values, shape (draws, values), on the sides that are asked for."""
        null, side, columns = self.null[at], self.side[at], {}
        above, below = (draws > null).mean(axis=0), (draws < null).mean(axis=0)
        if one_sided:
            columns["p_hypothesis"] = np.where(side == 0, np.nan, np.where(side > 0, above, below))
        if direction:
            columns["p_direction"] = np.maximum(above, below)
        if rope is not None:
            columns["p_rope"] = ((draws >= rope[0]) & (draws <= rope[1])).mean(axis=0)
        # Rows with missing values have draws of NaN, which are on neither side.
        return {name: np.where(np.isnan(draws[0]), np.nan, values) for name, values in columns.items()}

    def wald_tests(self, fitted: Estimate, *, together: bool) -> WaldTests:
        """Tests of the estimates on the scale where they are nearly normal, with their covariances if `together`.

        Functions of the parameters have the degrees of freedom of the levels that their errors come from. Values that
        depend on more have the fewest of the fit, and standard errors by which the t distribution has their 95 %
        interval, that of the draws.
        """
        assert self.values.estimate is not None
        deviations, smallest = None, float(fitted.df.min(initial=np.inf))
        with np.errstate(invalid="ignore"):  # infinite logarithms of ratios
            if isinstance(self.values, Evaluated) and (together or self.values.around is not None):
                deviations = self.values.deviations(self.scale.of)
            if isinstance(self.values, Evaluated) and deviations is not None and self.values.around is not None:
                error = np.sqrt((deviations**2).sum(axis=0))
                df = fitted.df_of(deviations)
            else:
                error, df = np.full(self.values.size, np.nan), np.full(self.values.size, smallest)
                for at, draws in self.values.blocks():
                    error[at] = _error(self.scale.of(draws), smallest)
            estimate, null = self.scale.of(self.values.estimate), self.scale.of(self.null)
        return WaldTests(estimate, error, null, self.side, df, deviations)

    def simultaneous(self, prob: float) -> tuple[FloatArray, FloatArray]:
        """Ends of intervals about the means of the draws that contain, in this share of the draws, all values."""
        assert isinstance(self.values, Evaluated)
        with np.errstate(invalid="ignore"):
            draws = self.scale.of(self.values.draws)
            centre, sd = draws.mean(axis=0), _error(draws, np.inf)
        known = np.flatnonzero(sd > 0)
        if not known.size:
            return centre, centre
        largest = LargestDeviation.of_draws((draws[:, known] - centre[known]) / sd[known])
        reach = largest.quantile(prob) * sd
        return centre - reach, centre + reach


def _error(draws: FloatArray, df: float) -> FloatArray:
    """Standard errors of values with these draws, shape (draws, values); NaN of a single draw."""
    if len(draws) == 1:
        return np.full(draws.shape[1], np.nan)
    if np.isinf(df):
        return np.asarray(draws.std(axis=0, ddof=1))
    low, high = Interval(MATCHED, "eti").ends(draws)
    return np.asarray((high - low) / (2 * t_quantile(df, MATCHED)))


@dataclass(frozen=True)
class RowTests:
    """Options that test or compare the rows of a result.

    Attributes
    ----------
    hypothesis : str, list of str, array of float or None
        Hypotheses about the rows, which replace them: differences by name, expressions of their labels, or weights,
        shape (rows,) or (rows, hypotheses).
    direction : bool
        Whether to add the probability of direction.
    rope : pair of float or None
        Bounds of a region of practical equivalence, to add the posterior probability inside it.
    adjust : {"holm", "single-step"} or None
        How to adjust for the number of rows.
    null : float
        The value of a row if there is no effect.
    scale : Scale
        Where the rows are nearly normal. Hypotheses about several rows are tested as they are.
    fitted : Estimate or None
        The maximum, if the fit maximised the likelihood, without priors, so that there are p-values.
    used : frozenset of str
        Columns of the table that the model uses.
    """

    hypothesis: Any
    direction: bool
    rope: tuple[float, float] | None
    adjust: str | None
    null: float
    scale: Scale
    fitted: Estimate | None
    used: frozenset[str]

    @classmethod
    def of(
        cls,
        fit: Fit,
        *,
        hypothesis: Any,
        direction: bool,
        rope: Any,
        adjust: str | None,
        null: float = 0.0,
        scale: Scale = IDENTITY,
    ) -> RowTests:
        """The tests that the options of a function ask for.

        Raises
        ------
        PredictionError
            If an option is not allowed.
        """
        require_fit(fit)
        flag("direction", direction, PredictionError)
        if hypothesis is not None:
            check_hypothesis(hypothesis)
        bounds = None if rope is None else rope_bounds(rope)
        if adjust is not None:
            choice("adjust", adjust, ADJUSTMENTS, PredictionError)
        fitted = None if fit.with_priors else fit.estimate
        if adjust == "holm" and fitted is None:
            raise PredictionError(
                f"adjust='holm' adjusts p-values, which fits by {fit.diagnostics.engine} do not have. Pass "
                "adjust='single-step' for simultaneous intervals."
            )
        used = frozenset(fit.model.formula.columns)
        return cls(hypothesis, direction, bounds, adjust, null, scale, fitted, used)

    @property
    def of_likelihood(self) -> bool:
        """Whether there are p-values."""
        return self.fitted is not None

    def table(
        self,
        quantity: str,
        described: pd.DataFrame,
        values: Evaluated | RowByRow,
        interval: Interval,
        picture: Picture | None = None,
        at_modes: str = "",
    ) -> DrawTable:
        """Summaries of the rows, or of the hypotheses about them, with the tests added.

        Parameters
        ----------
        quantity : str
        described : pandas.DataFrame
        values : Evaluated or RowByRow
        interval : Interval
        picture : Picture, optional
            That of the rows.
        at_modes : str
            What is noted if an estimate lies outside its interval.

        Raises
        ------
        PredictionError
            If a hypothesis does not fit the rows, or tests cannot be adjusted.
        """
        if self.hypothesis is None:
            k = values.size
            question = Question(values, np.full(k, self.null), np.zeros(k, dtype=np.intp), self.scale)
        else:
            family = Family.of(self.hypothesis, _row_labels(described, self.used), values.count)
            question = Question(family.applied(values), family.null, family.side, IDENTITY)
            described, quantity, picture = family.described, f"{quantity}, combined over rows", PICTURE_OF_HYPOTHESES
        title = adjusted_title(quantity, self.adjust)
        columns = self.columns(question, interval)
        note = at_modes if _outside(columns, interval) else ""
        return described_table(question.values, title, described, columns, picture, note)

    def columns(self, question: Question, interval: Interval) -> dict[str, FloatArray]:
        """Summaries and tests of the values, by the names of their columns."""
        values = question.values
        tested = self.of_likelihood and values.estimate is not None
        if self.adjust is not None and self.of_likelihood and not tested:
            raise PredictionError(
                f"adjust='{self.adjust}' needs estimates, which there are not where effects or outcomes are drawn at "
                "random. Pass clusters='average' or 'typical', or leave adjust= out."
            )
        self.refuse_unadjustable(
            values.size, in_memory=isinstance(values, Evaluated), one_sided=bool(question.side.any())
        )
        shares = partial(
            question.shares,
            direction=self.direction,
            rope=self.rope,
            one_sided=bool(question.side.any()) and not self.of_likelihood,
        )
        columns = summary_columns(values, interval, shares)
        asked = self.hypothesis is not None or self.direction or self.adjust is not None
        together, tests = self.adjust == "single-step", None
        if self.fitted is not None and tested and (asked or self.rope is not None):
            tests = question.wald_tests(self.fitted, together=together)
        if together:
            ends = (question if tests is None else tests).simultaneous(interval.prob)
            named = zip(end_names("simultaneous", interval.prob), map(question.scale.back, ends), strict=True)
            columns = _in_place_of(interval.columns, dict(named), columns)
        if tests is not None and asked:
            columns |= tests.columns(self.adjust)
        if tests is not None and self.rope is not None:
            columns["p_equivalence"] = tests.equivalence(*question.scale.bounds(self.rope))
        return columns

    def refuse_unadjustable(self, size: int, *, one_sided: bool, in_memory: bool = True) -> None:
        """Refuse families that have no simultaneous intervals or p-values.

        Raises
        ------
        PredictionError
        """
        if self.adjust != "single-step":
            return
        if size > LARGEST_FAMILY or not in_memory:
            raise PredictionError(
                f"adjust='single-step' is for families of up to {LARGEST_FAMILY:,} values that fit into memory; these "
                f"are {size:,}. Average over groups of rows with by=, or state fewer hypotheses."
            )
        if one_sided and self.of_likelihood:
            raise PredictionError(
                "adjust='single-step' is for hypotheses with =; those with < and > are tested on one side. Pass "
                "adjust='holm'."
            )


def _outside(columns: Mapping[str, FloatArray], interval: Interval) -> bool:
    """Whether there is an estimate outside its interval."""
    low, high = (columns.get(name) for name in interval.columns)
    estimate = columns.get("estimate")
    if estimate is None or low is None or high is None:
        return False
    return bool(np.any((estimate < low) | (estimate > high)))


def _in_place_of(
    replaced: Sequence[str], ends: Mapping[str, FloatArray], columns: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """The columns with the ends of other intervals where those of the first kind are."""
    names = dict(zip(replaced, ends, strict=True))
    return {names.get(name, name): ends[names[name]] if name in names else column for name, column in columns.items()}


def rope_bounds(rope: Any) -> tuple[float, float]:
    """Both ends of a region of practical equivalence, which may be infinite.

    Raises
    ------
    PredictionError
        If they are not two numbers in order.
    """
    ends = [as_float(end) for end in listed(rope) or []]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise PredictionError(f"rope={shortened(rope)} must be two numbers, (low, high) with low < high.")
    return ends[0], ends[1]


def _row_labels(described: pd.DataFrame, used: Container[str]) -> Labels:
    """A label for each row, from as few columns as tell the rows apart: those the model uses come before others."""
    parts = [
        [f"row {value}" if name == "row" else str(value) for value in described[name].tolist()]
        for name in _identifying_columns(described, used)
    ]
    return Labels.of_parts(list(zip(*parts, strict=True)), "row")


def _identifying_columns(described: pd.DataFrame, used: Container[str]) -> list[Any]:
    """Columns whose values tell the rows apart; all columns if none differ."""
    possible = [name for name in described.columns if name not in SIZES]
    varying = [name for name in possible if described[name].nunique(dropna=False) > 1]
    by_row = varying[: varying.index("row") + 1] if "row" in varying else []
    for columns in (by_row, [name for name in varying if name in used]):
        if columns and not described.duplicated(columns).any():
            return columns
    return varying or list(described.columns)
