"""Tables simulated for many layouts of rows and clusters, from columns, levels, coefficients and sds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import pandas as pd

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
#: Level of each row, by grouping factor.
Levels = Mapping[str, IntArray]
#: Draws a column, given the levels of the rows.
Column = Callable[[np.random.Generator, Levels], npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Varying:
    """How the effects of a factor's levels are distributed.

    Attributes
    ----------
    sds : mapping of str to float
        By column; all correlated equally.
    correlation : float
    """

    sds: Mapping[str, float]
    correlation: float = 0.0

    def drawn(self, rng: np.random.Generator, levels: int) -> FloatArray:
        """Effects of so many levels, one column for each sd."""
        sds = np.array(list(self.sds.values()))
        correlations = np.full((len(sds), len(sds)), self.correlation)
        np.fill_diagonal(correlations, 1.0)
        return rng.normal(size=(levels, len(sds))) @ np.linalg.cholesky(np.outer(sds, sds) * correlations).T


def intercepts(sd: float) -> Varying:
    """Levels differ by their intercepts only."""
    return Varying({"Intercept": sd})


# ---- levels ----------------------------------------------------------------------------------------------------------


def clusters(sizes: npt.ArrayLike, name: str = "g") -> Levels:
    """Levels of one factor with these numbers of rows."""
    rows = np.asarray(sizes, dtype=np.int64)
    return {name: np.repeat(np.arange(len(rows)), rows)}


def crossed(rows: int | None = None, seed: int = 0, **numbers: int) -> Levels:
    """Every combination of levels once, or as many of them as there are to be rows, chosen at random."""
    cells, shape = prod(numbers.values()), tuple(numbers.values())
    chosen = np.arange(cells) if rows is None else np.random.default_rng(seed).choice(cells, rows, replace=False)
    return dict(zip(numbers, np.unravel_index(np.sort(chosen), shape), strict=True))


def nested(sizes: npt.ArrayLike, **numbers: int) -> Levels:
    """Levels within levels, spread evenly; `sizes` are the rows of the levels of the last factor."""
    rows = np.asarray(sizes, dtype=np.int64)
    inner = np.repeat(np.arange(len(rows)), rows)
    return {name: inner * number // len(rows) for name, number in numbers.items()}


# ---- columns ---------------------------------------------------------------------------------------------------------


def normal(mean: float = 0.0, sd: float = 1.0, by: str | None = None) -> Column:
    """Normal values, of each row or of each level of a factor."""
    return _column(lambda rng, size: rng.normal(mean, sd, size), by)


def uniform(low: float, high: float, digits: int = 1) -> Column:
    """Rounded values between two limits."""
    return _column(lambda rng, size: rng.uniform(low, high, size).round(digits), None)


def binary(share: float = 0.5, by: str | None = None) -> Column:
    """Zeros and ones, of each row or of each level of a factor, with the share of ones that is asked for."""

    def drawn(rng: np.random.Generator, size: int) -> npt.NDArray[np.generic]:
        return rng.permutation((np.arange(size) < share * size).astype(float))

    return _column(drawn, by)


def text(*values: str, by: str | None = None) -> Column:
    """Categories of equal shares."""
    return _column(lambda rng, size: rng.permutation(np.resize(np.array(values, dtype=object), size)), by)


def _column(draw: Callable[[np.random.Generator, int], npt.NDArray[np.generic]], by: str | None) -> Column:
    def drawn(rng: np.random.Generator, levels: Levels) -> npt.NDArray[np.generic]:
        if by is None:
            return draw(rng, len(next(iter(levels.values()))))
        return draw(rng, int(levels[by].max()) + 1)[levels[by]]

    return drawn


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(
    levels: Levels,
    beta: Mapping[str, float],
    varying: Mapping[str, Varying],
    columns: Mapping[str, Column],
    *,
    seed: int,
    trials: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """Rows with their levels, columns and simulated outcome.

    Parameters
    ----------
    levels : mapping of str to array
        Level of each row, by factor.
    beta : mapping of str to float
        Coefficients by label: ``Intercept``, ``x``, ``x**2``, ``arm[new]``, and products such as ``x:arm[new]``.
    varying : mapping of str to Varying
        By factor.
    columns : mapping of str to callable
        How each column is drawn.
    seed : int
    trials : (int, int), optional
        Fewest and most trials of a row, whose number is the column ``n``; without them the outcome is 0 or 1.

    Returns
    -------
    pandas.DataFrame
        The outcome, or the number of successes, is ``y``.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: draw(rng, levels) for name, draw in columns.items()} | dict(levels))
    eta = sum((value * _values(frame, label) for label, value in beta.items()), np.zeros(len(frame)))
    for factor, how in varying.items():
        effects = how.drawn(rng, int(levels[factor].max()) + 1)
        for k, label in enumerate(how.sds):
            eta = eta + effects[levels[factor], k] * _values(frame, label)
    number = np.ones(len(frame), dtype=np.int64)
    if trials is not None:
        frame["n"] = number = rng.integers(trials[0], trials[1] + 1, len(frame))
    return frame.assign(y=rng.binomial(number, 1 / (1 + np.exp(-eta))))


def _values(frame: pd.DataFrame, label: str) -> FloatArray:
    values = np.ones(len(frame))
    for part in label.split(":"):
        if part.endswith("]"):
            name, level = part[:-1].split("[")
            values = values * (frame[name] == level).to_numpy(dtype=float)
        elif part != "Intercept":
            name, _, power = part.partition("**")
            values = values * frame[name].to_numpy(dtype=float) ** int(power or 1)
    return values


def persons_by_items(persons: int, items: int = 27, rows: int | None = None) -> pd.DataFrame:
    """Answers of persons to the items of a test, who differ much, as do the items; all of them, or `rows` at random."""
    return table(
        crossed(rows, person=persons, item=items),
        {"Intercept": -2.0},
        {"person": intercepts(1.95), "item": intercepts(2.4)},
        {},
        seed=27,
    )
