"""Weights of rows and clusters as a model is given them, by columns of the table: counts, or weights of a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import ShownAsCall
from ..errors import DesignError
from ..validation import (
    LARGEST_NUMBER,
    WHOLE_TOLERANCE,
    agree,
    choice,
    kind_of,
    mapping,
    number_of,
    quoted_list,
    shortened,
    text,
)

FloatArray = npt.NDArray[np.float64]
Scaling = Literal["size", "effective"]
SCALING_CHOICES: tuple[Scaling, ...] = ("size", "effective")
#: More rows than this are not made of frequency weights, but counted.
MOST_ROWS = 20_000_000
#: Larger sums of counts are not exact.
MOST_COUNTED = 2**53
_KINDS = (
    "hl.FrequencyWeights({column}) if each row stands for that many identical rows; hl.SamplingWeights({column}) if "
    "the weights are inverse probabilities of selection. Numbers of trials behind a proportion, which are weights in "
    "R's glm and glmer, belong in the formula: p(proportion * trials, trials) ~ ..."
)


@dataclass(frozen=True, repr=False)
class FrequencyWeights(ShownAsCall):
    """Frequency weights: each row of the table stands for that many identical rows.

    They are for tables in which identical rows have been counted. The model is that of the table with repeated rows:
    estimates, standard errors, log-likelihood, draws and every function of a fit agree with it exactly, and results for
    each row have a row for each repetition. Rows that are counted zero times are left out. If the weights add up to
    more than 20 million, rows are not repeated: those with the same predictors are one row with its successes and its
    number of rows, as of a large table that is counted where it lies.

    They are not for weights of a sample (`SamplingWeights`): a row with the weight 1,000 would count as 1,000
    independent observations, and standard errors would be far too small.

    Parameters
    ----------
    rows : str
        Column of the table with the counts, whole numbers from 0.

    Raises
    ------
    DesignError
        If `rows` is not a name. A model raises it if the column does not hold counts.

    See Also
    --------
    SamplingWeights : Weights of a sample, which stand for probabilities of selection.

    Examples
    --------
    >>> import hierlogit as hl
    >>> rows = {"y": [0, 1, 0, 1], "g": ["a", "a", "b", "b"], "n": [3, 2, 1, 4]}
    >>> hl.Model("y ~ 1 + (1 | g)", rows, weights=hl.FrequencyWeights("n")).design.n_rows
    10
    """

    rows: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", text("FrequencyWeights: rows", self.rows, DesignError))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that hold the weights."""
        return (self.rows,)

    def counts(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        """How often each row counts, shape (n,).

        Raises
        ------
        DesignError
            If a count is negative or not whole, all are zero, or they add up to more than `MOST_COUNTED`.
        """
        values = weights_in(frame, self.rows)
        whole = np.round(values)
        fractional = np.flatnonzero(np.abs(values - whole) > WHOLE_TOLERANCE)
        if len(fractional):
            raise DesignError(
                f"frequency weights are whole numbers, but '{self.rows}' has "
                f"{number_of(len(fractional), 'other value')}, such as {values[fractional[0]]:.6g}. If they are "
                f"weights of a sample, pass weights=hl.SamplingWeights({self.rows!r})."
            )
        self.refuse_too_many(float(whole.sum()))
        if not whole.any():
            raise DesignError(f"all frequency weights in '{self.rows}' are zero. Check which column holds the counts.")
        return whole.astype(np.int64)

    def refuse_too_many(self, total: float) -> None:
        """Refuse more rows than can be counted exactly.

        Raises
        ------
        DesignError
        """
        if total > MOST_COUNTED:
            raise DesignError(
                f"the frequency weights in '{self.rows}' add up to {total:.3g} rows, which are too many to count. "
                "Check which column holds the counts."
            )


@dataclass(frozen=True, repr=False)
class SamplingWeights(ShownAsCall):
    """Sampling weights: inverse probabilities of selection, of rows and of clusters.

    They are for samples in which not every row or cluster had the same chance, where estimates should describe the
    population. Fits maximise the weighted log-likelihood (a pseudo-likelihood),
    ``sum_j w_j log integral exp(sum_i w_ij log f(y_ij | u_j)) phi(u_j) du_j``, with row weights scaled within their
    clusters, and have sandwich standard errors, in which the top-level clusters are independent.

    Likelihood engines without priors take them: ``"laplace"``, and `AGQ`, which also takes weights of inner clusters.
    What needs a likelihood (AIC, likelihood-ratio tests, profiles, cross-validation, evidence) and engines with priors
    refuse them.

    Parameters
    ----------
    rows : str, optional
        Column with the weight of each row given that its cluster is in the sample. All rows count the same if not
        given.
    clusters : mapping of str to str, optional
        Columns with the weights of clusters, by grouping factor, such as ``{"school": "w_school"}``; nested factors are
        named as in results, ``"school:class"``. Weights of inner clusters are given that the outer one is in the
        sample. All clusters count the same if not given.
    scaling : {"size", "effective"}
        How weights below the top level are scaled within each cluster of the next level: to add up to its number of
        rows, or to its effective number, ``(sum w)^2 / sum w^2``. A factor common to all weights of a cluster thus
        does not change estimates; averages over rows have the products of the weights as given. Without random effects,
        weights of rows are divided by their mean.

    Raises
    ------
    DesignError
        If an option is not allowed. A model raises it if the columns do not hold weights.

    See Also
    --------
    FrequencyWeights : Counts of identical rows.

    References
    ----------
    Rabe-Hesketh and Skrondal (2006), Journal of the Royal Statistical Society A 169: 805-827; ``"size"`` and
    ``"effective"`` are methods 2 and 1 of its section 3. Pfeffermann, Skinner, Holmes, Goldstein and Rasbash (1998),
    Journal of the Royal Statistical Society B 60: 23-40.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.SamplingWeights("w", clusters={"school": "w_school"})
    SamplingWeights(rows='w', clusters={'school': 'w_school'})
    """

    rows: str | None = None
    clusters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    scaling: Scaling = "size"

    def __post_init__(self) -> None:
        if self.rows is not None:
            object.__setattr__(self, "rows", text("SamplingWeights: rows", self.rows, DesignError))
        what = "columns by grouping factor, {'school': 'w_school'}"
        given = {} if self.clusters is None else mapping("SamplingWeights: clusters", self.clusters, DesignError, what)
        columns = {
            group: text(f"SamplingWeights: clusters[{group!r}]", name, DesignError) for group, name in given.items()
        }
        if self.rows is None and not columns:
            raise DesignError(
                "SamplingWeights: name a column with weights of rows, or columns with weights of clusters, "
                "hl.SamplingWeights('w', clusters={'school': 'w_school'})."
            )
        object.__setattr__(self, "clusters", MappingProxyType(columns))
        object.__setattr__(
            self, "scaling", choice("SamplingWeights: scaling", self.scaling, SCALING_CHOICES, DesignError)
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (SamplingWeights, (self.rows, dict(self.clusters), self.scaling))

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in super()._given().items() if name != "clusters" or value}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that hold the weights."""
        return tuple(dict.fromkeys([*([self.rows] if self.rows is not None else []), *self.clusters.values()]))


Weights = FrequencyWeights | SamplingWeights


def checked_weights(given: object, columns: list[str]) -> Weights | None:
    """The option ``weights=`` of a model of a table with these columns.

    Raises
    ------
    DesignError
        If it is neither frequency nor sampling weights, or a column does not exist.
    """
    if given is None:
        return None
    if not isinstance(given, (FrequencyWeights, SamplingWeights)):
        if isinstance(given, str):
            raise DesignError(
                f"weights={shortened(given)} does not say what the weights mean: {_KINDS.format(column=repr(given))}"
            )
        raise DesignError(
            f"weights must be hl.FrequencyWeights or hl.SamplingWeights, which name columns of the table; got "
            f"{kind_of(given)}. Put the weights into a column 'w' and pass {_KINDS.format(column=repr('w'))}"
        )
    absent = [name for name in given.columns if name not in columns]
    if absent:
        raise DesignError(
            f"weights: the table lacks the {agree(absent, 'column', 'columns')} {quoted_list(absent)}; it has "
            f"{quoted_list(columns)}."
        )
    return given


def weights_in(frame: pd.DataFrame, column: str) -> FloatArray:
    """Weights from a column, shape (n,).

    Raises
    ------
    DesignError
        If they are not numbers, negative, or so large or small that their products cannot be computed.
    """
    values = frame[column]
    if values.dtype.kind not in "iuf":
        held = "True/False" if values.dtype == bool else "text or categories"
        raise DesignError(f"the weights in '{column}' must be numbers; the column holds {held}.")
    weights = values.to_numpy(dtype=np.float64)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise DesignError(
            f"{number_of(len(negative), 'weight')} in '{column}' {agree(len(negative), 'is', 'are')} negative, such as "
            f"{weights[negative[0]]:.6g}. Weights start at 0."
        )
    extreme = weights[(weights > LARGEST_NUMBER) | ((weights > 0) & (weights < 1 / LARGEST_NUMBER))]
    if len(extreme):
        raise DesignError(
            f"{number_of(len(extreme), 'weight')} in '{column}' {agree(len(extreme), 'is', 'are')} neither zero nor "
            f"between {1 / LARGEST_NUMBER:g} and {LARGEST_NUMBER:g}, such as {extreme[0]:.6g}. Check the column; a "
            "factor that all weights share does not matter."
        )
    return weights
