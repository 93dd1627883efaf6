"""Between-within degrees of freedom: for each fixed effect, how many clusters or trials tell of its error.

A column that is constant within the clusters of a factor is known from differences between these clusters, of which
there are as many as clusters, whatever the number of their rows. The clusters of a factor are spent like observations:
on the clusters of the factor that it is nested in, and on the columns that only they tell of. The same holds for the
columns with a random slope, since the mean of slopes is known from as many slopes as there are clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import HierlogitError
from ..validation import choice
from .grouping import CONSTANT, GroupBlock

if TYPE_CHECKING:
    from .design import Design

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: What t statistics are compared with: the t distribution with these degrees of freedom, or the normal distribution.
KINDS = ("between-within", "normal")
#: If not chosen, with fewer clusters of any factor the degrees of freedom are between-within.
FEW_CLUSTERS = 40


def degrees_of_freedom(design: Design, df: str | None) -> FloatArray:
    """Degrees of freedom of each fixed effect, infinite for the normal distribution; shape (p,).

    Of J clusters, a column that is constant within each of them has J - k, where k columns are (the intercept is one).
    Other columns have N - J - k, for N trials, or N rows of beta-binomial outcomes, whose trials in a row are not
    independent, and k such columns. With several factors:

    - The clusters of a factor that is nested in another are reduced by the clusters of that one. A column belongs to
      the outermost factor within whose clusters it is constant.
    - A column that is constant within the clusters of two crossed factors, as the intercept is, belongs to both, and
      has the smaller number.
    - A column that is proportional, within each cluster of a factor, to the column of a random slope belongs to that
      factor. It has J - k, for the k columns of this kind.

    Numbers below 1 are raised to 1.

    Parameters
    ----------
    design : Design
    df : {"between-within", "normal"}, optional
        Between-within with fewer than 40 clusters of a grouping factor, and otherwise normal, if not given.

    References
    ----------
    Schluchter and Elashoff (1990), Journal of Statistical Computation and Simulation 37: 69-87. Pinheiro and Bates
    (2000), Mixed-Effects Models in S and S-PLUS, section 2.4.2, for nested factors. Li and Redden (2015), BMC Medical
    Research Methodology 15: 38, for binary outcomes.

    Examples
    --------
    >>> import hierlogit as hl
    >>> design = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).design
    >>> dict(zip(design.fixed_effects, degrees_of_freedom(design, None).tolist()))
    {'Intercept': 14.0, 'period[p2]': 824.0, 'period[p3]': 824.0, 'period[p4]': 824.0}
    """
    count = len(design.fixed_effects)
    if kind_of_df(design, df) == "normal":
        return np.full(count, np.inf)
    outer = {group.name: [g for g in design.groups if g is not group and _inside(group, g)] for group in design.groups}
    values, claimed = np.full(count, np.inf), np.zeros(count, dtype=bool)
    for group in design.groups:
        surrounding = max((len(g.levels) for g in outer[group.name]), default=0)
        for effect, column in zip(group.effects, group.Z.T, strict=True):
            members = _proportional_within(group, design.X, column)
            if effect == "Intercept":  # what is constant within outer clusters belongs to these
                for g in outer[group.name]:
                    members &= ~_proportional_within(g, design.X, np.ones(design.n_rows))
            values[members] = np.minimum(values[members], len(group.levels) - surrounding - members.sum())
            claimed |= members
    independent = design.n_rows if design.outcome.family == "betabinomial" else design.outcome.trials.sum()
    values[~claimed] = independent - _dimensions(design, outer) - (~claimed).sum()
    at_least_one: FloatArray = np.maximum(values, 1.0)
    return at_least_one


def kind_of_df(design: Design, df: str | None) -> str:
    """Which degrees of freedom are used: those chosen, or between-within if a factor has few clusters."""
    if df is not None and design.groups:
        return df
    return "between-within" if any(len(group.levels) < FEW_CLUSTERS for group in design.groups) else "normal"


def checked_df(name: str, df: object, error: type[HierlogitError]) -> str | None:
    """The option `df` of a function or engine.

    Raises
    ------
    HierlogitError
        Of the class `error`, if it is not allowed.
    """
    return None if df is None else choice(name, df, KINDS, error)


def _inside(group: GroupBlock, other: GroupBlock) -> bool:
    return len(other.levels) < len(group.levels) and group.nested_in(other)


def _dimensions(design: Design, outer: dict[str, list[GroupBlock]]) -> int:
    """How many differences between rows are differences between clusters."""
    own = (len(group.levels) - max((len(g.levels) for g in outer[group.name]), default=1) for group in design.groups)
    return 1 + sum(own)


def _proportional_within(group: GroupBlock, columns: FloatArray, effect: FloatArray) -> BoolArray:
    """Which columns, shape (n, p), are a multiple of the column of an effect in each cluster; shape (p,)."""
    J, effect = len(group.levels), _scaled(effect)
    length = np.bincount(group.index, weights=effect**2, minlength=J)
    proportional = np.empty(columns.shape[1], dtype=bool)
    for k, column in enumerate(map(_scaled, columns.T)):
        product = np.bincount(group.index, weights=effect * column, minlength=J)
        multiple = np.divide(product, length, out=np.zeros(J), where=length > 0)
        proportional[k] = np.abs(column - multiple[group.index] * effect).max(initial=0.0) <= 1e3 * CONSTANT
    return proportional


def _scaled(column: FloatArray) -> FloatArray:
    """A column divided by its largest value, so that its squares are within the range of floats."""
    largest = float(np.abs(column).max(initial=0.0))
    return column / largest if largest > 0 else column
